//! Real people: the 100 000 ratings of MovieLens 100k (GroupLens, 1997 and 1998) as LENS's own `user-interactions`, and
//! everything that the worker says of them beside the table itself.
//!
//! Not here: the ratings, whose licence forbids passing them on. `STREAMFLEET_MOVIELENS` names the file, `ml-100k.inter` of
//! PyPI's `recbole`; without it the test says that it is skipped. `make real-data` fetches it. Invariant: what is expected is
//! counted in rows of numbers by whole seconds; nothing of the worker or its library has a part in it.

#![allow(clippy::unwrap_used, reason = "a test stops where its helper finds nothing")]

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write as _;

use engagement_metrics::definitions::Definitions;
use engagement_metrics::reading::CONTRACTS;
use engagement_metrics::{EngagementSettings, topology};
use processing_core::log::partition_for_key;
use processing_core::prelude::*;
use processing_core::record::{LogTime, Partition, TopicName, TopicPartition};
use processing_core::testing::{Arrival, Feed, Outcome, SimOptions, simulate_seed};
use serde_json::Value;

const TOPIC: &str = "user-interactions";
const PARTITIONS: u32 = 3;
/// Whose events only move time on: what is internal is counted apart.
const CLOCK: &str = "test-clock";

/// All in seconds.
const MINUTE: i64 = 60;
const HOUR: i64 = 60 * MINUTE;
const DAY: i64 = 24 * HOUR;
const GAP: i64 = 30 * MINUTE;

/// A row of the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Rating {
    /// In seconds since 1970.
    at: i64,
    user: u32,
    item: u32,
    stars: i64,
}

/// The table in the order of time.
fn ratings(text: &str) -> Vec<Rating> {
    let mut lines = text.lines();
    assert_eq!(lines.next(), Some("user_id:token\titem_id:token\trating:float\ttimestamp:float"), "another table");
    let rating = |line: &str| {
        let numbers: Vec<i64> = line.split('\t').map(|number| number.parse().unwrap()).collect();
        let [user, item, stars, at] = numbers[..] else { panic!("a row of four numbers, not {line:?}") };
        Rating { at, user: user.try_into().unwrap(), item: item.try_into().unwrap(), stars }
    };
    let mut ratings: Vec<Rating> = lines.map(rating).collect();
    ratings.sort_unstable();
    ratings
}

/// What LENS publishes, in the order of time, and behind it a moment of a time when everything is over. All other topics
/// of the shipped contracts are there, and silent.
fn feed(settings: &EngagementSettings, ratings: &[Rating]) -> Feed {
    let place = |partition| TopicPartition { topic: TopicName::new(TOPIC), partition };
    let arrival = |at_ms, at: i64, partition, key: &str, value: String| Arrival {
        at_ms,
        timestamp: Some(LogTime(at * 1_000)),
        place: place(partition),
        key: Some(key.as_bytes().to_vec()),
        value: Some(value.into_bytes()),
    };
    let mut arrivals: Vec<Arrival> = Vec::new();
    for (number, Rating { at, user, item, stars }) in (0..).zip(ratings) {
        let user = user.to_string();
        let value = format!(
            "{{\"userId\":\"{user}\",\"movieId\":\"{item}\",\"interactionType\":\"rate\",\"rating\":{stars},\"timestamp\":{at}}}"
        );
        arrivals.push(arrival(number / 25, *at, partition_for_key(user.as_bytes(), PARTITIONS), &user, value));
    }
    let (last, end) = (&arrivals[arrivals.len() - 1], ratings[ratings.len() - 1].at + 40 * DAY);
    let at_ms = last.at_ms + 1;
    for partition in 0..PARTITIONS {
        let value = format!("{{\"userId\":\"{CLOCK}\",\"interactionType\":\"view\",\"timestamp\":{end}}}");
        arrivals.push(arrival(at_ms, end, Partition(partition), CLOCK, value));
    }
    let topics = settings.contracts.topics(CONTRACTS);
    let partitions = |topic: &str| if topic == TOPIC { PARTITIONS } else { 1 };
    let inputs = topics.iter().map(|reader| (TopicName::new(reader.topic()), partitions(reader.topic())));
    Feed { inputs: inputs.collect(), arrivals }
}

