//! Inputs that come and go between two runs, and results that nothing can take.
//!
//! Not here: rules that hold with the same inputs always ([`super::rules`]). Invariant: no record is skipped,
//! doubled or lost without a word.

use std::sync::Arc;

use super::rules::{Seen, Stage, local, local_of};
use crate::aggregate::count;
use crate::batch::{HeaderBuffer, Headers};
use crate::decode::Poison;
use crate::dsl::{Topic, Topology};
use crate::layout::Layout;
use crate::log::Log as _;
use crate::log::memory::FaultPlan;
use crate::plan::Plan;
use crate::processor::{Context, Processor};
use crate::record::{EventTime, TopicName};
use crate::window::Tumbling;

fn both() -> Plan {
    local_of(&["in", "more"])
}

fn one() -> Plan {
    local_of(&["more"])
}

/// Results of which one key's are found wanting.
fn picky() -> Plan {
    let app = Topology::named("rules");
    app.stream(Topic::json("in"))
        .event_time(|seen: &Seen| EventTime(seen.at))
        .already_keyed_by(|seen| seen.key.clone())
        .window(Tumbling::seconds(1))
        .fold("counts", count())
        .on_close()
        .try_map(|closed| match closed.value.get() {
            3 => Err(Poison::new("three", "there are three of them")),
            n => Ok(n),
        })
        .to(Topic::json("out"));
    app.build().unwrap()
}

/// What is seen goes out again, and is counted.
fn passing() -> Plan {
    let app = Topology::named("rules");
    let seen = app.stream(Topic::json("in")).event_time(|seen: &Seen| EventTime(seen.at));
    seen.already_keyed_by(|seen| seen.key.clone())
        .tee(|side| side.map(|seen| seen.at).to(Topic::json("passed")))
        .window(Tumbling::seconds(1))
        .fold("counts", count())
        .on_close()
        .map(|closed| closed.value.get())
        .to(Topic::json("out"));
    app.build().unwrap()
}

/// The same by way of a repartition topic.
fn travelling() -> Plan {
    let app = Topology::named("rules");
    let seen = app.stream(Topic::json("in")).event_time(|seen: &Seen| EventTime(seen.at));
    seen.key_by(|seen| seen.key.clone())
        .repartition("by-key")
        .tee(|side| side.map(|seen| seen.at).to(Topic::json("passed")))
        .window(Tumbling::seconds(1))
        .fold("counts", count())
        .on_close()
        .map(|closed| closed.value.get())
        .to(Topic::json("out"));
    app.build().unwrap()
}

/// Hands on what it is handed.
#[derive(Clone)]
struct Passing;

impl Processor for Passing {
    type Key = String;
    type In = Seen;
    type Out = Seen;

    fn process(&self, ctx: &mut Context<Self>, key: &String, seen: Seen) -> Result<(), Poison> {
        ctx.forward(key.clone(), seen);
        Ok(())
    }
}

/// The same by way of a processor.
fn processing() -> Plan {
    let app = Topology::named("rules");
    let seen = app.stream(Topic::json("in")).event_time(|seen: &Seen| EventTime(seen.at));
    seen.already_keyed_by(|seen| seen.key.clone())
        .process("passing", |_| Passing)
        .tee(|side| side.map(|seen| seen.at).to(Topic::json("passed")))
        .window(Tumbling::seconds(1))
        .fold("counts", count())
        .on_close()
        .map(|closed| closed.value.get())
        .to(Topic::json("out"));
    app.build().unwrap()
}

#[test]
fn the_headers_of_a_record_go_on_with_what_a_processor_forwards() {
    headers_go_on(processing);
}

#[test]
fn the_headers_of_a_record_go_on_with_what_is_made_of_it() {
    headers_go_on(passing);
}

#[test]
fn the_headers_of_a_record_go_through_a_repartition() {
    headers_go_on(travelling);
}

fn headers_go_on(plan: fn() -> Plan) {
    let mut stage = Stage::new(plan, 1);
    let mut headers = HeaderBuffer::default();
    headers.push("traceparent", Some(b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"));
    headers.push("tenant", None);
    stage.append_with("in", 0, "a", 1, headers.as_headers());
    stage.append(0, "a", 2);
    stage.append_with("in", 0, "b", 2_500, headers.as_headers());
    stage.rest().unwrap();
    let passed = stage.log.committed_records(&TopicName::new("passed")).concat();
    let with: Vec<&[u8]> = passed.iter().map(|record| record.headers.as_slice()).collect();
    assert_eq!(with, [headers.as_headers().0, &[], headers.as_headers().0]);
    // A window is made of many records, and none of them is its origin.
    let closed = stage.log.committed_records(&TopicName::new("out")).concat();
    assert_eq!(closed.iter().map(|record| record.headers.len()).collect::<Vec<_>>(), [0]);
}

#[test]
fn who_goes_back_before_the_first_commit_goes_back_to_its_own_place() {
    let mut stage = Stage::new(local, 1);
    stage.worker = None;
    stage.create("more", 1);
    stage.plan = both;
    stage.start();
    (0..5).for_each(|n| stage.append_to("in", 0, "a", n));
    (0..2).for_each(|n| stage.append_to("more", 0, "a", n));
    stage.rest().unwrap();
    stage.leave();
    // Without the first input, the second one is the first; and the commit record is still that of both.
    stage.plan = one;
    stage.start();
    stage.append_to("more", 0, "a", 7);
    stage.log.set_faults(FaultPlan { publish_aborted: 1.0, ..FaultPlan::NONE });
    stage.rest().unwrap();
    assert!(stage.worker().status().aborts > 0);
    stage.log.set_faults(FaultPlan::NONE);
    stage.rest().unwrap();
    (0..3).for_each(|_| stage.append_to("more", 0, "a", 2_000));
    stage.rest().unwrap();
    assert_eq!(stage.results(), ["8"]);
}

#[test]
fn a_result_that_is_found_wanting_is_a_dead_letter() {
    let mut stage = Stage::new(picky, 1);
    (0..3).for_each(|n| stage.append(0, "a", n));
    (0..2).for_each(|n| stage.append(0, "b", n));
    stage.append(0, "c", 2_000);
    stage.rest().unwrap();
    assert_eq!(stage.results(), ["2"]);
    let dead = stage.log.committed_records(&TopicName::new("rules-dlq")).concat();
    let [dead] = dead.as_slice() else { panic!("{} dead letters", dead.len()) };
    let header = |name| Headers(&dead.headers).last(&format!("__streams.errors.{name}")).map(<[u8]>::to_vec);
    assert_eq!(header("exception"), Some(b"three".to_vec()));
    assert_eq!(header("message"), Some(b"there are three of them".to_vec()));
    assert_eq!((header("topic"), header("offset")), (Some(b"in".to_vec()), None), "no record of the input's");
    assert_eq!(stage.worker().status().counts.dead_total(), 1);
}

#[test]
fn inputs_that_split_their_keys_differently_are_not_windowed_together() {
    let mut stage = Stage::new(local, 1);
    stage.create("more", 2);
    let error = Layout::new(Arc::new(both()), &mut *stage.log.admin().unwrap()).err().unwrap().to_string();
    assert!(error.contains("topics in and more") && error.contains("1 and 2 partitions"), "{error}");
}
