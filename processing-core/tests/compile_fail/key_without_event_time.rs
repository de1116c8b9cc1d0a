//! Event time is named first: everything after it depends on it.

use processing_core::prelude::*;

#[derive(serde::Deserialize)]
struct Search {
    at: i64,
    city: String,
}

fn main() {
    let app = Topology::named("app");
    let searches = app.stream(Topic::<Json<Search>>::json("searches"));
    searches.key_by(|search| search.city.clone());
}
