//! A record's key decides its partition, so a stream without one has no place in a topic.

use processing_core::prelude::*;

#[derive(serde::Deserialize)]
struct Search {
    at: i64,
    city: String,
}

fn main() {
    let app = Topology::named("app");
    let searches = app.stream(Topic::<Json<Search>>::json("searches")).event_time(|s| EventTime(s.at));
    searches.map(|search| search.city).to(Topic::json("cities"));
}