/// What is told of a minute, an hour or a day.
#[derive(Debug, Default, PartialEq, Eq)]
struct Span {
    ratings: u64,
    users: u64,
    /// Sessions that were over, those of one rating, and all their ratings.
    sessions: [u64; 3],
    /// From their first ratings to their last ones, in milliseconds.
    millis: u64,
}

/// What is told of a day alone.
#[derive(Debug, Default, PartialEq, Eq)]
struct Today {
    new: u64,
    returning: u64,
    resurrected: u64,
    week: u64,
    month: u64,
    /// Users with a rating on at least 2, 3, 7, 14 and 30 days in a row.
    streaks: [u64; 5],
    /// Ratings of the sessions that were over, and their stars.
    ratings: u64,
    stars: u64,
}

/// What is told of a session.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Session {
    first: i64,
    last: i64,
    ratings: u64,
    stars: u64,
    journey: String,
}

/// By first second.
type Spans = BTreeMap<i64, Span>;

/// All that is told of a scope.
#[derive(Debug, Default)]
struct Told {
    minutes: Spans,
    hours: Spans,
    days: Spans,
    todays: BTreeMap<i64, Today>,
    /// By the cohort's day and the days since: who was new, and who of them is back.
    cohorts: BTreeMap<(i64, i64), [u64; 2]>,
}

const STREAKS: [i64; 5] = [2, 3, 7, 14, 30];

/// A pause of more than half an hour splits, and so does midnight.
fn sessions(ratings: &[Rating]) -> Vec<Vec<Session>> {
    let mut users: BTreeMap<u32, Vec<Rating>> = BTreeMap::new();
    ratings.iter().for_each(|rating| users.entry(rating.user).or_default().push(*rating));
    let of_user = |ratings: Vec<Rating>| {
        let together = |a: &Rating, b: &Rating| b.at - a.at <= GAP && a.at / DAY == b.at / DAY;
        let session = |of: &[Rating]| Session {
            first: of[0].at,
            last: of[of.len() - 1].at,
            ratings: of.len() as u64,
            stars: of.iter().map(|rating| rating.stars.unsigned_abs()).sum(),
            journey: vec!["rate"; of.len().min(12)].join(" > ") + if of.len() > 12 { " > ..." } else { "" },
        };
        ratings.chunk_by(together).map(session).collect()
    };
    users.into_values().map(of_user).collect()
}

/// Ratings, users and ended sessions by spans of so many seconds.
fn spans(ratings: &[Rating], sessions: &[Vec<Session>], length: i64) -> Spans {
    let start = |at: i64| at / length * length;
    let mut spans = Spans::new();
    let mut users: BTreeMap<i64, BTreeSet<u32>> = BTreeMap::new();
    for rating in ratings {
        spans.entry(start(rating.at)).or_default().ratings += 1;
        users.entry(start(rating.at)).or_default().insert(rating.user);
    }
    for (start, users) in users {
        spans.entry(start).or_default().users = users.len() as u64;
    }
    for session in sessions.iter().flatten() {
        // It is known to be over with the minute in which the pause has become too long, or with the day.
        let over = ((session.last + GAP) / MINUTE * MINUTE).min(session.last / DAY * DAY + DAY - 1);
        let span = spans.entry(start(over)).or_default();
        let counts = [1, u64::from(session.ratings == 1), session.ratings];
        span.sessions.iter_mut().zip(counts).for_each(|(sum, count)| *sum += count);
        span.millis += (session.last - session.first).unsigned_abs() * 1_000;
    }
    spans
}

