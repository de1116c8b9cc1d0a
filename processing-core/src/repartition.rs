//! The way between two sub-topologies: partial aggregates or whole records, and the time that goes with them.
//!
//! Not here: the windows at the other end ([`crate::window_store`]). Invariant: in a transaction the
//! bundles come before the time record, so a downstream task that has seen a time has seen everything that
//! belongs before it.
//!
//! ```text
//! bundle   ┌──────┬───────────┬─────────────────────────────────────────────────────────────────┐  key: none
//!          │ 0x03 │ epoch u32 │ (key: part │ the rest, a part: pane, first behind the pane:     │
//!          │      │           │  signed │ the aggregate) once for each partial of one partition │
//!          └──────┴───────────┴─────────────────────────────────────────────────────────────────┘
//! time     ┌──────┬───────────┬──────────────────┬───────────────┬───────────┬──────────┬───────────┐  key: empty
//!          │ 0x02 │ epoch u32 │ sub-topology u16 │ partition u32 │ tasks u32 │ time i64 │ since i64 │
//!          └──────┴───────────┴──────────────────┴───────────────┴───────────┴──────────┴───────────┘
//! ```
//! Big-endian; parts and signed numbers are those of [`part`], first is the first accepting window, the aggregate is in
//! the state's value codec. 0x01 was a partial aggregate alone. 0x04 is a bundle of whole records ([`records`]). 0x05 is 0x03 with the
//! aggregates' shape (u32, [`in_flight`]) behind the epoch, and what is sent since there is one.
//!
//! A record costs a broker and both clients more than what is in it, so partial aggregates travel in bundles.

pub mod broadcast;
pub(crate) mod in_flight;
mod part;
pub mod pre_aggregate;
pub(crate) mod records;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::aggregate::Mergeable;
use crate::batch::{Headers, RecordRef};
use crate::decode::Poison;
use crate::error::CoreError;
use crate::limits::BUNDLE_BYTES;
use crate::log::partition_for_key;
use crate::record::{EventTime, LogTime, Offset, Partition, TopicPartition};
use crate::sink::Lane;
use crate::step::Step;

const TIME: u8 = 2;
const BUNDLE: u8 = 3;
const RECORDS: u8 = 4;
const SHAPED: u8 = 5;

/// A record of a repartition topic, its epoch checked and taken off.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Frame<'a> {
    /// Partial aggregates, still encoded.
    Bundle(Bundle<'a>),
    /// Whole records, still encoded.
    Records(Bundle<'a>),
    /// An upstream task's time.
    Time(UpstreamTime),
}

/// A key with its partial aggregate (pane, first accepting window and aggregate) or its record, still encoded.
type Keyed<'a> = (&'a [u8], &'a [u8]);

/// Partial aggregates or records for one partition, each with its key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Bundle<'a>(&'a [u8]);

impl<'a> Bundle<'a> {
    /// Takes the next one off; `None` at the end.
    pub(crate) fn next(&mut self) -> Result<Option<Keyed<'a>>, Poison> {
        if self.0.is_empty() {
            return Ok(None);
        }
        let broken = || Poison::new("internal", "a bundle is cut off");
        let key = part::take(&mut self.0).ok_or_else(broken)?;
        let partial = part::take(&mut self.0).ok_or_else(broken)?;
        Ok(Some((key, partial)))
    }
}

/// Bundles of one kind under construction, one for each partition of the topic.
struct Bundles {
    kind: u8,
    open: Vec<Vec<u8>>,
    /// What is being added.
    added: Vec<u8>,
}

impl Bundles {
    fn of(kind: u8) -> Self {
        Self { kind, open: Vec::new(), added: Vec::new() }
    }

    /// Adds a partial aggregate or record that `write` appends; a full bundle goes out. Answers by how many bytes
    /// what is held here has grown.
    fn add(
        &mut self,
        step: &mut Step<'_>,
        lane: Lane,
        key: &[u8],
        write: impl FnOnce(&mut Vec<u8>) -> Result<(), CoreError>,
    ) -> isize {
        let partition = partition_for_key(key, step.out.partitions(lane));
        self.add_to(step, lane, partition, key, write)
    }

