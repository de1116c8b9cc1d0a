//! The events of simulated applications: a codec, and a generator of disorder.
//!
//! Not here: what is made of them. Invariant: the events follow from the seed alone.

use processing_core::decode::{Decoder, Encoder, Poison};
use processing_core::log::partition_for_key;
use processing_core::record::{EventTime, TopicName, TopicPartition};
use processing_core::testing::{Arrival, Feed};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};

/// The memory log's first moment.
pub(crate) const START: i64 = 1_767_225_600_000;

/// Something that happened.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Happening {
    pub(crate) key: u16,
    pub(crate) time: EventTime,
    pub(crate) amount: i64,
}

/// `key time amount` as text.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Plain;

impl Happening {
    /// Reads `key time amount`.
    pub(crate) fn parse(value: Option<&[u8]>) -> Option<Self> {
        let mut parts = std::str::from_utf8(value?).ok()?.split(' ');
        let mut number = || parts.next().and_then(|part| part.parse::<i64>().ok());
        let (key, time, amount) = (number()?, number()?, number()?);
        Some(Self { key: u16::try_from(key).ok()?, time: EventTime(time), amount })
    }
}

impl Decoder for Plain {
    type Event = Happening;

    fn decode(&self, value: Option<&[u8]>) -> Result<Happening, Poison> {
        Happening::parse(value).ok_or_else(|| Poison::new("plain", "the value is not `key time amount`"))
    }
}

impl Encoder<Happening> for Plain {
    fn encode(&self, event: &Happening, into: &mut Vec<u8>) -> Result<(), Poison> {
        into.extend_from_slice(format!("{} {} {}", event.key, event.time.0, event.amount).as_bytes());
        Ok(())
    }
}

/// Text as it is.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Text;

impl Encoder<String> for Text {
    fn encode(&self, text: &String, into: &mut Vec<u8>) -> Result<(), Poison> {
        into.extend_from_slice(text.as_bytes());
        Ok(())
    }
}

/// A topic that is read as a table: its keys are deleted now and then, and it has as many partitions as the first one.
pub(crate) const TABLE: &str = "table";

/// Another one.
pub(crate) const TABLE_TOO: &str = "table-too";

/// A topic that is read as a table and has its own number of partitions.
pub(crate) const EVERYWHERE: &str = "everywhere";

/// A topic that is read as a table, has its own number of partitions, and each key in the one that is its own.
pub(crate) const NAMED: &str = "named";

/// Another one.
pub(crate) const NAMED_TOO: &str = "named-too";

/// A topic that has as many partitions as the first one.
pub(crate) const IN_TOO: &str = "in-too";

/// Events for these topics, over so much event time that a span of `scale` holds a handful. Partition counts,
/// keys, disorder, gaps and bad records follow from the seed. Topics that are `alike` have one count of partitions,
/// and each key in the one that is its own.
pub(crate) fn workload(seed: u64, topics: &[&str], scale: i64, alike: bool) -> Feed {
    let mut rng = ChaCha8Rng::seed_from_u64(seed ^ 0xfeed);
    let mut inputs: Vec<(TopicName, u32)> =
        topics.iter().map(|topic| (TopicName::new(topic), rng.random_range(1..=4))).collect();
    if let Some((_, first)) = inputs.first().filter(|_| alike).cloned() {
        inputs.iter_mut().for_each(|(_, partitions)| *partitions = first);
    }
    let first = inputs.first().map_or(1, |(_, partitions)| *partitions);
    let together = |topic: &TopicName| [TABLE, TABLE_TOO, IN_TOO].contains(&topic.as_str());
    inputs.iter_mut().filter(|(topic, _)| together(topic)).for_each(|(_, partitions)| *partitions = first);
    let count = rng.random_range(20..220);
    let keys = rng.random_range(1..12u16);
    let disorder = rng.random_range(0..4 * scale);
    let poison = rng.random_bool(0.5);
    let gaps = rng.random_bool(0.5);
    // All in one partition of each topic: the others never hear of anything.
    let lopsided = rng.random_bool(0.2) && !alike;
    // A topic that falls silent for good, here or at once.
    let silent_from = rng.random_range(0..4 * count);
    // One key after the other speaks for a while: the partitions of the others fall idle and are raised.
    let turns = rng.random_bool(0.4);
    let mut speaker = 0;
    // From a flood to a trickle, in which commits and silence come between two events.
    let pace = [20, 40, 100][rng.random_range(0..3)];
    let mut time = START;
    let mut at_ms = 0;
    let mut arrivals = Vec::new();
    for number in 0..count {
        at_ms += rng.random_range(0..pace);
        time += rng.random_range(0..=scale / 3);
        if gaps && rng.random_bool(0.02) {
            time += rng.random_range(0..scale * 20);
        }
        if gaps && rng.random_bool(0.01) {
            at_ms += rng.random_range(0..4_000);
        }
        let mut back = if rng.random_bool(0.5) { rng.random_range(0..=disorder) } else { 0 };
        if !turns || rng.random_bool(0.06) {
            speaker = rng.random_range(0..keys);
            // What it has to say first may be old news by then.
            if turns && rng.random_bool(0.5) {
                back += rng.random_range(0..6 * scale);
            }
        }
        let key = speaker;
        let speaking = if number >= silent_from { 1 } else { inputs.len() };
        let (topic, partitions) = &inputs[rng.random_range(0..speaking)];
        let event_time = match rng.random_range(0..200) {
            0 if poison => time + 100_000_000,
            _ => time - back,
        };
        let value = match rng.random_range(0..60) {
            0 if poison => Some(b"nonsense".to_vec()),
            1 if poison => None,
            _ if [TABLE, TABLE_TOO, EVERYWHERE, NAMED, NAMED_TOO].contains(&topic.as_str()) && rng.random_bool(0.2) => {
                None
            }
            _ => Some(format!("{key} {event_time} {}", rng.random_range(1..100)).into_bytes()),
        };
        let bytes = key.to_be_bytes();
        let is_own = [NAMED, NAMED_TOO].contains(&topic.as_str());
        let partition = if lopsided && !is_own { 0 } else { partition_for_key(&bytes, *partitions).0 };
        let place = TopicPartition::new(topic.clone(), partition);
        arrivals.push(Arrival { at_ms, timestamp: None, place, key: Some(bytes.to_vec()), value });
    }
    Feed { inputs, arrivals }
}
