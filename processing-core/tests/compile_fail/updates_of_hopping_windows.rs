//! An event would update every window that holds it.

use processing_core::prelude::*;

#[derive(serde::Deserialize)]
struct Search {
    at: i64,
    city: String,
}

fn main() {
    let app = Topology::named("app");
    let searches = app.stream(Topic::<Json<Search>>::json("searches")).event_time(|s| EventTime(s.at));
    let hourly = Hopping::new(DurationMs::hours(1), DurationMs::minutes(1));
    let table = searches.key_by(|s| s.city.clone()).window(hourly).fold("counts", count());
    table.on_update(DurationMs::seconds(1), |updates| updates.end()).end();
}
