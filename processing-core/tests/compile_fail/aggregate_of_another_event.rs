//! An aggregate folds the events that it is written for.

use processing_core::prelude::*;

#[derive(serde::Deserialize)]
struct Search {
    at: i64,
    city: String,
}

#[derive(Default, Clone, serde::Serialize, serde::Deserialize)]
struct Distances(u64);

impl Mergeable for Distances {
    const EXACTNESS: Exactness = Exactness::Exact;
    fn merge(&mut self, other: &Self) {
        self.0 += other.0;
    }
}

impl Aggregate<u64> for Distances {
    fn add(&mut self, metres: &u64) {
        self.0 += metres;
    }
}

fn main() {
    let app = Topology::named("app");
    let searches = app.stream(Topic::<Json<Search>>::json("searches")).event_time(|s| EventTime(s.at));
    let windows = searches.key_by(|search| search.city.clone()).window(Tumbling::minutes(1));
    windows.aggregate::<Distances>("distances").on_close().end();
}
