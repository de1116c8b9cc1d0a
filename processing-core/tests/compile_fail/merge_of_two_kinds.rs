//! Streams that become one are of one kind.

use processing_core::prelude::*;

#[derive(serde::Deserialize)]
struct Search {
    at: i64,
    city: String,
}

fn main() {
    let app = Topology::named("app");
    let searches = app.stream(Topic::<Json<Search>>::json("searches")).event_time(|s| EventTime(s.at));
    let numbers = app.stream(Topic::<Json<i64>>::json("numbers")).event_time(|at| EventTime(*at));
    searches.merge(numbers).end();
}
