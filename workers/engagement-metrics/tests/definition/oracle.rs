//! engagement-metrics computed from a flat list of actions, straight from its definition.
//!
//! Not here: windows, timers, partial aggregates, anything incremental. Invariant: every question is asked of all actions
//! that count, each of which stands in the list once; the worker's own code is used for definitions alone.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Datelike, NaiveDate, Offset, TimeZone};
use engagement_metrics::action::{Action, Reading, Traffic};
use engagement_metrics::definitions::Definitions;
use engagement_metrics::kind::{Kind, Kinds};
use processing_core::prelude::Tz;
use processing_core::testing::Story;
use serde_json::{Map, Value, json};

use crate::feed::Drawn;
use crate::{Said, flows, people};

pub(crate) const MINUTE: i64 = 60_000;
pub(crate) const HOUR: i64 = 60 * MINUTE;

/// Whom something is counted for: application, and tenant or all.
pub(crate) type Whose = (String, Option<String>);

/// What the worker has to say.
pub(crate) struct Expected {
    pub(crate) results: Said,
    /// Records that were late.
    pub(crate) late: usize,
}

/// All actions that count, and how to look at them.
pub(crate) struct World<'d> {
    pub(crate) drawn: &'d Drawn,
    pub(crate) actions: Vec<Action>,
    pub(crate) clock: Clock,
}

/// The zone's calendar, by chrono alone.
#[derive(Clone, Copy)]
pub(crate) struct Clock(pub(crate) Tz);

impl Clock {
    pub(crate) fn date(self, time: i64) -> NaiveDate {
        DateTime::from_timestamp_millis(time).unwrap().with_timezone(&self.0).date_naive()
    }

    /// The first moment of a date. None of the zones here puts its clock forward at midnight.
    pub(crate) fn begin(self, date: NaiveDate) -> i64 {
        self.0.from_local_datetime(&date.and_hms_opt(0, 0, 0).unwrap()).earliest().unwrap().timestamp_millis()
    }

    pub(crate) fn day(self, time: i64) -> (i64, i64) {
        let date = self.date(time);
        (self.begin(date), self.begin(date.succ_opt().unwrap()))
    }

    /// The full hour of the clock: here the clock is changed at full hours only.
    pub(crate) fn hour(self, time: i64) -> (i64, i64) {
        let offset = self.0.offset_from_utc_datetime(&DateTime::from_timestamp_millis(time).unwrap().naive_utc());
        let offset = i64::from(offset.fix().local_minus_utc()) * 1_000;
        let start = (time + offset).div_euclid(HOUR) * HOUR - offset;
        (start, start + HOUR)
    }
}

/// The last millisecond of the minute of `time`.
pub(crate) fn minute_last(time: i64) -> i64 {
    time.div_euclid(MINUTE) * MINUTE + MINUTE - 1
}

pub(crate) fn days_between(earlier: NaiveDate, later: NaiveDate) -> i64 {
    i64::from(later.num_days_from_ce()) - i64::from(earlier.num_days_from_ce())
}

impl Expected {
    pub(crate) fn of(drawn: &Drawn, story: &Story) -> Self {
        let (actions, late) = accepted(drawn, story);
        let world = World { drawn, actions, clock: Clock(drawn.settings.zone) };
        let mut results = Said::new();
        people::expect(&world, &mut results);
        flows::expect(&world, &mut results);
        Self { results, late }
    }
}

/// Each partition in the order of its log: a record whose minute is over, grace included, when its partition's time stands
/// as it does before it, is late. An event that came twice counts once.
fn accepted(drawn: &Drawn, story: &Story) -> (Vec<Action>, usize) {
    let (mut accepted, mut seen, mut late) = (Vec::new(), BTreeSet::new(), 0);
    for (place, records) in &story.inputs {
        let mut stream_time = i64::MIN;
        for record in records {
            let raises = story.raises.iter().filter(|(at, offset, _)| at == place && *offset <= record.offset);
            stream_time = raises.map(|(.., time)| time.0).fold(stream_time, i64::max);
            let reading: Reading = serde_json::from_slice(record.value.as_deref().unwrap()).unwrap();
            let time = reading.time().0;
            if let Reading::Action(action) = reading {
                let minute = minute_last(time) + 1;
                if minute + drawn.settings.grace.0 <= stream_time {
                    late += 1;
                } else if seen.insert(action.deed.event) {
                    accepted.push(action);
                }
            }
            stream_time = stream_time.max(time);
        }
    }
    accepted.sort_by_key(|action| (action.time, action.deed.event));
    (accepted, late)
}

