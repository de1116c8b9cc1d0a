//! Real processes: a demo that is killed again and again says the same as one that never was.
//!
//! Not here: faults within a commit, which the simulator places exactly. Invariant: where a process is
//! killed depends on the seed and on what the process has printed, never on a wait.

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use tests::demo_process::{DemoProcess, as_set, by_key, committed, last_by_key, streamfleet};

/// How often the demo is killed.
const KILLS: usize = 30;
/// A killed demo has printed at most so many lines.
const LINES_MAX: usize = 25;
/// Events of the feed, and where the feed ends.
const EVENTS: &str = "150000";

/// What both demos are told. Partitions are never idle, because idleness is a matter of clocks.
const FEED: &[&str] = &[
    "--headless",
    "--every",
    "20ms",
    "--speed",
    "max",
    "--seed",
    "11",
    "--start",
    "2026-11-01T08:00:00Z",
    "--history",
    "3h",
    "--idle-after",
    "off",
    "--events",
    EVENTS,
];

#[test]
fn a_demo_that_is_killed_thirty_times_says_what_one_says_that_never_was() {
    let program = streamfleet();
    let folder = tempfile::tempdir().unwrap();
    let (killed, whole) = (folder.path().join("killed"), folder.path().join("whole"));

    let mut random = ChaCha8Rng::seed_from_u64(3);
    let mut kills = 0;
    while kills < KILLS {
        let mut demo = DemoProcess::start(&program, &killed, FEED);
        let lines = random.random_range(1..=LINES_MAX);
        let mut last = String::new();
        for _ in 0..lines {
            match demo.line() {
                Some(line) => last = line,
                None => panic!("the feed is too short for {KILLS} kills: it ended after {kills}"),
            }
        }
        kills += 1;
        println!("kill {kills} after {lines} lines: {last}");
        // Now and then in good order, so that both ways alternate on one folder.
        if kills % 10 == 0 { demo.interrupt() } else { demo.kill() }
    }
    DemoProcess::start(&program, &killed, FEED).finish();
    DemoProcess::start(&program, &whole, FEED).finish();

    for input in ["search.executed", "poi.favorited", "chat.itinerary.saved"] {
        let (left, right) = (committed(&killed, input), committed(&whole, input));
        assert_eq!(left, right, "the feed of {input} lost or doubled something");
    }
    for finals in ["trending.cities.v1", "city.activity.1m.v1", "searches.top.v1"] {
        let (left, right) = (by_key(committed(&killed, finals)), by_key(committed(&whole, finals)));
        assert!(!right.is_empty(), "{finals} is empty: nothing was compared");
        for (key, records) in &right {
            let other = left.get(key).map_or(&[][..], Vec::as_slice);
            let key = String::from_utf8_lossy(key);
            assert_eq!(other.len(), records.len(), "{finals} of {key}: another number of results");
            for (at, (one, other)) in records.iter().zip(other).enumerate() {
                assert_eq!(text(other), text(one), "{finals} of {key}: result {at} differs");
            }
        }
        assert_eq!(left.len(), right.len(), "{finals}: keys that should not be there");
        println!("{finals}: {} results of {} keys are equal", right.values().map(Vec::len).sum::<usize>(), right.len());
    }
    for side in ["trending-cities.v1-dlq", "trending-cities.v1-late"] {
        let (left, right) = (as_set(committed(&killed, side)), as_set(committed(&whole, side)));
        assert!(right.1 > 0, "{side} is empty: nothing was compared");
        assert_eq!((left.1, left.0.len()), (right.1, right.0.len()), "{side}: another number of records");
        assert!(left.0 == right.0, "{side}: other records");
    }
    let updates = "trending.cities.current.v1";
    let (left, right) = (last_by_key(committed(&killed, updates)), last_by_key(committed(&whole, updates)));
    assert_eq!(left.len(), right.len(), "{updates}: other keys");
    for (key, record) in &right {
        assert_eq!(text(&left[key]), text(record), "{updates} of {}", String::from_utf8_lossy(key));
    }
}

fn text(record: &tests::demo_process::Seen) -> String {
    String::from_utf8_lossy(record.value.as_deref().unwrap_or_default()).into_owned()
}
