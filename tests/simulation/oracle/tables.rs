//! What joins with tables have to say.
//!
//! Not here: windows. Invariant: for each record of the stream, the whole history of its key is computed from the
//! table's partition, and the row at the record's time is looked for in it.

use processing_core::record::EventTime;

use super::*;
use crate::events::{IN_TOO, TABLE};

/// A row that took effect at a time, or the lack of one from then on.
pub(super) struct Version {
    pub(super) effective: i64,
    pub(super) key: u16,
    pub(super) row: Option<Happening>,
}

/// One partition of the stream and of the table.
struct Side {
    /// The accepted records whose rows are settled, in the order of their times.
    records: Vec<(Read, Option<Happening>)>,
    /// Nothing of what comes later is of an earlier time.
    reached: i64,
}

struct Join {
    sides: BTreeMap<u32, Side>,
    set_aside: BTreeSet<(&'static str, Vec<u8>)>,
}

/// The versions of a partition's rows in the order of the log, where its time stands at the end, and dead letters.
pub(super) fn versions(
    story: &Story,
    place: &TopicPartition,
    time: fn(&Happening, i64) -> i64,
) -> (Vec<Version>, i64, Vec<Vec<u8>>) {
    let raises = || story.raises.iter().filter(|(at, ..)| at == place);
    let (mut versions, mut dead, mut stream_time) = (Vec::new(), Vec::new(), i64::MIN);
    for record in &story.inputs[place] {
        let before = raises().filter(|(_, offset, _)| *offset <= record.offset);
        stream_time = before.map(|(.., time)| time.0).fold(stream_time, i64::max);
        let key = record.key.as_deref().and_then(|key| Some(u16::from_be_bytes(key.try_into().ok()?)));
        let key = key.expect("every record of the table has a key");
        let row = record.value.as_deref().map(|value| Happening::parse(Some(value)));
        let logged = record.timestamp.0;
        let at = match &row {
            None => Some(logged),
            Some(row) => row.as_ref().map(|row| time(row, logged)),
        };
        match at {
            Some(at) if at <= logged + FUTURE_BOUND_MS => {
                stream_time = stream_time.max(at);
                versions.push(Version { effective: stream_time, key, row: row.flatten() });
            }
            _ => dead.push(record.value.clone().unwrap_or_default()),
        }
    }
    let reached = raises().map(|(.., time)| time.0).fold(stream_time, i64::max);
    (versions, reached, dead)
}

fn join(story: &Story, grace: i64, time: fn(&Happening, i64) -> i64) -> Join {
    let inputs = story.inputs.iter().filter(|(place, _)| place.topic.as_str() != TABLE);
    let inputs = inputs.map(|(place, records)| (place.clone(), records.clone())).collect();
    let reading = Reading::of(&Story { inputs, raises: story.raises.clone() });
    let mut set_aside = reading.dead;
    let mut sides = BTreeMap::new();
    let mut by_partition = BTreeMap::<u32, Vec<Read>>::new();
    for record in reading.records {
        if record.event.time.0 + grace < record.stream_time {
            set_aside.insert(("late", record.value));
        } else {
            by_partition.entry(record.place.partition.0).or_default().push(record);
        }
    }
    let several = reading.reached.keys().any(|place| place.topic.as_str() == IN_TOO);
    for place in story.inputs.keys().filter(|place| place.topic.as_str() == TABLE) {
        let (versions, table_time, dead) = versions(story, place, time);
        set_aside.extend(dead.into_iter().map(|value| ("dlq", value)));
        let partition = place.partition;
        let of_stream = reading.reached.iter().filter(|(place, _)| place.partition == partition);
        let settled = of_stream.map(|(_, time)| *time).min().unwrap_or(i64::MIN).saturating_sub(grace);
        let mut records = by_partition.remove(&partition.0).unwrap_or_default();
        // Stable: within a topic the order of the log stays, and `in` sorts before `in-too`.
        records.sort_by_key(|record| (record.event.time.0, record.place.topic.as_str().to_owned()));
        let is_settled = |time: i64| time < table_time && if several { time < settled } else { time <= settled };
        let records = records.into_iter().filter(|record| is_settled(record.event.time.0)).map(|record| {
            let mut past = versions.iter().filter(|version| version.key == record.event.key);
            // The last one in the log of those that had taken effect.
            let at = past.rfind(|version| version.effective <= record.event.time.0);
            let row = at.and_then(|version| version.row.clone());
            (record, row)
        });
        sides.insert(partition.0, Side { records: records.collect(), reached: settled.min(table_time) });
    }
    Join { sides, set_aside }
}

pub(crate) fn table_join(story: &Story) -> Expected {
    let Join { sides, set_aside } = join(story, 3, |row, _| row.time.0);
    let mut out = Results::new();
    for (record, row) in sides.into_values().flat_map(|side| side.records) {
        let Some(row) = row else { continue };
        let Happening { key, time, amount } = record.event;
        out.entry(key).or_default().push(format!("{} {amount} {}", time.0, row.amount));
    }
    Expected { results: BTreeMap::from([("out", out)]), set_aside }
}

pub(crate) fn table_left_join(story: &Story) -> Expected {
    let Join { sides, set_aside } = join(story, 0, |_, logged| logged);
    let windows = Windows::tumbling(200, 50);
    let (mut joined, mut out) = (Results::new(), Results::new());
    for side in sides.into_values() {
        let mut sums = BTreeMap::<(i64, u16), (u64, i64)>::new();
        for (record, row) in side.records {
            let Happening { key, time, amount } = record.event;
            let row = row.map_or(0, |row| row.amount);
            joined.entry(key).or_default().push(format!("{} {amount} {row}", time.0));
            for start in windows.holding(time.0) {
                let sum = sums.entry((start, key)).or_default();
                *sum = (sum.0 + 1, sum.1 + row);
            }
        }
        for ((start, key), (count, sum)) in sums {
            if windows.is_closed(start, side.reached) {
                out.entry(key).or_default().push(format!("{start} {} {count} {sum}", start + windows.size));
            }
        }
    }
    Expected { results: BTreeMap::from([("joined", joined), ("out", out)]), set_aside }
}

pub(crate) fn folded(story: &Story) -> Expected {
    const TO_LIVE: i64 = 900;
    let Reading { records, dead, reached } = Reading::of(story);
    let mut set_aside = dead;
    // By key: where it is, the time of its last record, how many, their sum. And the last record, if it stays.
    let (mut rows, mut last) = (BTreeMap::<u16, (TopicPartition, i64, u64, i64)>::new(), BTreeMap::new());
    for Read { place, event, value, stream_time, .. } in records {
        let Happening { key, time: EventTime(time), amount } = event;
        last.remove(&key);
        if amount % 5 > 0 {
            last.insert(key, vec![String::from_utf8_lossy(&value).into_owned()]);
        }
        if time + TO_LIVE < stream_time {
            set_aside.insert(("late", value));
            continue;
        }
        let row = rows.entry(key).or_insert((place, time, 0, 0));
        if row.1 + TO_LIVE < stream_time.max(time) {
            (row.1, row.2, row.3) = (time, 0, 0);
        }
        (row.1, row.2, row.3) = (row.1.max(time), row.2 + 1, row.3 + amount);
    }
    let living = rows.into_iter().filter(|(_, (place, last, ..))| last + TO_LIVE >= reached[place]);
    let current = living.map(|(key, (.., count, sum))| (key, vec![format!("{count} {sum}")]));
    Expected { results: BTreeMap::from([("current", current.collect()), ("latest", last)]), set_aside }
}
