//! Step 6 of 7: results become records that wait for the transaction.
//!
//! Not here: sending and committing them ([`crate::commit`]). Invariant: what is in the outbox leaves
//! with the open transaction or not at all.

use std::marker::PhantomData;

use state::StateKey;

use crate::batch::{HeaderBuffer, Headers, RecordBatch, RecordRef};
use crate::decode::{Encoder, Poison};
use crate::limits::OUTBOX_KEPT_BYTES;
use crate::log::partition_for_key;
use crate::process::{Terminal, Timed};
use crate::record::{EventTime, LogTime, Offset, Partition, TopicName, TopicPartition};
use crate::repartition::records::Travelled;
use crate::step::{Step, Verdict};

/// Which topic of a task a record leaves for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Lane {
    /// The changelog of a column; 0 is the task's meta changelog.
    Changelog(usize),
    /// An output or repartition topic, by its number in the plan.
    Output(usize),
    /// The side output of records that came too late.
    Late,
    /// The dead letters.
    Dead,
    /// The application's time log.
    Time,
}

/// Records that leave with the open transaction, side by side per topic-partition.
#[derive(Debug)]
pub struct Outbox {
    changelogs: Vec<Track>,
    outputs: Vec<Track>,
    late: Track,
    dead: Track,
    time: Track,
    /// By output.
    shapes: Vec<u32>,
    key: Vec<u8>,
    /// Of all records that wait. Asked after every record, and a task has dozens of batches.
    bytes: usize,
}

#[derive(Debug)]
struct Track {
    topic: TopicName,
    /// The number of the first of `batches`: 0, or the task's own partition for a changelog.
    first: u32,
    batches: Vec<RecordBatch>,
}

impl Track {
    fn whole(topic: TopicName, partitions: u32) -> Self {
        Self { topic, first: 0, batches: (0..partitions.max(1)).map(|_| RecordBatch::new()).collect() }
    }

    fn one(topic: TopicName, partition: u32) -> Self {
        Self { topic, first: partition, batches: vec![RecordBatch::new()] }
    }

    fn batch(&mut self, partition: Partition) -> &mut RecordBatch {
        let last = self.batches.len() - 1;
        &mut self.batches[(partition.0.saturating_sub(self.first) as usize).min(last)]
    }
}

/// The topics of one task's outbox, with their partition counts.
#[derive(Debug, Clone)]
pub(crate) struct OutboxTopics {
    /// By column; the task writes its own partition only.
    pub(crate) changelogs: Vec<TopicName>,
    /// By number in the plan.
    pub(crate) outputs: Vec<(TopicName, u32)>,
    /// What partial aggregates are that leave by the output of this number; 0 for all others.
    pub(crate) shapes: Vec<u32>,
    pub(crate) late: (TopicName, u32),
    pub(crate) dead: (TopicName, u32),
    pub(crate) time: TopicName,
}

impl Outbox {
    pub(crate) fn new(topics: &OutboxTopics, partition: Partition) -> Self {
        Self {
            changelogs: topics.changelogs.iter().map(|topic| Track::one(topic.clone(), partition.0)).collect(),
            outputs: topics.outputs.iter().map(|(topic, n)| Track::whole(topic.clone(), *n)).collect(),
            late: Track::whole(topics.late.0.clone(), topics.late.1),
            dead: Track::whole(topics.dead.0.clone(), topics.dead.1),
            time: Track::one(topics.time.clone(), 0),
            shapes: topics.shapes.clone(),
            key: Vec::new(),
            bytes: 0,
        }
    }

    fn track(&mut self, lane: Lane) -> &mut Track {
        match lane {
            Lane::Changelog(column) => &mut self.changelogs[column],
            Lane::Output(output) => &mut self.outputs[output],
            Lane::Late => &mut self.late,
            Lane::Dead => &mut self.dead,
            Lane::Time => &mut self.time,
        }
    }

    /// How many partitions a lane's topic has, as far as this task writes them.
    pub(crate) fn partitions(&mut self, lane: Lane) -> u32 {
        self.track(lane).batches.len() as u32
    }

    /// What partial aggregates are that leave by this lane; 0 where nothing says so.
    pub(crate) fn shape(&self, lane: Lane) -> u32 {
        match lane {
            Lane::Output(output) => self.shapes.get(output).copied().unwrap_or_default(),
            Lane::Changelog(_) | Lane::Late | Lane::Dead | Lane::Time => 0,
        }
    }

    /// Appends a record to a partition of a lane.
    pub(crate) fn push(&mut self, lane: Lane, partition: Partition, record: RecordRef<'_>) {
        self.add(lane, partition, |batch| batch.push(record));
    }

    /// Appends a record whose key and value `write` puts straight into the buffer; it returns the length
    /// of the key. For lanes of one partition.
    pub(crate) fn push_with(
        &mut self,
        lane: Lane,
        partition: Partition,
        time: LogTime,
        write: impl FnOnce(&mut Vec<u8>) -> usize,
    ) {
        self.add(lane, partition, |batch| batch.push_with(time, write));
    }

