//! What Kafka Streams documents of its Processor API (the developer guide's chapter, the Javadoc of `ProcessorContext`,
//! `Punctuator`, `WindowStore` and `VersionedKeyValueStore`), as scripts.
//!
//! Not here: the cases of timers that it has none of ([`super::tests`]). Invariant: where the answer differs,
//! [`crate::compared`] says why.

use serde::{Deserialize, Serialize};

use crate::prelude::*;
use crate::testing::script::check;

#[derive(Debug, Clone, Serialize, Deserialize)]
struct Ask {
    at: i64,
    k: String,
    v: i64,
}

/// 10:00 of the scripts' day.
const TEN: i64 = 1_767_261_600_000;

fn second(at: i64) -> EventTime {
    EventTime(TEN + 1_000 * at)
}

/// Sets a timer every ten seconds, as a schedule does, and tells of each.
#[derive(Clone)]
struct Ticking(Timer);

impl Processor for Ticking {
    type Key = String;
    type In = Ask;
    type Out = i64;

    fn process(&self, ctx: &mut Context<Self>, _: &String, _: Ask) -> Result<(), Poison> {
        if ctx.timer(self.0).is_none() {
            let next = ctx.event_time().plus(DurationMs::seconds(10));
            ctx.set_timer(self.0, next);
        }
        Ok(())
    }

    fn on_timer(&self, ctx: &mut Context<Self>, key: &String, timer: Timer) -> Result<(), Poison> {
        ctx.forward(key.clone(), (ctx.event_time().0 - TEN) / 1_000);
        let next = ctx.event_time().plus(DurationMs::seconds(10));
        ctx.set_timer(timer, next);
        Ok(())
    }
}

fn ticking() -> Plan {
    let app = Topology::named("ticking");
    let asks = app.stream(Topic::<Json<Ask>>::json("asks")).event_time(|ask| EventTime(ask.at));
    asks.already_keyed_by(|ask| ask.k.clone())
        .process("ticking", |setup| Ticking(setup.timer("tick")))
        .tee(|ticks| ticks.to(Topic::json("ticks")))
        .window(Tumbling::seconds(20))
        .fold("ticks", count())
        .on_close()
        .map(|closed| closed.value.get())
        .to(Topic::json("counts"));
    app.build().unwrap()
}

/// `PunctuationType.STREAM_TIME`: "if a punctuation is due several times, it is called once". And nothing that it forwards
/// has a time of its own but that of the call.
#[test]
fn a_schedule_misses_no_tick_and_what_it_forwards_has_its_time() {
    check(
        ticking,
        r#"
        in  asks   10:00:05  a  {"at": $ms, "k": "a", "v": 0}
        in  asks   10:00:50  a  {"at": $ms, "k": "a", "v": 0}
        out ticks  a  15
        out ticks  a  25
        out ticks  a  35
        out ticks  a  45
        # From 20 to 40 there were two of them, and one before.
        out counts a  1
        out counts a  2
        "#,
    );
}

/// `PunctuationType.WALL_CLOCK_TIME` goes on without records.
#[test]
fn a_timer_waits_for_event_time_and_not_for_the_clock() {
    check(
        ticking,
        r#"
        set idle 100ms
        in  asks   10:00:05  a  {"at": $ms, "k": "a", "v": 0}
        advance 1h
        in  asks   11:00:06  b  {"at": $ms(10:00:16), "k": "b", "v": 0}
        out ticks  a  15
        "#,
    );
}

/// Answers from stores of each kind.
#[derive(Clone)]
struct Keeper {
    buckets: WindowedStore<String, i64>,
    versions: VersionedStore<String, i64>,
}

impl Processor for Keeper {
    type Key = String;
    type In = Ask;
    type Out = String;

