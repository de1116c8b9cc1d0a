//! What is known of a person, and how it is written down: once for each minute in which they do something, so its bytes
//! are what the worker mostly costs.
//!
//! Not here: how it changes ([`crate::person`]). Invariant: reading gives what was written.
//!
//! ```text
//! flags     DAYS, DUE, SESSION, SEARCH, AFTER_SEARCH, WITHOUT_SEARCH, WAKES
//! SESSION   first, last: times   events: number   steps of the path: number   a kind's number each
//!           AFTER_SEARCH, WITHOUT_SEARCH each: how many: number   sum, sum of squares: signed
//! WAKES     what is behind it: minute
//! DAYS      end of the hour: minute   DUE, what is behind it: minute
//!           first day: signed   last day behind it: signed   streak: number
//! attempts, to the end of the bytes:
//!           the funnel's bits: 8 bytes   steps: number   a time each   limit behind the first one: span
//! ```
//! In the terms of [`crate::packed`].

use events::identity::IdHash;
use processing_core::prelude::{DurationMs, EventTime};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::attempts::{Attempts, Running, Times};
use crate::calendar::Day;
use crate::kind::Kind;
use crate::packed::{self, Packed, Reader, Writer};
use crate::session::{Ratings, Session};

const DAYS: u8 = 1;
const DUE: u8 = 2;
const SESSION: u8 = 4;
const SEARCH: u8 = 8;
const AFTER_SEARCH: u8 = 16;
const WITHOUT_SEARCH: u8 = 32;
const WAKES: u8 = 64;

/// What is known of a person.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Life {
    /// `None` while they were never active.
    pub days: Option<Days>,
    /// The session that may still go on.
    pub session: Option<Session>,
    /// Attempts that run, at most one for each funnel.
    pub attempts: Attempts,
    /// When the timer comes that looks for what has ended: at the next end, or before it where that was put off.
    pub wakes: Option<EventTime>,
}

/// The days on which a person was active.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Days {
    /// The first one.
    pub first: Day,
    /// The last one.
    pub last: Day,
    /// How many days in a row up to the last one.
    pub streak: u32,
    /// Where the last hour ends in which they were active.
    pub hour_end: EventTime,
    /// The last moment of the next day that has to be told; while a session is open, that of its day.
    pub due: Option<EventTime>,
}

impl Serialize for Life {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        packed::serialize(self, serializer)
    }
}

impl<'de> Deserialize<'de> for Life {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        packed::deserialize(deserializer)
    }
}

impl Packed for Life {
    fn write(&self, into: &mut Writer) {
        let Self { days, session, attempts, wakes } = self;
        let flag = |is_set: bool, flag: u8| if is_set { flag } else { 0 };
        let of_session = session.as_ref().map_or(0, |session| {
            SESSION
                | flag(session.has_search, SEARCH)
                | flag(session.after_search != Ratings::default(), AFTER_SEARCH)
                | flag(session.without_search != Ratings::default(), WITHOUT_SEARCH)
        });
        let of_days = days.map_or(0, |days| DAYS | flag(days.due.is_some(), DUE));
        into.byte(of_session | of_days | flag(wakes.is_some(), WAKES));
        if let Some(Session { first, last, requests, path, has_search: _, after_search, without_search }) = session {
            into.time(*first);
            into.time(*last);
            into.number(*requests);
            into.number(path.len() as u64);
            path.iter().for_each(|kind| into.byte(kind.number()));
            for ratings in [after_search, without_search].into_iter().filter(|it| **it != Ratings::default()) {
                into.number(ratings.count);
                into.signed(ratings.sum);
                into.signed(ratings.squares);
            }
        }
        wakes.iter().for_each(|wakes| into.minute(behind(*wakes)));
        if let Some(Days { first, last, streak, hour_end, due }) = days {
            into.minute(*hour_end);
            due.iter().for_each(|due| into.minute(behind(*due)));
            into.signed(i128::from(first.0));
            into.signed(i128::from(last.0) - i128::from(first.0));
            into.number(u64::from(*streak));
        }
        for Running { funnel, steps, until } in attempts {
            into.id(*funnel);
            into.number(steps.len() as u64);
            steps.iter().for_each(|step| into.time(*step));
            into.span(DurationMs(until.0.wrapping_sub(began(steps))));
        }
    }

    fn read(from: &mut Reader<'_>) -> Option<Self> {
        let flags = from.byte()?;
        let has = |flag: u8| flags & flag != 0;
        let session = if has(SESSION) { Some(session(from, has)?) } else { None };
        let wakes = if has(WAKES) { Some(before(from.minute()?)) } else { None };
        let days = if has(DAYS) { Some(days(from, has(DUE))?) } else { None };
        let mut attempts = Attempts::new();
        while !from.is_at_end() {
            let funnel: IdHash = from.id()?;
            let steps = (0..from.number()?).map(|_| from.time()).collect::<Option<Times>>()?;
            let until = EventTime(began(&steps).wrapping_add(from.span()?.0));
            attempts.push(Running { funnel, steps, until });
        }
        Some(Self { days, session, attempts, wakes })
    }
}

