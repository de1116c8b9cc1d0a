//! What one may ask the worker, answered from its stores.
//!
//! | route | answer |
//! |---|---|
//! | `GET /v1/trending?scope=world&k=10&by=trend` | the first k of a scope's last closed list; `scope` is `world` or a country, `by` is `trend` or `volume` |
//! | `GET /v1/cities/{city}/activity?minutes=60` | what happened in a city, minute by minute, up to the present one; `country` tells cities of one name apart |
//!
//! Times are milliseconds since 1970 UTC; `is_final` says whether a later event can still change what is
//! shown. A scope or a city where nothing happens has an empty list. `warming` says whether less than a day of
//! history stands behind a list; it is null where the scope was empty one window before too. 400 names the parameter that is wrong,
//! 404 the country or city that nobody knows, 503 with `Retry-After` comes while the store is being
//! restored, before a window has closed, and while windows close faster than they can be read.
//!
//! Not here: the library's own routes. Invariant: an answer is made of committed rows of one task between
//! two of its commits, so it never mixes two windows.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::extract::{Path, Query, State};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use compact_str::CompactString;
use events::Gazetteer;
use events::gazetteer::Country;
use processing_core::prelude::{StateKey, Tumbling, Windowing as _};
use processing_core::previous::Successive;
use processing_core::query::{Answer, Inquiry, Queries};
use processing_core::record::EventTime;
use processing_core::service::problem::Problem;
use processing_core::window::{Window, Windows};
use processing_core::windowed::Closed;
use serde::Serialize;
use serde::de::DeserializeOwned;
use state::keys::pane::PaneKey;
use state::{OwnedRange, Row, codec};

use crate::activity::CityMinute;
use crate::city::City;
use crate::lists::{Lists, WORLD};
use crate::results::{CityActivity, Ranked, Trending, warming};
use crate::settings::{MINUTE, TrendingSettings};
use crate::topology::{ACTIVITY_KEPT, lists_windows};

/// What a city's route shows at most, and what it shows unless asked otherwise.
const MINUTES_MAX: i64 = ACTIVITY_KEPT.0 / MINUTE.0;
/// How many cities a list shows unless asked otherwise.
const K: usize = 10;

/// How often rows are read again because windows have closed since it was known which ones to read.
const TRIES: usize = 8;

/// What every answer is made with.
struct Sources {
    settings: TrendingSettings,
    cities: Arc<Gazetteer>,
    queries: Queries,
}

/// The worker's own routes.
pub fn routes(settings: &TrendingSettings, cities: &Arc<Gazetteer>, queries: Queries) -> Router {
    let sources = Sources { settings: settings.clone(), cities: Arc::clone(cities), queries };
    Router::new()
        .route("/v1/trending", get(trending))
        .route("/v1/cities/{city}/activity", get(activity))
        .with_state(Arc::new(sources))
}

/// The parameters behind the `?`, each at most once.
struct Parameters(BTreeMap<String, String>);

impl Parameters {
    fn read(given: Vec<(String, String)>, known: &[&str]) -> Result<Self, Problem> {
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

    fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }

    /// A whole number from 1 to `max`.
    fn count(&self, name: &str, max: i64, default: i64) -> Result<i64, Problem> {
        let Some(text) = self.get(name) else { return Ok(default.min(max)) };
        let wrong = || Problem::bad_request(format!("`{name}` takes a whole number from 1 to {max}, not `{text}`"));
        text.parse().ok().filter(|number| (1..=max).contains(number)).ok_or_else(wrong)
    }
}

/// The first lines of a scope's list.
#[derive(Debug, Serialize)]
struct TrendingAnswer {
    scope: CompactString,
    by: &'static str,
    window_start_ms: i64,
    window_end_ms: i64,
    is_final: bool,
    /// `null` where nothing happened in this window nor in the one before.
    warming: Option<bool>,
    run_id: String,
    cities: Vec<Ranked>,
}

