//! The cases, and what each must say: computed from the events, without streams.
//!
//! Not here: topologies (`worker.rs` and `StreamsBench.java`). Invariant: a line is a result's value as both sides
//! write it, and holds the key and the window.

use std::collections::BTreeMap;

use crate::feed::Feed;
use crate::input::{self, CITIES, CLICK_EVERY, HOUR_MS, START_MS, USERS};

const MINUTE_MS: i64 = 60_000;
/// The only case that does not wait for windows to close.
const UPDATES: &str = "updates";
const HOPPING: &str = "hopping";
const SESSION: &str = "session";
const JOIN: &str = "join";
const ROLLUP: &str = "rollup";
/// Of both sides' windows. Kafka Streams judges lateness behind the repartition topic, where partitions of the input
/// meet that it has read unevenly far, by several megabytes: fewer events an hour are more minutes of them.
const GRACE_MS: i64 = 5 * MINUTE_MS;
const GRACE_OF_HOPPING_MS: i64 = 20 * MINUTE_MS;
const MINUTES: usize = 60;
const GAP_MS: i64 = 30 * MINUTE_MS;
/// Sessions whose last event lies in these minutes are over on both sides: gap, grace and a pane of the worker's fit
/// into what is left of the hour.
const SESSION_MINUTES: usize = 20;
/// Windows that end in these minutes have closed on both sides when the input ends; the second stage of a topology
/// sees the time of the first one's windows, so it is a grace behind it.
const CLOSED_MINUTES: usize = MINUTES - 2 - 2 * (GRACE_MS / MINUTE_MS) as usize;
const HOPPING_MINUTES: usize = MINUTES - 2 - (GRACE_OF_HOPPING_MS / MINUTE_MS) as usize;

/// Event time of the rollups: a day, and what both sides need to be done with it.
const ROLLUP_HOURS: u64 = 50;
/// Of minutes, and of each stage behind them in Kafka Streams. A megabyte of a partition is half an hour here.
const ROLLUP_GRACE_HOURS: u64 = 6;
/// Hours and days that end by then have closed on both sides; only the third stage is behind by three graces, and its
/// day ends long before.
const ROLLUP_CLOSED_HOURS: u64 = ROLLUP_HOURS - 2 * ROLLUP_GRACE_HOURS - 2;
/// A click belongs to the searches of the same user that came so long before.
const CLICK_WITHIN_MS: i64 = 5 * MINUTE_MS;

/// A topology and its input.
pub(crate) struct Case {
    pub(crate) name: &'static str,
    /// Unless told otherwise.
    pub(crate) events: u64,
    pub(crate) feed: Feed,
    /// The values of all windows that both sides must have closed, sorted.
    pub(crate) results: fn(u64) -> Vec<String>,
}

pub(crate) const CASES: [Case; 10] = [
    Case { name: "tumbling", events: 3_000_000, feed: Feed::Searches, results: tumbling },
    Case { name: UPDATES, events: 3_000_000, feed: Feed::Searches, results: updates },
    Case { name: "per_user", events: 3_000_000, feed: Feed::Searches, results: per_user },
    // Fewer events are more sessions that end within the hour.
    Case { name: SESSION, events: 500_000, feed: Feed::Searches, results: session },
    // Kafka Streams takes a quarter of a millisecond for each.
    Case { name: HOPPING, events: 500_000, feed: Feed::Searches, results: hopping },
    Case { name: "top20", events: 3_000_000, feed: Feed::Searches, results: top20 },
    Case { name: JOIN, events: 1_000_000, feed: Feed::Clicks, results: join },
    Case { name: "table_join", events: 3_000_000, feed: Feed::Profiles, results: table_join },
    Case { name: "quantiles", events: 3_000_000, feed: Feed::Searches, results: quantiles },
    Case { name: ROLLUP, events: 2_000_000, feed: Feed::Hours(ROLLUP_HOURS), results: rollup },
];

/// The topics that an application of a case writes its results to.
pub(crate) fn outputs(case: &str, app: &str) -> Vec<String> {
    let hours = (case == ROLLUP).then(|| format!("{app}-hours-out"));
    [format!("{app}-out")].into_iter().chain(hours).collect()
}

/// The values that are compared, of all that were read in the order of each partition.
pub(crate) fn compared(case: &str, lines: Vec<String>) -> Vec<String> {
    let mut compared: Vec<String> = if case == UPDATES {
        // The last word on each window counts.
        let split =
            |line: String| line.rsplit_once(",\"count\"").map(|(pane, count)| (pane.to_owned(), count.to_owned()));
        let last: BTreeMap<String, String> = lines.into_iter().filter_map(split).collect();
        last.into_iter().map(|(pane, count)| format!("{pane},\"count\"{count}")).collect()
    } else {
        lines.into_iter().filter(|line| is_closed(case, line)).collect()
    };
    compared.sort_unstable();
    compared
}