    fn process(&self, ctx: &mut Context<Self>, key: &String, ask: Ask) -> Result<(), Poison> {
        if ask.v == 0 {
            let starts: Vec<_> = ctx.store(&self.buckets).range(second(0)..second(60), 10);
            let starts: Vec<_> = starts.iter().map(|((start, _), v)| ((start.0 - TEN) / 1_000, *v)).collect();
            let versions = [5, 9, 10, 19, 20, 30, 60].map(|at| ctx.store(&self.versions).get(key, second(at)).copied());
            ctx.forward(key.clone(), format!("{starts:?} {versions:?}"));
            return Ok(());
        }
        if ask.v == -2 {
            let keys = "b".to_owned()..="c".to_owned();
            let of =
                |ctx: &mut Context<Self>, at, most| ctx.store(&self.buckets).range_of_keys(second(at), &keys, most);
            let found = [of(ctx, 20, 9), of(ctx, 20, 2), of(ctx, 10, 9), of(ctx, -5, 9)];
            ctx.forward(key.clone(), format!("{found:?}").replace('"', ""));
            return Ok(());
        }
        ctx.store(&self.buckets).put(key, EventTime(ask.at), &ask.v);
        match ask.v {
            -1 => ctx.store(&self.versions).delete(key, EventTime(ask.at)),
            v => ctx.store(&self.versions).put(key, v, EventTime(ask.at)),
        };
        Ok(())
    }
}

fn keeper() -> Plan {
    let app = Topology::named("keeper");
    app.stream(Topic::<Json<Ask>>::json("asks"))
        .event_time(|ask| EventTime(ask.at))
        .already_keyed_by(|ask| ask.k.clone())
        .process("keeper", |setup| Keeper {
            buckets: setup.windowed_store("buckets", DurationMs::seconds(30)),
            versions: setup.versioned_store("versions", DurationMs::seconds(30)),
        })
        .to(Topic::json("said"));
    app.build().unwrap()
}

/// `VersionedKeyValueStore.get(key, asOfTimestamp)`: the latest version not later than that; null for a version that was
/// deleted, or where the time lies before the history. `WindowStore.fetch`: starts from and to, both included.
#[test]
fn versions_are_found_by_time_and_windows_until_their_retention() {
    check(
        keeper,
        r#"
        in  asks  10:00:10  a  {"at": $ms, "k": "a", "v": 1}
        in  asks  10:00:20  a  {"at": $ms, "k": "a", "v": 2}
        in  asks  10:00:30  a  {"at": $ms, "k": "a", "v": -1}
        # Out of order, and kept where it belongs.
        in  asks  10:00:31  a  {"at": $ms(10:00:05), "k": "a", "v": 7}
        in  asks  10:00:32  a  {"at": $ms, "k": "a", "v": 0}
        out said  a  "[(5, 7), (10, 1), (20, 2), (30, -1)] [Some(7), Some(7), Some(1), Some(1), Some(2), None, None]"
        # Thirty seconds after it began a window is there, and a millisecond later it is gone.
        in  asks  10:00:40  a  {"at": $ms, "k": "a", "v": 0}
        out said  a  "[(10, 1), (20, 2), (30, -1)] [None, None, Some(1), Some(1), Some(2), None, None]"
        in  asks  10:00:40.001  a  {"at": $ms, "k": "a", "v": 0}
        out said  a  "[(20, 2), (30, -1)] [None, None, None, Some(1), Some(2), None, None]"
        "#,
    );
}

/// `WindowStore.fetch(keyFrom, keyTo, ...)`: both keys included.
#[test]
fn of_a_window_the_rows_of_some_keys_are_found_in_their_order() {
    check(
        keeper,
        r#"
        in  asks  10:00:20  c   {"at": $ms, "k": "c", "v": 5}
        in  asks  10:00:20  a   {"at": $ms, "k": "a", "v": 2}
        in  asks  10:00:20  bb  {"at": $ms, "k": "bb", "v": 4}
        in  asks  10:00:20  b   {"at": $ms, "k": "b", "v": 3}
        in  asks  10:00:20  cc  {"at": $ms, "k": "cc", "v": 6}
        in  asks  10:00:21  b   {"at": $ms(10:00:10), "k": "b", "v": 1}
        in  asks  10:00:25  a   {"at": $ms, "k": "a", "v": -2}
        out said  a  "[[(b, 3), (bb, 4), (c, 5)], [(b, 3), (bb, 4)], [(b, 1)], []]"
        in  asks  10:00:40.001  a  {"at": $ms, "k": "a", "v": -2}
        out said  a  "[[(b, 3), (bb, 4), (c, 5)], [(b, 3), (bb, 4)], [], []]"
        "#,
    );
}