async fn trending(State(sources): State<Arc<Sources>>, Query(given): Query<Vec<(String, String)>>) -> Response {
    blocking(move || {
        let parameters = Parameters::read(given, &["scope", "k", "by"])?;
        let scope = sources.scope(parameters.get("scope").unwrap_or(WORLD))?;
        let most = i64::from(sources.settings.list_length);
        let k = parameters.count("k", most, K as i64)? as usize;
        let by = match parameters.get("by") {
            None | Some("trend") => "trend",
            Some("volume") => "volume",
            Some(other) => {
                return Err(Problem::bad_request(format!("`by` takes trend or volume, not `{other}`")));
            }
        };
        let (list, warming) = sources.last_list(&scope)?;
        let Trending { stamp, scope, is_final, trending, volume, .. } = list;
        let mut cities = if by == "trend" { trending } else { volume };
        cities.truncate(k);
        Ok(TrendingAnswer {
            scope,
            by,
            window_start_ms: stamp.window_start_ms,
            window_end_ms: stamp.window_end_ms,
            is_final,
            warming,
            run_id: stamp.run_id,
            cities,
        })
    })
    .await
}

/// A city's minutes, oldest first; those in which nothing happened are left out.
#[derive(Debug, Serialize)]
struct ActivityAnswer {
    city: CompactString,
    country: CompactString,
    window_start_ms: i64,
    window_end_ms: i64,
    /// Of all minutes; each has its own word too.
    is_final: bool,
    /// Minutes that end here or earlier are final.
    final_until_ms: i64,
    minutes: Vec<MinuteAnswer>,
}

#[derive(Debug, Serialize)]
struct MinuteAnswer {
    is_final: bool,
    #[serde(flatten)]
    activity: CityActivity,
}

async fn activity(
    State(sources): State<Arc<Sources>>,
    Path(name): Path<String>,
    Query(given): Query<Vec<(String, String)>>,
) -> Response {
    blocking(move || {
        let parameters = Parameters::read(given, &["minutes", "country"])?;
        let minutes = parameters.count("minutes", MINUTES_MAX, MINUTES_MAX)?;
        let country = match parameters.get("country") {
            None => None,
            Some(code) => Some(sources.country(code)?),
        };
        let country = country.as_ref().map(Country::as_str);
        let nobody = || Problem::not_found(format!("there is no city called `{name}`"));
        let city = City::from(&sources.cities.resolve(&name, country, None).ok_or_else(nobody)?);
        let answer = sources.minutes_of(&city, minutes)?;
        // A name that is in no table is a city as soon as somebody searched for it.
        if answer.minutes.is_empty() && !sources.cities.knows(&name) {
            return Err(nobody());
        }
        Ok(answer)
    })
    .await
}

/// Runs what waits for the worker threads where it holds up nobody.
#[expect(clippy::disallowed_methods, reason = "HTTP is what tokio is here for; no record comes this way")]
async fn blocking<A: Serialize + Send + 'static>(
    work: impl FnOnce() -> Result<A, Problem> + Send + 'static,
) -> Response {
    match tokio::task::spawn_blocking(work).await {
        Ok(Ok(answer)) => Json(answer).into_response(),
        Ok(Err(problem)) => problem.into_response(),
        Err(_) => Problem::unavailable("the work was broken off; ask again").into_response(),
    }
}

impl Sources {
    fn scope(&self, given: &str) -> Result<CompactString, Problem> {
        if given.eq_ignore_ascii_case(WORLD) {
            return Ok(WORLD.into());
        }
        let country = Country::from_code(given).ok_or_else(|| {
            let wants = "world or a country's code of two letters such as PT";
            Problem::bad_request(format!("`scope` takes {wants}, not `{given}`"))
        })?;
        self.known(country)
    }

    fn country(&self, given: &str) -> Result<Country, Problem> {
        let country = Country::from_code(given).ok_or_else(|| {
            Problem::bad_request(format!("`country` takes a code of two letters such as PT, not `{given}`"))
        })?;
        self.known(country).map(|_| country)
    }

