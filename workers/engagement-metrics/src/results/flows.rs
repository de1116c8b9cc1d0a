//! Sessions, funnels, pipelines and lists of names, in words.
//!
//! Not here: sums of people ([`super::metrics`]). Invariant: as [`super`] says.

use std::collections::BTreeMap;

use compact_str::CompactString;
use processing_core::record::DurationMs;
use processing_core::windowed::Closed;
use serde::{Deserialize, Serialize};

use super::{Spans, Stamp, share};
use crate::attempts::hours::{FunnelKey, HourOver};
use crate::calendar::HOUR_MS;
use crate::definitions::{Funnel, Pipeline};
use crate::labels::{Dimension, First};
use crate::pipelines::hours::{PipelineKey, Told};
use crate::scope::{Person, Scope, Who};
use crate::session::{Ratings, Session};
use crate::settings::EngagementSettings;

/// `engagement.sessions.v1`: a session that is over.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SessionResult {
    /// Whose; the window is from the first event to behind the last.
    #[serde(flatten)]
    pub stamp: Stamp,
    /// The user, as 16 hexadecimal digits that stand for their id.
    pub user: String,
    /// From the first event to the last one.
    pub duration_ms: i64,
    /// Its events.
    pub requests: u64,
    /// Whether it is one event long.
    pub bounce: bool,
    /// What was done, in order: `search > click > rate`, with `> ...` where it goes on.
    pub journey: String,
    /// Ratings behind a search in it.
    pub ratings_after_search: u64,
    /// Their sum, in thousandths.
    pub rating_thousandths_after_search: i64,
    /// Ratings before any search.
    pub ratings_without_search: u64,
    /// Their sum, in thousandths.
    pub rating_thousandths_without_search: i64,
}

impl SessionResult {
    /// A person's session.
    pub fn of(settings: &EngagementSettings, person: &Person, session: &Session) -> Self {
        let user = match person.who {
            Who::Known(user) => format!("{:016x}", user.get()),
            Who::Nobody(_) => String::new(),
        };
        let sum = |ratings: &Ratings| i64::try_from(ratings.sum).unwrap_or(i64::MAX);
        let end = session.last.plus(DurationMs(1));
        Self {
            stamp: Stamp::new(settings, &person.scope, &user, session.first, end),
            user,
            duration_ms: session.millis(),
            requests: session.requests,
            bounce: session.is_bounce(),
            journey: session.journey(),
            ratings_after_search: session.after_search.count,
            rating_thousandths_after_search: sum(&session.after_search),
            ratings_without_search: session.without_search.count,
            rating_thousandths_without_search: sum(&session.without_search),
        }
    }
}

/// `engagement.funnels.1h.v1`: the attempts at a funnel that began in an hour (of UTC).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct FunnelResult {
    /// Whose, and when they began.
    #[serde(flatten)]
    pub stamp: Stamp,
    /// Which funnel.
    pub funnel: CompactString,
    /// How long after the first step one counts.
    pub within_ms: i64,
    /// Attempts.
    pub attempts: u64,
    /// Those that came to the last step.
    pub completed: u64,
    /// Their share.
    pub conversion: Option<f64>,
    /// In their order.
    pub steps: Vec<FunnelStepResult>,
}

/// How many came to a step.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct FunnelStepResult {
    /// The kinds that do it.
    pub step: CompactString,
    /// Attempts that came to it.
    pub reached: u64,
    /// Their share of those that came to the step before; of the first step, null.
    pub conversion: Option<f64>,
    /// Those that came to the step before and not to this one; of the first step, 0.
    pub dropped: u64,
    /// From the step before to this one; of the first step, null.
    pub time: Option<Spans>,
}