    /// The same for a partition that is not the key's.
    fn add_to(
        &mut self,
        step: &mut Step<'_>,
        lane: Lane,
        partition: Partition,
        key: &[u8],
        write: impl FnOnce(&mut Vec<u8>) -> Result<(), CoreError>,
    ) -> isize {
        self.open.resize_with(step.out.partitions(lane) as usize, Vec::new);
        let Some(bundle) = self.open.get_mut(partition.0 as usize) else { return 0 };
        let before = bundle.len();
        if bundle.is_empty() {
            let shape = if self.kind == BUNDLE { step.out.shape(lane) } else { 0 };
            bundle.push(if shape == 0 { self.kind } else { SHAPED });
            bundle.extend_from_slice(&step.terms.epoch.to_be_bytes());
            if shape != 0 {
                bundle.extend_from_slice(&shape.to_be_bytes());
            }
        }
        self.added.clear();
        step.ok(write(&mut self.added));
        part::put(bundle, key);
        part::put(bundle, &self.added);
        if bundle.len() >= BUNDLE_BYTES {
            send_bundle(step, lane, partition, bundle);
        }
        bundle.len().cast_signed() - before.cast_signed()
    }

    /// Sends what is still open, and gives its room back: that of each partition would stay in each operator of each task.
    fn finish(&mut self, step: &mut Step<'_>, lane: Lane) {
        for (partition, mut bundle) in (0..).map(Partition).zip(std::mem::take(&mut self.open)) {
            if !bundle.is_empty() {
                send_bundle(step, lane, partition, &mut bundle);
            }
        }
    }
}

fn send_bundle(step: &mut Step<'_>, lane: Lane, partition: Partition, bundle: &mut Vec<u8>) {
    let record = RecordRef {
        offset: Offset::ZERO,
        timestamp: LogTime(step.now.0),
        key: None,
        value: Some(bundle),
        headers: Headers::NONE,
    };
    step.out.push(lane, partition, record);
    bundle.clear();
}

/// How far one upstream task has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct UpstreamTime {
    pub(crate) sub_topology: u16,
    pub(crate) partition: u32,
    /// How many tasks the upstream sub-topology has.
    pub(crate) tasks: u32,
    pub(crate) time: EventTime,
    /// The earliest pane that it has sent anything for; [`EventTime::MAX`] before it has.
    pub(crate) since: EventTime,
}

impl<'a> Frame<'a> {
    /// `None` for a record of another epoch.
    pub(crate) fn read(epoch: u32, value: Option<&'a [u8]>) -> Result<Option<Self>, Poison> {
        let broken = || Poison::new("internal", "a record of an internal topic is not in its format");
        let (head, rest) = value.and_then(<[u8]>::split_first_chunk::<5>).ok_or_else(broken)?;
        let [kind, e0, e1, e2, e3] = *head;
        if u32::from_be_bytes([e0, e1, e2, e3]) != epoch {
            return Ok(None);
        }
        match kind {
            BUNDLE => Ok(Some(Self::Bundle(Bundle(rest)))),
            // Whoever hands it over has looked at the shape.
            SHAPED => Ok(Some(Self::Bundle(Bundle(rest.get(4..).ok_or_else(broken)?)))),
            RECORDS => Ok(Some(Self::Records(Bundle(rest)))),
            TIME => {
                let (bytes, since) = rest.split_first_chunk::<18>().ok_or_else(broken)?;
                let [s0, s1, p0, p1, p2, p3, n0, n1, n2, n3, time @ ..] = *bytes;
                let since: [u8; 8] = since.try_into().map_err(|_| broken())?;
                Ok(Some(Self::Time(UpstreamTime {
                    sub_topology: u16::from_be_bytes([s0, s1]),
                    partition: u32::from_be_bytes([p0, p1, p2, p3]),
                    tasks: u32::from_be_bytes([n0, n1, n2, n3]),
                    time: EventTime(i64::from_be_bytes(time)),
                    since: EventTime(i64::from_be_bytes(since)),
                })))
            }
            _ => Err(broken()),
        }
    }
}

