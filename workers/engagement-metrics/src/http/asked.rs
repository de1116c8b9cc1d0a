//! What the routes have in common: whom they are asked about, and the last windows of a store.
//!
//! Not here: what rows mean. Invariant: rows are those of the windows up to the time that comes with them.

use processing_core::prelude::*;
use processing_core::query::{ByStart, Queries};
use processing_core::service::parameters::Parameters;
use processing_core::service::problem::Problem;
use processing_core::window::Windows;
use serde::de::DeserializeOwned;

use crate::scope::Scope;

/// Rows by their windows, oldest first, and the time that they belong to.
type Last<A> = (EventTime, Vec<(Window, A)>);

/// Whom is asked about.
pub(super) fn scope(given: &Parameters) -> Result<Scope, Problem> {
    let missing = || Problem::bad_request("`app` is missing: name the application, as app=lens");
    let app = given.get("app").ok_or_else(missing)?;
    Ok(match given.get("tenant") {
        Some(tenant) => Scope::new(app, tenant),
        None => Scope::new(app, "").whole_app(),
    })
}

/// The rows of `group` in the last `count` windows up to the one that holds the present moment.
pub(super) fn last<A: DeserializeOwned>(
    queries: &Queries,
    store: &str,
    group: &impl StateKey,
    windows: &Windows,
    count: i64,
) -> Result<Last<A>, Problem> {
    queries.windows(store, group, |time| starts(windows, time, count)).map(|found| by_window(windows, found))
}

/// The same of a processor's store by window.
pub(super) fn last_kept<A: DeserializeOwned>(
    queries: &Queries,
    store: &str,
    group: &impl StateKey,
    windows: &Windows,
    count: i64,
) -> Result<Last<A>, Problem> {
    queries.kept_windows(store, group, |time| starts(windows, time, count)).map(|found| by_window(windows, found))
}

fn starts(windows: &Windows, time: EventTime, count: i64) -> Vec<EventTime> {
    let last = windows.pane_of(time).start;
    let mut starts: Vec<EventTime> =
        std::iter::successors(Some(last), |start| Some(windows.previous_start(*start))).take(count as usize).collect();
    starts.reverse();
    starts
}

fn by_window<A>(windows: &Windows, (time, found): (EventTime, ByStart<A>)) -> Last<A> {
    (time, found.into_iter().map(|(start, row)| (windows.window_at(start), row)).collect())
}
