//! Days in local time are not all of one length, and a frame is a span of milliseconds.

use processing_core::prelude::*;

#[derive(serde::Deserialize)]
struct Search {
    at: i64,
    city: String,
}

fn main() {
    let app = Topology::named("app");
    let searches = app.stream(Topic::<Json<Search>>::json("searches")).event_time(|s| EventTime(s.at));
    let table = searches.key_by(|s| s.city.clone()).window(LocalDays::of(Tz::Europe__Lisbon)).fold("days", count());
    table.on_close_with("history", &[Frame::before(DurationMs::hours(24))], |count| *count).end();
}
