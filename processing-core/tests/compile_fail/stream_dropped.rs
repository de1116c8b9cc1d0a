//! A stream, a key, a window and a table that lead nowhere are warned of.

#![deny(unused_must_use)]

use processing_core::prelude::*;

#[derive(serde::Deserialize)]
struct Search {
    at: i64,
    city: String,
}

fn main() {
    let app = Topology::named("app");
    let searches = || app.stream(Topic::<Json<Search>>::json("searches")).event_time(|s| EventTime(s.at));
    let keyed = || searches().key_by(|search| search.city.clone());
    app.stream(Topic::<Json<Search>>::json("searches"));
    searches().filter(|search| search.at > 0);
    keyed();
    keyed().window(Tumbling::minutes(1));
    keyed().window(Tumbling::minutes(1)).fold("counts", count());
}
