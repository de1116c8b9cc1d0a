//! What rollups, exact distinct counts, repeated ids, split streams and local time have to give.
//!
//! Not here: the library. Invariant: as in [`super`]; coarser windows are computed straight from the records, and local
//! days from two dates on which Berlin changed its clocks.

use super::expected::{count_and_sum, everywhere, in_its_partition, plain};
use super::*;
use crate::topologies::operators::stretched;

/// All that the rollup says of some records.
fn amounts(records: &[&Read]) -> String {
    let mut amounts: Vec<i64> = records.iter().map(|record| record.event.amount).collect();
    let by_time = |record: &&&Read| (record.event.time, record.event.amount);
    let earliest = records.iter().min_by_key(by_time).map_or(0, |record| record.event.amount);
    let latest = records.iter().max_by_key(by_time).map_or(0, |record| record.event.amount);
    amounts.sort_unstable();
    let last = amounts.len() - 1;
    let up_to = |bound: i64| amounts.iter().filter(|amount| **amount <= bound).count();
    let smallest: Vec<String> = amounts.iter().take(3).map(i64::to_string).collect();
    let (total, squares): (i64, i64) = (amounts.iter().sum(), amounts.iter().map(|amount| amount * amount).sum());
    // Half-even to so many digits, in whole numbers.
    let rounded = |over: i64, under: i64, decimals: u32| {
        let scale = 10_i64.pow(decimals);
        let (whole, rest) = (over * scale / under, over * scale % under);
        let up = 2 * rest > under || (2 * rest == under && whole % 2 != 0);
        let units = whole + i64::from(up);
        format!("{}.{:0width$}", units / scale, units % scale, width = decimals as usize)
    };
    let parts = [
        format!("{} {total}", amounts.len()),
        format!("{} {} {}", amounts[0], amounts[last / 2], amounts[last * 95 / 100]),
        format!("{} {} {}", up_to(10), up_to(50), amounts.len()),
        format!("{earliest} {latest}"),
        format!("{} {}", smallest.join(","), amounts.len() - smallest.len()),
        format!("{} {}", rounded(total, 4 * amounts.len() as i64, 2), rounded(squares, total, 3)),
    ];
    parts.join(" | ")
}

pub(crate) fn rollup(story: &Story) -> Expected {
    let fine = Windows::tumbling(500, 300);
    let mut expected = plain(story, fine, |_| true, everywhere, amounts);
    let fine_out = expected.results.remove("out").unwrap_or_default();
    expected.results.insert("fine-out", fine_out);
    let reading = Reading::of(story);
    let reached = fine.closed_through(reading.slowest());
    let (by_window, _) = reading.by_window(fine, |_| true);
    let coarse = [
        ("middle-out", Windows::tumbling(2_000, 0)),
        ("out", Windows { offset: 4_000, ..Windows::tumbling(6_000, 0) }),
    ];
    for (topic, windows) in coarse {
        // The records themselves, those that came in time for their half second.
        let mut records = BTreeMap::<(i64, u16), Vec<&Read>>::new();
        for read in by_window.values().flatten() {
            let start = windows.holding(read.event.time.0)[0];
            records.entry((start, read.event.key)).or_default().push(read);
        }
        let mut out = Results::new();
        for ((start, key), records) in records {
            if windows.is_closed(start, reached) {
                let line = format!("{start} {} {}", start + windows.size, amounts(&records));
                out.entry(key).or_default().push(line);
            }
        }
        expected.results.insert(topic, out);
    }
    expected
}

pub(crate) fn count_distinct(story: &Story) -> Expected {
    let windows = Windows::tumbling(1_500, 400);
    let reading = Reading::of(story);
    let (by_window, late) = reading.by_window(windows, |_| true);
    let reached = windows.closed_through(reading.slowest());
    let mut out = Results::new();
    for ((start, key), records) in &by_window {
        if start + windows.size <= reached {
            let items: BTreeSet<i64> = records.iter().map(|record| record.event.amount % 7).collect();
            out.entry(*key).or_default().push(format!("{start} {} {}", start + windows.size, items.len()));
        }
    }
    let set_aside = reading.dead.iter().cloned().chain(late).collect();
    Expected { results: BTreeMap::from([("out", out)]), set_aside }
}

