//! The documented cases of a join with a table, one by one.
//!
//! Not here: chance (the simulator). Invariant: where the answer is not that of Kafka Streams,
//! [`crate::compared`] says why.

use serde::{Deserialize, Serialize};

use crate::prelude::*;
use crate::testing::script::{check, try_check};

#[derive(Serialize, Deserialize)]
struct Click {
    at: i64,
    user: String,
    page: String,
}

#[derive(Serialize, Deserialize)]
struct User {
    city: String,
}

#[derive(Serialize, Deserialize)]
struct Dated {
    from: i64,
    city: String,
}

fn said(page: &str, city: Option<&str>) -> String {
    format!("{page} {}", city.unwrap_or("nowhere"))
}

/// Clicks beside their users, by the log's time of these.
fn inner() -> Plan {
    let app = Topology::named("join");
    let users = app.table(Topic::<Json<User>>::json("users"));
    app.stream(Topic::<Json<Click>>::json("clicks"))
        .event_time(|click| EventTime(click.at))
        .already_keyed_by(|click| click.user.clone())
        .join_table(users, "users", |_, click, user| said(&click.page, Some(&user.city)))
        .to(Topic::json("out"));
    app.build().unwrap()
}

/// The same with all clicks, a grace, and the rows' own times.
fn left() -> Plan {
    let app = Topology::named("join");
    let users = app.table(Topic::<Json<Dated>>::json("users")).event_time(|user| EventTime(user.from));
    app.stream(Topic::<Json<Click>>::json("clicks"))
        .event_time(|click| EventTime(click.at))
        .already_keyed_by(|click| click.user.clone())
        .left_join_table(users.grace(DurationMs::seconds(5)), "users", |_, click, user| {
            said(&click.page, user.map(|user| user.city.as_str()))
        })
        .to(Topic::json("out"));
    app.build().unwrap()
}

#[test]
fn a_record_meets_the_row_of_its_time_and_updates_emit_nothing() {
    check(
        inner,
        r#"
        set idle 100ms
        in  clicks  10:00:01  ann  {"at": $ms, "user": "ann", "page": "before"}
        in  users   10:00:02  ann  {"city": "porto"}
        in  clicks  10:00:03  ann  {"at": $ms, "user": "ann", "page": "first"}
        out out     ann  "first porto"
        in  users   10:00:04  bob  {"city": "lagos"}
        in  users   10:00:05  ann  {"city": "faro"}
        in  clicks  10:00:06  ann  {"at": $ms, "user": "ann", "page": "second"}
        out out     ann  "second faro"
        in  users   10:00:07  ann  ~
        in  clicks  10:00:08  ann  {"at": $ms, "user": "ann", "page": "third"}
        in  users   10:00:09  ann  {"city": "braga"}
        in  users   10:00:09  ann  {"city": "evora"}
        in  clicks  10:00:10  ann  {"at": $ms, "user": "ann", "page": "fourth"}
        out out     ann  "fourth evora"
        in  clicks  10:00:11  bob  {"at": $ms, "user": "bob", "page": "fifth"}
        out out     bob  "fifth lagos"
        "#,
    );
}

#[test]
fn a_record_waits_for_the_time_of_a_table_that_is_not_silent() {
    check(
        inner,
        r#"
        in  users   10:00:02  ann  {"city": "porto"}
        in  clicks  10:00:05  ann  {"at": $ms, "user": "ann", "page": "first"}
        in  clicks  10:00:09  ann  {"at": $ms, "user": "ann", "page": "second"}
        # It comes later, and was true when the first click came. At one time, updates go first.
        in  users   10:00:05  ann  {"city": "faro"}
        in  users   10:00:07  bob  {"city": "lagos"}
        out out     ann  "first faro"
        crash
        in  users   10:00:08  ann  {"city": "braga"}
        in  users   10:00:10  ann  {"city": "evora"}
        out out     ann  "second braga"
        "#,
    );
}

#[test]
fn records_leave_in_the_order_of_their_times_and_late_ones_are_told() {
    check(
        left,
        r#"
        in  users   10:00:00  ann  {"from": $ms, "city": "porto"}
        in  users   10:00:20  ann  {"from": $ms, "city": "faro"}
        in  clicks  10:00:10  ann  {"at": $ms, "user": "ann", "page": "b"}
        in  clicks  10:00:07  ann  {"at": $ms, "user": "ann", "page": "a"}
        in  clicks  10:00:04  ann  {"at": $ms, "user": "ann", "page": "too late"}
        late {"at": $ms(10:00:04), "user": "ann", "page": "too late"}
        in  clicks  10:00:17  cid  {"at": $ms, "user": "cid", "page": "c"}
        out out     ann  "a porto"
        out out     ann  "b porto"
        # It waits for the table, and is joined as of its own time.
        in  clicks  10:00:30  ann  {"at": $ms, "user": "ann", "page": "e"}
        out out     cid  "c nowhere"
        in  clicks  10:00:25  ann  {"at": $ms, "user": "ann", "page": "d"}
        in  users   10:00:22  ann  ~
        # An update of the past takes effect at its partition's time.
        in  users   10:00:23  ann  {"from": $ms(10:00:01), "city": "braga"}
        in  users   10:00:26  ann  {"from": $ms, "city": "evora"}
        out out     ann  "d braga"
        in  users   10:00:40  bob  {"from": $ms, "city": "lagos"}
        in  clicks  10:00:41  bob  {"at": $ms, "user": "bob", "page": "f"}
        out out     ann  "e evora"
        "#,
    );
}

#[test]
fn what_cannot_be_read_is_a_dead_letter_and_changes_no_row() {
    check(
        inner,
        r#"
        set idle 100ms
        in  users   10:00:01  ann  {"city": "porto"}
        in  users   10:00:02  ann  {"town": "porto"}
        dead json
        in  users   10:00:03  -    {"city": "porto"}
        dead table_key
        in  clicks  10:00:04  ann  ~
        dead tombstone
        in  clicks  10:00:05  ann  {"at": $ms, "user": "ann", "page": "first"}
        out out     ann  "first porto"
        "#,
    );
}

#[test]
fn a_deleted_row_stays_deleted_however_many_generations_pass() {
    let mut script = "set idle 100ms\n".to_owned();
    for number in 0..30 {
        let second = 10 + number;
        script += &format!("in users 10:00:{second}.100 u{} {{\"city\": \"c{number}\"}}\n", number % 13);
        if number % 3 != 0 {
            script += &format!("in users 10:00:{second}.200 u{} ~\n", (number + 11) % 13);
        }
    }
    // By the definition: the last word on each.
    let mut rows = std::collections::BTreeMap::new();
    for number in 0..30 {
        rows.insert(number % 13, Some(number));
        if number % 3 != 0 {
            rows.insert((number + 11) % 13, None);
        }
    }
    for (second, (user, row)) in (10..).zip(rows) {
        script +=
            &format!("in clicks 10:01:{second} u{user} {{\"at\": $ms, \"user\": \"u{user}\", \"page\": \"p\"}}\n");
        if let Some(number) = row {
            script += &format!("out out u{user} \"p c{number}\"\n");
        }
    }
    if let Err(failure) = try_check(inner, &script) {
        panic!("{failure}\n{script}");
    }
}

#[test]
fn topics_that_split_their_keys_differently_are_refused_with_the_remedy() {
    let failure = try_check(inner, "topic users 2\n").unwrap_err().to_string();
    let told = ["topics clicks and users", "1 and 2 partitions", "same number of partitions"];
    assert!(told.iter().all(|part| failure.contains(part)), "{failure}");
}
