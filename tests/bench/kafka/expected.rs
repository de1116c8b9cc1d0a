//! The cases, and what each must say: computed from the events, without streams.
//!
//! Not here: topologies (`worker.rs` and `StreamsBench.java`). Invariant: a line is a result's value as both sides
//! write it, and holds the key and the window.

use std::collections::BTreeMap;

use crate::input::{self, CITIES, HOUR_MS, START_MS, USERS};

const MINUTE_MS: i64 = 60_000;
/// The only case that does not wait for windows to close.
const UPDATES: &str = "updates";
const HOPPING: &str = "hopping";
const SESSION: &str = "session";
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

/// A topology and its input.
pub(crate) struct Case {
    pub(crate) name: &'static str,
    /// Unless told otherwise.
    pub(crate) events: u64,
    /// The values of all windows that both sides must have closed, sorted.
    pub(crate) results: fn(u64) -> Vec<String>,
}

pub(crate) const CASES: [Case; 6] = [
    Case { name: "tumbling", events: 3_000_000, results: tumbling },
    Case { name: UPDATES, events: 3_000_000, results: updates },
    Case { name: "per_user", events: 3_000_000, results: per_user },
    // Fewer events are more sessions that end within the hour.
    Case { name: SESSION, events: 500_000, results: session },
    // Kafka Streams takes a quarter of a millisecond for each.
    Case { name: HOPPING, events: 500_000, results: hopping },
    Case { name: "top20", events: 3_000_000, results: top20 },
];

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