    fn known(&self, country: Country) -> Result<CompactString, Problem> {
        if country == Country::UNKNOWN || self.cities.knows_country(country) {
            return Ok(country.as_str().into());
        }
        Err(Problem::not_found(format!("there is no country with the code {country}")))
    }

    /// The rows of `group` in the windows that start at `starts`, which are counted from the time that the
    /// group's task has committed.
    fn rows<A: DeserializeOwned>(
        &self,
        store: &str,
        group: &impl StateKey,
        starts: impl Fn(EventTime) -> Vec<i64>,
    ) -> Result<(EventTime, BTreeMap<i64, A>), Problem> {
        let mut key = Vec::new();
        group.encode(&mut key);
        let ask = |ranges: Vec<OwnedRange>| {
            let inquiry = Inquiry { store: store.to_owned(), group: Some(key.clone()), ranges };
            self.queries.ask(inquiry).map_err(Problem::from)
        };
        let range = |start| {
            let mut row = Vec::new();
            PaneKey { pane: start, first_window: start, key: &key }.encode_into(&mut row);
            OwnedRange::only(row)
        };
        let (time, rows) = of_its_time(ask, |time| starts(time).into_iter().map(range).collect())?;
        let damaged = |error: &dyn std::fmt::Display| {
            Problem::unavailable(format!("a row of store {store} cannot be read: {error}"))
        };
        let mut found = BTreeMap::new();
        for (row, value) in rows {
            let row = PaneKey::decode(&row).map_err(|error| damaged(&error))?;
            found.insert(row.pane, codec::decode(&value).map_err(|error| damaged(&error))?);
        }
        Ok((time, found))
    }

    /// The list of the last window that has closed, empty where the scope had nothing in it, and whether it is
    /// warming, if that is known.
    fn last_list(&self, scope: &CompactString) -> Result<(Trending, Option<bool>), Problem> {
        let windows = windows(lists_windows(&self.settings))?;
        let advance = windows.advance().0;
        let last = |time| windows.closable_through(time).map_or(i64::MIN, |start| start.0);
        let (time, mut found) = self.rows::<Lists>("trending", scope, |time| vec![last(time) - advance, last(time)])?;
        let start = last(time);
        let lists = Successive {
            window: windows.window_at(EventTime(start)),
            value: found.remove(&start).unwrap_or_default(),
            previous: found.remove(&(start - advance)),
        };
        Ok((Trending::of(&self.settings, scope, &lists), warming(&lists)))
    }

    /// The last `minutes`, of which the present one is the last.
    fn minutes_of(&self, city: &City, minutes: i64) -> Result<ActivityAnswer, Problem> {
        let whole = |time: i64| time - time.rem_euclid(MINUTE.0);
        let end = |time: EventTime| whole(time.0) + MINUTE.0;
        let start = |time: EventTime| end(time) - minutes * MINUTE.0;
        let (time, found) = self.rows::<CityMinute>("city-minute", city, |time| {
            (0..minutes).map(|minute| start(time) + minute * MINUTE.0).collect()
        })?;
        let final_until = whole(time.0.saturating_sub(self.settings.grace.0));
        let minute = |(start, value): (i64, CityMinute)| {
            let window = Window { start: EventTime(start), end: EventTime(start).plus(MINUTE) };
            MinuteAnswer {
                is_final: window.end.0 <= final_until,
                activity: CityActivity::of(&self.settings, city, &Closed { window, value }),
            }
        };
        Ok(ActivityAnswer {
            city: city.name.clone(),
            country: city.country.clone(),
            window_start_ms: start(time),
            window_end_ms: end(time),
            is_final: end(time) <= final_until,
            final_until_ms: final_until,
            minutes: found.into_iter().map(minute).collect(),
        })
    }
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

/// A worker whose windows make no sense has not been built.
fn windows(laid: Tumbling) -> Result<Windows, Problem> {
    laid.windows().map_err(|error| Problem::unavailable(error.to_string()))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test stops where its helper finds nothing")]
mod tests {
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
