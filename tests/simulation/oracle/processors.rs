//! What processors of their own have to say.
//!
//! Not here: the library's stores and timers. Invariant: each partition is walked once in the order of its moments, the
//! later one of a record's time and the stream time before it; before each record, what its moment has passed is due.

use processing_core::record::EventTime;

use super::*;
use crate::topologies::processors::{GAP, HISTORY, REMINDER, RETENTION, ROUND};

/// The later one of a record's own time and its partition's before it.
fn moment(read: &Read) -> i64 {
    read.event.time.0.max(read.stream_time)
}

struct Visit {
    start: i64,
    begun: i64,
    last: i64,
    count: u64,
    sum: i64,
    reminded: bool,
}

#[derive(Default)]
struct Visits {
    open: BTreeMap<u16, Visit>,
    totals: BTreeMap<u16, i64>,
    out: Results,
    begun: Results,
    reminders: Results,
}

impl Visits {
    /// Time has passed everything before `moment`.
    fn pass(&mut self, moment: i64) {
        for (key, visit) in &mut self.open {
            let reminder = visit.begun + REMINDER;
            if !visit.reminded && reminder < moment {
                visit.reminded = true;
                self.reminders.entry(*key).or_default().push(format!("{reminder} {}", visit.count));
            }
        }
        let quiet = self.open.iter().filter(|(_, visit)| visit.last + GAP < moment);
        let quiet: Vec<(u16, i64)> = quiet.map(|(key, visit)| (*key, visit.last + GAP)).collect();
        quiet.into_iter().for_each(|(key, at)| self.end(key, at, "quiet"));
    }

    fn end(&mut self, key: u16, at: i64, how: &str) {
        let Some(Visit { start, count, sum, .. }) = self.open.remove(&key) else { return };
        let total = self.totals[&key];
        self.out.entry(key).or_default().push(format!("{how} {start} {at} {count} {sum} {total}"));
    }

    fn hear(&mut self, read: &Read) {
        let Happening { key, time: EventTime(time), amount } = read.event;
        let now = moment(read);
        *self.totals.entry(key).or_default() += amount;
        let is_new = !self.open.contains_key(&key);
        let visit = Visit { start: time, begun: now, last: now, count: 0, sum: 0, reminded: false };
        let visit = self.open.entry(key).or_insert(visit);
        (visit.last, visit.count, visit.sum) = (now, visit.count + 1, visit.sum + amount);
        if is_new {
            let after = self.open.keys().filter(|other| **other >= key).count().min(5);
            self.begun.entry(key).or_default().push(format!("{time} {after}"));
        }
        if amount % 7 == 0 {
            self.end(key, time, "bye");
        }
    }
}

pub(crate) fn visits(story: &Story) -> Expected {
    let Reading { records, dead, reached } = Reading::of(story);
    let (mut set_aside, mut out, mut begun, mut reminders) = (dead, Results::new(), Results::new(), Results::new());
    for (place, reached) in reached {
        let mut visits = Visits::default();
        for read in records.iter().filter(|read| read.place == place) {
            visits.pass(moment(read));
            match read.event.amount % 25 {
                0 => drop(set_aside.insert(("dlq", read.value.clone()))),
                _ => visits.hear(read),
            }
        }
        visits.pass(reached);
        out.extend(visits.out);
        begun.extend(visits.begun);
        reminders.extend(visits.reminders);
    }
    Expected { results: BTreeMap::from([("out", out), ("begun", begun), ("reminders", reminders)]), set_aside }
}

pub(crate) fn lookups(story: &Story) -> Expected {
    let Reading { mut records, dead, reached } = Reading::of(story);
    // `in` sorts before `in-too`, and the order of a topic's own log stays.
    records.sort_by_key(|read| (moment(read), read.place.topic.as_str().to_owned()));
    let mut out = Results::new();
    let partitions: BTreeSet<_> = reached.keys().map(|place| place.partition).collect();
    for partition in partitions {
        let both = reached.iter().filter(|(place, _)| place.partition == partition);
        let slowest = both.map(|(_, reached)| *reached).min().unwrap_or(i64::MIN);
        let mut versions: Vec<(u16, i64, Option<i64>)> = Vec::new();
        let mut buckets = BTreeMap::<(i64, u16), u64>::new();
        let is_settled = |read: &&Read| read.place.partition == partition && moment(read) < slowest;
        for read in records.iter().filter(is_settled) {
            let Happening { key, time: EventTime(time), amount } = read.event;
            let (now, at) = (moment(read), time - 500);
            let past = versions.iter().filter(|(of, from, _)| *of == key && *from <= at && at >= now - HISTORY);
            let was = past.max_by_key(|(_, from, _)| *from).and_then(|(.., amount)| *amount).unwrap_or(-1);
            let known = time >= now - HISTORY;
            if known {
                versions.push((key, time, (amount % 10 > 0).then_some(amount)));
            }
            let start = time - time.rem_euclid(400);
            let is_there = |start: i64| start >= now - RETENTION;
            let count = buckets.get(&(start, key)).filter(|_| is_there(start)).unwrap_or(&0) + 1;
            if is_there(start) {
                match amount % 9 {
                    0 => buckets.remove(&(start, key)),
                    _ => buckets.insert((start, key), count),
                };
            }
            let mut line = format!("{time} {amount} {was} {known} {count}");
            let around = buckets.iter().filter(|((at, _), _)| (start - 800..start + 400).contains(at) && is_there(*at));
            for ((start, key), count) in around.take(4) {
                line.push_str(&format!(" {start}/{key}={count}"));
            }
            out.entry(key).or_default().push(line);
        }
    }
    Expected { results: BTreeMap::from([("out", out)]), set_aside: dead }
}

pub(crate) fn rounds(story: &Story) -> Expected {
    let reading = Reading::of(story);
    // Behind the repartition, time is the slowest input's.
    let slowest = reading.slowest();
    let mut rounds = BTreeMap::<(i64, u16), (u64, i64)>::new();
    for read in &reading.records {
        let now = moment(read);
        let round = rounds.entry((now - now.rem_euclid(ROUND), read.event.key % 3)).or_default();
        *round = (round.0 + 1, round.1 + read.event.amount);
    }
    let (mut each, mut out) = (Results::new(), Results::new());
    let mut pairs = BTreeMap::<(i64, u16), (u64, i64)>::new();
    for ((start, key), (count, sum)) in rounds {
        let over = start + ROUND - 1;
        if over < slowest {
            each.entry(key).or_default().push(format!("{count} {sum}"));
            let pair = pairs.entry((over - over.rem_euclid(2 * ROUND), key)).or_default();
            *pair = (pair.0 + 1, pair.1 + sum);
        }
    }
    let windows = Windows::tumbling(2 * ROUND, 0);
    for ((start, key), (count, sum)) in pairs {
        if windows.is_closed(start, slowest) {
            out.entry(key).or_default().push(format!("{start} {} {count} {sum}", start + windows.size));
        }
    }
    Expected { results: BTreeMap::from([("rounds-out", each), ("out", out)]), set_aside: reading.dead }
}
