//! What records have to say that are looked up in a table and counted with others.
//!
//! Not here: the library's joins and windows. Invariant: of the library's, nothing is used but the bytes of what
//! travels and the partition of a key.

use processing_core::log::partition_for_key;

use super::tables::versions;
use super::*;
use crate::events::TABLE;

const GRACE: i64 = 60;

pub(crate) fn sought(story: &Story) -> Expected {
    let windows = Windows::tumbling(200, GRACE);
    let inputs = story.inputs.iter().filter(|(place, _)| place.topic.as_str() == "in");
    let inputs = inputs.map(|(place, records)| (place.clone(), records.clone())).collect();
    let reading = Reading::of(&Story { inputs, raises: story.raises.clone() });
    let mut set_aside = reading.dead.clone();

    // What is not looked up is judged by the windows.
    let direct = |read: &Read| read.event.amount % 3 != 0;
    let (by_window, late) = reading.by_window(windows, direct);
    set_aside.extend(late);
    let mut counted = BTreeMap::<(i64, u16), Vec<i64>>::new();
    for (window, records) in by_window {
        counted.insert(window, records.iter().map(|read| read.event.amount).collect());
    }

    // What is looked up is judged by the join, and then by nothing.
    let mut tables = BTreeMap::new();
    for place in story.inputs.keys().filter(|place| place.topic.as_str() == TABLE) {
        let (versions, reached, dead) = versions(story, place, |row, _| row.time.0);
        set_aside.extend(dead.into_iter().map(|value| ("dlq", value)));
        tables.insert(place.partition.0, (versions, reached));
    }
    let partitions = tables.len() as u32;
    for Read { event, stream_time, .. } in reading.records.iter().filter(|read| !direct(read)) {
        let time = event.time.0;
        if time + GRACE < *stream_time {
            let mut travelled = Vec::new();
            state::codec::encode_into(&mut travelled, event).expect("an event can be encoded");
            set_aside.insert(("late", travelled));
            continue;
        }
        let (versions, _) = &tables[&partition_for_key(&event.key.to_be_bytes(), partitions).0];
        let mut past = versions.iter().filter(|version| version.key == event.key && version.effective <= time);
        let row = past.next_back().and_then(|version| version.row.as_ref());
        let key = row.map_or(event.key, |row| (row.amount % 5) as u16);
        counted.entry((time - time.rem_euclid(windows.size), key)).or_default().push(event.amount);
    }

    // A window closes when the slowest input has passed its grace, and every part of the table its end.
    let slowest_table = tables.values().map(|(_, reached)| *reached).min().unwrap_or(i64::MIN);
    let reached = reading.slowest().min(slowest_table.saturating_add(GRACE));
    let mut out = Results::new();
    for ((start, key), amounts) in counted.into_iter().filter(|((start, _), _)| windows.is_closed(*start, reached)) {
        let line = format!("{start} {} {} {}", start + windows.size, amounts.len(), amounts.iter().sum::<i64>());
        out.entry(key).or_default().push(line);
    }
    Expected { results: BTreeMap::from([("out", out)]), set_aside }
}