fn write_time(epoch: u32, time: &UpstreamTime, into: &mut Vec<u8>) {
    into.push(TIME);
    into.extend_from_slice(&epoch.to_be_bytes());
    into.extend_from_slice(&time.sub_topology.to_be_bytes());
    into.extend_from_slice(&time.partition.to_be_bytes());
    into.extend_from_slice(&time.tasks.to_be_bytes());
    into.extend_from_slice(&time.time.0.to_be_bytes());
    into.extend_from_slice(&time.since.0.to_be_bytes());
}

/// Tells every partition of `lane` how far the task of this step has come.
fn send_time(step: &mut Step<'_>, lane: Lane, sub_topology: u16, time: EventTime, since: EventTime) {
    let partitions = step.out.partitions(lane);
    let (partition, tasks) = (step.terms.partition, step.terms.tasks);
    let time = UpstreamTime { sub_topology, partition, tasks, time, since };
    for partition in 0..partitions {
        step.out.push_with(lane, Partition(partition), LogTime(step.now.0), |into| {
            write_time(step.terms.epoch, &time, into);
            0
        });
    }
}

/// A partial aggregate on its way.
#[derive(Debug)]
pub(crate) struct Partial<A> {
    pub(crate) pane: i64,
    pub(crate) first: i64,
    pub(crate) aggregate: A,
}

impl<A: Mergeable> Partial<A> {
    pub(crate) fn read(mut bytes: &[u8]) -> Result<Self, Poison> {
        let broken = || Poison::new("internal", "a partial aggregate is too short");
        let (pane, first) = take_place(&mut bytes).ok_or_else(broken)?;
        let aggregate = state::codec::decode(bytes).map_err(|error| Poison::new("internal", error.to_string()))?;
        Ok(Self { pane, first, aggregate })
    }
}

/// Appends a partial aggregate's pane and first accepting window, which is the pane's beginning as a rule.
fn put_place(into: &mut Vec<u8>, (pane, first): (i64, i64)) {
    part::put_signed(into, pane);
    part::put_signed(into, first.wrapping_sub(pane));
}

/// Takes off what [`put_place`] has written.
fn take_place(from: &mut &[u8]) -> Option<(i64, i64)> {
    let pane = part::take_signed(from)?;
    Some((pane, pane.wrapping_add(part::take_signed(from)?)))
}

/// The times of a repartition partition's upstream tasks; it has come as far as the slowest.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Upstreams {
    tasks: Option<u32>,
    times: BTreeMap<(u16, u32), EventTime>,
    /// Where the history of all of them begins; `None` before any has sent something.
    since: Option<EventTime>,
}

impl Upstreams {
    /// Takes note of an upstream task's time; times never go back. A changed number of upstream tasks
    /// means that the input has been given more partitions: keys have moved, and only a person can say
    /// what the state is worth.
    pub(crate) fn observe(&mut self, place: &TopicPartition, seen: UpstreamTime) -> Result<(), CoreError> {
        let tasks = *self.tasks.get_or_insert(seen.tasks);
        if tasks != seen.tasks {
            return Err(CoreError::contradiction(format!(
                "{place}: its upstream had {tasks} tasks and now has {}: the input's partition count was changed; \
                 `streamfleet reprocess` rebuilds the state for it",
                seen.tasks
            )));
        }
        let time = self.times.entry((seen.sub_topology, seen.partition)).or_insert(EventTime::MIN);
        *time = seen.time.max(*time);
        self.since = Some(self.since.map_or(seen.since, |since| since.min(seen.since)));
        Ok(())
    }

    /// The earliest pane that any upstream task has sent something for. Whatever is closed by
    /// [`Self::reached`] began no earlier, and a pane still to come is no part of it.
    pub(crate) fn since(&self) -> EventTime {
        self.since.unwrap_or(EventTime::MAX)
    }

