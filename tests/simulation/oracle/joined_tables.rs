//! What joins of tables, and joins with tables that every task holds, have to say.
//!
//! Not here: tables beside streams of the same key ([`super::tables`]). Invariant: rows are those that a table's topic
//! says from its beginning on; nothing is kept from one record to the next.

use processing_core::log::partition_for_key;

use super::tables::{Version, versions};
use super::*;
use crate::events::{EVERYWHERE, IN_TOO, TABLE, TABLE_TOO};
use crate::topologies::tables::named;

/// A table at the end of its topic, and its dead letters.
struct Standing {
    rows: BTreeMap<u16, Happening>,
    dead: Vec<Vec<u8>>,
}

fn standing(story: &Story, topic: &str, time: fn(&Happening, i64) -> i64) -> Standing {
    let mut standing = Standing { rows: BTreeMap::new(), dead: Vec::new() };
    for place in story.inputs.keys().filter(|place| place.topic.as_str() == topic) {
        let (versions, _, dead) = versions(story, place, time);
        standing.dead.extend(dead);
        for Version { key, row, .. } in versions {
            match row {
                Some(row) => drop(standing.rows.insert(key, row)),
                None => drop(standing.rows.remove(&key)),
            }
        }
    }
    standing
}

fn by_row(row: &Happening, _: i64) -> i64 {
    row.time.0
}

fn by_log(_: &Happening, logged: i64) -> i64 {
    logged
}

fn word(row: Option<&Happening>) -> String {
    row.map_or("-".to_owned(), |row| row.amount.to_string())
}

fn pairs(left: Standing, right: Standing, keeps: fn(bool, bool) -> bool) -> Expected {
    let keys: BTreeSet<u16> = left.rows.keys().chain(right.rows.keys()).copied().collect();
    let both = |key: u16| (left.rows.get(&key), right.rows.get(&key));
    let kept = keys.into_iter().map(|key| (key, both(key))).filter(|(_, (l, r))| keeps(l.is_some(), r.is_some()));
    let out = kept.map(|(key, (left, right))| (key, vec![format!("{} {}", word(left), word(right))])).collect();
    let set_aside = left.dead.into_iter().chain(right.dead).map(|value| ("dlq", value)).collect();
    Expected { results: BTreeMap::from([("out", out)]), set_aside }
}

pub(crate) fn tables_inner(story: &Story) -> Expected {
    pairs(standing(story, TABLE, by_log), standing(story, TABLE_TOO, by_row), |left, right| left && right)
}

pub(crate) fn tables_outer(story: &Story) -> Expected {
    pairs(standing(story, TABLE, by_row), standing(story, TABLE_TOO, by_log), |_, _| true)
}

/// In no order: that of several partitions' records of one time is nobody's.
pub(crate) fn gathered(story: &Story) -> Expected {
    const GRACE: i64 = 3;
    let reading = Reading::of(&without(story, &[TABLE]));
    let settled = reading.slowest().saturating_sub(GRACE);
    let mut set_aside = reading.dead.clone();
    let mut tables = BTreeMap::new();
    for place in story.inputs.keys().filter(|place| place.topic.as_str() == TABLE) {
        let (versions, reached, dead) = versions(story, place, by_row);
        set_aside.extend(dead.into_iter().map(|value| ("dlq", value)));
        tables.insert(place.partition.0, (versions, reached));
    }
    let partitions = tables.len() as u32;
    let mut out = Results::new();
    for Read { event, stream_time, .. } in reading.records {
        let (key, EventTime(time)) = (event.key % 3, event.time);
        if time + GRACE < stream_time {
            let mut travelled = Vec::new();
            state::codec::encode_into(&mut travelled, &event).expect("an event can be encoded");
            set_aside.insert(("late", travelled));
            continue;
        }
        let (versions, reached) = &tables[&partition_for_key(&key.to_be_bytes(), partitions).0];
        if time > settled || time >= *reached {
            continue;
        }
        let mut past = versions.iter().filter(|version| version.key == key && version.effective <= time);
        let row = past.next_back().and_then(|version| version.row.as_ref()).map_or(0, |row| row.amount);
        out.entry(key).or_default().push(format!("{time} {} {} {row}", event.key, event.amount));
    }
    out.values_mut().for_each(|lines| lines.sort());
    Expected { results: BTreeMap::from([("out", out)]), set_aside }
}

/// What is said last, however seldom something is said.
pub(crate) fn limited(story: &Story) -> Expected {
    let mut expected = pairs(standing(story, TABLE, by_log), standing(story, TABLE_TOO, by_log), |_, _| true);
    let Reading { records, dead, .. } = Reading::of(&without(story, &[TABLE, TABLE_TOO]));
    let (mut latest, mut sums) = (Results::new(), BTreeMap::<u16, (u64, i64)>::new());
    for Read { event, value, .. } in records {
        let sum = sums.entry(event.key).or_default();
        *sum = (sum.0 + 1, sum.1 + event.amount);
        latest.remove(&event.key);
        if event.amount % 5 > 0 {
            latest.insert(event.key, vec![String::from_utf8_lossy(&value).into_owned()]);
        }
    }
    let current = sums.into_iter().map(|(key, (count, sum))| (key, vec![format!("{count} {sum}")]));
    expected.results.extend([("latest", latest), ("current", current.collect())]);
    expected.set_aside.extend(dead);
    expected
}

