//! Whole records between two sub-topologies: Kafka Streams' `repartition`.
//!
//! Not here: bundles and times, which are those of partial aggregates ([`super`]). Invariant: a record is judged
//! late by the stream time of the partition that it came from and by no other, so it carries that time along:
//! windows and joins behind the repartition judge it as if they stood at its source.
//!
//! ```text
//! a record of   ┌──────────┬──────────────────────┬───────────────┬───────┐
//! a bundle,     │ time i64 │ stream time before   │ headers: part │ value │
//! behind        │          │ it at its source i64 │               │       │
//! its key       └──────────┴──────────────────────┴───────────────┴───────┘
//! ```
//! Big-endian; parts are those of [`super::part`], the value is in the state's value codec. What was made of closed
//! windows has the least stream time there is, for it is never late.

use std::marker::PhantomData;

use serde::Serialize;
use serde::de::DeserializeOwned;
use state::StateKey;

use super::{Bundle, Bundles, RECORDS, part, send_time};
use crate::batch::Headers;
use crate::decode::Poison;
use crate::error::CoreError;
use crate::process::{Pipe, Raw, Sources, Terminal, Timed};
use crate::record::{DurationMs, EventTime};
use crate::sink::Lane;
use crate::step::Step;

/// A record that came through a repartition topic, its key and value still encoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Travelled<'a> {
    pub(crate) key: &'a [u8],
    pub(crate) value: &'a [u8],
    pub(crate) time: EventTime,
    /// The stream time of its source partition before it.
    pub(crate) stream_time: EventTime,
    pub(crate) headers: Headers<'a>,
}

impl<'a> Travelled<'a> {
    /// Takes the next record off a bundle; `None` at the end.
    pub(crate) fn next(bundle: &mut Bundle<'a>) -> Result<Option<Self>, Poison> {
        let Some((key, body)) = bundle.next()? else { return Ok(None) };
        let read = || {
            let (time, rest) = body.split_first_chunk()?;
            let (stream_time, mut value) = rest.split_first_chunk()?;
            let headers = part::take(&mut value)?;
            let [time, stream_time] = [time, stream_time].map(|bytes| EventTime(i64::from_be_bytes(*bytes)));
            Some(Self { key, value, time, stream_time, headers: Headers(headers) })
        };
        read().map(Some).ok_or_else(|| Poison::new("internal", "a record in a bundle is too short"))
    }
}

