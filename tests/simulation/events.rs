//! The events of simulated applications: a codec, and a generator of disorder.
//!
//! Not here: what is made of them. Invariant: the events follow from the seed alone.

use processing_core::decode::{Decoder, Encoder, Poison};
use processing_core::log::partition_for_key;
use processing_core::record::{EventTime, TopicName, TopicPartition};
use processing_core::testing::{Event, Workload};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// The memory log's first moment.
pub(crate) const START: i64 = 1_767_225_600_000;

/// Something that happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Happening {
    pub(crate) key: u16,
    pub(crate) time: EventTime,
    pub(crate) amount: i64,
}

/// `key time amount` as text.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Plain;

impl Decoder for Plain {
    type Event = Happening;

    fn decode(&self, value: Option<&[u8]>) -> Result<Happening, Poison> {
        let poison = || Poison::new("plain", "the value is not `key time amount`");
        let text = value.and_then(|value| std::str::from_utf8(value).ok()).ok_or_else(poison)?;
        let mut parts = text.split(' ');
        let mut number = || parts.next().and_then(|part| part.parse::<i64>().ok()).ok_or_else(poison);
        let (key, time, amount) = (number()?, number()?, number()?);
        Ok(Happening { key: key as u16, time: EventTime(time), amount })
    }
}

/// Anything, as Rust prints it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Shown;

impl<V: std::fmt::Debug> Encoder<V> for Shown {
    fn encode(&self, value: &V, into: &mut Vec<u8>) -> Result<(), Poison> {
        let text = format!("{value:?}")
            .replace("EventTime(17672", "(")
            .replace("Window { start: ", "")
            .replace("window: ", "");
        into.extend_from_slice(text.as_bytes());
        Ok(())
    }
}

/// Events for these topics, of so many keys, over about so much event time.
pub(crate) fn workload(seed: u64, inputs: &[(&str, u32)], scale: i64) -> Workload {
    let mut rng = ChaCha8Rng::seed_from_u64(seed ^ 0xfeed);
    let count = rng.random_range(20..220);
    let keys = rng.random_range(1..9u16);
    let disorder = rng.random_range(0..4 * scale);
    let poison = rng.random_bool(0.5);
    let gaps = rng.random_bool(0.5);
    let lopsided = rng.random_bool(0.3);
    let mut time = START;
    let mut at_ms = 0;
    let mut events = Vec::new();
    for _ in 0..count {
        at_ms += rng.random_range(0..25);
        time += rng.random_range(0..=scale / 3);
        if gaps && rng.random_bool(0.02) {
            time += rng.random_range(0..scale * 20);
        }
        if gaps && rng.random_bool(0.01) {
            at_ms += rng.random_range(0..4_000);
        }
        let key = rng.random_range(0..keys);
        let (topic, partitions) = inputs[rng.random_range(0..inputs.len())];
        let back = if rng.random_bool(0.5) { rng.random_range(0..=disorder) } else { 0 };
        let event_time = match rng.random_range(0..200) {
            0 if poison => time + 100_000_000,
            _ => time - back,
        };
        let value = match rng.random_range(0..60) {
            0 if poison => b"nonsense".to_vec(),
            _ => format!("{key} {event_time} {}", rng.random_range(1..100)).into_bytes(),
        };
        let bytes = key.to_be_bytes();
        let partition = if lopsided { 0 } else { partition_for_key(&bytes, partitions).0 };
        let place = TopicPartition::new(TopicName::new(topic), partition);
        events.push(Event { at_ms, place, key: Some(bytes.to_vec()), value: Some(value) });
    }
    Workload { inputs: inputs.iter().map(|(topic, n)| (TopicName::new(topic), *n)).collect(), events }
}
