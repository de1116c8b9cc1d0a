//! Users, sessions, days and cohorts by their definitions.
//!
//! Not here: funnels and pipelines ([`crate::flows`]). Invariant: as [`crate::oracle`] says.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{Days, NaiveDate};
use engagement_metrics::action::{Action, Traffic};
use engagement_metrics::kind::Kind;
use serde_json::{Value, json};

use crate::Said;
use crate::oracle::{HOUR, MINUTE, User, Whose, World, both, days_between, everybody, is, minute_last, share};

/// A session that is over.
pub(crate) struct Session<'a> {
    pub(crate) user: User,
    actions: Vec<&'a Action>,
    /// The last moment of the minute in which it was known to be over.
    pub(crate) over: i64,
}

impl Session<'_> {
    pub(crate) fn journey(&self) -> String {
        let names: Vec<&str> = self.actions.iter().map(|action| action.deed.kind.name()).collect();
        match names.get(..12) {
            Some(first) if names.len() > 12 => format!("{} > ...", first.join(" > ")),
            _ => names.join(" > "),
        }
    }

    fn millis(&self) -> i64 {
        self.actions[self.actions.len() - 1].time.0 - self.actions[0].time.0
    }

    /// Ratings in thousandths: those that some search of the session precedes, or the others.
    fn ratings(&self, after_search: bool) -> Vec<i64> {
        let rates = self.actions.iter().enumerate().filter(|(_, action)| action.deed.kind == Kind::Rate);
        let searched = |at: usize| self.actions[..at].iter().any(|action| action.deed.kind == Kind::Search);
        rates.filter(|(at, _)| searched(*at) == after_search).map(|(_, action)| action.deed.amount).collect()
    }
}

/// A gap of more than the limit splits, and so does another date.
pub(crate) fn sessions<'a>(world: &'a World<'_>) -> Vec<Session<'a>> {
    let (gap, clock) = (world.drawn.settings.gap.0, world.clock);
    let mut sessions = Vec::new();
    for (user, actions) in world.by_user(world.active()) {
        let splits =
            |a: &&Action, b: &&Action| b.time.0 - a.time.0 <= gap && clock.date(a.time.0) == clock.date(b.time.0);
        for run in actions.chunk_by(splits) {
            let last = run[run.len() - 1].time.0;
            let over = minute_last(last + gap).min(clock.day(last).1 - 1);
            sessions.push(Session { user: user.clone(), actions: run.to_vec(), over });
        }
    }
    sessions
}

pub(crate) fn expect(world: &World<'_>, results: &mut Said) {
    let sessions = sessions(world);
    for session in &sessions {
        let (app, tenant, user) = &session.user;
        let window = (session.actions[0].time.0, session.actions[session.actions.len() - 1].time.0 + 1);
        let whose = (app.clone(), Some(tenant.clone()));
        let user = format!("{user:016x}");
        let sum = |after_search| session.ratings(after_search).iter().sum::<i64>();
        let more = json!({
            "user": user, "duration_ms": session.millis(), "requests": session.actions.len(),
            "bounce": session.actions.len() == 1, "journey": session.journey(),
            "ratings_after_search": session.ratings(true).len(), "rating_thousandths_after_search": sum(true),
            "ratings_without_search": session.ratings(false).len(), "rating_thousandths_without_search": sum(false),
        });
        world.say(results, "engagement.sessions.v1", &whose, &user, window, more);
    }
    let clock = world.clock;
    let minute = |time: i64| (minute_last(time) + 1 - MINUTE, minute_last(time) + 1);
    for whose in everybody(world) {
        let span = Span { world, whose: &whose, sessions: &sessions };
        span.tell(results, "1m", &minute, BTreeSet::new());
        span.tell(results, "1h", &|time| clock.hour(time), BTreeSet::new());
        span.tell(results, "1d", &|time| clock.day(time), span.days_of_the_month());
        span.retention(results);
    }
    assert_eq!(HOUR, 60 * MINUTE);
}

/// A scope that is looked at.
struct Span<'a> {
    world: &'a World<'a>,
    whose: &'a Whose,
    sessions: &'a [Session<'a>],
}

