//! The frozen topology: what it reads, keeps and writes, and the prototypes of its chains.
//!
//! Not here: topics as they stand in a log ([`crate::layout`]). Invariant: a plan says the same for the
//! same source text: names and numbers hang on nothing else.

use std::fmt;
use std::sync::Mutex;

use state::{ColumnContents, ColumnId, KeyFamily};

use crate::changelog::META;
use crate::dsl::internal;
use crate::join::{JoinWindow, Side};
use crate::log::TopicSettings;
use crate::migration::{Migration, Path};
use crate::process::Chain;
use crate::record::{DurationMs, TopicName};
use crate::session::SessionWindows;
use crate::sliding_windows::SlidingSpans;
use crate::window::Windows;
use crate::word::Finality;

/// A topology that can run.
pub struct Plan {
    name: String,
    parts: Vec<SubTopology>,
    outputs: Vec<Output>,
    migrations: Vec<Migration>,
}

/// A connected part of a topology: everything between inputs or repartition topics and outputs or
/// repartition topics. Its tasks are numbered as the partitions of its sources.
pub struct SubTopology {
    /// From 0, in the order in which streams are drawn.
    pub number: u16,
    /// What it reads, in the order in which the chain counts its sources.
    pub sources: Vec<Source>,
    /// What happens to its records, in the order in which it was written down.
    pub steps: Vec<PlanStep>,
    /// What it keeps.
    pub stores: Vec<StorePlan>,
    /// The outputs that it writes, by their number in the plan.
    pub outputs: Vec<usize>,
    pub(crate) prototype: Mutex<Box<dyn Chain>>,
}

/// One step of a record's way through a sub-topology, for a person to see.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlanStep {
    /// Its number in the plan: the order in which the topology was written down, from 0.
    pub number: usize,
    /// What it does.
    pub kind: StepKind,
    /// The numbers of the steps that it follows.
    pub follows: Vec<usize>,
}

