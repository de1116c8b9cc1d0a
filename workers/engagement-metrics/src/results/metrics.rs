//! `engagement.metrics.{1m,1h,1d}.v1` and `engagement.retention.1d.v1`: a scope's sums in words.
//!
//! Not here: the sums ([`crate::tally`]). Invariant: one definition for minutes, hours and days; `day` stands in days alone.

use std::collections::BTreeMap;

use processing_core::record::EventTime;
use processing_core::window::Window;
use serde::{Deserialize, Serialize};

use super::{Stamp, millionth, share};
use crate::calendar::Calendar;
use crate::scope::Scope;
use crate::settings::EngagementSettings;
use crate::tally::{COHORT_AGES, Measure, STREAKS, Tally};
use crate::welch::{Sample, difference};

/// How long a span a result is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Grain {
    /// A minute.
    #[serde(rename = "1m")]
    Minute,
    /// An hour of the zone's clock.
    #[serde(rename = "1h")]
    Hour,
    /// A day of the zone.
    #[serde(rename = "1d")]
    Day,
}

/// A scope's minute, hour or day.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Metrics {
    /// Whose, and which.
    #[serde(flatten)]
    pub stamp: Stamp,
    /// How long it is.
    pub grain: Grain,
    /// People's events.
    pub requests: u64,
    /// Of each kind, those that there were.
    pub by_kind: BTreeMap<String, u64>,
    /// Distinct users with a user-initiated event, exactly.
    pub active_users: u64,
    /// Programs' events; they are in nothing else.
    pub bot_requests: u64,
    /// The company's own events; they are in nothing else.
    pub internal_requests: u64,
    /// Minutes of a person that held more events than are kept.
    pub cut_minutes: u64,
    /// Sessions that were over.
    pub sessions: SessionSums,
    /// Experience points that were earned.
    pub xp: i64,
    /// What only a whole day has.
    pub day: Option<DaySums>,
}

/// Sessions that were over within the span.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SessionSums {
    /// How many.
    pub count: u64,
    /// Those of one event.
    pub bounces: u64,
    /// Their share.
    pub bounce_rate: Option<f64>,
    /// Events of a session on average.
    pub mean_requests: Option<f64>,
    /// From the first event to the last one on average.
    pub mean_duration_ms: Option<f64>,
}

/// What only a whole day has.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DaySums {
    /// Whether fewer than 28 days of this scope lie up to and with this one: what looks back further than the log
    /// does is too small then, and too many users are new. Null while the day is open.
    pub warming: Option<bool>,
    /// Distinct users of the seven days up to and with this one.
    pub active_users_7d: u64,
    /// Of the 28 days.
    pub active_users_28d: u64,
    /// Users of the day / users of the 28 days.
    pub stickiness: Option<f64>,
    /// Users on their first day in this log.
    pub new_users: u64,
    /// Users who were active in the 28 days before.
    pub returning_users: u64,
    /// Users who were active only before that.
    pub resurrected_users: u64,
    /// Users who are active for at least so many days in a row.
    pub streaks: BTreeMap<u16, u64>,
    /// Whether ratings behind a search of the same session are higher.
    pub search_and_rating: Association,
}

/// Two groups of ratings beside each other. An association: nothing says that the search is the cause.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Association {
    /// Ratings behind a search of the same session.
    pub after_search: Group,
    /// Ratings behind none.
    pub without_search: Group,
    /// First mean less second mean; null where it cannot be said how sure it is.
    pub difference: Option<f64>,
    /// Welch's interval at 95 %, lower end.
    pub low: Option<f64>,
    /// Its upper end.
    pub high: Option<f64>,
}

/// Some ratings.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Group {
    /// How many.
    pub count: u64,
    /// Their mean.
    pub mean: Option<f64>,
}

impl Metrics {
    /// A closed minute, hour or day.
    pub fn of(settings: &EngagementSettings, grain: Grain, scope: &Scope, window: Window, tally: &Tally) -> Self {
        let by_kind: BTreeMap<String, u64> =
            tally.requests().map(|(kind, number)| (kind.name().to_owned(), number)).collect();
        let users = match grain {
            Grain::Minute => Measure::MinuteUsers,
            Grain::Hour => Measure::HourUsers,
            Grain::Day => Measure::DayUsers,
        };
        Self {
            stamp: Stamp::new(settings, scope, "", window.start, window.end),
            grain,
            requests: by_kind.values().sum(),
            by_kind,
            active_users: tally.number(users),
            bot_requests: tally.number(Measure::BotRequests),
            internal_requests: tally.number(Measure::InternalRequests),
            cut_minutes: tally.number(Measure::CutMinutes),
            sessions: SessionSums::of(tally),
            xp: i64::try_from(tally.get(Measure::Xp)).unwrap_or(i64::MAX),
            day: (grain == Grain::Day).then(|| DaySums::of(tally)),
        }
    }
}

