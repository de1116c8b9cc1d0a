//! Processors, case by case.
//!
//! Not here: chance (the simulator). Invariant: each case holds with a crash before every line and at every stage of
//! every commit.

use serde::{Deserialize, Serialize};

use crate::prelude::*;
use crate::testing::script::{check, try_check};

/// 10:00 of the scripts' day.
const TEN: i64 = 1_767_261_600_000;

fn seconds(time: EventTime) -> i64 {
    (time.0 - TEN) / 1_000
}

/// What a record tells the processor to do.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
struct Order {
    at: i64,
    key: String,
    /// Sets a timer.
    soon: Option<i64>,
    later: Option<i64>,
    /// How often `soon` sets itself anew, a second later.
    again: u32,
    cancel: bool,
    bad: bool,
    locate: bool,
}

/// Does what its records say and tells of everything that happens to it.
#[derive(Clone)]
struct Clerk {
    again: KeyValueStore<String, u32>,
    soon: Timer,
    later: Timer,
    places: Output<String>,
}

impl Processor for Clerk {
    type Key = String;
    type In = Order;
    type Out = String;

    fn process(&self, ctx: &mut Context<Self>, key: &String, order: Order) -> Result<(), Poison> {
        if order.bad {
            return Err(Poison::new("bad", "the order says so"));
        }
        if order.locate {
            let place = ctx.position().map(|at| format!("{}-{}@{}", at.topic, at.partition, at.offset));
            let logged = ctx.log_time().map(|time| seconds(EventTime(time.0)));
            ctx.forward_to(&self.places, key.clone(), format!("{place:?} {logged:?}"));
        }
        if order.again > 0 {
            ctx.store(&self.again).put(key, order.again);
        }
        if order.cancel {
            ctx.cancel_timer(self.soon);
        }
        for (timer, at) in [(self.soon, order.soon), (self.later, order.later)] {
            if let Some(at) = at {
                ctx.set_timer(timer, EventTime(at));
            }
        }
        let soon = ctx.timer(self.soon).map(seconds);
        let (own, stream) = (seconds(ctx.event_time()), seconds(ctx.stream_time()));
        ctx.forward(key.clone(), format!("record {own} {stream} {soon:?}"));
        Ok(())
    }

    fn on_timer(&self, ctx: &mut Context<Self>, key: &String, timer: Timer) -> Result<(), Poison> {
        if key == "never" {
            return Err(Poison::new("bad_timer", "there is nothing to do"));
        }
        let name = if timer == self.soon { "soon" } else { "later" };
        ctx.forward(key.clone(), format!("{name} {} {}", seconds(ctx.event_time()), seconds(ctx.stream_time())));
        let again = ctx.store(&self.again).get(key).copied().unwrap_or(0);
        if timer == self.soon && again > 0 {
            ctx.store(&self.again).put(key, again - 1);
            let next = ctx.event_time().plus(DurationMs::seconds(1));
            ctx.set_timer(timer, next);
        }
        Ok(())
    }
}

fn clerk() -> Plan {
    let app = Topology::named("clerk");
    app.stream(Topic::<Json<Order>>::json("orders"))
        .event_time(|order| EventTime(order.at))
        .already_keyed_by(|order| order.key.clone())
        .process("clerk", |setup| Clerk {
            again: setup.key_value_store("again"),
            soon: setup.timer("soon"),
            later: setup.timer("later"),
            places: setup.output(|places| places.to(Topic::json("places"))),
        })
        .to(Topic::json("said"));
    app.build().unwrap()
}

#[test]
fn a_timer_comes_after_the_records_of_its_time_and_before_all_later_ones() {
    check(
        clerk,
        r#"
        in  orders 10:00:00 a {"at": $ms, "key": "a", "soon": $ms(10:00:05)}
        out said a "record 0 0 Some(5)"
        in  orders 10:00:05 b {"at": $ms, "key": "b"}
        out said b "record 5 5 None"
        in  orders 10:00:06 a {"at": $ms, "key": "a"}
        out said a "soon 5 5"
        out said a "record 6 6 None"
        # Its own time has gone by, and that of its partition stays.
        in  orders 10:00:06 b {"at": $ms(10:00:02), "key": "b"}
        out said b "record 2 6 None"
        "#,
    );
}

