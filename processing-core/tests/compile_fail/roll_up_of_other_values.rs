//! What is no closed window any more cannot be merged.

use processing_core::prelude::*;

#[derive(serde::Deserialize)]
struct Search {
    at: i64,
    city: String,
}

fn main() {
    let app = Topology::named("app");
    let searches = app.stream(Topic::<Json<Search>>::json("searches")).event_time(|s| EventTime(s.at));
    let minutes = searches.key_by(|s| s.city.clone()).window(Tumbling::minutes(1)).fold("minutes", count()).on_close();
    minutes.map(|closed| closed.value.get()).roll_up(Tumbling::hours(1), "hours").on_close().end();
}