/// What a step does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StepKind {
    /// Reads a topic.
    Source(TopicName),
    /// Does what this word of the language says.
    Operator(&'static str),
    /// Folds into the store of this name.
    Window(&'static str),
    /// Folds what one commit holds, on the way to the store of this name.
    PreAggregate(&'static str),
    /// Folds into the rows of the store of this name.
    TableFold(&'static str),
    /// Joins two streams by means of the store of this name, as their records come.
    Join(&'static str),
    /// Joins a table with a table, or with a stream in the order of event time, by means of the store of this name.
    TableJoin(&'static str),
    /// Joins a stream with a table that every task holds, by means of the store of this name, in the order of event time.
    BroadcastJoin(&'static str),
    /// Sends a table's rows, as they change, to the foreign keys that they name, which the store of this name keeps.
    Subscribe(&'static str),
    /// Joins the rows of a table, kept in the store of this name, with those that they name by a foreign key.
    ForeignKeyJoin(&'static str),
    /// Makes a table of the answers to a foreign-key join by means of the store of this name.
    Results(&'static str),
    /// Lets updates pass at a limited rate, and keeps those that wait in the store of this name.
    RateLimit(&'static str),
    /// Hands records to a processor of the application's own.
    Process {
        /// Its name.
        name: &'static str,
        /// The stores that it has declared.
        stores: Vec<&'static str>,
    },
    /// Writes the output of this number.
    Sink(usize),
}

impl StepKind {
    /// The stores that it keeps its rows in.
    pub fn stores(&self) -> &[&'static str] {
        match self {
            Self::Window(store)
            | Self::Join(store)
            | Self::TableJoin(store)
            | Self::BroadcastJoin(store)
            | Self::Subscribe(store)
            | Self::ForeignKeyJoin(store)
            | Self::Results(store)
            | Self::RateLimit(store)
            | Self::TableFold(store) => std::slice::from_ref(store),
            Self::Process { stores, .. } => stores,
            Self::Source(_) | Self::Operator(_) | Self::PreAggregate(_) | Self::Sink(_) => &[],
        }
    }
}

/// A topic that a sub-topology reads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// One that others write.
    Input(Input),
    /// One that an upstream sub-topology writes.
    Repartition {
        /// Its name.
        topic: TopicName,
        /// What it is read as.
        kind: InputKind,
    },
}

impl Source {
    /// Whether it is read as a table.
    pub fn is_table(&self) -> bool {
        let (Self::Input(Input { kind, .. }) | Self::Repartition { kind, .. }) = self;
        *kind == InputKind::Rows
    }

    /// The topic's name.
    pub fn topic(&self) -> &TopicName {
        match self {
            Self::Input(Input { topic, .. }) | Self::Repartition { topic, .. } => topic,
        }
    }
}

/// An input topic.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Input {
    /// Its name.
    pub topic: TopicName,
    /// What it is read as.
    pub kind: InputKind,
}

/// What a topic is read as.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum InputKind {
    /// Records, each of which stands for itself.
    Records,
    /// Rows, each of which stands until the next one under its key.
    Rows,
}

/// A topic that a topology writes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Output {
    /// Its name.
    pub topic: TopicName,
    /// What kind it is.
    pub kind: OutputKind,
    /// Whether its records stand for ever, or the last of each key does.
    pub finality: Finality,
}

/// What kind of topic is written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum OutputKind {
    /// One for others. 0 partitions stand for as many as the sub-topology has tasks.
    Topic(TopicSettings),
    /// One for a downstream sub-topology.
    Repartition,
}

/// A store of a sub-topology.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StorePlan {
    /// Its name in the topology.
    pub name: &'static str,
    /// The name that it is kept under: in the store's folder, as its changelog's, and in what says what it holds. The same,
    /// unless [`crate::dsl::Topology::stored_as`] says another.
    pub stored_as: &'static str,
    /// Its column.
    pub column: ColumnId,
    /// What its rows stand for.
    pub kind: StoreKind,
    /// How long rows stay readable when nothing needs them any more.
    pub keep: DurationMs,
    /// The types of its values and keys, for the fingerprint.
    pub holds: String,
}

/// What the rows of a store stand for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StoreKind {
    /// Panes of these windows.
    Panes(Windows),
    /// Runs of these sessions.
    Sessions(SessionWindows),
    /// What comes into these sliding windows, by its time.
    Sliding(SlidingSpans),
    /// Both sides of a join.
    Join(JoinWindow, JoinKind),
    /// Ids that have passed, in panes as wide as the horizon in which they count.
    Passed(Windows),
    /// The present row of each key, which is one value of the application's.
    Rows,
    /// The present row of each key, which holds several: both sides of a pair, versions, timers.
    Composed,
    /// Rows of a processor by window and key, until the window began so long ago.
    Windowed(DurationMs),
    /// What waits for its turn in event time; a record may be so late.
    Queue(DurationMs),
}

/// Which records of a join come out although they have no partner.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum JoinKind {
    /// None.
    Inner,
    /// Those of the left side.
    Left,
    /// Those of both sides.
    Outer,
    /// Those of both sides, and no record has more than one partner.
    Requests,
}

impl JoinKind {
    /// Whether unmatched records of a side come out.
    pub(crate) fn keeps(self, side: Side) -> bool {
        match self {
            Self::Inner => false,
            Self::Left => side == Side::Left,
            Self::Outer | Self::Requests => true,
        }
    }

    /// Whether a record that has found its partner finds no other.
    pub(crate) fn is_once(self) -> bool {
        self == Self::Requests
    }

    /// Its name for a person.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Inner => "inner join",
            Self::Left => "left join",
            Self::Outer => "outer join",
            Self::Requests => "requests and answers",
        }
    }
}

impl StoreKind {
    /// The layout of its keys.
    fn keys(self) -> KeyFamily {
        match self {
            Self::Panes(_) | Self::Sessions(_) | Self::Sliding(_) | Self::Join(..) | Self::Windowed(_) => {
                KeyFamily::Pane
            }
            Self::Passed(_) => KeyFamily::Ids,
            Self::Rows | Self::Composed => KeyFamily::Table,
            Self::Queue(_) => KeyFamily::Queue,
        }
    }

    /// How much event time of input its rows can depend on, what is kept aside.
    fn history(self) -> DurationMs {
        match self {
            Self::Panes(windows) => DurationMs(windows.size().0 + windows.grace().0),
            // What a row holds of earlier panes moved into it when they closed.
            Self::Sessions(windows) => windows.row_lives(),
            Self::Sliding(spans) => spans.row_lives(),
            Self::Join(window, kind) => window.history(kind),
            Self::Passed(panes) => DurationMs(3 * panes.size().0),
            Self::Rows | Self::Composed => DurationMs(0),
            Self::Queue(span) | Self::Windowed(span) => span,
        }
    }

    /// Whether event time drops its rows, so that its changelog need not keep the last of each key for ever.
    pub(crate) fn expires(self) -> bool {
        !matches!(self, Self::Rows | Self::Composed)
    }
}

