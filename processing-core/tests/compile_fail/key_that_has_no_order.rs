//! Floating point numbers are no keys.

use processing_core::prelude::*;

#[derive(serde::Deserialize)]
struct Search {
    at: i64,
    city: String,
}

fn main() {
    let app = Topology::named("app");
    let searches = app.stream(Topic::<Json<Search>>::json("searches")).event_time(|s| EventTime(s.at));
    searches.key_by(|search| search.at as f64).window(Tumbling::minutes(1));
}
