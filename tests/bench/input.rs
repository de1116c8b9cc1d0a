//! The events that every case reads: searches of about 250 bytes over one hour of event time.
//!
//! Not here: the demo's feed, which is livelier. Invariant: an event is a function of its number.

use std::fmt::Write as _;
use std::path::Path;
use std::sync::Arc;

use processing_core::batch::{Headers, RecordBatch, RecordRef};
use processing_core::log::embedded::{Durability, EmbeddedLog, EmbeddedOptions};
use processing_core::log::{Cleanup, Log as _, TopicSettings, partition_for_key};
use processing_core::record::{LogTime, Offset, TopicName, TopicPartition};
use state::MemoryBudget;

pub(crate) const TOPIC: &str = "search.executed";
/// What every fourth search is followed by, half a minute later: for joins.
pub(crate) const CLICKS: &str = "search.clicked";
pub(crate) const CLICK_EVERY: u64 = 4;
/// A row for each user.
pub(crate) const PROFILED: &str = "user.profiled";
/// Searches that take days.
pub(crate) const LONG: &str = "search.executed.long";
const CLICK_AFTER_MS: i64 = 30_000;
pub(crate) const PARTITIONS: u32 = 4;
/// 2026-01-01 00:00 UTC.
pub(crate) const START_MS: i64 = 1_767_225_600_000;
pub(crate) const HOUR_MS: u64 = 3_600_000;
pub(crate) const CITIES: u64 = 5_000;
pub(crate) const USERS: u64 = 100_000;

/// A log in `folder/log` whose clock stands at the hour's end.
pub(crate) fn open(folder: &Path, budget: &MemoryBudget) -> Arc<EmbeddedLog> {
    let clock = Arc::new(|| LogTime(START_MS + HOUR_MS as i64));
    let mut options = EmbeddedOptions::new(clock);
    options.store.budget = Some(budget.clone());
    EmbeddedLog::open(&folder.join("log"), options).expect("the log opens")
}

/// Writes the events, keyed by user, in the order of event time.
pub(crate) fn feed(folder: &Path, events: u64, many_users: bool) {
    let users = if many_users { USERS * 10 } else { USERS };
    fill(folder, TOPIC, 0..events, |number, key, value| write(number, events, users, key, value));
}

/// Writes the clicks that follow `events` searches into their topic.
pub(crate) fn feed_clicks(folder: &Path, events: u64) {
    let clicks = events / CLICK_EVERY;
    fill(folder, CLICKS, 0..clicks, |number, key, value| {
        let search = number * CLICK_EVERY;
        let time = click_time(search, events);
        write_at(search, time, USERS, key, value);
        time
    });
}

/// Writes the profiles of those who search into their topic.
pub(crate) fn feed_profiles(folder: &Path) {
    fill(folder, PROFILED, 0..PROFILES, write_profile);
}

/// Writes as many searches into a topic of their own, in so many hours.
pub(crate) fn feed_hours(folder: &Path, events: u64, hours: u64) {
    fill(folder, LONG, 0..events, |number, key, value| {
        let time = time_within(number, events, hours);
        write_at(number, time, USERS, key, value);
        time
    });
}

/// Makes a topic of the records that `write` makes of `numbers`, by key.
pub(crate) fn fill(
    folder: &Path,
    name: &str,
    numbers: std::ops::Range<u64>,
    mut write: impl FnMut(u64, &mut String, &mut String) -> i64,
) {
    let log = open(folder, &MemoryBudget::default());
    let topic = TopicName::new(name);
    // Two cases may read the same.
    if log.admin().expect("admin").topic(&topic).expect("topics").is_some() {
        return;
    }
    let settings =
        TopicSettings { partitions: PARTITIONS, cleanup: Cleanup::Delete, retention_ms: None, log_append_time: false };
    log.admin().expect("admin").create_topic(&topic, settings).expect("the topic");
    let mut batches: Vec<RecordBatch> = (0..PARTITIONS).map(|_| RecordBatch::new()).collect();
    let (mut key, mut value) = (String::new(), String::new());
    let end = numbers.end;
    for number in numbers {
        let time = write(number, &mut key, &mut value);
        let record = RecordRef {
            offset: Offset::ZERO,
            timestamp: LogTime(time),
            key: Some(key.as_bytes()),
            value: Some(value.as_bytes()),
            headers: Headers::NONE,
        };
        let partition = partition_for_key(key.as_bytes(), PARTITIONS).0 as usize;
        batches[partition].push(record);
        if batches[partition].len() == 1_000 || number + 1 == end {
            for (partition, batch) in (0..).zip(&mut batches) {
                if !batch.is_empty() {
                    log.append(&TopicPartition::new(name, partition), batch, Durability::Disk).expect("appended");
                    batch.clear();
                }
            }
        }
    }
    // Merging the runs of what was just written is the producer's cost, not that of whoever reads it.
    log.settle().expect("settled");
}

