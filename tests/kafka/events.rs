//! What is fed: disorder, late comers, bad records, drawn from a seed.
//!
//! Not here: where it goes. Invariant: the same seed gives the same records.

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use tests::kafka::feed::Fed;

/// The first event's time. Years ago, so that a broker that forgets by the age of records forgets at once.
pub(crate) const START: i64 = 1_600_000_000_000;

/// Of these keys.
const KEYS: u16 = 40;

/// A stream of records for an input of several partitions.
pub(crate) struct Events {
    rng: ChaCha8Rng,
    partitions: u32,
    time: i64,
}

impl Events {
    pub(crate) fn new(seed: u64, partitions: u32) -> Self {
        Self { rng: ChaCha8Rng::seed_from_u64(seed), partitions, time: START }
    }

    /// An event that happened just then, or a while ago, or one that nobody can read.
    pub(crate) fn next(&mut self) -> Fed {
        let rng = &mut self.rng;
        self.time += rng.random_range(0..=40);
        if rng.random_bool(0.001) {
            self.time += rng.random_range(0..20_000);
        }
        let back = match rng.random_range(0..40) {
            0 => rng.random_range(0..8_000),
            1..=15 => rng.random_range(0..600),
            _ => 0,
        };
        let key = rng.random_range(0..KEYS);
        let event_time = match rng.random_range(0..300) {
            0 => self.time + 100_000_000,
            _ => self.time - back,
        };
        let value = match rng.random_range(0..200) {
            0 => Some(b"nonsense".to_vec()),
            // What a schema registry's client writes: a magic byte that nobody here knows, and an id.
            1 => Some(vec![0, 0, 0, 0, 7, 0xff, 0xfe]),
            2 => None,
            _ => Some(format!("{key} {event_time} {}", rng.random_range(1..100)).into_bytes()),
        };
        let headers = match rng.random_range(0..20) {
            0 => vec![("traceparent".into(), format!("00-{:032x}-01", rng.random::<u128>()).into_bytes())],
            _ => Vec::new(),
        };
        Fed {
            partition: rng.random_range(0..self.partitions),
            timestamp: self.time,
            key: Some(vec![1]),
            value,
            headers,
        }
    }

    /// The next `count` events.
    pub(crate) fn take(&mut self, count: usize) -> Vec<Fed> {
        (0..count).map(|_| self.next()).collect()
    }

    /// One event in each partition, a minute later than all others: every window before it closes.
    pub(crate) fn last(&mut self) -> Vec<Fed> {
        self.time += 60_000;
        (0..self.partitions).map(|partition| at(partition, 0, self.time, 1)).collect()
    }
}

/// An event of one's own.
pub(crate) fn at(partition: u32, key: u16, time: i64, amount: i64) -> Fed {
    let value = Some(format!("{key} {time} {amount}").into_bytes());
    Fed { partition, timestamp: time, key: None, value, headers: Vec::new() }
}
