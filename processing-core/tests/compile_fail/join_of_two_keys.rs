//! What is joined has one key.

use processing_core::prelude::*;

#[derive(Clone, serde::Serialize, serde::Deserialize)]
struct Search {
    at: i64,
    city: String,
}

fn main() {
    let app = Topology::named("app");
    let stream = |topic: &str| app.stream(Topic::<Json<Search>>::json(topic)).event_time(|s: &Search| EventTime(s.at));
    let clicks = stream("clicks").key_by(|s| s.at);
    stream("searches").key_by(|s| s.city.clone()).join(
        clicks,
        JoinWindow::around(DurationMs::minutes(1)),
        "pairs",
        |_, _, _| (),
    );
}
