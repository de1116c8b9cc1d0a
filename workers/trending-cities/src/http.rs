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

use std::sync::Arc;

use axum::Router;
use axum::extract::{Path, Query, State};
use axum::response::Response;
use axum::routing::get;
use compact_str::CompactString;
use events::Gazetteer;
use events::gazetteer::Country;
use processing_core::prelude::{Tumbling, Windowing as _};
use processing_core::previous::Successive;
use processing_core::query::Queries;
use processing_core::record::EventTime;
use processing_core::service::parameters::{Parameters, answer};
use processing_core::service::problem::Problem;
use processing_core::window::{Window, Windows};
use processing_core::windowed::Closed;
use serde::Serialize;

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
    answer(move || {
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
    answer(move || {
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

    /// The list of the last window that has closed, empty where the scope had nothing in it, and whether it is
    /// warming, if that is known.
    fn last_list(&self, scope: &CompactString) -> Result<(Trending, Option<bool>), Problem> {
        let windows = windows(lists_windows(&self.settings))?;
        let advance = windows.advance().0;
        let last = |time| windows.closable_through(time).unwrap_or(EventTime(i64::MIN));
        let before = |start: EventTime| EventTime(start.0.saturating_sub(advance));
        let (time, mut found) =
            self.queries.windows::<Lists>("trending", scope, |time| vec![before(last(time)), last(time)])?;
        let start = last(time);
        let lists = Successive {
            window: windows.window_at(start),
            value: found.remove(&start).unwrap_or_default(),
            previous: found.remove(&before(start)),
        };
        Ok((Trending::of(&self.settings, scope, &lists), warming(&lists)))
    }

    /// The last `minutes`, of which the present one is the last.
    fn minutes_of(&self, city: &City, minutes: i64) -> Result<ActivityAnswer, Problem> {
        let whole = |time: i64| time - time.rem_euclid(MINUTE.0);
        let end = |time: EventTime| whole(time.0) + MINUTE.0;
        let start = |time: EventTime| end(time) - minutes * MINUTE.0;
        let (time, found) = self.queries.windows::<CityMinute>("city-minute", city, |time| {
            (0..minutes).map(|minute| EventTime(start(time) + minute * MINUTE.0)).collect()
        })?;
        let final_until = whole(time.0.saturating_sub(self.settings.grace.0));
        let minute = |(start, value): (EventTime, CityMinute)| {
            let window = Window { start, end: start.plus(MINUTE) };
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

/// A worker whose windows make no sense has not been built.
fn windows(laid: Tumbling) -> Result<Windows, Problem> {
    laid.windows().map_err(|error| Problem::unavailable(error.to_string()))
}