pub(crate) fn distinct_by(story: &Story) -> Expected {
    const HORIZON: i64 = 700;
    let reading = Reading::of(story);
    let mut passed = Vec::<&Read>::new();
    let mut late = Late::new();
    let id = |read: &Read| (read.event.key, read.event.amount % 4);
    // Records stand partition by partition, each in its order; an id is in one partition.
    for read in &reading.records {
        let time = read.event.time.0;
        if time + HORIZON <= read.stream_time {
            late.insert(("late", read.value.clone()));
            continue;
        }
        let repeats = |before: &&Read| id(before) == id(read) && (before.event.time.0 - time).abs() < HORIZON;
        if !passed.iter().any(repeats) {
            passed.push(read);
        }
    }
    let places: BTreeSet<_> = passed.iter().map(|read| (read.place.clone(), read.offset)).collect();
    let keep = |read: &Read| places.contains(&(read.place.clone(), read.offset));
    let mut expected = plain(story, Windows::tumbling(1_000, 800), keep, in_its_partition, count_and_sum);
    let mut out = Results::new();
    for read in passed {
        out.entry(read.event.key).or_default().push(String::from_utf8_lossy(&read.value).into_owned());
    }
    expected.results.insert("passed-out", out);
    expected.set_aside.extend(late);
    expected
}

pub(crate) fn split(story: &Story) -> Expected {
    let is_third = |read: &Read| read.event.amount % 3 == 0;
    let is_even = |read: &Read| !is_third(read) && read.event.amount % 2 == 0;
    let rest = |read: &Read| !is_third(read) && !is_even(read);
    let mut expected = plain(story, Windows::tumbling(1_000, 500), rest, everywhere, count_and_sum);
    let mut even = plain(story, Windows::tumbling(1_000, 100), is_even, in_its_partition, count_and_sum);
    expected.set_aside.append(&mut even.set_aside);
    expected.results.insert("even-out", even.results.remove("out").unwrap_or_default());
    let mut thirds = Results::new();
    for read in Reading::of(story).records.iter().filter(|read| is_third(read)) {
        thirds.entry(read.event.key).or_default().push(String::from_utf8_lossy(&read.value).into_owned());
    }
    expected.results.insert("thirds", thirds);
    expected
}

/// When the days of Berlin begin, from October 2024 to July 2025: it put its clocks back on 27 October and forward on 30
/// March. The 1st of a month is marked.
fn days() -> Vec<(i64, bool)> {
    const DAY: i64 = 86_400_000;
    const HOUR: i64 = 3_600_000;
    // 1 October 2024, and the lengths of the months from then on.
    let mut midnight = 1_727_740_800_000;
    let mut days = Vec::new();
    for (month, length) in [31, 30, 31, 31, 28, 31, 30, 31, 30].into_iter().enumerate() {
        for day in 1..=length {
            let summer = match month {
                0 => day <= 27,
                5 => day > 30,
                _ => month > 5,
            };
            days.push((midnight - if summer { 2 * HOUR } else { HOUR }, day == 1));
            midnight += DAY;
        }
    }
    days
}

pub(crate) fn local_days(story: &Story) -> Expected {
    const GRACE: i64 = 6 * 3_600_000;
    let reading = Reading::by(story, stretched);
    let days = days();
    let months: Vec<i64> = days.iter().filter(|(_, first)| *first).map(|(start, _)| *start).collect();
    let days: Vec<i64> = days.into_iter().map(|(start, _)| start).collect();
    let within = |starts: &[i64], time: i64| {
        let next = starts.iter().position(|start| *start > time).expect("workloads end before July");
        (starts[next - 1], starts[next])
    };
    let mut set_aside = reading.dead.clone();
    let mut by_window = [BTreeMap::<(i64, i64, u16), Vec<&Read>>::new(), BTreeMap::new()];
    for read in &reading.records {
        let (start, end) = within(&days, read.event.time.0);
        if end + GRACE <= read.stream_time {
            set_aside.insert(("late", read.value.clone()));
            continue;
        }
        by_window[0].entry((start, end, read.event.key)).or_default().push(read);
        let (start, end) = within(&months, read.event.time.0);
        by_window[1].entry((start, end, read.event.key)).or_default().push(read);
    }
    let slowest = reading.slowest();
    let last_day = days.iter().copied().filter(|end| end.saturating_add(GRACE) <= slowest).max().unwrap_or(i64::MIN);
    let mut results = BTreeMap::new();
    for (topic, windows) in ["days-out", "out"].into_iter().zip(&by_window) {
        let mut out = Results::new();
        for ((start, end, key), records) in windows {
            // A month closes with its last day.
            if *end <= last_day {
                out.entry(*key).or_default().push(format!("{start} {end} {}", count_and_sum(records)));
            }
        }
        results.insert(topic, out);
    }
    Expected { results, set_aside }
}
