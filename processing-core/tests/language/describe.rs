//! How plans read, compared with golden files; `GOLDEN=overwrite` writes them anew.

#![expect(clippy::unwrap_used, reason = "golden files that cannot be read are a failed test")]

use std::path::Path;

use processing_core::prelude::*;
use serde::{Deserialize, Serialize};

#[derive(Deserialize, Serialize)]
struct Search {
    at: i64,
    city: String,
    query: String,
}

fn golden(file: &str, text: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(file);
    if std::env::var_os("GOLDEN").is_some_and(|word| word == "overwrite") {
        std::fs::write(&path, text).unwrap();
    }
    let expected = std::fs::read_to_string(&path).unwrap_or_default();
    assert_eq!(text, expected, "{} says something else", path.display());
}

fn both(name: &str, plan: &Plan) {
    golden(&format!("{name}.txt"), &plan.describe());
    golden(&format!("{name}.mmd"), &plan.mermaid());
}

#[test]
fn a_filter_reads_as_one_sub_topology() {
    let app = Topology::named("router");
    app.stream(Topic::<Json<Search>>::json("searches"))
        .event_time(|search| EventTime(search.at))
        .filter(|search| !search.query.is_empty())
        .map(|search| (search.city, search.query))
        .key_by(|(city, _)| city.clone())
        .to(Topic::json("queries").partitions(4).retention(DurationMs::hours(48)));
    both("filter", &app.build().unwrap());
}

#[test]
fn windows_read_with_their_stores_and_repartition_topics() {
    let app = Topology::named("trending");
    app.stream(Topic::<Json<Search>>::json("searches"))
        .event_time(|search| EventTime(search.at))
        .key_by(|search| search.city.clone())
        .window(Tumbling::minutes(1).grace(DurationMs::seconds(90)))
        .keep(DurationMs::hours(25))
        .fold("per-minute", count())
        .on_update(DurationMs::seconds(1), |updates| {
            updates.map(|update| update.value.get()).to(Topic::json("cities.now").compacted())
        })
        .tee(|minutes| minutes.map(|closed| closed.value.get()).to(Topic::json("cities.1m")))
        .map_keyed(|city, closed| (city.clone(), closed.value.get()))
        .key_by(|_| "world".to_owned())
        .window(Hopping::new(DurationMs::minutes(60), DurationMs::minutes(1)))
        .fold("top", top_k(20, |minute: &(String, u64)| (minute.1, minute.0.clone())))
        .on_close()
        .map(|closed| closed.window.end.0)
        .to(Topic::json("trending"));
    both("windows", &app.build().unwrap());
}

#[test]
fn sessions_read_with_their_gap_and_cut() {
    let app = Topology::named("visits");
    app.stream(Topic::<Json<Search>>::json("searches"))
        .event_time(|search| EventTime(search.at))
        .already_keyed_by(|search| search.city.clone())
        .sessions(
            Sessions::gap(DurationMs::minutes(30))
                .grace(DurationMs::minutes(5))
                .cut(DurationMs::hours(24), DurationMs::hours(22)),
        )
        .fold("visits", count())
        .on_close()
        .map(|closed| closed.value.get())
        .to(Topic::json("visits.done"));
    both("sessions", &app.build().unwrap());
}

#[test]
fn sliding_windows_read_with_their_difference() {
    let app = Topology::named("bursts");
    app.stream(Topic::<Json<Search>>::json("searches"))
        .event_time(|search| EventTime(search.at))
        .key_by(|search| search.city.clone())
        .sliding(SlidingWindows::difference(DurationMs::minutes(10)).grace(DurationMs::seconds(30)))
        .fold("bursts", count())
        .on_close()
        .map(|closed| closed.value.get())
        .to(Topic::json("bursts.done"));
    both("sliding", &app.build().unwrap());
}

#[test]
fn merged_streams_read_as_one_sub_topology_with_two_sources() {
    let app = Topology::named("activity");
    let timed =
        |name: &str| app.stream(Topic::<Json<Search>>::json(name)).event_time(|search: &Search| EventTime(search.at));
    let chats = timed("chats").filter(|chat| chat.query.len() > 1);
    timed("searches")
        .merge(chats)
        .already_keyed_by(|search| search.city.clone())
        .window(Tumbling::hours(24).offset(DurationMs::hours(2)))
        .fold("per-day", (count(), distinct(|search: &Search| search.query.as_str())))
        .on_close()
        .end();
    both("merge", &app.build().unwrap());
}

#[test]
fn a_join_reads_with_both_sides_and_their_repartition_topic() {
    let app = Topology::named("rides");
    let timed =
        |name: &str| app.stream(Topic::<Json<Search>>::json(name)).event_time(|search: &Search| EventTime(search.at));
    let window = JoinWindow::within(DurationMs(0), DurationMs::minutes(5)).grace(DurationMs::seconds(30));
    timed("requests")
        .already_keyed_by(|search| search.query.clone())
        .map(|search| search.city)
        .left_join(
            timed("offers").key_by(|search| search.query.clone()).repartition("offers").map(|offer| offer.at),
            window,
            "offered",
            |_, city, at| (city.clone(), at.copied()),
        )
        .to(Topic::json("rides"));
    both("join", &app.build().unwrap());
}

#[derive(Serialize, Deserialize)]
struct User {
    city: String,
}

#[derive(Serialize, Deserialize)]
struct Click {
    at: i64,
    user: String,
}

#[test]
fn a_table_reads_as_a_second_source_with_two_stores() {
    let app = Topology::named("enriched");
    let users = app.table(Topic::<Json<User>>::json("users")).grace(DurationMs::seconds(5));
    app.stream(Topic::<Json<Click>>::json("clicks"))
        .event_time(|click| EventTime(click.at))
        .already_keyed_by(|click| click.user.clone())
        .join_table(users, "users", |_, click, user| format!("{} {}", click.at, user.city))
        .to(Topic::json("clicks.enriched"));
    both("table", &app.build().unwrap());
}

#[test]
fn joined_tables_and_broadcast_tables_read_with_their_stores_and_topics() {
    let app = Topology::named("priced");
    let [users, cities] = ["users", "cities"].map(|topic| app.table::<String, _>(Topic::<Json<User>>::json(topic)));
    users
        .left_join(cities, "located", |_, user, city| city.map_or(user.city.clone(), |city| city.city.clone()))
        .on_update(|rows| rows.to_table(Topic::json("users.located").compacted()));
    let prices = app.table::<String, _>(Topic::<Json<User>>::json("prices"));
    app.stream(Topic::<Json<Click>>::json("clicks"))
        .event_time(|click| EventTime(click.at))
        .join_broadcast(
            prices,
            "prices",
            |click| click.user.clone(),
            |_, click, price| (click.user, price.city.clone()),
        )
        .key_by(|(user, _)| user.clone())
        .to(Topic::json("clicks.priced"));
    both("tables", &app.build().unwrap());
}

#[test]
fn a_join_by_a_foreign_key_reads_as_three_sub_topologies_in_a_row() {
    let app = Topology::named("ordered");
    let cities = app.table::<String, _>(Topic::<Json<User>>::json("cities"));
    app.table::<String, _>(Topic::<Json<User>>::json("users"))
        .join_by(cities, "located", |_, user| user.city.clone(), |_, _, city| city.city.clone())
        .on_update(|rows| rows.to_table(Topic::json("users.located").compacted()));
    both("foreign-key", &app.build().unwrap());
}
