//! A recipe folds the events that it is written for.

use processing_core::prelude::*;

#[derive(serde::Deserialize)]
struct Search {
    at: i64,
    city: String,
}

fn main() {
    let app = Topology::named("app");
    let searches = app.stream(Topic::<Json<Search>>::json("searches")).event_time(|s| EventTime(s.at));
    let windows = searches.key_by(|search| search.city.clone()).window(Tumbling::minutes(1));
    windows.fold("sums", sum(|number: &i64| *number)).on_close().end();
}
