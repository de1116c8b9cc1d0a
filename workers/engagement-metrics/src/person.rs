//! What one person does over time: sessions, attempts at funnels, and the days on which they are active.
//!
//! ```text
//!   closed minutes of a person ──▶ [ person ] ──▶ what they add to their scope's sums
//!                                      │ │ │ └──▶ sessions
//!                                      │ │ └──▶ attempts at funnels
//!                                      │ └──▶ labels: places, sources, journeys
//!                                      └──▶ what pipelines hear
//! ```
//!
//! Not here: what was in time for its minute ([`crate::minute`]). Invariant: a person's deeds are taken in by time, then
//! event; what ends by time alone is told at the end of the minute in which it ends, whatever comes or does not come
//! behind it.

use std::sync::Arc;

use processing_core::prelude::*;
use serde::{Deserialize, Serialize};

use crate::action::Traffic;
use crate::attempts::{self, Attempt, Running};
use crate::calendar::{Calendar, minute_last};
use crate::definitions::Definitions;
use crate::kind::{Kind, Kinds};
use crate::labels::Label;
use crate::life::{Days, Life};
use crate::minute::{PersonMinute, Step, Steps};
use crate::pipelines::Heard;
use crate::scope::{Person, Who};
use crate::session::Session;
use crate::tally::{COHORT_AGES, Measure, STREAKS, Tally};

/// How many days back somebody counts as active in the month, and who comes back as returning.
const MONTH_DAYS: i32 = 28;
const WEEK_DAYS: i32 = 7;

/// A closed minute on its way to its person.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Minute {
    /// By time, then event.
    pub steps: Steps<Step>,
    /// Whether there was more than is kept.
    pub is_cut: bool,
}

impl From<PersonMinute> for Minute {
    fn from(minute: PersonMinute) -> Self {
        Self { is_cut: minute.is_cut(), steps: minute.into_steps() }
    }
}

/// See the module.
#[derive(Clone)]
pub struct Lives {
    /// What is counted how.
    pub rules: Arc<Rules>,
    /// By person.
    pub lives: KeyValueStore<Person, Life>,
    /// When the next thing of a person ends.
    pub next: Timer,
    /// Sessions that are over.
    pub sessions: Output<Session>,
    /// Attempts that are over.
    pub attempts: Output<Attempt>,
    /// What has names of its own.
    pub labels: Output<Label>,
    /// What pipelines hear.
    pub heard: Output<Heard>,
}

/// What people are counted by.
#[derive(Debug, Clone)]
pub struct Rules {
    /// The zone's days and hours.
    pub calendar: Calendar,
    /// What the company says of itself.
    pub definitions: Definitions,
    /// What is longer splits a session.
    pub gap: DurationMs,
    /// Kinds that say something to what is known of a person: active ones, and steps of funnels.
    lived: Kinds,
}

/// What a call has to say beside the sums.
#[derive(Default)]
struct Said {
    tally: Tally,
    sessions: Vec<Session>,
    attempts: Vec<Attempt>,
    labels: Vec<Label>,
}

impl Processor for Lives {
    type Key = Person;
    type In = Minute;
    type Out = Tally;

    fn process(&self, ctx: &mut Context<Self>, person: &Person, minute: Minute) -> Result<(), Poison> {
        let mut said = Said::default();
        if minute.is_cut {
            said.tally.count(Measure::CutMinutes);
        }
        self.rules.count(&minute, &mut said);
        if matches!(person.who, Who::Known(_)) && self.rules.has_life(&minute) {
            self.change(ctx, person, |life| self.rules.live(person, life, &minute, &mut said));
        }
        self.say(ctx, person, said);
        for heard in Heard::of(&self.rules.definitions, person, &minute) {
            ctx.forward_to(&self.heard, person.clone(), heard);
        }
        Ok(())
    }