fn session(from: &mut Reader<'_>, has: impl Fn(u8) -> bool) -> Option<Session> {
    let (first, last, requests) = (from.time()?, from.time()?, from.number()?);
    let path = (0..from.number()?).map(|_| Kind::of_number(from.byte()?)).collect::<Option<_>>()?;
    let mut ratings = |flag: u8| {
        let rated = |from: &mut Reader<'_>| {
            Some(Ratings { count: from.number()?, sum: from.signed()?, squares: from.signed()? })
        };
        if has(flag) { rated(from) } else { Some(Ratings::default()) }
    };
    let (after_search, without_search) = (ratings(AFTER_SEARCH)?, ratings(WITHOUT_SEARCH)?);
    Some(Session { first, last, requests, path, has_search: has(SEARCH), after_search, without_search })
}

/// What is told at the last moment of a minute is written as the next one.
fn behind(last: EventTime) -> EventTime {
    EventTime(last.0.wrapping_add(1))
}

fn before(next: EventTime) -> EventTime {
    EventTime(next.0.wrapping_sub(1))
}

fn began(steps: &[EventTime]) -> i64 {
    steps.first().map_or(0, |first| first.0)
}

fn days(from: &mut Reader<'_>, is_due: bool) -> Option<Days> {
    let hour_end = from.minute()?;
    let due = if is_due { Some(before(from.minute()?)) } else { None };
    let first = from.signed()?;
    let last = from.signed()?.checked_add(first)?;
    let day = |number: i128| i32::try_from(number).ok().map(Day);
    let streak = u32::try_from(from.number()?).ok()?;
    Some(Days { first: day(first)?, last: day(last)?, streak, hour_end, due })
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test stops where its helper finds nothing")]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::session::JOURNEY_MAX;

    fn time() -> impl Strategy<Value = EventTime> {
        prop_oneof![4 => 1_790_000_000_000..1_790_100_000_000_i64, 1 => any::<i64>()].prop_map(EventTime)
    }

    fn ratings() -> impl Strategy<Value = Ratings> {
        let some = (any::<u64>(), any::<i128>(), any::<i128>());
        prop_oneof![Just(Ratings::default()), some.prop_map(|(count, sum, squares)| Ratings { count, sum, squares })]
    }

    fn session() -> impl Strategy<Value = Session> {
        let path = prop::collection::vec(prop::sample::select(Kind::ALL), 0..JOURNEY_MAX);
        (time(), time(), any::<u64>(), path, any::<bool>(), ratings(), ratings()).prop_map(
            |(first, last, requests, path, has_search, after_search, without_search)| Session {
                first,
                last,
                requests,
                path: path.into(),
                has_search,
                after_search,
                without_search,
            },
        )
    }

    prop_compose! {
        fn days()(first: i32, last: i32, streak: u32, hour_end in time(), due in prop::option::of(time())) -> Days {
            Days { first: Day(first), last: Day(last), streak, hour_end, due }
        }
    }

    prop_compose! {
        fn running()(funnel in 1..u64::MAX, steps in prop::collection::vec(time(), 0..5), until in time()) -> Running {
            Running { funnel: IdHash::from_bits(funnel).unwrap(), steps: steps.into(), until }
        }
    }

    proptest! {
        #[test]
        fn a_life_is_read_as_it_was_written(
            days in prop::option::of(days()), session in prop::option::of(session()),
            attempts in prop::collection::vec(running(), 0..3), wakes in prop::option::of(time()),
        ) {
            let life = Life { days, session, attempts: attempts.into(), wakes };
            prop_assert_eq!(packed::read(&packed::bytes_of(&life)), Some(life));
        }
    }

    /// What a user who is in the middle of something costs with each minute.
    #[test]
    fn a_life_is_small() {
        let at = |minute: i64| EventTime(1_790_000_000_000 + 60_000 * minute + 7);
        let session = Session {
            first: at(0),
            last: at(25),
            requests: 5,
            path: [Kind::View; 5].into_iter().collect(),
            has_search: true,
            after_search: Ratings { count: 1, sum: 4_000, squares: 16_000_000 },
            without_search: Ratings::default(),
        };
        let (first, due) = (Day(739_900), Some(at(600)));
        let days = Days { first, last: first, streak: 1, hour_end: at(30), due };
        let running =
            Running { funnel: IdHash::of("f"), steps: [at(3), at(9)].into(), until: at(3).plus(DurationMs::hours(1)) };
        let life = Life { days: Some(days), session: Some(session), attempts: [running].into(), wakes: Some(at(30)) };
        let bytes = packed::bytes_of(&life).len();
        assert!(bytes <= 72, "{bytes} bytes");
    }
}
