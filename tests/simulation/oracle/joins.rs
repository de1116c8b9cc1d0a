//! What joins have to say: every left record is held against every right one.
//!
//! Not here: the library's joins. Invariant: as in the file above, nothing of the library's is used but the bytes of
//! a repartitioned value.

use std::collections::BTreeMap;

use processing_core::record::TopicPartition;
use processing_core::testing::Story;

use super::{Expected, Late, Read, Reading, Results, Windows};

/// From `before` before a left record to `after` after it.
struct Joining {
    before: i64,
    after: i64,
    grace: i64,
}

/// A record of either topic that is in time, and what its side waits for.
struct Sided<'r> {
    read: &'r Read,
    left: bool,
}

impl Joining {
    /// The records that are in time: left ones are those of "in". The others are late.
    fn in_time<'r>(&self, reading: &'r Reading) -> (Vec<Sided<'r>>, Late) {
        let is_late = |read: &&Read| read.event.time.0 + self.grace < read.stream_time;
        let late = reading.records.iter().filter(is_late).map(|read| ("late", read.value.clone())).collect();
        let in_time = reading.records.iter().filter(|read| !is_late(read));
        (in_time.map(|read| Sided { read, left: read.place.topic.as_str() == "in" }).collect(), late)
    }

    fn matches(&self, left: &Read, right: &Read) -> bool {
        let distance = right.event.time.0 - left.event.time.0;
        -self.before <= distance && distance <= self.after
    }

    /// Whether nothing can match a record any more when all inputs have come to `time`.
    fn is_over(&self, sided: &Sided<'_>, time: i64) -> bool {
        let bound = if sided.left { self.after } else { self.before };
        sided.read.event.time.0 + bound + self.grace < time
    }

    /// Pairs, and who is alone, of records that `alike` says have one key: their time, and what is said of them.
    fn results(
        &self,
        records: &[Sided<'_>],
        alike: impl Fn(&Read, &Read) -> bool,
        time: impl Fn(&Sided<'_>) -> i64,
        mut found: impl FnMut(Option<&Read>, Option<&Read>),
    ) {
        let (left, right): (Vec<&Sided<'_>>, Vec<&Sided<'_>>) = records.iter().partition(|sided| sided.left);
        let is_pair = |l: &Sided<'_>, r: &Sided<'_>| alike(l.read, r.read) && self.matches(l.read, r.read);
        for l in &left {
            for r in &right {
                if is_pair(l, r) {
                    found(Some(l.read), Some(r.read));
                }
            }
            if !right.iter().any(|r| is_pair(l, r)) && self.is_over(l, time(l)) {
                found(Some(l.read), None);
            }
        }
        for r in &right {
            if !left.iter().any(|l| is_pair(l, r)) && self.is_over(r, time(r)) {
                found(None, Some(r.read));
            }
        }
    }
}

fn same_key(a: &Read, b: &Read) -> bool {
    a.event.key == b.event.key
}

fn say(read: Option<&Read>) -> String {
    read.map_or("- -".to_owned(), |read| format!("{} {}", read.event.time.0, read.event.amount))
}

/// The time of a partition of a topic.
fn reached(reading: &Reading, topic: &str, partition: u32) -> i64 {
    reading.reached[&TopicPartition::new(topic, partition)]
}

/// What follows arrival is compared as a set in which things may be there several times.
fn sorted(mut results: Results) -> Results {
    results.values_mut().for_each(|lines| lines.sort());
    results
}

fn expected(reading: Reading, late: Late, results: Results) -> Expected {
    let set_aside = reading.dead.into_iter().chain(late).collect();
    Expected { results: BTreeMap::from([("out", sorted(results))]), set_aside }
}

pub(crate) fn inner_join(story: &Story) -> Expected {
    let joining = Joining { before: 300, after: 700, grace: 400 };
    let reading = Reading::of(story);
    let (records, late) = joining.in_time(&reading);
    let mut out = Results::new();
    joining.results(
        &records,
        same_key,
        |_| i64::MIN,
        |left, right| {
            if let (Some(left), Some(_)) = (left, right) {
                out.entry(left.event.key).or_default().push(format!("{} {}", say(Some(left)), say(right)));
            }
        },
    );
    expected(reading, late, out)
}

pub(crate) fn left_join(story: &Story) -> Expected {
    let joining = Joining { before: 0, after: 900, grace: 0 };
    let reading = Reading::of(story);
    let (records, late) = joining.in_time(&reading);
    let mut out = Results::new();
    let time = |sided: &Sided<'_>| {
        let partition = sided.read.place.partition.0;
        reached(&reading, "in", partition).min(reached(&reading, "in-b", partition))
    };
    joining.results(&records, same_key, time, |left, right| {
        if let Some(left) = left {
            out.entry(left.event.key).or_default().push(format!("{} {}", say(Some(left)), say(right)));
        }
    });
    expected(reading, late, out)
}

