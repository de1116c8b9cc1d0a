//! Real processes: a demo that is killed again and again says the same as one that never was.
//!
//! Not here: faults within a commit, which the simulator places exactly. Invariant: where a process is
//! killed depends on the seed and on what the process has said of its progress, never on a wait.

#![allow(clippy::unwrap_used, reason = "a test fails by a panic")]

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use tests::compare::{FINALS_OF_LONG_FEEDS, assert_same, fed};
use tests::demo_process::{DemoProcess, STEADY_FEED, commits_in, committed, streamfleet};

/// How often the demo is killed.
const KILLS: usize = 34;

/// Events that are fed after the last kill.
const EVENTS_AFTER: u64 = 10_000;
/// Events that are fed at least: workers whose windows wait for inputs on which little comes have closed some by then.
const EVENTS_MIN: u64 = 120_000;

#[test]
fn a_demo_that_is_killed_thirty_times_says_what_one_says_that_never_was() {
    let program = streamfleet();
    let feed = [STEADY_FEED, &["--every", "10ms", "--seed", "11"]].concat();
    let folder = tempfile::tempdir().unwrap();
    let (killed, whole) = (folder.path().join("killed"), folder.path().join("whole"));

    let mut random = ChaCha8Rng::seed_from_u64(3);
    let mut lives_with_commits = 0;
    for kill in 1..=KILLS {
        let mut demo = DemoProcess::start(&program, &killed, &feed);
        let life = Life::draw(&mut random);
        let commits = life.follow(&mut demo);
        println!("kill {kill}: {life:?}, after {commits} commits of its own");
        lives_with_commits += usize::from(commits > 0);
        // Now and then in good order, so that both ways alternate on one folder.
        if kill % 10 == 0 { demo.interrupt() } else { demo.kill() }
    }
    assert!(lives_with_commits >= KILLS / 3, "only {lives_with_commits} lives of {KILLS} got as far as a commit");
    // How far the feed has come depends on the machine; that both get all of it does not.
    let events = (fed(&killed) + EVENTS_AFTER).max(EVENTS_MIN).to_string();
    let to_the_end = [&feed[..], &["--events", &events]].concat();
    DemoProcess::start(&program, &killed, &to_the_end).finish();
    DemoProcess::start(&program, &whole, &to_the_end).finish();
    println!("{events} events, all told");

    assert_same(&killed, &whole);
    for finals in FINALS_OF_LONG_FEEDS {
        assert!(
            committed(&whole, finals).iter().any(|partition| !partition.is_empty()),
            "{finals}: nothing was compared"
        );
    }
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