impl Span<'_> {
    fn is_ours(&self, app: &str, tenant: &str) -> bool {
        is(self.whose, app, tenant)
    }

    /// The dates on which each user of the scope was active.
    fn dates(&self) -> BTreeMap<User, BTreeSet<NaiveDate>> {
        let ours = self.world.active().filter(|action| self.is_ours(&action.app, &action.tenant));
        let by_user = self.world.by_user(ours);
        let dates = |actions: Vec<&Action>| actions.iter().map(|action| self.world.clock.date(action.time.0)).collect();
        by_user.into_iter().map(|(user, actions)| (user, dates(actions))).collect()
    }

    /// Days on which somebody was active within the 28 days up to them, or belongs to a cohort that is looked for.
    fn days_of_the_month(&self) -> BTreeSet<(i64, i64)> {
        let mut days = BTreeSet::new();
        for dates in self.dates().values() {
            let month = dates.iter().flat_map(|date| (0..28).map(move |later| *date + Days::new(later)));
            let cohort = [1, 7, 28].map(|age| *dates.first().unwrap() + Days::new(age));
            let all = month.chain(cohort);
            days.extend(all.map(|date| (self.world.clock.begin(date), self.world.clock.begin(date + Days::new(1)))));
        }
        days
    }

    fn tell(
        &self,
        results: &mut Said,
        grain: &str,
        window_of: &dyn Fn(i64) -> (i64, i64),
        mut windows: BTreeSet<(i64, i64)>,
    ) {
        let ours: Vec<&Action> =
            self.world.actions.iter().filter(|action| self.is_ours(&action.app, &action.tenant)).collect();
        let over: Vec<&Session> =
            self.sessions.iter().filter(|session| self.is_ours(&session.user.0, &session.user.1)).collect();
        windows.extend(ours.iter().map(|action| window_of(action.time.0)));
        windows.extend(over.iter().map(|session| window_of(session.over)));
        let dates = self.dates();
        for window in windows {
            let within = |time: i64| window.0 <= time && time < window.1;
            let actions: Vec<&&Action> = ours.iter().filter(|action| within(action.time.0)).collect();
            let by = |traffic| actions.iter().filter(|action| action.deed.traffic == traffic).count();
            let mut by_kind: BTreeMap<&str, u64> = BTreeMap::new();
            for action in actions.iter().filter(|action| action.deed.traffic == Traffic::People) {
                *by_kind.entry(action.deed.kind.name()).or_default() += 1;
            }
            let active = self.world.active().filter(|action| within(action.time.0));
            let active = active.filter(|action| self.is_ours(&action.app, &action.tenant));
            let xp = actions
                .iter()
                .filter(|action| action.deed.traffic == Traffic::People && action.deed.kind == Kind::XpEarned);
            let over: Vec<&&Session> = over.iter().filter(|session| within(session.over)).collect();
            let day = if grain == "1d" { self.day(&dates, window.0, &over) } else { Value::Null };
            let more = json!({
                "grain": grain, "requests": by(Traffic::People), "by_kind": by_kind,
                "active_users": self.world.by_user(active).len(),
                "bot_requests": by(Traffic::Bot), "internal_requests": by(Traffic::Internal), "cut_minutes": 0,
                "sessions": session_sums(&over), "xp": xp.map(|action| action.deed.amount).sum::<i64>(), "day": day,
            });
            let topic = format!("engagement.metrics.{grain}.v1");
            self.world.say(results, &topic, self.whose, "", window, more);
        }
    }

    fn day(&self, dates: &BTreeMap<User, BTreeSet<NaiveDate>>, start: i64, over: &[&&Session<'_>]) -> Value {
        let today = self.world.clock.date(start);
        let within = |days: u64| {
            let from = today - Days::new(days - 1);
            dates.values().filter(|dates| dates.range(from..=today).next().is_some()).count() as u64
        };
        let (mut new, mut returning, mut resurrected) = (0, 0, 0);
        let mut streaks = BTreeMap::from([2, 3, 7, 14, 30].map(|days| (days.to_string(), 0)));
        for dates in dates.values().filter(|dates| dates.contains(&today)) {
            match dates.range(..today).next_back() {
                None => new += 1,
                Some(before) if days_between(*before, today) <= 28 => returning += 1,
                Some(_) => resurrected += 1,
            }
            let streak = (0..).take_while(|back| dates.contains(&(today - Days::new(*back)))).count();
            for (days, users) in &mut streaks {
                *users += u64::from(streak >= days.parse::<usize>().unwrap());
            }
        }
        let ratings =
            |after| over.iter().flat_map(|session| session.ratings(after)).map(|of| of as f64 / 1e3).collect();
        let ours = self.world.actions.iter().filter(|action| self.is_ours(&action.app, &action.tenant));
        let first = ours.map(|action| self.world.clock.date(action.time.0)).min().unwrap();
        json!({
            "warming": days_between(first, today) < 27,
            "active_users_7d": within(7), "active_users_28d": within(28), "stickiness": share(within(1), within(28)),
            "new_users": new, "returning_users": returning, "resurrected_users": resurrected, "streaks": streaks,
            "search_and_rating": association(ratings(true), ratings(false)),
        })
    }

    fn retention(&self, results: &mut Said) {
        let clock = self.world.clock;
        let dates = self.dates();
        let cohorts: BTreeSet<NaiveDate> = dates.values().map(|dates| *dates.first().unwrap()).collect();
        for cohort in cohorts {
            let users: Vec<_> = dates.values().filter(|dates| *dates.first().unwrap() == cohort).collect();
            for age in [1, 7, 28] {
                let today = cohort + Days::new(age);
                let retained = users.iter().filter(|dates| dates.contains(&today)).count();
                let window = (clock.begin(today), clock.begin(today + Days::new(1)));
                let more = json!({
                    "cohort_start_ms": clock.begin(cohort), "age_days": age, "cohort_users": users.len(),
                    "retained_users": retained, "retention": share(retained as u64, users.len() as u64),
                });
                let topic = "engagement.retention.1d.v1";
                self.world.say(results, topic, self.whose, &format!("{age}d"), window, more);
            }
        }
    }
}

