//! Tables folded from a stream, case by case.
//!
//! Not here: chance (the simulator). Invariant: what is expected is the last word under a key.

use serde::{Deserialize, Serialize};

use crate::prelude::*;
use crate::testing::script::check;

#[derive(Clone, Serialize, Deserialize)]
struct Click {
    at: i64,
    user: String,
    page: String,
}

/// Clicks of each user until ten seconds have passed without one, and the last page of each until it says goodbye.
fn visits() -> Plan {
    let app = Topology::named("visits");
    app.stream(Topic::<Json<Click>>::json("clicks"))
        .event_time(|click| EventTime(click.at))
        .already_keyed_by(|click| click.user.clone())
        .tee(|clicks| {
            let last = clicks.reduce_table("last", |_, click| (click.page != "bye").then_some(click));
            last.on_update(|rows| rows.map(|row| row.map(|click| click.page)).to_table(Topic::json("page").compacted()))
        })
        .fold_table("counts", count())
        .time_to_live(DurationMs::seconds(10))
        .on_update(|rows| rows.map(|row| row.map(|n| n.get())).to_table(Topic::json("clicked").compacted()));
    app.build().unwrap()
}

#[test]
fn a_row_lives_as_long_as_its_key_is_heard_of() {
    check(
        visits,
        r#"
        in   clicks   10:00:00  ann  {"at": $ms, "user": "ann", "page": "a"}
        last clicked  ann  1
        in   clicks   10:00:04  ann  {"at": $ms, "user": "ann", "page": "b"}
        last clicked  ann  2
        last page     ann  "b"
        in   clicks   10:00:14  bob  {"at": $ms, "user": "bob", "page": "bye"}
        last clicked  ann  2
        last page     bob  null
        in   clicks   10:00:15  bob  {"at": $ms, "user": "bob", "page": "c"}
        last clicked  ann  null
        last clicked  bob  2
        last page     bob  "c"
        # It would be gone when it comes.
        in   clicks   10:00:15  ann  {"at": $ms(10:00:04), "user": "ann", "page": "late"}
        late {"at": $ms(10:00:04), "user": "ann", "page": "late"}
        last clicked  ann  null
        # It begins anew.
        in   clicks   10:00:15  ann  {"at": $ms(10:00:06), "user": "ann", "page": "d"}
        last clicked  ann  1
        in   clicks   10:00:40  ann  {"at": $ms, "user": "ann", "page": "bye"}
        last clicked  ann  1
        last clicked  bob  null
        last page     ann  null
        in   clicks   10:01:40  cid  {"at": $ms, "user": "cid", "page": "e"}
        last clicked  ann  null
        last clicked  cid  1
        "#,
    );
}

#[test]
fn records_of_several_topics_have_no_order_to_be_reduced_in() {
    let app = Topology::named("visits");
    app.streams([Topic::<Json<Click>>::json("clicks"), Topic::json("taps")])
        .event_time(|click| EventTime(click.at))
        .already_keyed_by(|click| click.user.clone())
        .reduce_table("last", |_, click| Some(click))
        .on_update(|rows| rows.to_table(Topic::json("page").compacted()));
    assert_eq!(app.build().err(), Some(TopologyError::Unordered("last".to_owned())));
}