/// For fingerprints: these words never change for a store that stays what it is.
impl fmt::Display for StoreKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Panes(windows) => windows.fmt(f),
            Self::Sessions(windows) => windows.fmt(f),
            Self::Sliding(spans) => spans.fmt(f),
            Self::Join(window, kind) => write!(f, "{} {window}", kind.name()),
            Self::Passed(panes) => write!(f, "ids within {} ms", panes.size().0),
            Self::Rows | Self::Composed => f.write_str("table"),
            Self::Queue(grace) => write!(f, "queue with grace {} ms", grace.0),
            Self::Windowed(retention) => write!(f, "rows by window for {} ms", retention.0),
        }
    }
}

impl StorePlan {
    /// What the store holds, in words that change with its windows and the names of its types, which
    /// [`crate::dsl::Topology::stable_name`] makes independent of where the types stand. Fields that change places
    /// within a type of the same name are not seen: give a changed type a new name.
    pub fn fingerprint(&self) -> String {
        // The entries of a join's row say their side; rows of before, which do not, are refused and not misread.
        let layout = if matches!(self.kind, StoreKind::Join(..)) { ", with sides" } else { "" };
        format!("{}: {}{layout} of {}", self.stored_as, self.kind, self.holds)
    }

    /// How much event time of input its rows can depend on: size, grace and what is kept.
    pub fn history(&self) -> DurationMs {
        DurationMs(self.kind.history().0 + self.keep.0)
    }
}

impl Plan {
    pub(crate) fn new(name: String, parts: Vec<SubTopology>, outputs: Vec<Output>, migrations: Vec<Migration>) -> Self {
        Self { name, parts, outputs, migrations }
    }

    /// All migrations.
    pub(crate) fn migrations(&self) -> &[Migration] {
        &self.migrations
    }

    /// The migrations of the rows of the store that is kept under this name.
    pub(crate) fn migrations_of<'a>(&'a self, store: &'a str) -> impl Iterator<Item = &'a Migration> {
        self.migrations.iter().filter(move |migration| migration.store == store)
    }

    /// How rows of the store that is kept under `store`, with one fingerprint become rows with another, if anybody has said it.
    pub(crate) fn path(&self, store: &str, from: &str, to: &str) -> Option<Path> {
        Path::find(&self.migrations, store, from, to)
    }

    /// The store whose partial aggregates travel through this topic, with its sub-topology.
    pub(crate) fn fed_by(&self, topic: &TopicName) -> Option<(&SubTopology, &StorePlan)> {
        let part = self.parts.iter().find(|part| part.sources.iter().any(|source| source.topic() == topic))?;
        let store = part.stores.iter().find(|store| internal(&self.name, store.stored_as, "repartition") == *topic)?;
        Some((part, store))
    }

    /// The application's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The sub-topologies, by number.
    pub fn sub_topologies(&self) -> &[SubTopology] {
        &self.parts
    }

    /// All outputs.
    pub fn outputs(&self) -> &[Output] {
        &self.outputs
    }

    /// Whether the records of a key come in an output in the order in which several partitions were read, which a
    /// replay may do in another one: what was joined with a stream, or merged, or sent through a repartition whole,
    /// and has been in no window and no processor since. An output of updates does not: its last record is what counts.
    ///
    /// A table beside the stream brings records into the order of event time, and those of one time into the order of
    /// their topics; so behind it, what was merged follows no arrival. What came out of a join of streams or through a
    /// repartition does, among records of one key and one time: they come in one topic, from several tasks. So they do
    /// before a processor, and it is up to that whether anything hangs on it ([`crate::processor`]).
    pub fn follows_arrival(&self, output: usize) -> bool {
        if self.outputs.get(output).is_some_and(|output| output.finality == Finality::Update) {
            return false;
        }
        let steps = || self.parts.iter().flat_map(|part| &part.steps);
        let sink = steps().filter(|step| step.kind == StepKind::Sink(output));
        // With each step, whether a table stands between it and the output.
        let mut before: Vec<(usize, bool)> =
            sink.flat_map(|step| &step.follows).map(|number| (*number, false)).collect();
        while let Some((number, is_timed)) = before.pop() {
            let Some(step) = steps().find(|step| step.number == number) else { continue };
            match &step.kind {
                StepKind::Join(_) => return true,
                StepKind::Operator("merge") if !is_timed => return true,
                StepKind::Source(topic) if !self.inputs().any(|input| input == topic) => return true,
                // The stream is what it follows first. Updates of the table come before all records of their time.
                StepKind::TableJoin(_) | StepKind::BroadcastJoin(_) => {
                    before.extend(step.follows.first().map(|stream| (*stream, true)));
                }
                StepKind::Window(_)
                | StepKind::Subscribe(_)
                | StepKind::ForeignKeyJoin(_)
                | StepKind::Results(_)
                | StepKind::TableFold(_)
                | StepKind::Process { .. }
                | StepKind::Source(_) => {}
                _ => before.extend(step.follows.iter().map(|number| (*number, is_timed))),
            }
        }
        false
    }

