//! Updates at a limited rate, on a clock that the tests move.
//!
//! Not here: chance (the simulator), and what the last word is ([`crate::rate_limit`]'s own tests). Invariant: distances are
//! taken between the times at which the log was written.

use super::rules::{Seen, Stage};
use crate::aggregate::count;
use crate::decode::Json;
use crate::dsl::{Topic, Topology};
use crate::plan::Plan;
use crate::record::{DurationMs, EventTime, TopicName};

const INTERVAL_MS: i64 = 1_000;

fn limited() -> Plan {
    let app = Topology::named("rules");
    app.stream(Topic::json("in"))
        .event_time(|seen: &Seen| EventTime(seen.at))
        .already_keyed_by(|seen| seen.key.clone())
        .fold_table("counts", count())
        .on_update(|rows| {
            rows.map(|row| row.map(|n| n.get()))
                .rate_limit("shown", DurationMs(INTERVAL_MS))
                .to_table(Topic::json("out").compacted())
        });
    app.build().unwrap()
}

impl Stage {
    fn steps(&mut self, count: usize) {
        for _ in 0..count {
            self.log.advance(10);
            self.step().unwrap();
        }
    }

    fn gap(&self) -> Option<i64> {
        self.log.shortest_gap(&TopicName::new("out"))
    }

    /// How many transactions there have been.
    fn transactions(&mut self) -> u64 {
        self.worker().status().commits
    }
}

#[test]
fn a_key_is_told_once_in_an_interval_and_its_last_word_comes_without_input() {
    let mut stage = Stage::new(limited, 1);
    for n in 0..250 {
        stage.append(0, if n % 2 == 0 { "a" } else { "b" }, n);
        stage.steps(1);
    }
    let told = stage.results().len();
    assert!((6..=8).contains(&told), "{told} words of two keys in two and a half seconds: {:?}", stage.results());
    stage.steps(130);
    assert_eq!(stage.results().iter().rev().filter(|count| *count == "125").count(), 2, "{:?}", stage.results());
    // A word comes with the first commit after its interval.
    assert!((INTERVAL_MS..INTERVAL_MS + 110).contains(&stage.gap().unwrap()), "{:?}", stage.gap());
}

#[test]
fn who_has_nothing_to_say_brings_no_commit_about_and_takes_no_room() {
    let mut stage = Stage::new(limited, 1);
    stage.append(0, "a", 0);
    stage.steps(20);
    let before = stage.transactions();
    stage.steps(200);
    assert_eq!(stage.transactions(), before, "nothing waits");
    (0..40).for_each(|n| stage.append(0, &format!("k{n}"), n));
    stage.steps(200);
    stage.append(0, "b", 100);
    stage.steps(200);
    // Forty keys whose interval is over: their turns have been taken out of the queue as one range.
    let place = crate::record::TopicPartition::new("rules-shown-waiting-changelog", 0);
    let queue = stage.log.committed_records(&place.topic).concat();
    let markers = queue.iter().filter(|record| record.key.as_ref().is_some_and(|key| key.len() == 5)).count();
    assert!((1..=3).contains(&markers), "{markers} ranges");
    let rows = stage.log.committed_records(&TopicName::new("rules-shown-changelog")).concat();
    let gone = rows.iter().filter(|record| record.value.as_deref() == Some(&[0])).count();
    assert_eq!(gone, 41, "every key that was told is forgotten");
}

#[test]
fn the_interval_holds_across_crashes_and_the_last_word_comes_after_them() {
    for (crash_after, wiped) in (0..30).map(|n| (5 * n, n % 2 == 1)) {
        let mut stage = Stage::new(limited, 1);
        for n in 0..120 {
            stage.append(0, "a", n);
            stage.steps(1);
            if n == crash_after {
                stage.crash();
                if wiped {
                    stage.home.wipe();
                }
                stage.start();
            }
        }
        if crash_after >= 120 {
            stage.crash();
            stage.start();
        }
        stage.steps(130);
        let results = stage.results();
        assert_eq!(results.last().map(String::as_str), Some("120"), "crash after {crash_after}");
        assert!(stage.gap().unwrap() >= INTERVAL_MS, "crash after {crash_after}: {:?}", stage.gap());
    }
}

/// Two tables side by side, at no limited rate.
fn pairs() -> Plan {
    let app = Topology::named("rules");
    let table = |topic: &str| app.table::<String, _>(Topic::<Json<Seen>>::json(topic));
    table("left")
        .join(table("right"), "pairs", |_, left, right| (left.at, right.at))
        .on_update(|rows| rows.to_table(Topic::json("out").compacted()));
    app.build().unwrap()
}

#[test]
fn updates_of_joined_tables_within_one_commit_are_told_as_one() {
    let mut stage = Stage::new_of(pairs, &["left", "right"]);
    stage.rest().unwrap();
    for n in 0..3 {
        stage.append_to("left", 0, "a", n);
        stage.append_to("right", 0, "a", 10 + n);
    }
    stage.until_commit();
    stage.rest().unwrap();
    let begin = crate::log::memory::MemoryOptions::default().start.0;
    assert_eq!(stage.results(), [format!("[{},{}]", begin + 2, begin + 12)]);
    stage.append_to("left", 0, "a", 5);
    stage.rest().unwrap();
    assert_eq!(stage.results().len(), 2);
}

/// A worker takes over on a host whose clock is far behind.
#[test]
fn a_clock_that_was_set_back_holds_no_word_back() {
    let mut stage = Stage::new(limited, 1);
    (0..3).for_each(|n| stage.append(0, "a", n));
    stage.steps(20);
    stage.append(0, "a", 3);
    stage.steps(20);
    assert_eq!(stage.results(), ["3"]);
    let hour = 3_600_000;
    let now = crate::record::WallTime(stage.log.now().0 - hour);
    for back in 0..40 {
        stage.worker().step(crate::record::WallTime(now.0 + 10 * back)).unwrap();
    }
    stage.worker().commit(crate::record::WallTime(now.0 + 400)).unwrap();
    assert_eq!(stage.results(), ["3", "4"]);
}
