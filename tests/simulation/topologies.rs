//! The applications that are simulated.
//!
//! Not here: their events. Invariant: every kind of operator of the language is in one of them at least.

use processing_core::aggregate::{count, sum};
use processing_core::dsl::{Topic, Topology};
use processing_core::plan::Plan;
use processing_core::record::DurationMs;
use processing_core::window::Tumbling;

use crate::events::{Happening, Plain, Shown};

/// An application and what it reads.
pub(crate) struct Scenario {
    pub(crate) name: &'static str,
    pub(crate) inputs: &'static [(&'static str, u32)],
    /// The span of event time in which something happens.
    pub(crate) scale: i64,
    pub(crate) plan: fn() -> Plan,
}

fn tumbling() -> Plan {
    let topology = Topology::named("tumbling");
    topology
        .stream(Topic::with("in", Plain))
        .event_time(|event: &Happening| event.time)
        .key_by(|event: &Happening| event.key)
        .window(Tumbling::millis(1_000).grace(DurationMs(500)))
        .fold("counts", (count(), sum(|event: &Happening| event.amount)))
        .on_close()
        .to(Topic::with("out", Shown));
    topology.build().expect("the topology is sound")
}

/// All of them.
pub(crate) const ALL: &[Scenario] =
    &[Scenario { name: "tumbling", inputs: &[("in", 3)], scale: 1_000, plan: tumbling }];
