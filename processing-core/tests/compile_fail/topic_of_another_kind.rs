//! A topic takes records of its own kind.

use processing_core::prelude::*;

#[derive(serde::Deserialize)]
struct Search {
    at: i64,
    city: String,
}

fn main() {
    let app = Topology::named("app");
    let searches = app.stream(Topic::<Json<Search>>::json("searches")).event_time(|s| EventTime(s.at));
    let cities: Topic<Json<u32>> = Topic::json("cities");
    searches.key_by(|search| search.city.clone()).to(cities);
}
