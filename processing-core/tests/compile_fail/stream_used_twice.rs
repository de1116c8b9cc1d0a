//! A stream goes one way; `tee` shows it to a second one.

use processing_core::prelude::*;

#[derive(serde::Deserialize)]
struct Search {
    at: i64,
    city: String,
}

fn main() {
    let app = Topology::named("app");
    let searches = app.stream(Topic::<Json<Search>>::json("searches")).event_time(|s| EventTime(s.at));
    searches.key_by(|search| search.city.clone()).window(Tumbling::minutes(1)).fold("a", count()).on_close().end();
    searches.filter(|search| search.at > 0).end();
}