/// The days of each user, and from them who is new, back, still there, and with their cohort.
fn people(ratings: &[Rating], sessions: &[Vec<Session>], told: &mut Told) {
    let mut users: BTreeMap<u32, BTreeSet<i64>> = BTreeMap::new();
    for rating in ratings {
        users.entry(rating.user).or_default().insert(rating.at / DAY);
    }
    for days in users.values() {
        let (first, last) = (*days.first().unwrap(), *days.last().unwrap());
        for age in [1, 7, 28] {
            let [new, back] = told.cohorts.entry((first, age)).or_default();
            *new += 1;
            *back += u64::from(days.contains(&(first + age)));
            told.todays.entry(first + age).or_default();
        }
        for day in first..last + 28 {
            let within = |length: i64| days.range(day - length + 1..=day).next().is_some();
            if !within(28) {
                continue;
            }
            let today = told.todays.entry(day).or_default();
            today.month += 1;
            today.week += u64::from(within(7));
            if days.contains(&day) {
                match days.range(..day).next_back() {
                    None => today.new += 1,
                    Some(before) if day - before <= 28 => today.returning += 1,
                    Some(_) => today.resurrected += 1,
                }
                for (count, length) in today.streaks.iter_mut().zip(STREAKS) {
                    *count += u64::from((0..length).all(|back| days.contains(&(day - back))));
                }
            }
        }
    }
    for session in sessions.iter().flatten() {
        let today = told.todays.get_mut(&(session.first / DAY)).unwrap();
        today.ratings += session.ratings;
        today.stars += session.stars;
    }
    // A day of which only this is told has a result like any other.
    for day in told.todays.keys() {
        told.days.entry(day * DAY).or_default();
    }
}

fn expected(ratings: &[Rating], sessions: &[Vec<Session>]) -> Told {
    let of = |length| spans(ratings, sessions, length);
    let mut told = Told { minutes: of(MINUTE), hours: of(HOUR), days: of(DAY), ..Told::default() };
    people(ratings, sessions, &mut told);
    told
}

/// A number of a result.
fn number(value: &Value) -> u64 {
    value.as_u64().unwrap_or_else(|| panic!("no number: {value}"))
}

/// A mean as the sum that it was made of: of so few whole numbers, a mean to the millionth tells their sum.
fn sum(mean: &Value, count: u64) -> u64 {
    if count == 0 {
        assert!(mean.is_null(), "a mean of nothing: {mean}");
        return 0;
    }
    (mean.as_f64().unwrap() * count as f64).round() as u64
}

fn share(said: &Value, part: u64, whole: u64) {
    let right = match said.as_f64() {
        None => whole == 0,
        Some(said) => (said - part as f64 / whole as f64).abs() < 1.1e-6,
    };
    assert!(right, "{said} is not {part} / {whole}");
}

/// When a result's window begins, in seconds, and that it is as long as it should be.
fn begin(result: &Value, length: i64) -> i64 {
    let at = |field: &str| result[field].as_i64().unwrap();
    assert_eq!(at("window_end_ms") - at("window_start_ms"), length * 1_000, "{result}");
    at("window_start_ms") / 1_000
}

/// The results of a topic under a key.
fn results(outcome: &Outcome, topic: &str, about: &str) -> Vec<Value> {
    let topic = outcome.results.get(topic).unwrap_or_else(|| panic!("nothing on {topic}"));
    let ours = topic.iter().filter(|((_, key), _)| key == about.as_bytes());
    ours.flat_map(|(_, values)| values).map(|value| serde_json::from_slice(value).unwrap()).collect()
}

