//! An update replaces the one before it: counting updates counts a record several times.

use processing_core::prelude::*;

#[derive(serde::Deserialize)]
struct Search {
    at: i64,
    city: String,
}

fn main() {
    let app = Topology::named("app");
    let searches = app.stream(Topic::<Json<Search>>::json("searches")).event_time(|s| EventTime(s.at));
    let table = searches.key_by(|s| s.city.clone()).window(Tumbling::minutes(1)).fold("counts", count());
    table
        .on_update(DurationMs::seconds(1), |updates| {
            updates.window(Tumbling::hours(1)).fold("again", count()).on_close().end()
        })
        .end();
}
