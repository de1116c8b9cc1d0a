//! The application that is run on a real broker: two kinds of windows behind repartition topics.
//!
//! Not here: what its results have to be (`oracle` in the tests). Invariant: it is one plan for the worker's
//! binary, for the embedded log, and for whoever reads its stores.

use processing_core::decode::{Decoder, Encoder, Poison};
use processing_core::dsl::{Topic, Topology, TopologyError};
use processing_core::plan::Plan;
use processing_core::prelude::{count, max, sum};
use processing_core::record::{DurationMs, EventTime};
use processing_core::window::{Hopping, Tumbling, Window};

/// Something that happened.
#[derive(Debug, Clone)]
pub(crate) struct Happening {
    pub(crate) key: u16,
    pub(crate) time: EventTime,
    pub(crate) amount: i64,
}

/// `key time amount` as text.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Plain;

impl Decoder for Plain {
    type Event = Happening;

    fn decode(&self, value: Option<&[u8]>) -> Result<Happening, Poison> {
        let value = value.ok_or_else(|| Poison::new("tombstone", "the record has no value"))?;
        let parsed = || {
            let mut parts = std::str::from_utf8(value).ok()?.split(' ');
            let mut number = || parts.next()?.parse::<i64>().ok();
            let (key, time, amount) = (number()?, number()?, number()?);
            Some(Happening { key: u16::try_from(key).ok()?, time: EventTime(time), amount })
        };
        parsed().ok_or_else(|| Poison::new("plain", "the value is not `key time amount`"))
    }
}

/// Text as it is.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Text;

impl Encoder<String> for Text {
    fn encode(&self, text: &String, into: &mut Vec<u8>) -> Result<(), Poison> {
        into.extend_from_slice(text.as_bytes());
        Ok(())
    }
}

pub(crate) fn line(window: Window, rest: impl std::fmt::Display) -> String {
    format!("{} {} {rest}", window.start.0, window.end.0)
}

/// The topics of its results.
pub(crate) fn outputs(app: &str) -> [String; 2] {
    [format!("{app}.tumbling"), format!("{app}.hopping")]
}

/// Which version of the application.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Version {
    /// The one that all tests run but those of an upgrade.
    First,
    /// Has one more stateless step, which changes no result.
    Second,
}

/// What follows the first steps, whatever type they have.
macro_rules! windows {
    ($stream:expr, $tumbling:expr, $hopping:expr) => {
        $stream
            .tee(|side| {
                side.key_by(|event| event.key)
                    .window(Hopping::new(DurationMs(1_000), DurationMs(300)).grace(DurationMs(400)))
                    .fold(
                        "panes",
                        (count(), sum(|event: &Happening| event.amount), max(|event: &Happening| event.amount)),
                    )
                    .on_close()
                    .map(|closed| {
                        let (count, sum, max) = closed.value;
                        let max = max.get().copied().unwrap_or_default();
                        line(closed.window, format!("{} {} {max}", count.get(), sum.get()))
                    })
                    .to(Topic::with($hopping, Text))
            })
            .key_by(|event| event.key)
            .window(Tumbling::millis(1_000).grace(DurationMs(500)))
            .fold("counts", (count(), sum(|event: &Happening| event.amount)))
            .on_close()
            .map(|closed| line(closed.window, format!("{} {}", closed.value.0.get(), closed.value.1.get())))
            .to(Topic::with($tumbling, Text))
    };
}

/// The plan of the application `app` over the topic `input`.
pub(crate) fn plan(app: &str, input: &str, version: Version) -> Result<Plan, TopologyError> {
    let topology = Topology::named(app);
    let [tumbling, hopping] = outputs(app);
    let stream = topology.stream(Topic::with(input, Plain)).event_time(|event| event.time);
    match version {
        Version::First => windows!(stream, &tumbling, &hopping),
        Version::Second => windows!(stream.filter(|event| event.key < u16::MAX), &tumbling, &hopping),
    };
    topology.build()
}