/// Event number `number` of `events`; answers its event time.
pub(crate) fn write(number: u64, events: u64, users: u64, key: &mut String, value: &mut String) -> i64 {
    let time = time(number, events);
    write_at(number, time, users, key, value);
    time
}

/// Event number `number` as it would be at another time.
pub(crate) fn write_at(number: u64, time: i64, users: u64, key: &mut String, value: &mut String) {
    let hash = hash(number);
    let (user, city) = (user(number, users), city(number));
    key.clear();
    value.clear();
    write!(key, "u{user:06}").expect("a String takes all");
    write!(
        value,
        "{{\"event_id\":\"{hash:016x}\",\"event_type\":\"search.executed\",\"timestamp\":{time},\
         \"payload\":{{\"user_id\":\"u{user:06}\",\"session_id\":\"s{:010x}\",\"query\":\"things to do near river\",\
         \"city\":\"City {city:04}\",\"source\":\"{}\",\"result_count\":{},\"locale\":\"en\"}}}}",
        hash >> 24,
        if hash & 1 == 0 { "chat" } else { "manual" },
        result_count(number),
    )
    .expect("a String takes all");
}

/// When event number `number` of `events` happened.
pub(crate) fn time(number: u64, events: u64) -> i64 {
    time_within(number, events, 1)
}

/// When it would have happened if all of them had taken so many hours.
pub(crate) fn time_within(number: u64, events: u64, hours: u64) -> i64 {
    START_MS + (number * hours * HOUR_MS / events) as i64
}

/// How many results it had.
pub(crate) fn result_count(number: u64) -> u64 {
    (hash(number) >> 9) % 40
}

/// When the click came that answered search number `search` of `events`.
pub(crate) fn click_time(search: u64, events: u64) -> i64 {
    time(search, events) + CLICK_AFTER_MS
}

/// What a user's profile says, an hour before the first event. Numbers beyond the users are nobody's, at the last event's
/// time: they tell each partition of the table that nothing has changed meanwhile.
pub(crate) fn write_profile(number: u64, key: &mut String, value: &mut String) -> i64 {
    key.clear();
    value.clear();
    write!(value, "{{\"weight\":{}}}", weight(number)).expect("a String takes all");
    if number < USERS {
        write!(key, "u{number:06}").expect("a String takes all");
        START_MS - HOUR_MS as i64
    } else {
        write!(key, "nobody {number}").expect("a String takes all");
        START_MS + HOUR_MS as i64
    }
}

/// Profiles and what ends them.
pub(crate) const PROFILES: u64 = USERS + 100;

/// What a user counts for.
pub(crate) fn weight(user: u64) -> u64 {
    user % 7 + 1
}

/// Who searched.
pub(crate) fn user(number: u64, users: u64) -> u64 {
    (hash(number) >> 17) % users
}

/// Where to: the third power skews cities, so a few get most of the searches.
pub(crate) fn city(number: u64) -> u64 {
    let unit = (hash(number) >> 11) as f64 / (1_u64 << 53) as f64;
    (unit * unit * unit * CITIES as f64) as u64
}

/// A multiplicative hash: spread like chance, the same every time.
pub(crate) fn hash(number: u64) -> u64 {
    number.wrapping_mul(0x9e37_79b9_7f4a_7c15)
}
