//! What results have to be: definitions computed straight from the input records and the time log.
//!
//! Not here: the library's windows. Invariant: nothing of its window, pane or closing code is used, every
//! record is looked at for every window that could hold it, and nothing is kept from one window to the next.

pub(crate) mod joined_tables;
pub(crate) mod joins;
pub(crate) mod processors;
mod sessions;
mod sliding;
mod sought;
mod tables;

use std::collections::{BTreeMap, BTreeSet};

use processing_core::record::{EventTime, Offset, TopicPartition};
use processing_core::testing::{Outcome, Story};

use crate::events::Happening;

/// The far-future guard of [`processing_core::testing::SimOptions`].
const FUTURE_BOUND_MS: i64 = 3_600_000;

/// Results of one topic: all values of each key, in their order.
pub(crate) type Results = BTreeMap<u16, Vec<String>>;

/// The records of each window, by its start and key.
type ByWindow<'r> = BTreeMap<(i64, u16), Vec<&'r Read>>;

/// Topic and value of records that are late.
type Late = BTreeSet<(&'static str, Vec<u8>)>;

/// What an application has to say.
#[derive(Debug, Default)]
pub(crate) struct Expected {
    /// By topic.
    results: BTreeMap<&'static str, Results>,
    /// Kind and value of each record that is set aside.
    set_aside: BTreeSet<(&'static str, Vec<u8>)>,
}

impl Expected {
    /// The first difference, for a person.
    pub(crate) fn difference(&self, outcome: &Outcome) -> Option<String> {
        let set_aside = outcome.set_aside.iter();
        let set_aside: BTreeSet<(&str, Vec<u8>)> =
            set_aside.map(|(kind, _, value, _)| (kind.as_str(), value.clone().unwrap_or_default())).collect();
        let expected: BTreeSet<(&str, Vec<u8>)> =
            self.set_aside.iter().map(|(kind, value)| (*kind, value.clone())).collect();
        if let Some((kind, value)) = set_aside.symmetric_difference(&expected).next() {
            let whose = if expected.contains(&(kind, value.clone())) { "is missing" } else { "should not be there" };
            return Some(format!("{kind} record {} {whose}", value.escape_ascii()));
        }
        for (topic, expected) in &self.results {
            let mut found = Results::new();
            for ((_, key), values) in outcome.results.get(*topic).into_iter().flatten() {
                let key = u16::from_be_bytes(key.as_slice().try_into().unwrap_or_default());
                found
                    .entry(key)
                    .or_default()
                    .extend(values.iter().map(|value| String::from_utf8_lossy(value).into_owned()));
            }
            for key in found.keys().chain(expected.keys()) {
                let (found, expected) = (found.get(key), expected.get(key));
                if found != expected {
                    let same = found.into_iter().flatten().zip(expected.into_iter().flatten());
                    let same = same.take_while(|(found, expected)| found == expected).count();
                    let rest = |values: Option<&Vec<String>>| {
                        values.into_iter().flatten().skip(same).take(3).cloned().collect::<Vec<_>>()
                    };
                    return Some(format!(
                        "topic {topic} key {key}, after {same} values as defined:\n  found   {:?}\n  defined {:?}",
                        rest(found),
                        rest(expected)
                    ));
                }
            }
        }
        None
    }
}

/// A window that has come out: its last moment, how far its partition's time is, and its sum.
type Closed = (i64, i64, i64);

/// A record that can be used, and how far its partition's time had come before it.
struct Read {
    place: TopicPartition,
    offset: Offset,
    event: Happening,
    value: Vec<u8>,
    stream_time: i64,
}

/// All input partitions, read from the beginning to the end.
struct Reading {
    records: Vec<Read>,
    dead: BTreeSet<(&'static str, Vec<u8>)>,
    /// Where each partition's time stands at the end.
    reached: BTreeMap<TopicPartition, i64>,
}

impl Reading {
    fn of(story: &Story) -> Self {
        Self::by(story, |time| time)
    }

    /// Where the event time is made of what stands in the record.
    fn by(story: &Story, time: impl Fn(EventTime) -> EventTime) -> Self {
        let mut reading = Self { records: Vec::new(), dead: BTreeSet::new(), reached: BTreeMap::new() };
        for (place, records) in &story.inputs {
            let raises = || story.raises.iter().filter(|(at, ..)| at == place);
            let mut stream_time = i64::MIN;
            for record in records {
                let before = raises().filter(|(_, offset, _)| *offset <= record.offset);
                stream_time = before.map(|(.., time)| time.0).fold(stream_time, i64::max);
                let value = record.value.clone().unwrap_or_default();
                let event = Happening::parse(record.value.as_deref());
                match event.map(|event| Happening { time: time(event.time), ..event }) {
                    Some(event) if event.time.0 <= record.timestamp.0 + FUTURE_BOUND_MS => {
                        let time = event.time.0;
                        let offset = record.offset;
                        reading.records.push(Read { place: place.clone(), offset, event, value, stream_time });
                        stream_time = stream_time.max(time);
                    }
                    _ => {
                        reading.dead.insert(("dlq", value));
                    }
                }
            }
            let reached = raises().map(|(.., time)| time.0).fold(stream_time, i64::max);
            reading.reached.insert(place.clone(), reached);
        }
        reading
    }

    /// The slowest partition's time.
    fn slowest(&self) -> i64 {
        self.reached.values().copied().min().unwrap_or(i64::MIN)
    }

    /// The records that `keep` lets through, by window start and key; and those late for all their windows.
    fn by_window(&self, windows: Windows, keep: impl Fn(&Read) -> bool) -> (ByWindow<'_>, Late) {
        let (mut by_window, mut late) = (BTreeMap::<_, Vec<&Read>>::new(), BTreeSet::new());
        for record in self.records.iter().filter(|record| keep(record)) {
            let mut taken = false;
            for start in windows.holding(record.event.time.0) {
                if start + windows.size + windows.grace > record.stream_time {
                    by_window.entry((start, record.event.key)).or_default().push(record);
                    taken = true;
                }
            }
            if !taken {
                late.insert(("late", record.value.clone()));
            }
        }
        (by_window, late)
    }

    /// What comes out of windows in the task that reads, by key: their last moments, how far the partition's time is,
    /// and the sums; and the records that are late for all their windows.
    fn closed(&self, windows: Windows) -> (BTreeMap<u16, Vec<Closed>>, Late) {
        let (by_window, late) = self.by_window(windows, |_| true);
        let mut closed = BTreeMap::<u16, Vec<Closed>>::new();
        for ((start, key), records) in &by_window {
            let reached = self.reached[&records[0].place];
            if windows.is_closed(*start, reached) {
                closed.entry(*key).or_default().push((start + windows.size - 1, reached, sum(records)));
            }
        }
        (closed, late)
    }
}

/// Windows as they are defined: `[offset + k * advance, offset + k * advance + size)`.
#[derive(Debug, Clone, Copy)]
struct Windows {
    size: i64,
    advance: i64,
    grace: i64,
    offset: i64,
}

impl Windows {
    const fn tumbling(size: i64, grace: i64) -> Self {
        Self { size, advance: size, grace, offset: 0 }
    }

    const fn hopping(size: i64, advance: i64, grace: i64) -> Self {
        Self { size, advance, grace, offset: 0 }
    }

    /// The starts of all windows that hold `time`.
    fn holding(self, time: i64) -> Vec<i64> {
        let mut starts = Vec::new();
        let mut start = time - (time - self.offset).rem_euclid(self.advance);
        while start + self.size > time {
            starts.push(start);
            start -= self.advance;
        }
        starts
    }

    fn is_closed(self, start: i64, time: i64) -> bool {
        start + self.size + self.grace <= time
    }

    /// The end of the last window that is closed at `time`: what comes out of these windows has come so far.
    fn closed_through(self, time: i64) -> i64 {
        if time == i64::MIN {
            return time;
        }
        let latest = time - self.grace - self.size;
        latest - (latest - self.offset).rem_euclid(self.advance) + self.size
    }
}

fn sum(records: &[&Read]) -> i64 {
    records.iter().map(|record| record.event.amount).sum()
}

mod operators;

/// A definition for each scenario, by its name.
pub(crate) mod expected {
    pub(crate) use super::sessions::{local_sessions, session_totals, sessions, sessions_cut, sessions_of_windows};
    pub(crate) use super::sliding::{sliding, sliding_local, sliding_of_windows, sliding_running, sliding_totals};
    pub(crate) use super::sought::sought;
    pub(crate) use super::tables::{folded, table_join, table_left_join};

    use super::*;

    pub(crate) use super::operators::{count_distinct, distinct_by, local_days, rollup, split};

    /// One window per key, one line per window: its bounds and what `say` makes of its records.
    pub(super) fn plain(
        story: &Story,
        windows: Windows,
        keep: impl Fn(&Read) -> bool,
        time: impl Fn(&Reading, &Read) -> i64,
        say: impl Fn(&[&Read]) -> String,
    ) -> Expected {
        let reading = Reading::of(story);
        let (by_window, late) = reading.by_window(windows, keep);
        let mut out = Results::new();
        for ((start, key), records) in &by_window {
            if windows.is_closed(*start, time(&reading, records[0])) {
                let line = format!("{start} {} {}", start + windows.size, say(records));
                out.entry(*key).or_default().push(line);
            }
        }
        let set_aside = reading.dead.into_iter().chain(late).collect();
        Expected { results: BTreeMap::from([("out", out)]), set_aside }
    }

    pub(super) fn everywhere(reading: &Reading, _: &Read) -> i64 {
        reading.slowest()
    }

    pub(super) fn in_its_partition(reading: &Reading, record: &Read) -> i64 {
        reading.reached[&record.place]
    }

    pub(super) fn count_and_sum(records: &[&Read]) -> String {
        format!("{} {}", records.len(), sum(records))
    }

    pub(crate) fn tumbling(story: &Story) -> Expected {
        plain(story, Windows::tumbling(1_000, 500), |_| true, everywhere, count_and_sum)
    }

    pub(crate) fn local(story: &Story) -> Expected {
        let windows = Windows { offset: 100, ..Windows::tumbling(700, 300) };
        plain(story, windows, |_| true, in_its_partition, count_and_sum)
    }

    pub(crate) fn hopping(story: &Story) -> Expected {
        plain(
            story,
            Windows::hopping(1_000, 300, 400),
            |_| true,
            everywhere,
            |records| {
                let max = records.iter().map(|record| record.event.amount).max().unwrap_or_default();
                let distinct: BTreeSet<i64> = records.iter().map(|record| record.event.amount).collect();
                format!("{} {max} {}", count_and_sum(records), distinct.len())
            },
        )
    }

    pub(crate) fn running(story: &Story) -> Expected {
        plain(story, Windows::hopping(2_000, 500, 0), |_| true, in_its_partition, count_and_sum)
    }

    pub(crate) fn merged(story: &Story) -> Expected {
        let keep = |record: &Read| record.place.topic.as_str() != "in-c" || record.event.amount % 2 == 0;
        plain(story, Windows::tumbling(1_000, 500), keep, everywhere, count_and_sum)
    }

    pub(crate) fn stateless(story: &Story) -> Expected {
        let windows = Windows::tumbling(1_000, 500);
        let keep = |record: &Read| record.event.amount % 25 != 0;
        let say = |records: &[&Read]| format!("{} {}", 2 * records.len(), sum(records) - records.len() as i64);
        let mut expected = plain(story, windows, keep, everywhere, say);
        let mut even = Results::new();
        for Read { event, value, .. } in Reading::of(story).records {
            if event.amount % 2 == 0 {
                even.entry(event.key).or_default().push(String::from_utf8_lossy(&value).into_owned());
            }
            if event.amount % 25 == 0 {
                expected.set_aside.insert(("dlq", value));
            }
        }
        expected.results.insert("even", even);
        expected
    }

    pub(crate) fn updates(story: &Story) -> Expected {
        let windows = Windows::tumbling(1_000, 500);
        let mut expected = plain(story, windows, |_| true, everywhere, count_and_sum);
        let reading = Reading::of(story);
        let (by_window, _) = reading.by_window(windows, |_| true);
        // Windows come in ascending order: the youngest stays.
        let current = by_window.iter().map(|((start, key), records)| {
            let is_final = windows.is_closed(*start, reading.slowest());
            (*key, vec![format!("{start} {} {} {is_final}", start + windows.size, count_and_sum(records))])
        });
        expected.results.insert("current", current.collect());
        expected
    }

    pub(crate) fn hindsight(story: &Story) -> Expected {
        let windows = Windows::tumbling(500, 300);
        let mut expected = plain(story, windows, |_| true, everywhere, count_and_sum);
        let reading = Reading::of(story);
        let (by_window, _) = reading.by_window(windows, |_| true);
        let since = by_window.keys().map(|(start, _)| *start).min().unwrap_or_default();
        let frame = |key: u16, from: i64, to: i64| {
            let inside = by_window.iter().filter(|((start, k), _)| *k == key && (from..to).contains(start));
            let records: Vec<&Read> = inside.flat_map(|(_, records)| records.iter().copied()).collect();
            format!("{}/{}", records.len(), sum(&records))
        };
        for (key, lines) in expected.results.entry("out").or_default() {
            for line in lines {
                let start: i64 = line.split(' ').next().and_then(|start| start.parse().ok()).expect("a start");
                let before = frame(*key, start - 3_000, start);
                let earlier = frame(*key, start - 2_000, start - 1_500);
                line.push_str(&format!(" {before} {earlier} {}", (start - since).min(3_000)));
            }
        }
        expected
    }

    pub(crate) fn previous(story: &Story) -> Expected {
        let windows = Windows::hopping(900, 300, 200);
        let mut expected = plain(story, windows, |_| true, everywhere, count_and_sum);
        let reading = Reading::of(story);
        let (by_window, _) = reading.by_window(windows, |_| true);
        let mut out = Results::new();
        for ((start, key), records) in &by_window {
            let before = by_window.get(&(start - windows.advance, *key));
            let previous = before.map_or("none".to_owned(), |records| records.len().to_string());
            if windows.is_closed(*start, reading.slowest()) {
                let line = format!("{start} {} {} {previous}", start + windows.size, count_and_sum(records));
                out.entry(*key).or_default().push(line);
            }
            let next = start + windows.advance;
            if !by_window.contains_key(&(next, *key)) && windows.is_closed(next, reading.slowest()) {
                let line = format!("{next} {} 0 0 {}", next + windows.size, records.len());
                out.entry(*key).or_default().push(line);
            }
        }
        let latest = out.iter().filter_map(|(key, lines)| Some((*key, vec![lines.last()?.clone()])));
        expected.results.insert("latest", latest.collect());
        expected.results.insert("out", out);
        expected
    }

    /// Closed windows of `fine` as records of the next ones: their last moment, their key, their sum.
    fn closed_sums(story: &Story, fine: Windows) -> (Vec<(i64, u16, i64)>, Reading) {
        let reading = Reading::of(story);
        let (by_window, late) = reading.by_window(fine, |_| true);
        let closed = by_window.iter().filter(|((start, _), _)| fine.is_closed(*start, reading.slowest()));
        let sums = closed.map(|((start, key), records)| (start + fine.size - 1, *key, sum(records))).collect();
        let dead = reading.dead.iter().cloned().chain(late).collect();
        (sums, Reading { dead, ..reading })
    }

    pub(crate) fn two_repartitions(story: &Story) -> Expected {
        let (fine, coarse) = (Windows::tumbling(500, 200), Windows::tumbling(2_000, 300));
        let (sums, reading) = closed_sums(story, fine);
        let mut by_window = BTreeMap::<(i64, u16), Vec<i64>>::new();
        for (time, key, sum) in sums {
            for start in coarse.holding(time) {
                by_window.entry((start, key % 3)).or_default().push(sum);
            }
        }
        let mut out = Results::new();
        for ((start, key), sums) in by_window {
            if coarse.is_closed(start, fine.closed_through(reading.slowest())) {
                let total: i64 = sums.iter().sum();
                out.entry(key).or_default().push(format!("{start} {} {} {total}", start + coarse.size, sums.len()));
            }
        }
        Expected { results: BTreeMap::from([("out", out)]), set_aside: reading.dead }
    }

    pub(crate) fn ranking(story: &Story) -> Expected {
        let fine = Windows::tumbling(1_000, 300);
        let (sums, reading) = closed_sums(story, fine);
        let mut by_window = BTreeMap::<i64, Vec<(i64, u16)>>::new();
        for (time, key, sum) in sums {
            by_window.entry(time + 1 - fine.size).or_default().push((sum, key));
        }
        let mut out = Results::new();
        for (start, mut scores) in by_window {
            if start + fine.size <= fine.closed_through(reading.slowest()) {
                scores.sort_by_key(|(sum, key)| (-sum, *key));
                let best: Vec<String> = scores.iter().take(3).map(|(sum, key)| format!("{key}:{sum}")).collect();
                out.entry(0).or_default().push(format!("{start} {} {}", start + fine.size, best.join(" ")));
            }
        }
        Expected { results: BTreeMap::from([("out", out)]), set_aside: reading.dead }
    }

    pub(crate) fn nested(story: &Story) -> Expected {
        let (fine, coarse) = (Windows::tumbling(300, 200), Windows::hopping(1_500, 500, 0));
        let reading = Reading::of(story);
        let (by_window, late) = reading.by_window(fine, |_| true);
        // No repartition between: the second windows follow the time of the first ones' partition.
        let mut coarse_sums = BTreeMap::<(i64, u16), (i64, Vec<i64>)>::new();
        for ((start, key), records) in &by_window {
            let reached = reading.reached[&records[0].place];
            if fine.is_closed(*start, reached) {
                for coarse_start in coarse.holding(start + fine.size - 1) {
                    let sums = coarse_sums.entry((coarse_start, *key)).or_insert((reached - fine.grace, Vec::new()));
                    sums.1.push(sum(records));
                }
            }
        }
        let mut out = Results::new();
        for ((start, key), (reached, sums)) in coarse_sums {
            if coarse.is_closed(start, reached) {
                let total: i64 = sums.iter().sum();
                out.entry(key).or_default().push(format!("{start} {} {} {total}", start + coarse.size, sums.len()));
            }
        }
        let set_aside = reading.dead.into_iter().chain(late).collect();
        Expected { results: BTreeMap::from([("out", out)]), set_aside }
    }
}