/// What is told in the name of a scope.
fn said(outcome: &Outcome, scope: &str) -> Told {
    let mut told = Told::default();
    for (topic, length, spans) in [
        ("engagement.metrics.1m.v1", MINUTE, &mut told.minutes),
        ("engagement.metrics.1h.v1", HOUR, &mut told.hours),
        ("engagement.metrics.1d.v1", DAY, &mut told.days),
    ] {
        for result in results(outcome, topic, scope) {
            let of = &result["sessions"];
            let (count, bounces) = (number(&of["count"]), number(&of["bounces"]));
            share(&of["bounce_rate"], bounces, count);
            let span = Span {
                ratings: number(&result["requests"]),
                users: number(&result["active_users"]),
                sessions: [count, bounces, sum(&of["mean_requests"], count)],
                millis: sum(&of["mean_duration_ms"], count),
            };
            let kinds = result["by_kind"].as_object().unwrap();
            assert_eq!(kinds.values().map(number).sum::<u64>(), span.ratings, "{result}");
            assert!(kinds.keys().all(|kind| kind == "rate"), "{result}");
            assert_eq!(number(&result["bot_requests"]) + number(&result["internal_requests"]), 0, "{result}");
            if length == DAY {
                told.todays.insert(begin(&result, DAY) / DAY, today(&result["day"], span.users));
            }
            assert_eq!(spans.insert(begin(&result, length), span), None, "told twice: {result}");
        }
    }
    for age in [1, 7, 28] {
        for result in results(outcome, "engagement.retention.1d.v1", &format!("{scope}/{age}d")) {
            let cohort = result["cohort_start_ms"].as_i64().unwrap() / 1_000 / DAY;
            assert_eq!(begin(&result, DAY) / DAY, cohort + age, "{result}");
            let counts = [number(&result["cohort_users"]), number(&result["retained_users"])];
            share(&result["retention"], counts[1], counts[0]);
            assert_eq!(told.cohorts.insert((cohort, age), counts), None, "told twice: {result}");
        }
    }
    told
}

fn today(day: &Value, users: u64) -> Today {
    let rated = &day["search_and_rating"];
    assert_eq!(number(&rated["after_search"]["count"]), 0, "nobody searched: {rated}");
    let (group, month) = (&rated["without_search"], number(&day["active_users_28d"]));
    share(&day["stickiness"], users, month);
    Today {
        new: number(&day["new_users"]),
        returning: number(&day["returning_users"]),
        resurrected: number(&day["resurrected_users"]),
        week: number(&day["active_users_7d"]),
        month,
        streaks: STREAKS.map(|length| number(&day["streaks"][length.to_string()])),
        ratings: number(&group["count"]),
        stars: sum(&group["mean"], number(&group["count"])),
    }
}

/// The sessions of each user. Who it is stands there as a hash, so users are compared by what they did.
fn said_sessions(outcome: &Outcome) -> Vec<Vec<Session>> {
    let mut users: Vec<Vec<Session>> = Vec::new();
    for values in outcome.results["engagement.sessions.v1"].values() {
        let session = |value: &Vec<u8>| {
            let result: Value = serde_json::from_slice(value).unwrap();
            let at = |field: &str| result[field].as_i64().unwrap();
            let (first, last) = (at("window_start_ms"), at("window_end_ms") - 1);
            assert_eq!((at("duration_ms"), first % 1_000, last % 1_000), (last - first, 0, 0), "{result}");
            assert_eq!(at("ratings_after_search") + at("rating_thousandths_after_search"), 0, "{result}");
            assert_eq!(
                (&result["ratings_without_search"], at("requests") == 1),
                (&result["requests"], result["bounce"] == true)
            );
            Session {
                first: first / 1_000,
                last: last / 1_000,
                ratings: number(&result["requests"]),
                stars: number(&result["rating_thousandths_without_search"]) / 1_000,
                journey: result["journey"].as_str().unwrap().to_owned(),
            }
        };
        users.push(values.iter().map(session).collect());
    }
    users
}

/// Fails at the first difference.
#[track_caller]
fn equal<K: Ord + std::fmt::Debug, V: PartialEq + std::fmt::Debug>(
    what: &str,
    said: &BTreeMap<K, V>,
    expected: &BTreeMap<K, V>,
) {
    for key in said.keys().chain(expected.keys()) {
        assert_eq!(said.get(key), expected.get(key), "{what} {key:?}: what is said, what the table has");
    }
}