impl FunnelResult {
    /// An hour that is over.
    pub fn of(settings: &EngagementSettings, funnel: &Funnel, key: &FunnelKey, over: &HourOver) -> Self {
        let ((scope, name), (start, hour)) = (key, over);
        let reached = |place: usize| hour.steps.get(place).map_or(0, |step| step.reached);
        let step = |(place, of): (usize, &crate::definitions::Stage)| {
            let before = place.checked_sub(1).map(reached);
            let time = before.map(|_| match hour.steps.get(place) {
                Some(step) => Spans::of(&step.times, step.millis),
                None => Spans::of(&Default::default(), 0),
            });
            FunnelStepResult {
                step: of.name.clone(),
                reached: reached(place),
                conversion: before.and_then(|before| share(reached(place), before)),
                dropped: before.map_or(0, |before| before.saturating_sub(reached(place))),
                time,
            }
        };
        let (attempts, completed) = (reached(0), reached(funnel.steps.len().saturating_sub(1)));
        let end = start.plus(DurationMs(HOUR_MS));
        Self {
            stamp: Stamp::new(settings, scope, name, *start, end),
            funnel: name.clone(),
            within_ms: funnel.within.0,
            attempts,
            completed,
            conversion: share(completed, attempts),
            steps: funnel.steps.iter().enumerate().map(step).collect(),
        }
    }
}

/// `engagement.pipelines.1h.v1`: what happened in a pipeline within an hour (of UTC).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PipelineResult {
    /// Whose, and which hour.
    #[serde(flatten)]
    pub stamp: Stamp,
    /// Which pipeline.
    pub pipeline: CompactString,
    /// How long a thing is waited for; null of a pipeline without an end, in which starts are counted and nothing else:
    /// nothing ends, times out or is open.
    pub timeout_ms: Option<i64>,
    /// Runs that began.
    pub started: u64,
    /// Runs that came to their end.
    pub completed: u64,
    /// Runs that broke off.
    pub failed: u64,
    /// Runs that did not end in time.
    pub timed_out: u64,
    /// Runs that had begun and not ended when the hour did.
    pub backlog: i64,
    /// Of the runs that ended in this hour, those that came to their end.
    pub completion: Option<f64>,
    /// Starts and stages that came again.
    pub repeated: u64,
    /// Events without a run that they belong to.
    pub unmatched: u64,
    /// From the start to the end.
    pub time: Spans,
    /// What was reached within the hour, from the stage before it, by stage; in a pipeline of states by both states.
    pub stages: BTreeMap<CompactString, Spans>,
}

impl PipelineResult {
    /// An hour that is over.
    pub fn of(settings: &EngagementSettings, pipeline: &Pipeline, key: &PipelineKey, told: &Told) -> Self {
        let (scope, name) = key;
        let hour = &told.hour;
        let ended = hour.completed + hour.failed + hour.timed_out;
        Self {
            stamp: Stamp::new(settings, scope, name, told.start, told.start.plus(DurationMs(HOUR_MS))),
            pipeline: name.clone(),
            timeout_ms: pipeline.timeout.map(|timeout| timeout.0),
            started: hour.started,
            completed: hour.completed,
            failed: hour.failed,
            timed_out: hour.timed_out,
            backlog: told.backlog,
            completion: share(hour.completed, ended),
            repeated: hour.repeated,
            unmatched: hour.unmatched,
            time: Spans::of(&hour.times.millis, hour.times.sum),
            stages: hour
                .stages
                .iter()
                .map(|(stage, times)| (stage.clone(), Spans::of(&times.millis, times.sum)))
                .collect(),
        }
    }
}

/// `engagement.top.1d.v1`: the names that came most often on a day.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TopResult {
    /// Whose day.
    #[serde(flatten)]
    pub stamp: Stamp,
    /// Names of what.
    pub dimension: Dimension,
    /// How many names there were.
    pub distinct: u64,
    /// The sum of the numbers of all of them.
    pub total: i64,
    /// By number, then name.
    pub names: Vec<RankedName>,
}

/// A line of the list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RankedName {
    /// From 1.
    pub rank: u32,
    /// The name.
    pub name: CompactString,
    /// How often; of favourites, less those taken back.
    pub number: i64,
}

impl TopResult {
    /// A closed day.
    pub fn of(settings: &EngagementSettings, scope: &Scope, dimension: Dimension, day: &Closed<First>) -> Self {
        let lines = day.value.names.entries().iter().zip(1..);
        let names = lines.map(|(line, rank)| RankedName { rank, name: line.item.clone(), number: line.score });
        Self {
            stamp: Stamp::new(settings, scope, dimension.name(), day.window.start, day.window.end),
            dimension,
            distinct: day.value.distinct,
            total: day.value.total,
            names: names.collect(),
        }
    }
}