/// The end of the upstream chain: every record travels on under its new key.
pub struct SendRecords<K, V> {
    lane: Lane,
    /// Whose time the time records tell.
    sub_topology: u16,
    /// The store behind the topic, if it takes no record that is late by more than this: such a record is set aside
    /// here, where it is whole.
    judge: Option<(&'static str, DurationMs)>,
    bundles: Bundles,
    key: Vec<u8>,
    reached: EventTime,
    /// The last time that was sent downstream.
    sent: EventTime,
    /// The earliest record of this task since it began to run, and what was said of it downstream.
    since: EventTime,
    since_sent: EventTime,
    records: PhantomData<fn(K, V)>,
}

impl<K, V> SendRecords<K, V> {
    pub(crate) fn new(output: usize, sub_topology: u16, judge: Option<(&'static str, DurationMs)>) -> Self {
        Self {
            lane: Lane::Output(output),
            sub_topology,
            judge,
            bundles: Bundles::of(RECORDS),
            key: Vec::new(),
            reached: EventTime::MIN,
            sent: EventTime::MIN,
            since: EventTime::MAX,
            since_sent: EventTime::MAX,
            records: PhantomData,
        }
    }
}

/// A clone has seen nothing: what a transaction holds belongs to one task.
impl<K, V> Clone for SendRecords<K, V> {
    fn clone(&self) -> Self {
        let Lane::Output(output) = self.lane else { return Self { lane: self.lane, ..Self::new(0, 0, None) } };
        Self::new(output, self.sub_topology, self.judge)
    }
}

impl<K, V> Terminal<K, V> for SendRecords<K, V>
where
    K: StateKey,
    V: Serialize + 'static,
{
    fn accept(&mut self, step: &mut Step<'_>, record: &Timed<K, V>) {
        if let Some((store, grace)) = self.judge
            && record.time.plus(grace) < step.stream_time
        {
            step.late(store);
            return;
        }
        self.since = self.since.min(record.time);
        self.key.clear();
        record.key.encode(&mut self.key);
        let headers = std::mem::take(&mut step.headers);
        let stream_time = step.stream_time;
        let grown = self.bundles.add(step, self.lane, &self.key, |into| {
            write(into, record.time, stream_time, headers.as_headers(), &record.value)
        });
        step.headers = headers;
        step.held_bytes = step.held_bytes.saturating_add_signed(grown);
    }

    fn advance(&mut self, _: &mut Step<'_>, time: EventTime) {
        self.reached = time.max(self.reached);
    }

    fn drain(&mut self, step: &mut Step<'_>) {
        self.bundles.finish(step, self.lane);
        if self.reached > self.sent || self.since < self.since_sent {
            send_time(step, self.lane, self.sub_topology, self.reached, self.since);
            (self.sent, self.since_sent) = (self.reached, self.since);
        }
    }

    fn abandon(&mut self) {
        *self = self.clone();
    }
}

/// A record as it stands in a bundle behind its key.
pub(super) fn write<V: Serialize>(
    into: &mut Vec<u8>,
    time: EventTime,
    stream_time: EventTime,
    Headers(headers): Headers<'_>,
    value: &V,
) -> Result<(), CoreError> {
    into.extend_from_slice(&time.0.to_be_bytes());
    into.extend_from_slice(&stream_time.0.to_be_bytes());
    part::put(into, headers);
    let encoded = state::codec::encode_into(into, value);
    encoded.map_err(|error| CoreError::store_refused(format!("a record cannot be repartitioned: {error}")))
}

/// The beginning of the downstream chain.
pub struct Repartitioned<K, V>(PhantomData<fn(K, V)>);

impl<K, V> Repartitioned<K, V> {
    pub(crate) fn new() -> Self {
        Self(PhantomData)
    }
}

impl<K, V> Clone for Repartitioned<K, V> {
    fn clone(&self) -> Self {
        Self::new()
    }
}

impl<K, V> Pipe for Repartitioned<K, V>
where
    K: StateKey,
    V: DeserializeOwned + 'static,
{
    type Head = Sources;
    type Key = K;
    type Value = V;

    fn feed<F>(&mut self, step: &mut Step<'_>, input: Raw<'_>, emit: &mut F)
    where
        F: FnMut(&mut Step<'_>, Timed<K, V>),
    {
        let key = K::decode(input.key.unwrap_or_default()).map_err(|error| error.to_string());
        let value = state::codec::decode(input.value.unwrap_or_default()).map_err(|error| error.to_string());
        match key.and_then(|key| Ok((key, value?))) {
            Ok((key, value)) => emit(step, Timed { key, value, time: input.time }),
            // A record of our own that cannot be read is no poison to set aside: results would lack it.
            Err(error) => step.fail(CoreError::contradiction(format!(
                "a repartition topic holds a record that this version cannot read ({error}): finish it with the \
                 version that wrote it, or run `streamfleet reprocess`"
            ))),
        }
    }

    fn advance<F>(&mut self, _: &mut Step<'_>, times: &[EventTime], _: &mut F) -> EventTime
    where
        F: FnMut(&mut Step<'_>, Timed<K, V>),
    {
        times.iter().copied().min().unwrap_or(EventTime::MIN)
    }

    fn drain<F>(&mut self, _: &mut Step<'_>, _: &mut F)
    where
        F: FnMut(&mut Step<'_>, Timed<K, V>),
    {
    }

    fn abandon(&mut self) {}
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A bundle's entry as the layout above draws it, written by hand.
    fn entry(key: &[u8], time: i64, stream_time: i64, headers: &[u8], value: &[u8]) -> Vec<u8> {
        let mut bytes = vec![key.len() as u8];
        bytes.extend(key);
        bytes.push((17 + headers.len() + value.len()) as u8);
        bytes.extend(time.to_be_bytes());
        bytes.extend(stream_time.to_be_bytes());
        bytes.push(headers.len() as u8);
        bytes.extend(headers);
        bytes.extend(value);
        bytes
    }

    #[test]
    fn records_are_read_as_they_are_drawn_and_short_ones_are_told() {
        let mut bytes = vec![RECORDS, 0, 0, 0, 7];
        bytes.extend(entry(b"k", -5, i64::MIN, b"hd", b"value"));
        bytes.extend(entry(b"", 60_000, 61_000, b"", b""));
        let read = |bytes: &[u8]| {
            let Ok(Some(super::super::Frame::Records(mut bundle))) = super::super::Frame::read(7, Some(bytes)) else {
                panic!("no bundle of records")
            };
            let mut all = Vec::new();
            while let Some(next) = Travelled::next(&mut bundle)? {
                all.push((
                    next.key.to_vec(),
                    next.time.0,
                    next.stream_time.0,
                    next.headers.0.to_vec(),
                    next.value.to_vec(),
                ));
            }
            Ok::<_, Poison>(all)
        };
        let first = (b"k".to_vec(), -5, i64::MIN, b"hd".to_vec(), b"value".to_vec());
        let second = (vec![], 60_000, 61_000, vec![], vec![]);
        assert_eq!(read(&bytes).unwrap(), [first, second]);
        let mut short = vec![RECORDS, 0, 0, 0, 7];
        short.extend([0, 16]);
        short.extend([0; 16]);
        assert_eq!(read(&short).unwrap_err().reason, "internal");
    }
}
