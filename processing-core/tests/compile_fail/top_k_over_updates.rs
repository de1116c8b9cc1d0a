//! A final top-K stands on final values.

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
            updates
                .map_keyed(|city, update| (city.clone(), update.value.get()))
                .key_by(|_| 0_u8)
                .window(Tumbling::minutes(1))
                .fold("top", top_k(20, |(city, n): &(String, u64)| (*n, city.clone())))
                .on_close()
                .end()
        })
        .end();
}
