//! Questions to the stores, and the parameters that they are made of.
//!
//! Not here: what rows mean. Invariant: rows are those of the windows up to the time that comes with them.

use std::collections::BTreeMap;

use processing_core::prelude::*;
use processing_core::query::{Inquiry, Queries};
use processing_core::service::problem::Problem;
use processing_core::window::Windows;
use serde::de::DeserializeOwned;
use state::keys::pane::PaneKey;
use state::{OwnedRange, codec};

use crate::scope::Scope;

/// How often rows are read again because windows have closed since it was known which ones to read.
const TRIES: usize = 8;

/// The parameters behind the `?`, each at most once.
pub(super) struct Parameters(BTreeMap<String, String>);

impl Parameters {
    pub(super) fn read(given: Vec<(String, String)>, known: &[&str]) -> Result<Self, Problem> {
        let mut parameters = BTreeMap::new();
        for (name, value) in given {
            if !known.contains(&name.as_str()) {
                let known = known.join(", ");
                return Err(Problem::bad_request(format!("there is no parameter `{name}`; there are {known}")));
            }
            if parameters.insert(name.clone(), value).is_some() {
                return Err(Problem::bad_request(format!("the parameter `{name}` is given twice")));
            }
        }
        Ok(Self(parameters))
    }

    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }

    /// Whom is asked about.
    pub(super) fn scope(&self) -> Result<Scope, Problem> {
        let missing = || Problem::bad_request("`app` is missing: name the application, as app=lens");
        let app = self.get("app").ok_or_else(missing)?;
        Ok(match self.get("tenant") {
            Some(tenant) => Scope::new(app, tenant),
            None => Scope::new(app, "").whole_app(),
        })
    }

    /// A whole number from 1 to `max`.
    pub(super) fn count(&self, name: &str, max: i64, default: i64) -> Result<i64, Problem> {
        let Some(text) = self.get(name) else { return Ok(default.min(max)) };
        let wrong = || Problem::bad_request(format!("`{name}` takes a whole number from 1 to {max}, not `{text}`"));
        text.parse().ok().filter(|number| (1..=max).contains(number)).ok_or_else(wrong)
    }
}

/// The way to the stores.
pub(super) struct Rows(Queries);

impl Rows {
    pub(super) fn new(queries: Queries) -> Self {
        Self(queries)
    }

    /// The rows of `group` in the last `count` windows up to the one that holds the present moment, oldest first.
    pub(super) fn last<A: DeserializeOwned>(
        &self,
        store: &str,
        group: &impl StateKey,
        windows: &Windows,
        count: i64,
    ) -> Result<(EventTime, Vec<(Window, A)>), Problem> {
        self.read(store, group, windows, count, |bytes| codec::decode(bytes).map(Some))
    }

    /// The same of a processor's store by window, whose rows say first whether they are there.
    pub(super) fn last_kept<A: DeserializeOwned>(
        &self,
        store: &str,
        group: &impl StateKey,
        windows: &Windows,
        count: i64,
    ) -> Result<(EventTime, Vec<(Window, A)>), Problem> {
        self.read(store, group, windows, count, |bytes| match bytes.split_first() {
            Some((1, row)) => codec::decode(row).map(Some),
            _ => Ok(None),
        })
    }

    fn read<A>(
        &self,
        store: &str,
        group: &impl StateKey,
        windows: &Windows,
        count: i64,
        decode: impl Fn(&[u8]) -> Result<Option<A>, codec::CodecError>,
    ) -> Result<(EventTime, Vec<(Window, A)>), Problem> {
        let mut key = Vec::new();
        group.encode(&mut key);
        let ask = |ranges: Vec<OwnedRange>| {
            let inquiry = Inquiry { store: store.to_owned(), group: Some(key.clone()), ranges };
            self.0.ask(inquiry).map_err(Problem::from)
        };
        let ranges = |time: EventTime| -> Vec<OwnedRange> {
            let mut start = windows.pane_of(time).start;
            let mut ranges = Vec::new();
            for _ in 0..count {
                let mut row = Vec::new();
                PaneKey { pane: start.0, first_window: start.0, key: &key }.encode_into(&mut row);
                ranges.push(OwnedRange::only(row));
                start = windows.previous_start(start);
            }
            ranges.reverse();
            ranges
        };
        let not_yet = || Problem::unavailable("time has not begun yet; ask again in a moment");
        let damaged = |error: &dyn std::fmt::Display| {
            Problem::unavailable(format!("a row of store {store} cannot be read: {error}"))
        };
        let mut wanted = ranges(ask(Vec::new())?.time.ok_or_else(not_yet)?);
        for _ in 0..TRIES {
            let answer = ask(wanted.clone())?;
            let time = answer.time.ok_or_else(not_yet)?;
            let now = ranges(time);
            if now != wanted {
                wanted = now;
                continue;
            }
            let mut rows = Vec::new();
            for (row, value) in answer.rows {
                let row = PaneKey::decode(&row).map_err(|error| damaged(&error))?;
                let window = windows.window_at(EventTime(row.pane));
                rows.extend(decode(&value).map_err(|error| damaged(&error))?.map(|value| (window, value)));
            }
            return Ok((time, rows));
        }
        Err(Problem::unavailable(format!(
            "windows closed during each of {TRIES} tries to read one; ask again in a moment"
        )))
    }
}
