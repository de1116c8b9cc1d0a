//! A window holds a value for each key, so a stream without one has no windows.

use processing_core::prelude::*;

#[derive(serde::Deserialize)]
struct Search {
    at: i64,
    city: String,
}

fn main() {
    let app = Topology::named("app");
    let searches = app.stream(Topic::<Json<Search>>::json("searches")).event_time(|s| EventTime(s.at));
    searches.window(Tumbling::minutes(1)).fold("counts", count()).on_close().end();
}