pub(crate) fn outer_join(story: &Story) -> Expected {
    let joining = Joining { before: 600, after: 200, grace: 300 };
    let windows = Windows::tumbling(1_000, 0);
    let reading = Reading::of(story);
    let (records, late) = joining.in_time(&reading);
    // The left side is read as it lies; the right one comes from everywhere.
    let right_time = |reading: &Reading| {
        let of_right = reading.reached.iter().filter(|(place, _)| place.topic.as_str() == "in-b");
        of_right.map(|(_, time)| *time).min().unwrap_or(i64::MIN)
    };
    let time = |read: &Read| reached(&reading, "in", read.place.partition.0).min(right_time(&reading));
    let mut out = Results::new();
    let mut counts = BTreeMap::<(i64, u16), (i64, i64)>::new();
    joining.results(
        &records,
        same_key,
        |sided| time(sided.read),
        |left, right| {
            let both = || left.into_iter().chain(right);
            let (Some(at), Some(read)) = (both().map(|read| read.event.time.0).max(), both().next()) else { return };
            out.entry(read.event.key).or_default().push(format!("{} {}", say(left), say(right)));
            // Nothing that is still to come is older than this.
            let reached = time(read).saturating_sub(joining.grace + joining.before.max(joining.after));
            counts.entry((windows.holding(at)[0], read.event.key)).or_insert((0, reached)).0 += 1;
        },
    );
    let mut closed = Results::new();
    for ((start, key), (count, reached)) in counts {
        if windows.is_closed(start, reached) {
            closed.entry(key).or_default().push(format!("{start} {} {count}", start + windows.size));
        }
    }
    let mut expected = expected(reading, late, out);
    expected.results.insert("counts", closed);
    expected
}

pub(crate) fn requests(story: &Story) -> Expected {
    let joining = Joining { before: 100, after: 800, grace: 300 };
    let span = joining.before + joining.after;
    let name = |read: &Read| read.event.key * 4 + (read.event.amount % 4) as u16;
    let reading = Reading::of(story);
    let (records, late) = joining.in_time(&reading);
    let mut out = Results::new();
    // Of one name the first one counts, and all that are not too near to one that counts. They come in their order.
    let mut counting: Vec<Sided<'_>> = Vec::new();
    for sided in records {
        let is_twin = |other: &Sided<'_>| {
            other.left == sided.left
                && name(other.read) == name(sided.read)
                && (other.read.event.time.0 - sided.read.event.time.0).abs() <= span
        };
        if counting.iter().any(is_twin) {
            let which = if sided.left { "requested" } else { "answered" };
            out.entry(name(sided.read)).or_default().push(format!("{which} again {}", say(Some(sided.read))));
        } else {
            counting.push(sided);
        }
    }
    let alike = |a: &Read, b: &Read| name(a) == name(b);
    joining.results(
        &counting,
        alike,
        |_| reading.slowest(),
        |request, answer| match (request, answer) {
            (Some(read), Some(_)) => {
                out.entry(name(read)).or_default().push(format!("answered {} {}", say(request), say(answer)));
            }
            (Some(read), None) => out.entry(name(read)).or_default().push(format!("timed out {}", say(request))),
            (None, Some(read)) => out.entry(name(read)).or_default().push(format!("unasked {}", say(answer))),
            (None, None) => {}
        },
    );
    expected(reading, late, out)
}

pub(crate) fn repartitioned(story: &Story) -> Expected {
    let windows = Windows::tumbling(1_000, 500);
    let reading = Reading::of(story);
    let (by_window, late) = reading.by_window(windows, |_| true);
    let (mut out, mut all) = (Results::new(), Results::new());
    for ((start, key), records) in &by_window {
        if windows.is_closed(*start, reading.slowest()) {
            let line = format!("{start} {} {} {}", start + windows.size, records.len(), super::sum(records));
            out.entry(*key).or_default().push(line);
        }
    }
    for Read { event, .. } in &reading.records {
        all.entry(event.key).or_default().push(event.amount.to_string());
    }
    // Late is what travelled.
    let mut travelled = Late::new();
    for read in reading.records.iter().filter(|read| late.contains(&("late", read.value.clone()))) {
        let mut bytes = Vec::new();
        state::codec::encode_into(&mut bytes, &read.event).expect("an event can be encoded");
        travelled.insert(("late", bytes));
    }
    let set_aside = reading.dead.iter().cloned().chain(travelled).collect();
    Expected { results: BTreeMap::from([("out", out), ("all", sorted(all))]), set_aside }
}