/// Runs the worker over all ratings and holds everything that it says to the table.
fn compare(ratings: &[Rating], options: &SimOptions) -> Told {
    let (settings, definitions) = (EngagementSettings::default(), Definitions::shipped().unwrap());
    let plan = || topology(&settings, &definitions).unwrap();
    let report =
        simulate_seed(plan, &feed(&settings, ratings), 1, options).unwrap_or_else(|failure| panic!("{failure}"));
    assert_eq!(report.tally.crashes > 0, options.stage_crash > 0.0, "processes that died");
    let outcome = report.outcome;
    assert!(outcome.set_aside.is_empty(), "late or dead: {:?}", outcome.set_aside.first());

    let (mut said_sessions, mut sessions) = (said_sessions(&outcome), sessions(ratings));
    let expected = expected(ratings, &sessions);
    // Nothing in the events names a tenant, so that the tenant and the whole application are the same.
    for scope in ["lens/lens", "lens/*"] {
        let said = said(&outcome, scope);
        equal(&format!("{scope} minute"), &said.minutes, &expected.minutes);
        equal(&format!("{scope} hour"), &said.hours, &expected.hours);
        equal(&format!("{scope} day"), &said.days, &expected.days);
        equal(&format!("{scope} people of day"), &said.todays, &expected.todays);
        equal(&format!("{scope} cohort and age"), &said.cohorts, &expected.cohorts);
    }
    for users in [&mut said_sessions, &mut sessions] {
        users.iter_mut().for_each(|user| user.sort_unstable());
        users.sort_unstable();
    }
    let count = |sessions: &[Vec<Session>]| (sessions.len(), sessions.iter().map(Vec::len).sum::<usize>());
    assert_eq!(count(&said_sessions), count(&sessions), "users with sessions, and sessions");
    for (said, expected) in said_sessions.iter().zip(&sessions) {
        assert_eq!(said, expected, "the sessions of a user: what is said, what the table has");
    }
    expected
}

#[test]
fn the_ratings_of_movielens_are_told_as_the_table_has_them() {
    let Some(file) = std::env::var_os("STREAMFLEET_MOVIELENS") else {
        // Past the runner, which shows what a test prints only where it fails.
        let line = "skipped: MovieLens 100k, as STREAMFLEET_MOVIELENS names no file (`make real-data` fetches it)";
        writeln!(std::io::stderr(), "{line}").unwrap();
        return;
    };
    let text = std::fs::read_to_string(&file);
    let ratings = ratings(&text.unwrap_or_else(|error| panic!("STREAMFLEET_MOVIELENS={}: {error}", file.display())));
    assert_eq!(ratings.len(), 100_000);

    // Topics on which nothing comes follow those on which something does.
    let calm = SimOptions { idle_after: Some(DurationMs::seconds(1)), ..SimOptions::calm() };
    let told = compare(&ratings, &calm);
    // The same by three processes, of which now and then one dies or leaves within a commit.
    let crashes = SimOptions { processes: 3, stage_crash: 0.005, leave: 0.002, away_ms: 200, ..calm };
    compare(&ratings, &crashes);

    let sum = |of: fn(&Today) -> u64| told.todays.values().map(of).sum::<u64>();
    println!(
        "compared: {} ratings of MovieLens 100k over {} days ({} minutes, {} hours): {} users, {} times returning, {} times \
         resurrected, {} sessions, {} cohorts; the table has the same",
        sum(|today| today.ratings),
        told.days.len(),
        told.minutes.len(),
        told.hours.len(),
        sum(|today| today.new),
        sum(|today| today.returning),
        sum(|today| today.resurrected),
        told.days.values().map(|day| day.sessions[0]).sum::<u64>(),
        told.cohorts.len(),
    );
}