impl Metrics {
    /// The same, with what is known of the days before.
    pub fn warming(mut self, warming: bool) -> Self {
        if let Some(day) = &mut self.day {
            day.warming = Some(warming);
        }
        self
    }

    /// Whether nothing happened: of a minute or hour in which merely a day ended nothing is told.
    pub fn is_silent(&self) -> bool {
        self.requests + self.bot_requests + self.internal_requests + self.sessions.count == 0
    }
}

impl SessionSums {
    fn of(tally: &Tally) -> Self {
        let (count, bounces) = (tally.number(Measure::Sessions), tally.number(Measure::Bounces));
        let mean = |measure| (count > 0).then(|| millionth(tally.get(measure) as f64 / count as f64));
        Self {
            count,
            bounces,
            bounce_rate: share(bounces, count),
            mean_requests: mean(Measure::SessionRequests),
            mean_duration_ms: mean(Measure::SessionMillis),
        }
    }
}

impl DaySums {
    fn of(tally: &Tally) -> Self {
        let month = tally.number(Measure::MonthUsers);
        Self {
            warming: None,
            active_users_7d: tally.number(Measure::WeekUsers),
            active_users_28d: month,
            stickiness: share(tally.number(Measure::DayUsers), month),
            new_users: tally.number(Measure::NewUsers),
            returning_users: tally.number(Measure::ReturningUsers),
            resurrected_users: tally.number(Measure::ResurrectedUsers),
            streaks: STREAKS.into_iter().map(|days| (days, tally.number(Measure::StreakUsers(days)))).collect(),
            search_and_rating: Association::of(tally),
        }
    }
}

impl Association {
    fn of(tally: &Tally) -> Self {
        const THOUSAND: f64 = 1_000.0;
        let sample = |after_search| Sample {
            count: tally.number(Measure::Ratings { after_search }),
            sum: tally.get(Measure::RatingSum { after_search }),
            squares: tally.get(Measure::RatingSquares { after_search }),
        };
        let group =
            |sample: Sample| Group { count: sample.count, mean: sample.mean().map(|mean| millionth(mean / THOUSAND)) };
        let (after, without) = (sample(true), sample(false));
        let found = difference(after, without);
        let rating = |value: f64| millionth(value / THOUSAND);
        Self {
            after_search: group(after),
            without_search: group(without),
            difference: found.map(|found| rating(found.difference)),
            low: found.map(|found| rating(found.low)),
            high: found.map(|found| rating(found.high)),
        }
    }
}

/// `engagement.retention.1d.v1`: how many of those who were new on a day were active so many days later.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Retention {
    /// Whose, and the day on which they are looked for.
    #[serde(flatten)]
    pub stamp: Stamp,
    /// The first moment of the day on which they were new.
    pub cohort_start_ms: i64,
    /// How many calendar days later it is: 1, 7 or 28.
    pub age_days: u16,
    /// Who was new then.
    pub cohort_users: u64,
    /// Who of them was active on this day.
    pub retained_users: u64,
    /// Their share.
    pub retention: Option<f64>,
}

impl Retention {
    /// What a closed day says of the cohorts that are old enough.
    pub fn of(
        settings: &EngagementSettings,
        calendar: &Calendar,
        scope: &Scope,
        window: Window,
        tally: &Tally,
    ) -> Vec<Self> {
        let ages = COHORT_AGES.into_iter().filter(|age| tally.number(Measure::CohortUsers(*age)) > 0);
        let retention = |age: u16| {
            let cohort = tally.number(Measure::CohortUsers(age));
            let retained = tally.number(Measure::CohortActive(age));
            Self {
                stamp: Stamp::new(settings, scope, &format!("{age}d"), window.start, window.end),
                cohort_start_ms: days_before(calendar, window.start, age).0,
                age_days: age,
                cohort_users: cohort,
                retained_users: retained,
                retention: share(retained, cohort),
            }
        };
        ages.map(retention).collect()
    }
}

/// The first moment of the day so many calendar days before the one that begins at `start`.
fn days_before(calendar: &Calendar, start: EventTime, days: u16) -> EventTime {
    let (mut at, today) = (start, calendar.date_at(start));
    // A zone may have left a date out.
    while today.since(calendar.date_at(at)) < i32::from(days) {
        at = calendar.day_start(EventTime(at.0.saturating_sub(1)));
    }
    at
}