    /// Appends a keyed record to the partition that Kafka's partitioner gives its key.
    pub(crate) fn push_keyed(
        &mut self,
        lane: Lane,
        time: LogTime,
        key: impl FnOnce(&mut Vec<u8>),
        value: impl FnOnce(&mut Vec<u8>) -> Result<(), Poison>,
        headers: Headers<'_>,
    ) -> Result<(), Poison> {
        let mut bytes = std::mem::take(&mut self.key);
        bytes.clear();
        key(&mut bytes);
        let partitions = self.partitions(lane);
        let partition = partition_for_key(&bytes, partitions);
        let written = self.add(lane, partition, |batch| {
            let mut written = Ok(());
            let before = batch.len();
            batch.push_with(time, |buffer| {
                buffer.extend_from_slice(&bytes);
                written = value(buffer);
                bytes.len()
            });
            match &written {
                Ok(()) => batch.add_headers(headers),
                Err(_) => batch.truncate(before),
            }
            written
        });
        self.key = bytes;
        written
    }

    fn add<T>(&mut self, lane: Lane, partition: Partition, push: impl FnOnce(&mut RecordBatch) -> T) -> T {
        let batch = self.track(lane).batch(partition);
        let before = batch.byte_len();
        let pushed = push(batch);
        let grown = batch.byte_len() - before;
        self.bytes += grown;
        pushed
    }

    /// Bytes that wait.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    fn tracks(&self) -> impl Iterator<Item = &Track> {
        self.changelogs.iter().chain(&self.outputs).chain([&self.late, &self.dead, &self.time])
    }

    /// Whether nothing waits.
    pub(crate) fn is_empty(&self) -> bool {
        self.tracks().all(|track| track.batches.iter().all(RecordBatch::is_empty))
    }

    /// Hands every non-empty batch to `send` and forgets it if that went well. Results go first and
    /// changelogs last, so that a reader of the changelog that sees a commit's rows could see its
    /// results too; within a partition the order of pushing stands.
    pub(crate) fn send_all<E>(
        &mut self,
        mut send: impl FnMut(&TopicPartition, &RecordBatch) -> Result<(), E>,
    ) -> Result<(), E> {
        let Self { changelogs, outputs, late, dead, time, bytes, .. } = self;
        let tracks = outputs.iter_mut().chain([late, dead, time]).chain(changelogs.iter_mut());
        for track in tracks {
            for (number, batch) in (track.first..).zip(&mut track.batches) {
                if !batch.is_empty() {
                    send(&TopicPartition { topic: track.topic.clone(), partition: Partition(number) }, batch)?;
                    *bytes -= batch.byte_len();
                    batch.clear_down_to(OUTBOX_KEPT_BYTES);
                }
            }
        }
        debug_assert_eq!(*bytes, 0, "what was counted has been sent");
        Ok(())
    }

    /// Forgets everything: the transaction was aborted.
    pub(crate) fn clear(&mut self) {
        let Self { changelogs, outputs, late, dead, time, .. } = self;
        for track in outputs.iter_mut().chain([late, dead, time]).chain(changelogs.iter_mut()) {
            track.batches.iter_mut().for_each(|batch| batch.clear_down_to(OUTBOX_KEPT_BYTES));
        }
        self.bytes = 0;
    }
}

/// The end of a chain: an output topic, keyed as the stream is.
pub struct ToTopic<E> {
    lane: Lane,
    encoder: E,
}

impl<E> ToTopic<E> {
    pub(crate) fn new(output: usize, encoder: E) -> Self {
        Self { lane: Lane::Output(output), encoder }
    }
}

impl<E: Clone> Clone for ToTopic<E> {
    fn clone(&self) -> Self {
        Self { lane: self.lane, encoder: self.encoder.clone() }
    }
}

