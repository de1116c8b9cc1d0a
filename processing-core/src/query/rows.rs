//! Rows of stores as what they hold: the windows of a group, and a table's rows.
//!
//! Not here: how rows come from the worker threads ([`Queries::ask`]). Invariant: rows of windows are those of the time
//! that comes with them; a row that was deleted is none, and of a key's generations only the newest counts.

use std::collections::BTreeMap;

use serde::de::DeserializeOwned;
use state::keys::pane::PaneKey;
use state::keys::table::TableKey;
use state::{OwnedRange, Row, StateKey, codec};

use super::{Answer, Inquiry, Queries};
use crate::record::EventTime;
use crate::service::problem::Problem;

/// How often rows are read again because windows have closed since it was known which ones to read.
const TRIES: usize = 8;

/// A row of a processor's store begins with this if there is one.
const LIVE: u8 = 1;

/// What windows hold, by their start.
pub type ByStart<A> = BTreeMap<EventTime, A>;

impl Queries {
    /// The rows of `group` in those windows of a store that start at `starts`, which are counted from the event time that
    /// the group's task has committed; and this time.
    ///
    /// # Errors
    /// 503 before time has begun, while windows close faster than they can be read, and as [`Queries::ask`] says.
    pub fn windows<A: DeserializeOwned>(
        &self,
        store: &str,
        group: &impl StateKey,
        starts: impl Fn(EventTime) -> Vec<EventTime>,
    ) -> Result<(EventTime, ByStart<A>), Problem> {
        self.windows_as(store, group, starts, |bytes| codec::decode(bytes).map(Some))
    }

    /// The same of a processor's windowed store.
    ///
    /// # Errors
    /// As [`Self::windows`].
    pub fn kept_windows<A: DeserializeOwned>(
        &self,
        store: &str,
        group: &impl StateKey,
        starts: impl Fn(EventTime) -> Vec<EventTime>,
    ) -> Result<(EventTime, ByStart<A>), Problem> {
        self.windows_as(store, group, starts, live)
    }

    fn windows_as<A>(
        &self,
        store: &str,
        group: &impl StateKey,
        starts: impl Fn(EventTime) -> Vec<EventTime>,
        decode: impl Fn(&[u8]) -> Result<Option<A>, codec::CodecError>,
    ) -> Result<(EventTime, ByStart<A>), Problem> {
        let key = encoded(group);
        let ask = |ranges: Vec<OwnedRange>| {
            let inquiry = Inquiry { store: store.to_owned(), group: Some(key.clone()), ranges };
            self.ask(inquiry).map_err(Problem::from)
        };
        let range = |start: EventTime| {
            let mut row = Vec::new();
            PaneKey { pane: start.0, first_window: start.0, key: &key }.encode_into(&mut row);
            OwnedRange::only(row)
        };
        let (time, rows) = of_its_time(ask, |time| starts(time).into_iter().map(range).collect())?;
        let mut found = ByStart::new();
        for (row, value) in rows {
            let row = PaneKey::decode(&row).map_err(|error| damaged(store, &error))?;
            if let Some(value) = decode(&value).map_err(|error| damaged(store, &error))? {
                found.insert(EventTime(row.pane), value);
            }
        }
        Ok((time, found))
    }

    /// The rows of a processor's store by key: of the task that has `group`, or of all tasks; and the event time that
    /// they have committed, `None` before it has begun.
    ///
    /// # Errors
    /// As [`Queries::ask`] says, and 503 for a row that cannot be read.
    #[allow(clippy::type_complexity, reason = "rows and their time")]
    pub fn kept_rows<A: DeserializeOwned>(
        &self,
        store: &str,
        group: Option<&dyn ErasedKey>,
    ) -> Result<(Option<EventTime>, BTreeMap<Vec<u8>, A>), Problem> {
        let all = OwnedRange { start: Vec::new(), end: None };
        let group = group.map(ErasedKey::encoded);
        let inquiry = Inquiry { store: store.to_owned(), group, ranges: vec![all] };
        let Answer { rows, time } = self.ask(inquiry).map_err(Problem::from)?;
        // A key may have a row of an earlier generation too, which comes before.
        let mut newest: BTreeMap<Vec<u8>, Vec<u8>> = BTreeMap::new();
        for (row, value) in rows {
            let row = TableKey::decode(&row).map_err(|error| damaged(store, &error))?;
            newest.insert(row.key.to_vec(), value);
        }
        let mut found = BTreeMap::new();
        for (key, value) in newest {
            if let Some(value) = live(&value).map_err(|error| damaged(store, &error))? {
                found.insert(key, value);
            }
        }
        Ok((time, found))
    }
}

