//! Real processes: a demo that is killed again and again says the same as one that never was.
//!
//! Not here: faults within a commit, which the simulator places exactly. Invariant: where a process is
//! killed depends on the seed and on what the process has said of its progress, never on a wait.

use std::path::Path;
use std::sync::Arc;

use events::Gazetteer;
use processing_core::plan::Plan;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use tests::demo_process::{DemoProcess, Seen, as_set, by_key, committed, last_by_key, streamfleet};
use tests::stores::{Rows, replayed, stored};
use trending_cities::{TrendingSettings, topology};

/// How often the demo is killed.
const KILLS: usize = 30;

/// What both demos are told. Partitions are never idle, because idleness is a matter of clocks.
const FEED: &[&str] = &[
    "--headless",
    "--every",
    "10ms",
    "--speed",
    "max",
    "--seed",
    "11",
    "--start",
    "2026-11-01T08:00:00Z",
    "--history",
    "1h",
    "--rate",
    "1000",
    "--idle-after",
    "off",
];
/// Holds sketches of frequent queries: equal by what they answer, not by their bytes.
const SKETCHED: &str = "trending-cities.v1-query-hour-changelog";
/// Events that are fed after the last kill.
const EVENTS_AFTER: u64 = 10_000;

#[test]
fn a_demo_that_is_killed_thirty_times_says_what_one_says_that_never_was() {
    let program = streamfleet();
    let folder = tempfile::tempdir().unwrap();
    let (killed, whole) = (folder.path().join("killed"), folder.path().join("whole"));

    let mut random = ChaCha8Rng::seed_from_u64(3);
    let mut lives_with_commits = 0;
    for kill in 1..=KILLS {
        let mut demo = DemoProcess::start(&program, &killed, FEED);
        let life = Life::draw(&mut random);
        let commits = life.follow(&mut demo);
        println!("kill {kill}: {life:?}, after {commits} commits of its own");
        lives_with_commits += usize::from(commits > 0);
        // Now and then in good order, so that both ways alternate on one folder.
        if kill % 10 == 0 { demo.interrupt() } else { demo.kill() }
    }
    assert!(lives_with_commits >= KILLS / 3, "only {lives_with_commits} lives of {KILLS} got as far as a commit");
    // How far the feed has come depends on the machine; that both get all of it does not.
    let events = (fed(&killed) + EVENTS_AFTER).to_string();
    let to_the_end = [FEED, &["--events", &events]].concat();
    DemoProcess::start(&program, &killed, &to_the_end).finish();
    DemoProcess::start(&program, &whole, &to_the_end).finish();
    println!("{events} events, all told");

    compare_topics(&killed, &whole);
    compare_stores(&killed, &whole);
}

/// How far a process comes before it is killed.
#[derive(Debug)]
struct Life {
    /// It is killed when it has told of so many commits, …
    commits: u64,
    /// … and has printed so many lines since: a random moment within a commit.
    lines: usize,
}

impl Life {
    fn draw(random: &mut ChaCha8Rng) -> Self {
        // One in six is killed while it opens its folder or restores.
        let commits = if random.random_ratio(1, 6) { 0 } else { random.random_range(1..=3) };
        Self { commits, lines: random.random_range(0..=6) }
    }

    /// Watches the process to its last moment; answers the commits it told of.
    fn follow(&self, demo: &mut DemoProcess) -> u64 {
        let mut look = || match demo.line() {
            Some(line) => commits_in(&line),
            None => panic!("the demo ended by itself: {}", demo.last_words()),
        };
        let mut seen = 0;
        while seen < self.commits {
            seen = look();
        }
        for _ in 0..self.lines {
            seen = look();
        }
        seen
    }
}

/// Events of the feed in the log.
fn fed(folder: &Path) -> u64 {
    let positions = committed(folder, "streamfleet.demo.feed");
    let last = positions.iter().flatten().last().and_then(|record| record.value.clone()).unwrap();
    let position: serde_json::Value = serde_json::from_slice(&last).unwrap();
    position["position"].as_u64().unwrap()
}

/// The number behind the word.
fn commits_in(line: &str) -> u64 {
    let mut words = line.split_whitespace().skip_while(|word| *word != "commits");
    words.nth(1).and_then(|number| number.parse().ok()).unwrap_or(0)
}

fn compare_topics(killed: &Path, whole: &Path) {
    for input in ["search.executed", "poi.favorited", "chat.itinerary.saved"] {
        let (left, right) = (committed(killed, input), committed(whole, input));
        assert!(left == right, "the feed of {input} lost or doubled something");
    }
    for finals in ["trending.cities.v1", "city.activity.1m.v1", "searches.top.v1"] {
        let (left, right) = (by_key(committed(killed, finals)), by_key(committed(whole, finals)));
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
        let (left, right) = (as_set(committed(killed, side)), as_set(committed(whole, side)));
        assert!(right.1 > 0, "{side} is empty: nothing was compared");
        assert_eq!((left.1, left.0.len()), (right.1, right.0.len()), "{side}: another number of records");
        assert!(left.0 == right.0, "{side}: other records");
    }
    let updates = "trending.cities.current.v1";
    let (left, right) = (last_by_key(committed(killed, updates)), last_by_key(committed(whole, updates)));
    assert_eq!(left.len(), right.len(), "{updates}: other keys");
    for (key, record) in &right {
        assert_eq!(text(&left[key]), text(record), "{updates} of {}", String::from_utf8_lossy(key));
    }
}

/// A store is what its changelog says, and both runs have the same rows.
fn compare_stores(killed: &Path, whole: &Path) {
    let plan = plan();
    let (left, right) = (replayed(&plan, killed), replayed(&plan, whole));
    assert_eq!(left, stored(&plan, killed), "a store of the killed demo is not what its changelog says");
    assert_eq!(right, stored(&plan, whole), "a store of the whole demo is not what its changelog says");
    assert_eq!(left.len(), right.len());
    let mut rows = 0;
    for (store, right) in right.iter().filter(|((name, _), _)| !name.ends_with("-meta-changelog")) {
        let left = &left[store];
        let keys = |rows: &Rows| rows.keys().cloned().collect::<Vec<_>>();
        assert!(keys(left) == keys(right), "{store:?}: other rows");
        let exact = store.0 != SKETCHED;
        assert!(!exact || left == right, "{store:?}: rows with other values");
        rows += right.len();
    }
    assert!(rows > 0, "the stores are empty: nothing was compared");
    println!("{rows} rows of the stores are equal");
}

fn plan() -> Plan {
    topology(&TrendingSettings::default(), &Arc::new(Gazetteer::shipped())).unwrap()
}

fn text(record: &Seen) -> String {
    String::from_utf8_lossy(record.value.as_deref().unwrap_or_default()).into_owned()
}
