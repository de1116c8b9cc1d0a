//! Prints what a decode, a look-up and a record of the feed cost; fails for no figure.
//!
//! ```text
//! cargo test -p events --release --test decode_cost -- --nocapture
//! ```

#![allow(clippy::disallowed_methods, reason = "it reads a clock to show it")]

use std::hint::black_box;
use std::sync::Arc;
use std::time::{Duration, Instant};

use events::feed::{Feed, FeedOptions, FeedRecordKind};
use events::{Gazetteer, SignalContract};
use processing_core::record::EventTime;

/// This thread's time on a processor, which other programs do not lengthen; the wall clock's where the
/// system does not tell.
struct Stopwatch {
    wall: Instant,
    cpu: Option<u64>,
}

fn cpu_ns() -> Option<u64> {
    let stat = std::fs::read_to_string("/proc/thread-self/schedstat").ok()?;
    stat.split_whitespace().next()?.parse().ok()
}

impl Stopwatch {
    fn start() -> Self {
        Self { wall: Instant::now(), cpu: cpu_ns() }
    }

    fn elapsed(&self) -> Duration {
        match (self.cpu, cpu_ns()) {
            (Some(begin), Some(end)) => Duration::from_nanos(end - begin),
            _ => self.wall.elapsed(),
        }
    }
}

fn ns_each(what: &str, count: usize, mut work: impl FnMut()) {
    let watch = Stopwatch::start();
    work();
    println!("{what}: {} ns", watch.elapsed().as_nanos() as usize / count);
}

/// What a search holds, borrowed, read by derived code.
#[derive(serde::Deserialize)]
#[expect(dead_code, reason = "read from bytes, to see what that costs")]
struct Floor<'a> {
    event_id: &'a str,
    event_type: &'a str,
    timestamp: &'a str,
    trace_id: Option<&'a str>,
    payload: FloorPayload<'a>,
}

#[derive(serde::Deserialize)]
#[expect(dead_code, reason = "read from bytes, to see what that costs")]
struct FloorPayload<'a> {
    user_id: Option<&'a str>,
    session_id: Option<&'a str>,
    query: &'a str,
    city: Option<&'a str>,
    country: Option<&'a str>,
    lat: Option<f64>,
    lon: Option<f64>,
    source: &'a str,
    result_count: u32,
}

#[test]
fn print_costs() {
    let watch = Stopwatch::start();
    let cities = Arc::new(Gazetteer::shipped());
    println!("gazetteer: {} ms, {} bytes", watch.elapsed().as_millis(), cities.resident_bytes());

    let mut feed = Feed::new(FeedOptions::new(1, EventTime(1_760_004_000_000)), cities.clone());
    let mut bytes = Vec::new();
    let mut events: Vec<(SignalContract, Vec<u8>)> = Vec::new();
    ns_each("feed record", 20_000, || {
        for _ in 0..20_000 {
            let record = feed.next_into(&mut bytes);
            if record.kind == FeedRecordKind::Event {
                events.push((record.contract, bytes[record.value].to_vec()));
            }
        }
    });
    let size: usize = events.iter().map(|(_, bytes)| bytes.len()).sum();
    println!("mean event: {} bytes", size / events.len());
    ns_each("decode", events.len() * 20, || {
        for (contract, bytes) in std::iter::repeat_n(&events, 20).flatten() {
            black_box(contract.decode(Some(bytes), &cities)).unwrap();
        }
    });
    let searches: Vec<_> = events.iter().filter(|(contract, _)| *contract == SignalContract::SearchExecuted).collect();
    ns_each("decode search.executed", searches.len() * 20, || {
        for (contract, bytes) in std::iter::repeat_n(&searches, 20).flatten() {
            black_box(contract.decode(Some(bytes), &cities)).unwrap();
        }
    });
    ns_each("parse a search.executed and nothing else, for scale", searches.len() * 20, || {
        for (_, bytes) in std::iter::repeat_n(&searches, 20).flatten() {
            black_box(serde_json::from_slice::<Floor<'_>>(bytes)).unwrap();
        }
    });
    for (what, names) in [
        ("look-up of an ASCII name", ["Lisbon", "New York City", "Osaka", "Valencia"]),
        ("look-up of a name with accents", ["São Paulo", "München", "Kraków", "Bogotá"]),
        ("look-up of an unknown name", ["Atlantis", "Nowhere", "El Dorado", "Neverland"]),
    ] {
        ns_each(what, 400_000, || {
            for name in std::iter::repeat_n(names, 100_000).flatten() {
                black_box(cities.resolve(black_box(name), None, None));
            }
        });
    }
}