#[test]
fn a_timer_that_is_set_anew_fires_once_at_the_last_time_and_one_that_is_cancelled_never() {
    check(
        clerk,
        r#"
        in  orders 10:00:00 a {"at": $ms, "key": "a", "soon": $ms(10:00:20), "later": $ms(10:00:21)}
        out said a "record 0 0 Some(20)"
        in  orders 10:00:01 a {"at": $ms, "key": "a", "soon": $ms(10:00:10)}
        out said a "record 1 1 Some(10)"
        in  orders 10:00:02 a {"at": $ms, "key": "a", "soon": $ms(10:00:15)}
        out said a "record 2 2 Some(15)"
        in  orders 10:00:12 b {"at": $ms, "key": "b", "soon": $ms(10:00:16)}
        out said b "record 12 12 Some(16)"
        in  orders 10:00:13 b {"at": $ms, "key": "b", "cancel": true}
        out said b "record 13 13 None"
        in  orders 10:00:30 c {"at": $ms, "key": "c", "soon": $ms(10:00:40)}
        out said a "soon 15 15"
        out said a "later 21 21"
        out said c "record 30 30 Some(40)"
        # Cancelled and set again to the time at which an entry is left over.
        in  orders 10:00:31 c {"at": $ms, "key": "c", "cancel": true}
        out said c "record 31 31 None"
        in  orders 10:00:32 c {"at": $ms, "key": "c", "soon": $ms(10:00:40)}
        out said c "record 32 32 Some(40)"
        in  orders 10:00:50 d {"at": $ms, "key": "d"}
        out said c "soon 40 40"
        out said d "record 50 50 None"
        "#,
    );
}

#[test]
fn timers_go_on_with_the_clock_where_everything_is_silent() {
    check(
        clerk,
        r#"
        set idle 100ms
        set close 30s
        in  orders 10:00:00 a {"at": $ms, "key": "a", "soon": $ms(10:00:20), "again": 1}
        out said a "record 0 0 Some(20)"
        advance 40s
        advance 1h
        out said a "soon 20 20"
        out said a "soon 21 21"
        "#,
    );
}

#[test]
fn a_timer_of_the_past_fires_as_soon_as_time_moves_and_timers_set_timers_in_their_places() {
    check(
        clerk,
        r#"
        in  orders 10:00:10 a {"at": $ms, "key": "a", "soon": $ms(10:00:01), "later": $ms(10:00:12)}
        out said a "record 10 10 Some(10)"
        in  orders 10:00:10 b {"at": $ms, "key": "b", "soon": $ms(10:00:11), "again": 2}
        out said b "record 10 10 Some(11)"
        in  orders 20:00:00 c {"at": $ms, "key": "c"}
        out said a "soon 10 10"
        out said b "soon 11 11"
        out said a "later 12 12"
        out said b "soon 12 12"
        out said b "soon 13 13"
        out said c "record 36000 36000 None"
        "#,
    );
}

#[test]
fn a_record_or_timer_that_is_refused_is_a_dead_letter() {
    check(
        clerk,
        r#"
        in  orders 10:00:00 never {"at": $ms, "key": "never", "soon": $ms(10:00:03)}
        out said never "record 0 0 Some(3)"
        in  orders 10:00:01 a {"at": $ms, "key": "a", "bad": true}
        dead bad
        in  orders 10:00:05 a {"at": $ms, "key": "a"}
        dead bad_timer
        out said a "record 5 5 None"
        "#,
    );
}

#[test]
fn a_processor_knows_where_a_record_came_from() {
    check(
        clerk,
        r#"
        in  orders 10:00:00 a {"at": $ms(09:59:58), "key": "a"}
        out said a "record -2 -2 None"
        in  orders 10:00:01 a {"at": $ms(09:59:59), "key": "a", "locate": true}
        out places a "Some(\"orders-0@1\") Some(1)"
        out said a "record -1 -1 None"
        "#,
    );
}

