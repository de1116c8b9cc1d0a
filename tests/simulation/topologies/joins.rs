//! The simulated applications that put two streams together, and the one that sends whole records on.
//!
//! Not here: what they have to say ([`crate::oracle::joins`]). Invariant: each kind of join is here, over topics that
//! are keyed already and over ones that are repartitioned.

use processing_core::aggregate::{count, sum};
use processing_core::dsl::{Topic, Topology};
use processing_core::join::{Exchange, JoinWindow};
use processing_core::plan::Plan;
use processing_core::window::Tumbling;

use super::{Scenario, built, key, line, ms, time};
use crate::events::{Happening, Plain, Text};
use crate::oracle;

/// What travels: time and amount.
type Spoken = (i64, i64);

fn spoken(event: Happening) -> Spoken {
    (event.time.0, event.amount)
}

fn both(left: &Spoken, right: &Spoken) -> String {
    format!("{} {} {} {}", left.0, left.1, right.0, right.1)
}

fn either(left: Option<&Spoken>, right: Option<&Spoken>) -> String {
    match (left, right) {
        (Some(left), Some(right)) => both(left, right),
        (Some(left), None) => format!("{} {} - -", left.0, left.1),
        (None, Some(right)) => format!("- - {} {}", right.0, right.1),
        (None, None) => "nobody".to_owned(),
    }
}

/// Both sides are repartitioned.
fn inner_join() -> Plan {
    let topology = Topology::named("inner");
    let stream = |topic| topology.stream(Topic::with(topic, Plain)).event_time(time).key_by(key);
    let window = JoinWindow::within(ms(300), ms(700)).grace(ms(400));
    stream("in")
        .join(stream("in-b"), window, "pairs", |_, left, right| {
            both(&(left.time.0, left.amount), &(right.time.0, right.amount))
        })
        .to(Topic::with("out", Text));
    built(topology)
}

/// Both topics are keyed already. Without a grace.
fn left_join() -> Plan {
    let topology = Topology::named("left");
    let stream = |topic| topology.stream(Topic::with(topic, Plain)).event_time(time).already_keyed_by(key).map(spoken);
    stream("in")
        .left_join(stream("in-b"), JoinWindow::within(ms(0), ms(900)), "pairs", |_, left, right| {
            either(Some(left), right)
        })
        .to(Topic::with("out", Text).partitions(2));
    built(topology)
}

/// One side is keyed already and the other repartitioned to it; what comes out is windowed.
fn outer_join() -> Plan {
    let topology = Topology::named("outer");
    let stream = |topic| topology.stream(Topic::with(topic, Plain)).event_time(time);
    let window = JoinWindow::within(ms(600), ms(200)).grace(ms(300));
    stream("in")
        .already_keyed_by(key)
        .map(spoken)
        .outer_join(stream("in-b").key_by(key), window, "pairs", |_, left, right| {
            either(left, right.map(|right| (right.time.0, right.amount)).as_ref())
        })
        .tee(|side| side.to(Topic::with("out", Text)))
        .window(Tumbling::millis(1_000))
        .fold("counts", count())
        .on_close()
        .map(|closed| line(closed.window, closed.value.get()))
        .to(Topic::with("counts", Text));
    built(topology)
}

/// Who asked and who answered: few names, so that many are used again.
fn requests() -> Plan {
    let topology = Topology::named("requests");
    let stream = |topic| {
        let named = |event: &Happening| event.key * 4 + (event.amount % 4) as u16;
        topology.stream(Topic::with(topic, Plain)).event_time(time).key_by(named)
    };
    let say = |event: &Happening| format!("{} {}", event.time.0, event.amount);
    stream("in")
        .answered_by(stream("in-b"), JoinWindow::within(ms(100), ms(800)).grace(ms(300)), "waiting")
        .map(move |exchange| match exchange {
            Exchange::Answered { request, answer } => format!("answered {} {}", say(&request), say(&answer)),
            Exchange::TimedOut(request) => format!("timed out {}", say(&request)),
            Exchange::Unasked(answer) => format!("unasked {}", say(&answer)),
            Exchange::RequestedAgain(request) => format!("requested again {}", say(&request)),
            Exchange::AnsweredAgain(answer) => format!("answered again {}", say(&answer)),
        })
        .to(Topic::with("out", Text));
    built(topology)
}

/// Whole records through a repartition topic, and only then windows.
fn repartitioned() -> Plan {
    let topology = Topology::named("repartitioned");
    topology
        .stream(Topic::with("in", Plain))
        .event_time(time)
        .key_by(key)
        .repartition("by-key")
        .map(|event| event.amount)
        .tee(|side| side.map(|amount| amount.to_string()).to(Topic::with("all", Text)))
        .window(Tumbling::millis(1_000).grace(ms(500)))
        .fold("counts", (count(), sum(|amount: &i64| *amount)))
        .on_close()
        .map(|closed| line(closed.window, format!("{} {}", closed.value.0.get(), closed.value.1.get())))
        .to(Topic::with("out", Text));
    built(topology)
}

macro_rules! scenario {
    ($constant:ident, $name:ident, $scale:expr, $inputs:expr, $alike:expr) => {
        pub(crate) const $constant: Scenario = Scenario {
            name: stringify!($name),
            inputs: $inputs,
            scale: $scale,
            alike: $alike,
            plan: $name,
            expected: oracle::joins::$name,
        };
    };
}

scenario!(INNER_JOIN, inner_join, 700, &["in", "in-b"], false);
scenario!(LEFT_JOIN, left_join, 700, &["in", "in-b"], true);
scenario!(OUTER_JOIN, outer_join, 700, &["in", "in-b"], true);
scenario!(REQUESTS, requests, 700, &["in", "in-b"], false);
scenario!(REPARTITIONED, repartitioned, 1_000, &["in"], false);