fn session_sums(over: &[&&Session<'_>]) -> Value {
    let count = over.len() as u64;
    let bounces = over.iter().filter(|session| session.actions.len() == 1).count() as u64;
    let mean = |sum: u64| if count == 0 { Value::Null } else { json!(sum as f64 / count as f64) };
    json!({
        "count": count, "bounces": bounces, "bounce_rate": share(bounces, count),
        "mean_requests": mean(over.iter().map(|session| session.actions.len() as u64).sum()),
        "mean_duration_ms": mean(over.iter().map(|session| session.millis().unsigned_abs()).sum()),
    })
}

/// Welch's interval, with t by adding up its density.
fn association(after: Vec<f64>, without: Vec<f64>) -> Value {
    let mean = |of: &[f64]| of.iter().sum::<f64>() / of.len() as f64;
    let error =
        |of: &[f64]| of.iter().map(|x| (x - mean(of)).powi(2)).sum::<f64>() / (of.len() as f64 - 1.0) / of.len() as f64;
    let group = |of: &[f64]| json!({ "count": of.len(), "mean": (!of.is_empty()).then(|| mean(of)) });
    let mut interval = (Value::Null, Value::Null, Value::Null);
    if after.len() > 1 && without.len() > 1 && error(&after) + error(&without) > 1e-12 {
        let (a, b) = (error(&after), error(&without));
        let degrees =
            (a + b).powi(2) / (a.powi(2) / (after.len() as f64 - 1.0) + b.powi(2) / (without.len() as f64 - 1.0));
        let difference = mean(&after) - mean(&without);
        let reach = t_975(degrees) * (a + b).sqrt();
        interval = (json!(difference), json!(difference - reach), json!(difference + reach));
    }
    json!({
        "after_search": group(&after), "without_search": group(&without),
        "difference": interval.0, "low": interval.1, "high": interval.2,
    })
}

/// Where the density of t, added up from the middle by Simpson's rule, comes to 0.475. In the angle whose tangent is
/// t / sqrt(degrees) the density is a power of the cosine, over a finite range.
fn t_975(degrees: f64) -> f64 {
    let power = degrees - 1.0;
    let density = |angle: f64| angle.cos().powf(power);
    let area = |to: f64| {
        const STEPS: usize = 4_000;
        let width = to / STEPS as f64;
        let weight = |step: usize| if step == 0 || step == STEPS { 1.0 } else { 2.0 + 2.0 * (step % 2) as f64 };
        (0..=STEPS).map(|step| weight(step) * density(step as f64 * width)).sum::<f64>() * width / 3.0
    };
    let half = area(std::f64::consts::FRAC_PI_2 - 1e-12);
    let (mut low, mut high) = (0.0, std::f64::consts::FRAC_PI_2 - 1e-12);
    for _ in 0..60 {
        let middle = f64::midpoint(low, high);
        if area(middle) < 0.95 * half {
            low = middle;
        } else {
            high = middle;
        }
    }
    low.tan() * degrees.sqrt()
}

/// A tenant and its application, for those who need both.
pub(crate) fn scopes(user: &User) -> [Whose; 2] {
    both(&user.0, &user.1)
}