    /// The minimum over all upstream tasks; minus infinity until each has spoken.
    pub(crate) fn reached(&self) -> EventTime {
        match self.tasks {
            Some(tasks) if self.times.len() == tasks as usize => {
                self.times.values().copied().min().unwrap_or(EventTime::MIN)
            }
            _ => EventTime::MIN,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(partition: u32, time: i64, since: i64) -> UpstreamTime {
        UpstreamTime { sub_topology: 0, partition, tasks: 2, time: EventTime(time), since: EventTime(since) }
    }

    #[test]
    fn a_time_record_is_read_as_it_was_written() {
        let mut bytes = Vec::new();
        write_time(7, &told(1, 60_000, -5), &mut bytes);
        assert_eq!(Frame::read(7, Some(&bytes)), Ok(Some(Frame::Time(told(1, 60_000, -5)))));
        assert_eq!(Frame::read(8, Some(&bytes)), Ok(None), "another epoch");
        assert!(Frame::read(7, Some(&bytes[..bytes.len() - 1])).is_err());
    }

    #[test]
    fn a_bundle_is_read_as_it_was_written_and_one_cut_off_is_told() {
        let mut bytes = vec![BUNDLE, 0, 0, 0, 7];
        for (key, partial) in [(&b"a"[..], &b"first"[..]), (b"", b""), (b"key", &[9; 300])] {
            for part in [key, partial] {
                part::put(&mut bytes, part);
            }
        }
        type Pairs = Vec<(Vec<u8>, Vec<u8>)>;
        let read = |bytes: &[u8]| -> Result<Pairs, Poison> {
            let Some(Frame::Bundle(mut bundle)) = Frame::read(7, Some(bytes))? else { panic!("no bundle") };
            let mut all = Pairs::new();
            while let Some((key, partial)) = bundle.next()? {
                all.push((key.to_vec(), partial.to_vec()));
            }
            Ok(all)
        };
        let whole = read(&bytes).unwrap();
        assert_eq!(whole, [(b"a".to_vec(), b"first".to_vec()), (vec![], vec![]), (b"key".to_vec(), vec![9; 300])]);
        // Cut anywhere but between two of them, it is broken.
        for cut in 5..bytes.len() {
            match read(&bytes[..cut]) {
                Ok(some) => assert!([5, 13, 15].contains(&cut) && whole.starts_with(&some), "{cut}"),
                Err(poison) => assert_eq!(poison.reason, "internal"),
            }
        }
    }

    #[test]
    fn a_partial_is_read_as_it_was_written_and_a_short_one_is_told() {
        for place in [(60_000, 60_000), (-60_000, -120_000), (i64::MIN, i64::MAX), (i64::MAX, i64::MIN), (0, 0)] {
            let mut bytes = Vec::new();
            put_place(&mut bytes, place);
            let length = bytes.len();
            state::codec::encode_into(&mut bytes, &crate::aggregate::Count::default()).unwrap();
            let read = Partial::<crate::aggregate::Count>::read(&bytes).unwrap();
            assert_eq!(((read.pane, read.first), read.aggregate), (place, crate::aggregate::Count::default()));
            assert_eq!(Partial::<crate::aggregate::Count>::read(&bytes[..length - 1]).unwrap_err().reason, "internal");
        }
        let mut bytes = Vec::new();
        put_place(&mut bytes, (60_000, 0));
        assert_eq!(bytes, [0xc0, 0xa9, 7, 0xbf, 0xa9, 7]);
    }

    #[test]
    fn time_is_the_slowest_upstreams_and_history_begins_with_the_earliest() {
        let place = TopicPartition::new("shuffle", 0);
        let mut upstreams = Upstreams::default();
        assert_eq!((upstreams.reached(), upstreams.since()), (EventTime::MIN, EventTime::MAX));
        upstreams.observe(&place, told(0, 60, 30)).unwrap();
        assert_eq!(upstreams.reached(), EventTime::MIN, "one has not spoken yet");
        upstreams.observe(&place, told(1, 50, i64::MAX)).unwrap();
        upstreams.observe(&place, told(0, 40, 35)).unwrap();
        assert_eq!((upstreams.reached(), upstreams.since()), (EventTime(50), EventTime(30)));
    }
}