/// A processor of what a window has made: it knows of no place.
#[derive(Clone)]
struct Doubled;

impl Processor for Doubled {
    type Key = String;
    type In = u64;
    type Out = String;

    fn process(&self, ctx: &mut Context<Self>, key: &String, count: u64) -> Result<(), Poison> {
        if count > 2 {
            return Err(Poison::new("many", "more than two"));
        }
        let placed = ctx.position().is_some() || ctx.log_time().is_some() || ctx.headers().iter().next().is_some();
        ctx.forward(key.clone(), format!("{} {} {placed}", 2 * count, seconds(ctx.stream_time())));
        Ok(())
    }
}

#[test]
fn closed_windows_can_be_processed_too() {
    let plan = || {
        let app = Topology::named("doubled");
        app.stream(Topic::<Json<Order>>::json("orders"))
            .event_time(|order| EventTime(order.at))
            .key_by(|order| order.key.clone())
            .window(Tumbling::seconds(10))
            .fold("counts", count())
            .on_close()
            .map(|closed| closed.value.get())
            .process("doubled", |_| Doubled)
            .to(Topic::json("said"));
        app.build().unwrap()
    };
    check(
        plan,
        r#"
        in  orders 10:00:01 a {"at": $ms, "key": "a"}
        in  orders 10:00:01 b {"at": $ms, "key": "b"}
        in  orders 10:00:02 b {"at": $ms, "key": "b"}
        in  orders 10:00:03 b {"at": $ms, "key": "b"}
        in  orders 10:00:12 a {"at": $ms, "key": "a"}
        out said a "2 9 false"
        dead many
        "#,
    );
}

/// What a record does to many rows.
#[derive(Debug, Clone, Serialize, Deserialize)]
enum Bulk {
    Fill { from: u32, to: u32, value: u64 },
    Drop { from: u32, to: u32 },
    Look { from: u32, to: u32, most: usize },
}

#[derive(Clone)]
struct Rows(KeyValueStore<u32, u64>);

impl Processor for Rows {
    type Key = u8;
    type In = Bulk;
    type Out = String;

    fn process(&self, ctx: &mut Context<Self>, key: &u8, bulk: Bulk) -> Result<(), Poison> {
        match bulk {
            Bulk::Fill { from, to, value } => (from..to).for_each(|row| ctx.store(&self.0).put(&row, value)),
            Bulk::Drop { from, to } => (from..to).for_each(|row| ctx.store(&self.0).delete(&row)),
            Bulk::Look { from, to, most } => {
                let rows = ctx.store(&self.0).range(from..=to, most);
                assert!(rows.is_sorted_by_key(|(row, _)| *row), "rows come in their order");
                let (first, last) = (rows.first().map(|row| row.0), rows.last().map(|row| row.0));
                let sum: u64 = rows.iter().map(|row| row.1).sum();
                ctx.forward(*key, format!("{} {first:?} {last:?} {sum}", rows.len()));
            }
        }
        Ok(())
    }
}

#[test]
fn a_range_is_found_whole_while_a_store_moves_into_its_next_generation() {
    let plan = || {
        let app = Topology::named("rows");
        app.stream(Topic::<Json<Bulk>>::json("bulks"))
            .event_time(|_| EventTime(TEN))
            .already_keyed_by(|_| 7_u8)
            .process("bulks", |setup| Rows(setup.key_value_store("rows")))
            .to(Topic::json("said"));
        app.build().unwrap()
    };
    // So many rows that a move takes several commits, and that a range is read in several parts.
    check(
        plan,
        r#"
        in  bulks 10:00:00 7 {"Fill": {"from": 0, "to": 900, "value": 1}}
        in  bulks 10:00:00 7 {"Look": {"from": 0, "to": 2000, "most": 2000}}
        out said 7 "900 Some(0) Some(899) 900"
        in  bulks 10:00:00 7 {"Drop": {"from": 100, "to": 600}}
        in  bulks 10:00:00 7 {"Look": {"from": 0, "to": 2000, "most": 2000}}
        out said 7 "400 Some(0) Some(899) 400"
        in  bulks 10:00:00 7 {"Fill": {"from": 590, "to": 700, "value": 3}}
        in  bulks 10:00:00 7 {"Look": {"from": 50, "to": 2000, "most": 200}}
        out said 7 "200 Some(50) Some(739) 420"
        in  bulks 10:00:00 7 {"Drop": {"from": 0, "to": 880}}
        in  bulks 10:00:00 7 {"Look": {"from": 0, "to": 898, "most": 200}}
        out said 7 "19 Some(880) Some(898) 19"
        in  bulks 10:00:00 7 {"Look": {"from": 0, "to": 2000, "most": 0}}
        out said 7 "0 None None 0"
        "#,
    );
}