/// A key whose type does not matter.
pub trait ErasedKey {
    /// Its bytes.
    fn encoded(&self) -> Vec<u8>;
}

impl<K: StateKey> ErasedKey for K {
    fn encoded(&self) -> Vec<u8> {
        encoded(self)
    }
}

fn encoded(key: &impl StateKey) -> Vec<u8> {
    let mut bytes = Vec::new();
    key.encode(&mut bytes);
    bytes
}

fn live<A: DeserializeOwned>(value: &[u8]) -> Result<Option<A>, codec::CodecError> {
    match value.split_first() {
        Some((&LIVE, row)) => codec::decode(row).map(Some),
        _ => Ok(None),
    }
}

fn damaged(store: &str, error: &dyn std::fmt::Display) -> Problem {
    Problem::unavailable(format!("a row of store {store} cannot be read: {error}"))
}

/// Rows in the ranges that belong to the time at which they were read, and this time.
///
/// Which rows to ask for is known only once the time is, and the task may commit in between: what closed
/// meanwhile would be missing, and what was kept for it is gone. So the rows count only where the time that
/// comes with them asks for the same ones.
fn of_its_time(
    mut ask: impl FnMut(Vec<OwnedRange>) -> Result<Answer, Problem>,
    ranges: impl Fn(EventTime) -> Vec<OwnedRange>,
) -> Result<(EventTime, Vec<Row>), Problem> {
    let not_yet = || Problem::unavailable("no window has closed yet, or many close just now; ask again in a moment");
    let mut wanted = ranges(ask(Vec::new())?.time.ok_or_else(not_yet)?);
    for _ in 0..TRIES {
        let Answer { rows, time } = ask(wanted.clone())?;
        let time = time.ok_or_else(not_yet)?;
        let now = ranges(time);
        if now == wanted {
            return Ok((time, rows));
        }
        wanted = now;
    }
    Err(Problem::unavailable(format!("windows closed during each of {TRIES} tries to read one; ask again in a moment")))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test stops where its helper finds nothing")]
mod tests {
    use axum::response::IntoResponse as _;

    use super::*;

    /// A task that keeps the rows of its last two minutes, and commits this many minutes before each answer.
    struct Moving {
        minute: i64,
        commits: Vec<i64>,
        asked: usize,
    }

    impl Moving {
        fn answer(&mut self, ranges: &[OwnedRange]) -> Answer {
            self.minute += self.commits.get(self.asked).copied().unwrap_or(0);
            self.asked += 1;
            let kept = [self.minute - 1, self.minute].map(|minute| (row(minute), format!("{minute}").into_bytes()));
            let wanted = |row: &Row| ranges.contains(&OwnedRange::only(row.0.clone()));
            Answer { rows: kept.into_iter().filter(wanted).collect(), time: Some(EventTime(self.minute)) }
        }
    }

    fn row(minute: i64) -> Vec<u8> {
        minute.to_be_bytes().to_vec()
    }

    fn read(commits: &[i64]) -> Result<(EventTime, Vec<Row>), Problem> {
        let mut task = Moving { minute: 100, commits: commits.to_vec(), asked: 0 };
        let last_two = |time: EventTime| [time.0 - 1, time.0].map(|minute| OwnedRange::only(row(minute))).to_vec();
        of_its_time(|ranges| Ok(task.answer(&ranges)), last_two)
    }

    #[test]
    fn rows_are_those_of_the_time_that_is_named() {
        // Both rows are there however many minutes close between the two questions.
        for commits in [&[][..], &[0, 1], &[0, 2], &[0, 1, 2, 3], &[0, 60, 0], &[1; TRIES]] {
            let (time, rows) = read(commits).unwrap();
            assert_eq!(time.0, 100 + commits.iter().sum::<i64>(), "{commits:?}");
            let minutes: Vec<Vec<u8>> = rows.into_iter().map(|(_, value)| value).collect();
            let expected = [time.0 - 1, time.0].map(|minute| minute.to_string().into_bytes());
            assert_eq!(minutes, expected, "{commits:?}");
        }
    }

    #[test]
    fn a_time_that_never_stands_still_is_told_to_come_again() {
        let answer = read(&[1; TRIES + 1]).unwrap_err().into_response();
        assert_eq!(answer.status(), 503);
        assert!(answer.headers().contains_key("retry-after"));
    }

    #[test]
    fn no_time_is_no_answer() {
        for (first, second) in [(None, None), (Some(EventTime(1)), None)] {
            let mut times = [first, second].into_iter();
            let ask = |_| Ok(Answer { rows: Vec::new(), time: times.next().flatten() });
            assert_eq!(of_its_time(ask, |_| Vec::new()).unwrap_err().into_response().status(), 503);
        }
    }
}
