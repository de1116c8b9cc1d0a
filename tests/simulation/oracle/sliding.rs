//! What sliding windows have to be: for each distinct time of a key's records, the span that ends there and the one that
//! begins just behind it, and of each of these all records that were taken in, if there is any.
//!
//! Not here: other windows ([`super::expected`]). Invariant: every record is looked at for every window, and no window is
//! made of another.

use std::collections::{BTreeMap, BTreeSet};

use processing_core::testing::Story;

use super::{Expected, Late, Read, Reading, Results, Windows, sum};

/// Sliding windows as they are defined.
#[derive(Debug, Clone, Copy)]
struct Sliding {
    difference: i64,
    grace: i64,
}

impl Sliding {
    /// The windows of records by their first and last moment, and what is in each; `time` is that of a record.
    fn of<R: Copy>(self, records: &[R], time: impl Fn(R) -> i64) -> BTreeMap<(i64, i64), Vec<R>> {
        let times = || records.iter().map(|record| time(*record));
        let coming = times().map(|time| (time - self.difference, time));
        let going = times().map(|time| (time + 1, time + 1 + self.difference));
        let windows: BTreeSet<(i64, i64)> = coming.chain(going).collect();
        let within = |(first, last): (i64, i64)| -> Vec<R> {
            records.iter().copied().filter(|record| (first..=last).contains(&time(*record))).collect()
        };
        windows.into_iter().map(|window| (window, within(window))).filter(|(_, within)| !within.is_empty()).collect()
    }

    /// The slowest input is further than the last moment and the grace.
    fn is_closed(self, last: i64, time: i64) -> bool {
        last + self.grace < time
    }

    /// The records of each key that were taken in, and those that are late.
    fn taken_in(self, reading: &Reading) -> (BTreeMap<u16, Vec<&Read>>, Late) {
        let mut by_key = BTreeMap::<u16, Vec<&Read>>::new();
        let mut late = Late::new();
        for record in &reading.records {
            if record.event.time.0 + self.grace < record.stream_time {
                late.insert(("late", record.value.clone()));
            } else {
                by_key.entry(record.event.key).or_default().push(record);
            }
        }
        (by_key, late)
    }
}

/// One line for each closed window: its bounds and what `say` makes of its records.
fn plain(
    story: &Story,
    sliding: Sliding,
    time: impl Fn(&Reading, &Read) -> i64,
    say: impl Fn(&[&Read]) -> String,
) -> Expected {
    let reading = Reading::of(story);
    let (by_key, late) = sliding.taken_in(&reading);
    let mut out = Results::new();
    for (key, records) in &by_key {
        for ((first, last), within) in sliding.of(records, |record| record.event.time.0) {
            if sliding.is_closed(last, time(&reading, within[0])) {
                out.entry(*key).or_default().push(format!("{first} {} {}", last + 1, say(&within)));
            }
        }
    }
    let set_aside = reading.dead.into_iter().chain(late).collect();
    Expected { results: BTreeMap::from([("out", out)]), set_aside }
}

fn count_and_sum(records: &[&Read]) -> String {
    format!("{} {}", records.len(), sum(records))
}

pub(crate) fn sliding(story: &Story) -> Expected {
    let sliding = Sliding { difference: 50, grace: 40 };
    plain(
        story,
        sliding,
        |reading, _| reading.slowest(),
        |records| {
            let amounts = || records.iter().map(|record| record.event.amount);
            let distinct: BTreeSet<i64> = amounts().collect();
            format!("{} {} {}", count_and_sum(records), amounts().max().unwrap_or_default(), distinct.len())
        },
    )
}

pub(crate) fn sliding_running(story: &Story) -> Expected {
    let sliding = Sliding { difference: 3_000, grace: 600 };
    plain(story, sliding, |reading, _| reading.slowest(), count_and_sum)
}

pub(crate) fn sliding_local(story: &Story) -> Expected {
    let sliding = Sliding { difference: 7, grace: 0 };
    plain(story, sliding, |reading, record| reading.reached[&record.place], count_and_sum)
}

pub(crate) fn sliding_of_windows(story: &Story) -> Expected {
    let (windows, sliding) = (Windows::tumbling(300, 200), Sliding { difference: 600, grace: 100 });
    let reading = Reading::of(story);
    let (closed, late) = reading.closed(windows);
    let mut out = Results::new();
    for (key, closed) in closed {
        for ((first, last), within) in sliding.of(&closed, |(time, ..)| time) {
            if sliding.is_closed(last, within[0].1 - windows.grace) {
                let total: i64 = within.iter().map(|(.., sum)| sum).sum();
                out.entry(key).or_default().push(format!("{first} {} {} {total}", last + 1, within.len()));
            }
        }
    }
    let set_aside = reading.dead.into_iter().chain(late).collect();
    Expected { results: BTreeMap::from([("out", out)]), set_aside }
}

pub(crate) fn sliding_totals(story: &Story) -> Expected {
    let (sliding, windows) = (Sliding { difference: 400, grace: 900 }, Windows::tumbling(2_000, 300));
    let reading = Reading::of(story);
    let (by_key, late) = sliding.taken_in(&reading);
    let mut by_window = BTreeMap::<(i64, u16), Vec<i64>>::new();
    for (key, records) in &by_key {
        for ((_, last), within) in sliding.of(records, |record| record.event.time.0) {
            if sliding.is_closed(last, reading.slowest()) {
                for start in windows.holding(last) {
                    by_window.entry((start, key % 3)).or_default().push(sum(&within));
                }
            }
        }
    }
    let mut out = Results::new();
    for ((start, key), sums) in by_window {
        if windows.is_closed(start, reading.slowest().saturating_sub(sliding.grace)) {
            let total: i64 = sums.iter().sum();
            out.entry(key).or_default().push(format!("{start} {} {} {total}", start + windows.size, sums.len()));
        }
    }
    let set_aside = reading.dead.into_iter().chain(late).collect();
    Expected { results: BTreeMap::from([("out", out)]), set_aside }
}