impl<K, V, E> Terminal<K, V> for ToTopic<E>
where
    K: StateKey,
    E: Encoder<V>,
{
    fn accept(&mut self, step: &mut Step<'_>, record: &Timed<K, V>) {
        let written = step.out.push_keyed(
            self.lane,
            LogTime(record.time.0),
            |into| record.key.encode(into),
            |into| self.encoder.encode(&record.value, into),
            // Tracing goes on through what is made of one record. A window's result is made of many.
            step.headers.as_headers(),
        );
        match written {
            Ok(()) => step.counts.results += 1,
            Err(poison) => step.dead_letter(poison),
        }
    }

    fn advance(&mut self, _: &mut Step<'_>, _: EventTime) {}
    fn drain(&mut self, _: &mut Step<'_>) {}
    fn abandon(&mut self) {}
}

/// The end of a chain of rows: an output topic, keyed as the chain is, in which a tombstone says that a key has no row.
pub struct ToTable<E> {
    rows: ToTopic<E>,
}

impl<E> ToTable<E> {
    pub(crate) fn new(output: usize, encoder: E) -> Self {
        Self { rows: ToTopic::new(output, encoder) }
    }
}

impl<E: Clone> Clone for ToTable<E> {
    fn clone(&self) -> Self {
        Self { rows: self.rows.clone() }
    }
}

impl<K, V, E> Terminal<K, Option<V>> for ToTable<E>
where
    K: StateKey,
    E: Encoder<V>,
{
    fn accept(&mut self, step: &mut Step<'_>, record: &Timed<K, Option<V>>) {
        let ToTopic { lane, encoder } = &self.rows;
        let time = LogTime(record.time.0);
        let Some(value) = &record.value else {
            let mut key = Vec::new();
            record.key.encode(&mut key);
            let partition = partition_for_key(&key, step.out.partitions(*lane));
            step.out.push(*lane, partition, plain(time, Some(&key), None));
            step.counts.results += 1;
            return;
        };
        let encoded = |into: &mut Vec<u8>| encoder.encode(value, into);
        match step.out.push_keyed(*lane, time, |into| record.key.encode(into), encoded, Headers::NONE) {
            Ok(()) => step.counts.results += 1,
            Err(poison) => step.dead_letter(poison),
        }
    }

    fn advance(&mut self, _: &mut Step<'_>, _: EventTime) {}
    fn drain(&mut self, _: &mut Step<'_>) {}
    fn abandon(&mut self) {}
}

/// The end of a chain that leads nowhere: for streams whose store is all that is wanted.
pub struct Discard<V>(PhantomData<fn(V)>);

impl<V> Discard<V> {
    pub(crate) fn new() -> Self {
        Self(PhantomData)
    }
}

impl<V> Clone for Discard<V> {
    fn clone(&self) -> Self {
        Self::new()
    }
}

impl<K, V: 'static> Terminal<K, V> for Discard<V> {
    fn accept(&mut self, _: &mut Step<'_>, _: &Timed<K, V>) {}
    fn advance(&mut self, _: &mut Step<'_>, _: EventTime) {}
    fn drain(&mut self, _: &mut Step<'_>) {}
    fn abandon(&mut self) {}
}

/// Sends a record that was found wanting to its side outputs, with its key, value and headers as they came, and with
/// Kafka Streams' headers that say where it came from and why. Its log timestamp stays. A record that is late for
/// several stores is set aside once.
pub(crate) fn set_aside(step: &mut Step<'_>, from: &TopicPartition, record: RecordRef<'_>) {
    push_aside(step, from, Some(record.offset), record);
}

/// Does the same for a record that came through a repartition topic: with its key and value as they travelled, and
/// no offset, since that of a bundle says nothing.
pub(crate) fn set_aside_travelled(step: &mut Step<'_>, from: &TopicPartition, record: &Travelled<'_>) {
    let Travelled { key, value, time, headers, .. } = *record;
    let plain = plain(LogTime(time.0), Some(key), Some(value));
    push_aside(step, from, None, RecordRef { headers, ..plain });
}

/// Does the same for what was found wanting while no record was on its way: a result of the task's own, which no
/// output or next step can take. There is no record to show, and no offset; the message has to say it all.
pub(crate) fn set_aside_derived(step: &mut Step<'_>, from: &TopicPartition) {
    let time = LogTime(step.now.0);
    push_aside(step, from, None, plain(time, None, None));
}

fn push_aside(step: &mut Step<'_>, from: &TopicPartition, offset: Option<Offset>, record: RecordRef<'_>) {
    let mut stores: Vec<&str> = Vec::new();
    for verdict in std::mem::take(&mut step.verdicts) {
        match verdict {
            Verdict::Dead(poison) => {
                *step.counts.dead.entry(poison.reason).or_default() += 1;
                push_to(step, Lane::Dead, (poison.reason, &poison.message), from, offset, record);
            }
            Verdict::Late(store) => {
                *step.counts.late.entry(store).or_default() += 1;
                if !stores.contains(&store) {
                    stores.push(store);
                }
            }
        }
    }
    if !stores.is_empty() {
        let message = format!("every window of store {} that holds its event time has closed", stores.join(", "));
        push_to(step, Lane::Late, ("late", &message), from, offset, record);
    }
}

fn push_to(
    step: &mut Step<'_>,
    lane: Lane,
    (exception, message): (&str, &str),
    from: &TopicPartition,
    offset: Option<Offset>,
    record: RecordRef<'_>,
) {
    let mut headers = HeaderBuffer::from_headers(record.headers);
    headers.push("__streams.errors.exception", Some(exception.as_bytes()));
    headers.push("__streams.errors.message", Some(message.as_bytes()));
    headers.push("__streams.errors.topic", Some(from.topic.as_str().as_bytes()));
    headers.push("__streams.errors.partition", Some(from.partition.to_string().as_bytes()));
    if let Some(offset) = offset {
        headers.push("__streams.errors.offset", Some(offset.to_string().as_bytes()));
    }
    let partitions = step.out.partitions(lane);
    let partition = Partition(from.partition.0 % partitions);
    let aside = RecordRef { headers: headers.as_headers(), offset: Offset::ZERO, ..record };
    step.out.push(lane, partition, aside);
}

/// No headers, for records that the core makes itself.
pub(crate) fn plain<'a>(time: LogTime, key: Option<&'a [u8]>, value: Option<&'a [u8]>) -> RecordRef<'a> {
    RecordRef { offset: Offset::ZERO, timestamp: time, key, value, headers: Headers::NONE }
}