    fn on_timer(&self, ctx: &mut Context<Self>, person: &Person, _: Timer) -> Result<(), Poison> {
        let now = ctx.event_time();
        let mut said = Said::default();
        self.change(ctx, person, |life| {
            life.wakes = None;
            self.rules.pass(life, now, &mut said);
        });
        self.say(ctx, person, said);
        Ok(())
    }
}

impl Lives {
    /// Changes a life, and has a timer come no later than what ends next in it. Nearly every event puts that off; a timer
    /// that comes before it finds nothing over and is set again, which costs less than one that is put off each time.
    fn change(&self, ctx: &mut Context<Self>, person: &Person, change: impl FnOnce(&mut Life)) {
        let (mut before, mut after) = (None, None);
        ctx.store(&self.lives).change(person, |row| {
            let life = row.get_or_insert_default();
            change(life);
            before = life.wakes;
            after = self.rules.next_end(life).map(|end| before.map_or(end, |wakes| end.min(wakes)));
            life.wakes = after;
            if *life == Life::default() {
                *row = None;
            }
        });
        match after {
            Some(wakes) if after != before => ctx.set_timer(self.next, wakes),
            None if before.is_some() => ctx.cancel_timer(self.next),
            _ => {}
        }
    }

    fn say(&self, ctx: &mut Context<Self>, person: &Person, said: Said) {
        let Said { tally, sessions, attempts, labels } = said;
        sessions.into_iter().for_each(|session| ctx.forward_to(&self.sessions, person.clone(), session));
        attempts.into_iter().for_each(|attempt| ctx.forward_to(&self.attempts, person.clone(), attempt));
        labels.into_iter().for_each(|label| ctx.forward_to(&self.labels, person.clone(), label));
        if !tally.is_empty() {
            ctx.forward(person.clone(), tally);
        }
    }
}

impl Rules {
    /// By this calendar and these definitions, with sessions that a pause of more than `gap` splits.
    pub fn new(calendar: Calendar, definitions: Definitions, gap: DurationMs) -> Self {
        let steps = definitions.funnels.iter().flat_map(|funnel| &funnel.steps);
        let lived = steps.fold(definitions.active, |lived, step| lived.and(step.kinds));
        Self { calendar, definitions, gap, lived }
    }

    /// What a minute adds whoever did it.
    fn count(&self, minute: &Minute, said: &mut Said) {
        for Step { deed, .. } in &minute.steps {
            match deed.traffic {
                Traffic::Bot => said.tally.count(Measure::BotRequests),
                Traffic::Internal => said.tally.count(Measure::InternalRequests),
                Traffic::People => {
                    said.tally.count(Measure::Requests(deed.kind));
                    if deed.kind == Kind::XpEarned {
                        said.tally.add(Measure::Xp, i128::from(deed.amount));
                    }
                    said.labels.extend(Label::of(deed));
                }
            }
        }
    }

    /// Whether anything in the minute can change what is known of the person.
    fn has_life(&self, minute: &Minute) -> bool {
        let people = minute.steps.iter().filter(|step| step.deed.traffic == Traffic::People);
        people.map(|step| step.deed.kind).any(|kind| self.lived.contains(kind))
    }

    /// Takes in a minute of a person.
    fn live(&self, person: &Person, life: &mut Life, minute: &Minute, said: &mut Said) {
        let app = person.scope.app();
        let funnels = self.definitions.funnels_of(&app);
        let mut was_active = false;
        for Step { time, deed } in minute.steps.iter().filter(|step| step.deed.traffic == Traffic::People) {
            let over = attempts::advance(funnels.clone(), &mut life.attempts, *time, deed.kind);
            said.attempts.extend(over);
            if !self.definitions.active.contains(deed.kind) {
                continue;
            }
            was_active = true;
            self.be_active(&mut life.days, *time, &mut said.tally);
            match &mut life.session {
                Some(session) if self.goes_on(session, *time) => session.go_on(*time, deed),
                session => {
                    let begun = Session::begin(*time, deed);
                    if let Some(over) = session.replace(begun) {
                        said.end(over);
                    }
                }
            }
        }
        if was_active {
            said.tally.count(Measure::MinuteUsers);
        }
    }