/// Whether a result's window is one of those that are compared.
fn is_closed(case: &str, line: &str) -> bool {
    if case == JOIN {
        return true;
    }
    if case == ROLLUP {
        let end = time_in(line, "start") + time_in(line, "hours") * HOUR_MS as i64;
        return end <= START_MS + (ROLLUP_CLOSED_HOURS * HOUR_MS) as i64;
    }
    if case == SESSION {
        return time_in(line, "end") < start_of(SESSION_MINUTES);
    }
    let start = time_in(line, "start");
    let (size, minutes) = if case == HOPPING { (HOUR_MS as i64, HOPPING_MINUTES) } else { (MINUTE_MS, CLOSED_MINUTES) };
    start + size <= start_of(minutes)
}

/// The time that a result names so.
fn time_in(line: &str, name: &str) -> i64 {
    let digits = line.split_once(&format!("\"{name}\":")).map_or("", |(_, rest)| rest);
    let end = digits.find(|c: char| !c.is_ascii_digit()).unwrap_or(digits.len());
    digits[..end].parse().unwrap_or_else(|_| panic!("{line}: no {name} of a window in it"))
}

/// Counts by key and minute.
struct Counts {
    by_minute: Vec<[u32; MINUTES]>,
}

impl Counts {
    fn of(events: u64, keys: u64, key: impl Fn(u64) -> u64) -> Self {
        let mut by_minute = vec![[0; MINUTES]; keys as usize];
        for number in 0..events {
            let minute = (input::time(number, events) - START_MS) / MINUTE_MS;
            by_minute[key(number) as usize][minute as usize] += 1;
        }
        Self { by_minute }
    }

    fn cities(events: u64) -> Self {
        Self::of(events, CITIES, input::city)
    }
}

fn line(key: &str, start: i64, count: u32) -> String {
    format!("{{\"key\":\"{key}\",\"start\":{start},\"count\":{count}}}")
}

fn start_of(minute: usize) -> i64 {
    START_MS + minute as i64 * MINUTE_MS
}

fn minutes_of(counts: &Counts, through: usize, name: impl Fn(usize) -> String) -> Vec<String> {
    let mut lines = Vec::new();
    for (key, minutes) in counts.by_minute.iter().enumerate() {
        let name = name(key);
        let compared = minutes.iter().enumerate().take(through).filter(|(_, count)| **count > 0);
        lines.extend(compared.map(|(minute, count)| line(&name, start_of(minute), *count)));
    }
    lines.sort_unstable();
    lines
}

fn city_name(city: usize) -> String {
    format!("City {city:04}")
}

fn tumbling(events: u64) -> Vec<String> {
    minutes_of(&Counts::cities(events), CLOSED_MINUTES, city_name)
}

fn updates(events: u64) -> Vec<String> {
    minutes_of(&Counts::cities(events), MINUTES, city_name)
}

fn per_user(events: u64) -> Vec<String> {
    let users = Counts::of(events, USERS, |number| input::user(number, USERS));
    minutes_of(&users, CLOSED_MINUTES, |user| format!("u{user:06}"))
}

fn session(events: u64) -> Vec<String> {
    // First and last event, and how many; events come in the order of time.
    let mut open: Vec<Option<(i64, i64, u32)>> = vec![None; USERS as usize];
    let mut lines = Vec::new();
    let said = |user: usize, (first, last, count): (i64, i64, u32)| {
        format!("{{\"key\":\"u{user:06}\",\"start\":{first},\"end\":{last},\"count\":{count}}}")
    };
    for number in 0..events {
        let (time, user) = (input::time(number, events), input::user(number, USERS) as usize);
        match &mut open[user] {
            Some((_, last, count)) if time - *last <= GAP_MS => (*last, *count) = (time, *count + 1),
            slot => lines.extend(slot.replace((time, time, 1)).map(|over| said(user, over))),
        }
    }
    lines.extend(open.iter().enumerate().filter_map(|(user, over)| Some(said(user, (*over)?))));
    lines.retain(|line| is_closed(SESSION, line));
    lines.sort_unstable();
    lines
}

fn hopping(events: u64) -> Vec<String> {
    let mut lines = Vec::new();
    for (city, minutes) in Counts::cities(events).by_minute.iter().enumerate() {
        // A window that ends behind minute m began an hour before, when there were no events yet.
        let mut count = 0;
        for (minute, in_minute) in minutes.iter().enumerate().take(HOPPING_MINUTES) {
            count += in_minute;
            if count > 0 {
                lines.push(line(&city_name(city), start_of(minute) + MINUTE_MS - HOUR_MS as i64, count));
            }
        }
    }
    lines.sort_unstable();
    lines
}