/// The story without the inputs of some topics.
fn without(story: &Story, topics: &[&str]) -> Story {
    let inputs = story.inputs.iter().filter(|(place, _)| !topics.contains(&place.topic.as_str()));
    let inputs = inputs.map(|(place, records)| (place.clone(), records.clone())).collect();
    Story { inputs, raises: story.raises.clone() }
}

pub(crate) fn tables_of_three(story: &Story) -> Expected {
    let two = pairs(standing(story, TABLE, by_log), standing(story, TABLE_TOO, by_log), |left, _| left);
    let Reading { records, dead, .. } = Reading::of(&without(story, &[TABLE, TABLE_TOO]));
    let mut out = Results::new();
    for (key, values) in two.results.into_values().flatten() {
        let of_key =
            || records.iter().filter(|record| record.place.topic.as_str() == IN_TOO && record.event.key == key);
        if of_key().next().is_some() {
            let sum = of_key().map(|record| record.event.amount).sum::<i64>();
            out.insert(key, vec![format!("{} {} {sum}", values[0], of_key().count())]);
        }
    }
    Expected { results: BTreeMap::from([("out", out)]), set_aside: two.set_aside.into_iter().chain(dead).collect() }
}

/// What streams make with a table that every task holds.
struct Broadcasted {
    /// The accepted records whose rows are settled, in the order of their times, by the number of their partition.
    joined: Vec<(Read, Option<Happening>)>,
    /// Nothing of what comes later is of an earlier time.
    reached: i64,
    set_aside: BTreeSet<(&'static str, Vec<u8>)>,
}

fn broadcasted(story: &Story, grace: i64, time: fn(&Happening, i64) -> i64) -> Broadcasted {
    let Reading { records, dead, reached } = Reading::of(&without(story, &[EVERYWHERE]));
    let mut set_aside = dead;
    let (mut all, mut table_time) = (Vec::new(), i64::MAX);
    for place in story.inputs.keys().filter(|place| place.topic.as_str() == EVERYWHERE) {
        let (versions, reached, dead) = versions(story, place, time);
        set_aside.extend(dead.into_iter().map(|value| ("dlq", value)));
        all.extend(versions);
        table_time = table_time.min(reached);
    }
    let several = reached.keys().map(|place| &place.topic).collect::<BTreeSet<_>>().len() > 1;
    // A topic that has fewer partitions has no say in the others' tasks.
    let settled = |partition| {
        let of_task = reached.iter().filter(|(place, _)| place.partition == partition);
        of_task.map(|(_, time)| *time).min().unwrap_or(i64::MIN).saturating_sub(grace)
    };
    let mut joined = Vec::new();
    for record in records {
        let (at, settled) = (record.event.time.0, settled(record.place.partition));
        if at + grace < record.stream_time {
            set_aside.insert(("late", record.value));
        } else if at < table_time && (at < settled || (at == settled && !several)) {
            let key = named(&record.event);
            // The last one in the log of those that had taken effect.
            let version = all.iter().rfind(|version| Some(version.key) == key && version.effective <= at);
            let row = version.and_then(|version| version.row.clone());
            joined.push((record, row));
        }
    }
    joined.sort_by_key(|(record, _)| record.event.time);
    let slowest = reached.keys().map(|place| settled(place.partition)).min().unwrap_or(i64::MIN);
    Broadcasted { joined, reached: slowest.min(table_time), set_aside }
}

pub(crate) fn broadcast_join(story: &Story) -> Expected {
    let Broadcasted { joined, set_aside, .. } = broadcasted(story, 3, by_row);
    let mut out = Results::new();
    for (record, row) in joined {
        let Some(row) = row else { continue };
        let Happening { key, time, amount } = record.event;
        out.entry(key).or_default().push(format!("{} {amount} {}", time.0, row.amount));
    }
    Expected { results: BTreeMap::from([("out", out)]), set_aside }
}

pub(crate) fn broadcast_left_join(story: &Story) -> Expected {
    let Broadcasted { joined, reached, set_aside } = broadcasted(story, 0, by_log);
    let windows = Windows::tumbling(200, 50);
    let mut sums = BTreeMap::<(i64, u16), (u64, i64)>::new();
    for (record, row) in joined {
        for start in windows.holding(record.event.time.0) {
            let sum = sums.entry((start, record.event.key)).or_default();
            *sum = (sum.0 + 1, sum.1 + row.as_ref().map_or(0, |row| row.amount));
        }
    }
    let mut out = Results::new();
    for ((start, key), (count, sum)) in sums {
        if windows.is_closed(start, reached) {
            out.entry(key).or_default().push(format!("{start} {} {count} {sum}", start + windows.size));
        }
    }
    Expected { results: BTreeMap::from([("out", out)]), set_aside }
}