/// Uses what another processor has declared.
#[derive(Clone)]
struct Thief(KeyValueStore<String, u32>, Timer, Output<String>);

impl Processor for Thief {
    type Key = String;
    type In = Order;
    type Out = Order;

    fn process(&self, ctx: &mut Context<Self>, key: &String, order: Order) -> Result<(), Poison> {
        match order.again {
            0 => ctx.store(&self.0).put(key, 1),
            1 => ctx.set_timer(self.1, EventTime(order.at)),
            _ => ctx.forward_to(&self.2, key.clone(), String::new()),
        }
        ctx.forward(key.clone(), order);
        Ok(())
    }
}

#[test]
fn what_another_processor_has_declared_stops_the_worker() {
    let plan = || {
        let app = Topology::named("thief");
        let mut handles = None;
        app.stream(Topic::<Json<Order>>::json("orders"))
            .event_time(|order| EventTime(order.at))
            .already_keyed_by(|order| order.key.clone())
            .process("owner", |setup| {
                let again = setup.key_value_store("again");
                let (soon, later) = (setup.timer("soon"), setup.timer("later"));
                let places = setup.output(|places| places.end());
                handles = Some(Thief(again, soon, places));
                Clerk { again, soon, later, places }
            })
            .map(|said| Order { again: said.len() as u32 % 3, ..Order::default() })
            .process("thief", |_| handles.unwrap())
            .end();
        app.build().unwrap()
    };
    for at in ["10:00:00", "10:00:10", "10:01:40"] {
        let script = format!(r#"in orders {at} a {{"at": $ms, "key": "a"}}"#);
        let failure = try_check(plan, &script).unwrap_err();
        assert!(failure.message.contains("another one has declared"), "{at}: {failure:?}");
    }
}

#[test]
fn a_plan_shows_processors_and_what_they_keep() {
    #[derive(Clone)]
    struct Idle;
    impl Processor for Idle {
        type Key = String;
        type In = Order;
        type Out = ();
        fn process(&self, _: &mut Context<Self>, _: &String, _: Order) -> Result<(), Poison> {
            Ok(())
        }
    }
    let app = Topology::named("shown");
    app.stream(Topic::<Json<Order>>::json("orders"))
        .event_time(|order| EventTime(order.at))
        .already_keyed_by(|order| order.key.clone())
        .process("idle", |setup| {
            setup.windowed_store::<String, u32>("buckets", DurationMs::hours(1));
            setup.versioned_store::<String, u32>("prices", DurationMs::hours(2));
            setup.timer("never");
            setup.output(|side: crate::dsl::OutputStream<String, u32>| side.to(Topic::json("side")));
            Idle
        })
        .end();
    let plan = app.build().unwrap();
    let text = plan.describe();
    for line in [
        "Step: process-idle-2 (stores: idle-waiting, buckets, prices, idle-timers)",
        "--> output-3",
        "holds: rows by window, for 1 h",
        "changelog: shown-idle-timers-changelog",
    ] {
        assert!(text.contains(line), "{line} is missing in\n{text}");
    }
    let stores = &plan.sub_topologies()[0].stores;
    let prints: Vec<_> = stores.iter().map(|store| store.fingerprint()).collect();
    assert_eq!(prints[1], "buckets: rows by window for 3600000 ms of u32 by alloc::string::String");
    assert_eq!(prints[2], "prices: table of versions of u32 by alloc::string::String");
    assert!(prints[3].starts_with("idle-timers: table of timers never by "), "{}", prints[3]);
}
