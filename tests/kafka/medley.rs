//! An application with one of every kind of store: sessions, a sketch, a join of two streams, a stream beside a table.
//!
//! Not here: what its results have to be (its twin on the embedded log says that). Invariant: it is one plan for the
//! worker's binary, for the embedded log, and for whoever reads its stores.

use processing_core::aggregate::{count, quantiles};
use processing_core::decode::{Decoder, Poison};
use processing_core::dsl::{Topic, Topology, TopologyError};
use processing_core::join::JoinWindow;
use processing_core::plan::Plan;
use processing_core::record::{DurationMs, EventTime};
use processing_core::session::Sessions;
use processing_core::window::Tumbling;

use super::plan::{Happening, Plain, Text, line};

/// Key, time and amount, as stores keep them: the name of a type of one's own would name the binary that it is in.
type Spoken = (u16, i64, i64);

fn spoken(event: Happening) -> Spoken {
    (event.key, event.time.0, event.amount)
}

/// [`Plain`] as rows.
#[derive(Debug, Clone, Copy)]
struct Rows;

impl Decoder for Rows {
    type Event = Spoken;

    fn decode(&self, value: Option<&[u8]>) -> Result<Spoken, Poison> {
        Plain.decode(value).map(spoken)
    }
}

/// What it reads beside its first input: a stream and a table that are keyed by the key of their records, as the last
/// one is, which is put beside the table.
pub(crate) fn keyed_inputs(app: &str) -> [String; 3] {
    ["answers", "rows", "steps"].map(|name| format!("{app}.{name}"))
}

/// The topics of its results.
pub(crate) fn outputs(app: &str) -> [String; 4] {
    ["sessions", "answered", "beside", "spread"].map(|name| format!("{app}.{name}"))
}

/// The plan of the application `app` over the topic `input` and those of [`keyed_inputs`].
pub(crate) fn plan(app: &str, input: &str) -> Result<Plan, TopologyError> {
    let topology = Topology::named(app);
    let ([answers, rows, steps], [sessions, answered, beside, spread]) = (keyed_inputs(app), outputs(app));
    let ms = DurationMs;
    let keyed = |topic: &str| {
        topology.stream(Topic::with(topic, Plain)).event_time(|event| event.time).already_keyed_by(|event| event.key)
    };
    let say = |(_, time, amount): &Spoken| format!("{time} {amount}");
    topology
        .stream(Topic::with(input, Plain))
        .event_time(|event| event.time)
        .tee(|side| {
            side.key_by(|event| event.key)
                .sessions(Sessions::gap(ms(800)).grace(ms(400)))
                .fold("sessions", (count(), quantiles(|event: &Happening| event.amount as f64)))
                .on_close()
                .map(|closed| {
                    let (count, amounts) = closed.value;
                    line(closed.window, format!("{} {:?}", count.get(), amounts.quantile(0.5)))
                })
                .to(Topic::with(&sessions, Text))
        })
        .map(spoken)
        .key_by(|(key, ..)| *key)
        .left_join(
            keyed(&answers).map(spoken),
            JoinWindow::within(ms(200), ms(900)).grace(ms(300)),
            "pairs",
            move |_, event, answer| format!("{} / {}", say(event), answer.map_or("-".to_owned(), say)),
        )
        .to(Topic::with(&answered, Text));
    let table = topology.table(Topic::with(&rows, Rows)).event_time(|(_, time, _)| EventTime(*time)).grace(ms(200));
    keyed(&steps)
        .map(spoken)
        .left_join_table(table, "rows", |_, (_, time, own), row| (time, own, row.map_or(0, |(.., amount)| *amount)))
        .tee(|side| side.map(|(time, own, row)| format!("{time} {own} {row}")).to(Topic::with(&beside, Text)))
        .window(Tumbling::millis(1_000).grace(ms(300)))
        .fold("spread", quantiles(|(.., row): &(i64, i64, i64)| *row as f64))
        .on_close()
        .map(|closed| line(closed.window, format!("{:?}", closed.value.quantile(0.9))))
        .to(Topic::with(&spread, Text));
    topology.build()
}