fn top20(events: u64) -> Vec<String> {
    let counts = Counts::cities(events);
    let list = |minute: usize| {
        let mut cities: Vec<(u32, usize)> =
            counts.by_minute.iter().enumerate().map(|(city, minutes)| (minutes[minute], city)).collect();
        cities.retain(|(count, _)| *count > 0);
        cities.sort_by_key(|(count, city)| (std::cmp::Reverse(*count), *city));
        let top: Vec<String> =
            cities.iter().take(20).map(|(count, city)| format!("[\"{}\",{count}]", city_name(*city))).collect();
        format!("{{\"start\":{},\"top\":[{}]}}", start_of(minute), top.join(","))
    };
    let mut lines: Vec<String> = (0..CLOSED_MINUTES).map(list).collect();
    lines.sort_unstable();
    lines
}

fn join(events: u64) -> Vec<String> {
    let mut of_user: Vec<Vec<i64>> = vec![Vec::new(); USERS as usize];
    for number in 0..events {
        of_user[input::user(number, USERS) as usize].push(input::time(number, events));
    }
    let mut lines = Vec::new();
    for search in (0..events / CLICK_EVERY).map(|click| click * CLICK_EVERY) {
        let (user, click) = (input::user(search, USERS), input::click_time(search, events));
        let within = of_user[user as usize].iter().filter(|time| (click - CLICK_WITHIN_MS..=click).contains(*time));
        lines.extend(within.map(|time| format!("{{\"key\":\"u{user:06}\",\"start\":{time},\"end\":{click}}}")));
    }
    lines.sort_unstable();
    lines
}

fn table_join(events: u64) -> Vec<String> {
    let users = Counts::of(events, USERS, |number| input::user(number, USERS));
    let mut lines = Vec::new();
    for (user, minutes) in users.by_minute.iter().enumerate() {
        let weight = input::weight(user as u64) as u32;
        let closed = minutes.iter().enumerate().take(CLOSED_MINUTES).filter(|(_, count)| **count > 0);
        lines.extend(closed.map(|(minute, count)| line(&format!("u{user:06}"), start_of(minute), weight * count)));
    }
    lines.sort_unstable();
    lines
}

fn quantiles(events: u64) -> Vec<String> {
    let mut numbers: BTreeMap<(u64, i64), Vec<u64>> = BTreeMap::new();
    for number in 0..events {
        let time = input::time(number, events);
        let minute = time - (time - START_MS) % MINUTE_MS;
        numbers.entry((input::city(number), minute)).or_default().push(input::result_count(number));
    }
    numbers.retain(|(_, start), _| start + MINUTE_MS <= start_of(CLOSED_MINUTES));
    let line = |((city, start), mut numbers): ((u64, i64), Vec<u64>)| {
        numbers.sort_unstable();
        let at = |q: f64| numbers[(q * (numbers.len() - 1) as f64) as usize];
        let (key, p50, p95, p99) = (city_name(city as usize), at(0.5), at(0.95), at(0.99));
        format!("{{\"key\":\"{key}\",\"start\":{start},\"p50\":{p50},\"p95\":{p95},\"p99\":{p99}}}")
    };
    let mut lines: Vec<String> = numbers.into_iter().map(line).collect();
    lines.sort_unstable();
    lines
}

fn rollup(events: u64) -> Vec<String> {
    let mut counts: BTreeMap<(u64, i64, u64), u64> = BTreeMap::new();
    for number in 0..events {
        let hour = (input::time_within(number, events, ROLLUP_HOURS) - START_MS) as u64 / HOUR_MS;
        for (hours, start) in [(1, hour), (24, hour - hour % 24)] {
            let start = START_MS + (start * HOUR_MS) as i64;
            *counts.entry((input::city(number), start, hours)).or_default() += 1;
        }
    }
    let line = |((city, start, hours), count)| {
        format!("{{\"key\":\"{}\",\"start\":{start},\"hours\":{hours},\"count\":{count}}}", city_name(city as usize))
    };
    let mut lines: Vec<String> = counts.into_iter().map(line).filter(|line| is_closed(ROLLUP, line)).collect();
    lines.sort_unstable();
    lines
}

/// Panics with the first difference.
pub(crate) fn compare(who: &str, found: &[String], expected: &[String]) {
    if found == expected {
        return;
    }
    let at = found.iter().zip(expected).take_while(|(found, expected)| found == expected).count();
    panic!(
        "{who}: result {at} of {} (found {} in all) should be {:?} and is {:?}",
        expected.len(),
        found.len(),
        expected.get(at),
        found.get(at)
    );
}