    /// All input topics, in order.
    pub fn inputs(&self) -> impl Iterator<Item = &TopicName> {
        self.parts.iter().flat_map(|part| &part.sources).filter_map(|source| match source {
            Source::Input(input) => Some(&input.topic),
            Source::Repartition { .. } => None,
        })
    }
}

impl SubTopology {
    /// Whether the rows of this table are folded from a stream.
    pub(crate) fn folds(&self, store: &str) -> bool {
        self.steps.iter().any(|step| matches!(step.kind, StepKind::TableFold(name) if name == store))
    }

    /// A chain of its own for a task.
    pub(crate) fn chain(&self) -> Box<dyn Chain> {
        let prototype = self.prototype.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        prototype.fresh()
    }

    /// What the columns of its tasks' stores hold, for the check before a store is opened.
    pub fn contents(&self) -> Vec<ColumnContents> {
        let meta = ColumnContents {
            id: META,
            name: "meta".to_owned(),
            keys: KeyFamily::Meta,
            fingerprint: "commit record 1".to_owned(),
        };
        let store = |store: &StorePlan| ColumnContents {
            id: store.column,
            name: store.stored_as.to_owned(),
            keys: store.kind.keys(),
            fingerprint: store.fingerprint(),
        };
        std::iter::once(meta).chain(self.stores.iter().map(store)).collect()
    }
}

#[cfg(test)]
mod tests {
    use crate::prelude::*;

    /// The stream of a topic, by a key of its own.
    macro_rules! keyed {
        ($app:expr, $($topic:expr),+) => {
            $app.streams([$(Topic::<Json<i64>>::json($topic)),+]).event_time(|at| EventTime(*at)).already_keyed_by(|at| *at)
        };
    }

    fn follows_arrival(app: Topology) -> bool {
        let plan = app.build().unwrap();
        let output = plan.outputs().iter().position(|output| output.topic.as_str() == "out").unwrap();
        plan.follows_arrival(output)
    }

    #[test]
    fn what_comes_of_several_partitions_follows_arrival_until_something_orders_it() {
        let app = || Topology::named("app");
        let out = || Topic::<Json<i64>>::json("out");
        let table = |app: &Topology| app.table::<i64, _>(Topic::<Json<i64>>::json("rows"));
        let one = app();
        keyed!(one, "a").to(out());
        assert!(!follows_arrival(one), "one partition has one order");
        let merged = app();
        keyed!(merged, "a", "b").to(out());
        assert!(follows_arrival(merged));
        let merged = app();
        keyed!(merged, "a", "b").join_table(table(&merged), "join", |_, at, _| at).to(out());
        assert!(!follows_arrival(merged), "records of one time come in the order of their topics");
        let sent = app();
        keyed!(sent, "a").key_by(|at| *at).repartition("sent").to(out());
        assert!(follows_arrival(sent));
        let sent = app();
        let stream = keyed!(sent, "a").key_by(|at| *at).repartition("sent");
        stream.join_table(table(&sent), "join", |_, at, _| at).map(|at| at).to(out());
        assert!(follows_arrival(sent), "records of one time come of several tasks");
        let sent = app();
        let stream = keyed!(sent, "a").key_by(|at| *at).repartition("sent");
        stream.join_broadcast(table(&sent), "join", |at| *at, |_, at, _| at).to(out());
        assert!(follows_arrival(sent));
        let closed = app();
        let stream = keyed!(closed, "a").key_by(|at| *at).repartition("sent");
        let windows = stream.window(Tumbling::seconds(1)).fold("counts", count()).on_close();
        windows.map(|closed| closed.window.start.0).to(out());
        assert!(!follows_arrival(closed), "windows are told in the order of their ends");
        let pairs = app();
        let right = keyed!(pairs, "b");
        let within = JoinWindow::around(DurationMs::seconds(1));
        let joined = keyed!(pairs, "a").join(right, within, "pairs", |_, at, _| *at);
        joined.join_table(table(&pairs), "join", |_, at, _| at).to(out());
        assert!(follows_arrival(pairs), "pairs of one time come as their records came");
    }
}