    /// Whether an event at `time` belongs to the session. One that midnight cuts is told as its day ends, before anything
    /// of the next day comes.
    fn goes_on(&self, session: &Session, time: EventTime) -> bool {
        time.0.saturating_sub(session.last.0) <= self.gap.0
    }

    /// The last moment of the minute in which a session ends, or of its day, which nobody has told while it is open.
    fn session_end(&self, session: &Session, days: Option<Days>) -> EventTime {
        let day = days.and_then(|days| days.due).unwrap_or(EventTime::MAX);
        minute_last(session.last.plus(self.gap).0).min(day)
    }

    /// Somebody was active at `time`.
    fn be_active(&self, days: &mut Option<Days>, time: EventTime, tally: &mut Tally) {
        if days.is_some_and(|known| time < known.hour_end) {
            return;
        }
        let hour_end = self.calendar.hour_end(time);
        let Some(known) = days else {
            let day = self.calendar.day_of(time);
            let due = Some(self.calendar.day_end(time).minus(DurationMs(1)));
            *days = Some(Days { first: day, last: day, streak: 1, hour_end, due });
            for measure in [Measure::HourUsers, Measure::DayUsers, Measure::NewUsers] {
                tally.count(measure);
            }
            return;
        };
        known.hour_end = hour_end;
        tally.count(Measure::HourUsers);
        let day = self.calendar.day_of(time);
        let since = day.since(known.last);
        if since == 0 {
            return;
        }
        let back = if since <= MONTH_DAYS { Measure::ReturningUsers } else { Measure::ResurrectedUsers };
        known.streak = if since == 1 { known.streak.saturating_add(1) } else { 1 };
        known.last = day;
        known.due = Some(self.calendar.day_end(time).minus(DurationMs(1)));
        tally.count(Measure::DayUsers);
        tally.count(back);
        for length in STREAKS.into_iter().filter(|length| known.streak >= u32::from(*length)) {
            tally.count(Measure::StreakUsers(length));
        }
        for age in COHORT_AGES.into_iter().filter(|age| day.since(known.first) == i32::from(*age)) {
            tally.count(Measure::CohortActive(age));
        }
    }

    /// Ends what has ended when time has come to `now`, the last moment of a minute.
    fn pass(&self, life: &mut Life, now: EventTime, said: &mut Said) {
        let days = life.days;
        if let Some(session) = life.session.take_if(|session| self.session_end(session, days) <= now) {
            said.end(session);
        }
        said.attempts.extend(attempts::expire(&self.definitions.funnels, &mut life.attempts, now));
        let Some(days) = &mut life.days else { return };
        let Some(due) = days.due.filter(|due| *due <= now) else { return };
        let day = self.calendar.day_of(due);
        let since = day.since(days.last);
        if since < WEEK_DAYS {
            said.tally.count(Measure::WeekUsers);
        }
        if since < MONTH_DAYS {
            said.tally.count(Measure::MonthUsers);
        }
        for age in COHORT_AGES.into_iter().filter(|age| day.since(days.first) == i32::from(*age)) {
            said.tally.count(Measure::CohortUsers(age));
        }
        // One day longer than they count, so that a cohort of 28 days ago is whole.
        let next = self.calendar.day_end(due.plus(DurationMs(1))).minus(DurationMs(1));
        days.due = (self.calendar.day_of(next).since(days.last) <= MONTH_DAYS).then_some(next);
    }

    /// When the next thing in a life ends by itself.
    fn next_end(&self, life: &Life) -> Option<EventTime> {
        let session = life.session.as_ref().map(|session| self.session_end(session, life.days));
        let attempt = life.attempts.iter().map(Running::due).min();
        [session, attempt, life.days.and_then(|days| days.due)].into_iter().flatten().min()
    }
}

impl Said {
    fn end(&mut self, session: Session) {
        session.tally(&mut self.tally);
        self.labels.push(Label::journey(&session));
        self.sessions.push(session);
    }
}