impl World<'_> {
    pub(crate) fn definitions(&self) -> &Definitions {
        &self.drawn.definitions
    }

    /// People's actions.
    pub(crate) fn people(&self) -> impl Iterator<Item = &Action> {
        self.actions.iter().filter(|action| action.deed.traffic == Traffic::People)
    }

    /// What somebody known did of their own accord.
    pub(crate) fn active(&self) -> impl Iterator<Item = &Action> {
        let active = Kinds::user_initiated();
        self.people().filter(move |action| action.user.is_some() && active.contains(action.deed.kind))
    }

    /// What each known user did, by time, then event.
    pub(crate) fn by_user<'a>(&self, actions: impl Iterator<Item = &'a Action>) -> BTreeMap<User, Vec<&'a Action>> {
        let mut users: BTreeMap<User, Vec<&Action>> = BTreeMap::new();
        for action in actions {
            let Some(user) = action.user else { continue };
            users.entry((action.app.to_string(), action.tenant.to_string(), user.get())).or_default().push(action);
        }
        users
    }

    /// What every result begins with.
    pub(crate) fn stamp(&self, whose: &Whose, about: &str, window: (i64, i64)) -> (String, Map<String, Value>) {
        let escaped = |text: &str| text.replace('%', "%25").replace('/', "%2F");
        let tenant = whose.1.as_deref().map_or("*".to_owned(), escaped);
        let mut key = format!("{}/{tenant}", escaped(&whose.0));
        if !about.is_empty() {
            key = format!("{key}/{about}");
        }
        let stamp = json!({
            "run_id": "live", "revision": 0, "key": format!("{key}@{}", window.1),
            "window_start_ms": window.0, "window_end_ms": window.1, "app": whose.0, "tenant": whose.1,
        });
        (key, stamp.as_object().unwrap().clone())
    }

    /// Adds a result.
    pub(crate) fn say(
        &self,
        results: &mut Said,
        topic: &str,
        whose: &Whose,
        about: &str,
        window: (i64, i64),
        more: Value,
    ) {
        let (key, mut value) = self.stamp(whose, about, window);
        value.extend(more.as_object().unwrap().clone());
        results.entry(topic.to_owned()).or_default().entry(key).or_default().push(Value::Object(value));
    }
}

/// Application, tenant, user.
pub(crate) type User = (String, String, u64);

/// A tenant and its whole application.
pub(crate) fn both(app: &str, tenant: &str) -> [Whose; 2] {
    [(app.to_owned(), Some(tenant.to_owned())), (app.to_owned(), None)]
}

pub(crate) fn is(whose: &Whose, app: &str, tenant: &str) -> bool {
    whose.0 == app && whose.1.as_deref().is_none_or(|only| only == tenant)
}

/// Everybody who is counted for.
pub(crate) fn everybody(world: &World<'_>) -> BTreeSet<Whose> {
    world.actions.iter().flat_map(|action| both(&action.app, &action.tenant)).collect()
}

pub(crate) fn share(part: u64, whole: u64) -> Value {
    if whole == 0 { Value::Null } else { json!(part as f64 / whole as f64) }
}

/// Count, mean, quantiles and maximum; the quantiles are those of rank floor(q (n - 1)).
pub(crate) fn spans(mut times: Vec<i64>) -> Value {
    times.sort_unstable();
    let at = |q: f64| times.get((q * (times.len() as f64 - 1.0)).floor() as usize).copied();
    if times.is_empty() {
        return json!({ "count": 0, "mean_ms": null, "p50_ms": null, "p95_ms": null, "max_ms": null });
    }
    let sum: i64 = times.iter().sum();
    let mean = (sum as f64 / times.len() as f64 + 0.5).floor();
    json!({ "count": times.len(), "mean_ms": mean, "p50_ms": at(0.5), "p95_ms": at(0.95), "max_ms": times.last() })
}

/// The kinds of a list.
pub(crate) fn fits(kinds: Kinds, action: &Action) -> bool {
    Kind::ALL.iter().any(|kind| *kind == action.deed.kind && kinds.contains(*kind))
}
