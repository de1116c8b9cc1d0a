//! A topology while it is being written down, and its last check.
//!
//! Not here: the steps of the language ([`super::stream`], [`super::window`]). Invariant: every chain is
//! concluded once, every name is used once, and columns and outputs are numbered in the order in which
//! they are named.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;

use thiserror::Error;

use super::draft::{Draft, SubDraft};
use super::naming::{self, StoredNames};
use super::stream::Untimed;
use super::topic::Topic;
use crate::decode::Decoder;
use crate::join::JoinWindowError;
use crate::migration::Migration;
use crate::plan::{Input, InputKind, Output, OutputKind, Plan, Source, StorePlan, SubTopology};
use crate::record::TopicName;
use crate::window::{Misfit, WindowError};

/// A topology in the making. Streams are drawn from it; [`Topology::build`] freezes it.
#[derive(Clone)]
pub struct Topology {
    pub(crate) draft: Rc<RefCell<Draft>>,
}

/// What is wrong with a topology that compiles.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum TopologyError {
    /// Two stores have one name, and so one changelog.
    #[error("two stores are named {0:?}: a store's name is its changelog's, so it must be used once")]
    TwoStores(String),
    /// Two streams end in one topic.
    #[error("two streams are sent to topic {0}: merge them before `to`")]
    TwoOutputs(TopicName),
    /// A topic is both read and written.
    #[error("topic {0} is read and written by the same topology, which would never come to rest")]
    Loop(TopicName),
    /// One topic is read as two kinds.
    #[error("topic {0} is read twice: draw the stream once and use `tee`")]
    TwoInputs(TopicName),
    /// A stream was drawn and then dropped.
    #[error("the stream of topic {0} is read and sent nowhere: end it with `to` or `end`")]
    Unused(TopicName),
    /// A table whose rows hang on the order of records that have none.
    #[error(
        "store {0} folds records in their order, but they come of several topics or through a repartition, and have none \
         that a replay would keep: fold by a recipe and without a time to live, or window the stream first"
    )]
    Unordered(String),
    /// More stores than a task can have.
    #[error("{0} stores in one topology: at most 250 are possible")]
    TooManyStores(usize),
    /// Windows that cannot be.
    #[error("{0}")]
    Windows(#[from] WindowError),
    /// A join window that cannot be.
    #[error("{0}")]
    JoinWindow(#[from] JoinWindowError),
    /// Two streams go through one repartition topic.
    #[error("two streams are repartitioned through {0}: a repartition's name, like a store's, must be used once")]
    TwoRepartitions(TopicName),
    /// Overlapping windows were to be rolled up.
    #[error("store {0:?} rolls up windows that overlap: an event would be counted once for each that holds it")]
    RollUpOfOverlaps(String),
    /// A coarser window is no whole number of finer ones.
    #[error(
        "store {store:?} rolls up windows that its own cut in two: the one from {start} to {end} (milliseconds since 1970) \
         begins or ends within a finer one; give sizes, offsets or zones that divide each other"
    )]
    RollUpCuts {
        /// The coarser store.
        store: String,
        /// Where the first such window begins.
        start: i64,
        /// Where it ends.
        end: i64,
    },
    /// Two streams were to be merged into windows that are not the same.
    #[error(
        "two streams are merged into windows that differ in more than their grace: give both the same size and offset"
    )]
    MergedWindows,
    /// A migration that leads nowhere.
    #[error("the migration of store {store:?} {why}")]
    Migration {
        /// The store.
        store: String,
        /// What is wrong.
        why: String,
    },
    /// A name that cannot be kept under another one.
    #[error("`stored_as`: the name {0:?} {1}")]
    StoredAs(String, &'static str),
    /// A name that no log would take.
    #[error("{0:?} is no valid name: 1 to 249 letters, digits, dots, underscores and hyphens")]
    Name(String),
}

impl TopologyError {
    pub(super) fn roll_up(store: &str, misfit: Misfit) -> Self {
        match misfit {
            Misfit::Overlap => Self::RollUpOfOverlaps(store.to_owned()),
            Misfit::Cut(window) => {
                Self::RollUpCuts { store: store.to_owned(), start: window.start.0, end: window.end.0 }
            }
        }
    }
}

impl Topology {
    /// A topology with the application's name: the prefix of its internal topics and its group.
    pub fn named(name: impl Into<String>) -> Self {
        Self { draft: Rc::new(RefCell::new(Draft { name: name.into(), ..Draft::default() })) }
    }

    /// The records of a topic. Event time must be named before anything else is done with them.
    pub fn stream<D: Decoder>(&self, topic: Topic<D>) -> Untimed<D> {
        self.streams([topic])
    }

    /// The records of several topics of one kind as one stream; which they are may be decided at run time.
    /// Its time is the slowest one's.
    pub fn streams<D: Decoder>(&self, topics: impl IntoIterator<Item = Topic<D>>) -> Untimed<D> {
        let (sources, decoders) = topics
            .into_iter()
            .map(|topic| (Source::Input(Input { topic: topic.name, kind: InputKind::Records }), topic.codec))
            .unzip::<_, _, Vec<_>, Vec<_>>();
        let mut draft = self.draft.borrow_mut();
        let (sub, at) = draft.begin(sources);
        drop(draft);
        Untimed { draft: Rc::clone(&self.draft), sub, at, decoders }
    }

    /// In the fingerprints of stores, `T` is called `name`, wherever it stands in Rust: it can be moved and renamed. A
    /// changed type is another one: give it another name, and say how to get from the one to the other
    /// ([`Self::migrate`]). A store that was begun without the name gets it by a migration that leaves rows
    /// [unchanged](crate::migration::Migrating::unchanged).
    pub fn stable_name<T: ?Sized>(&self, name: impl Into<String>) {
        self.draft.borrow_mut().type_names.push((std::any::type_name::<T>(), name.into()));
    }

    /// Keeps the store `name`, or what goes through the repartition `name`, under the name `stored_as`: in the stores' folders,
    /// as its topic's, and in fingerprints. So a name can change in the program, in queries and in messages, and nothing
    /// moves: what stands there is found under the name that it was begun with.
    ///
    /// Names that are made of it follow, as `<name>-waiting`. A migration may name the store either way; the
    /// fingerprints in it begin with the name that the store is kept under.
    ///
    /// ```
    /// # use processing_core::prelude::*;
    /// # #[derive(serde::Deserialize)] struct Search { at: i64, city: String }
    /// # let app = Topology::named("searches");
    /// app.stream(Topic::<Json<Search>>::json("searches"))
    ///     .event_time(|search| EventTime(search.at))
    ///     .key_by(|search| search.city.clone())
    ///     .window(Tumbling::minutes(1))
    ///     .fold("searches-by-city", count())
    ///     .on_close()
    ///     .end();
    /// // It was `counts` once.
    /// app.stored_as("searches-by-city", "counts");
    /// # let plan = app.build().unwrap();
    /// # assert!(plan.describe().contains("changelog: searches-counts-changelog"));
    /// ```
    pub fn stored_as(&self, name: &'static str, stored_as: &'static str) {
        self.draft.borrow_mut().stored_names.push((name, stored_as));
    }

    /// Rows of an earlier topology are made into what this one expects. Without it a worker that finds other rows
    /// refuses to start, and says what fingerprints they have.
    pub fn migrate(&self, migration: Migration) {
        self.draft.borrow_mut().migrations.push(migration);
    }

    /// Checks the topology and freezes it.
    pub fn build(self) -> Result<Plan, TopologyError> {
        let mut draft = std::mem::take(&mut *self.draft.borrow_mut());
        check_name(&draft.name)?;
        if let Some(error) = draft.errors.drain(..).next() {
            return Err(error);
        }
        let stored = StoredNames::new(&draft)?;
        let Draft { name, mut subs, steps, stores, outputs, migrations, type_names, .. } = draft;
        let root = |mut sub: usize| {
            while let Some(into) = subs[sub].merged_into {
                sub = into;
            }
            sub
        };
        let stores: Vec<_> = stores
            .into_iter()
            .map(|(sub, store)| {
                let holds = naming::renamed(store.holds, &type_names);
                (root(sub), StorePlan { stored_as: stored.of(store.name), holds, ..store })
            })
            .collect();
        let outputs: Vec<_> = outputs
            .into_iter()
            .map(|(sub, output)| match output.kind {
                OutputKind::Topic(_) => (root(sub), output),
                OutputKind::Repartition => (root(sub), Output { topic: stored.topic(output.topic), ..output }),
            })
            .collect();
        let steps: Vec<_> = steps.into_iter().map(|(sub, step)| (root(sub), stored.step(step))).collect();
        subs.iter_mut().for_each(|sub| stored.sources(&mut sub.sources));
        check(&subs, &stores, &outputs)?;
        let migrations = migrations.into_iter().map(|migration| stored.migration(migration)).collect();
        // Sub-topologies are numbered in the order in which they were drawn, merged ones left out.
        let numbers: BTreeMap<usize, u16> =
            (0..subs.len()).filter(|sub| subs[*sub].merged_into.is_none()).zip(0..).collect();
        let mut parts = Vec::new();
        for (draft_number, sub) in subs.into_iter().enumerate() {
            let (Some(number), Some(chain)) = (numbers.get(&draft_number), sub.chain) else { continue };
            parts.push(SubTopology {
                number: *number,
                sources: sub.sources,
                steps: steps.iter().filter(|(at, _)| *at == draft_number).map(|(_, step)| step.clone()).collect(),
                stores: stores.iter().filter(|(at, _)| *at == draft_number).map(|(_, store)| store.clone()).collect(),
                outputs: outputs
                    .iter()
                    .enumerate()
                    .filter(|(_, (at, _))| *at == draft_number)
                    .map(|(n, _)| n)
                    .collect(),
                prototype: std::sync::Mutex::new(chain),
            });
        }
        let outputs = outputs.into_iter().map(|(_, output)| output).collect();
        let plan = Plan::new(name, parts, outputs, migrations);
        naming::check_migrations(&plan)?;
        Ok(plan)
    }
}

fn check_name(name: &str) -> Result<(), TopologyError> {
    let valid = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
    if (1..=249).contains(&name.len()) && name.bytes().all(valid) {
        Ok(())
    } else {
        Err(TopologyError::Name(name.to_owned()))
    }
}

fn check(subs: &[SubDraft], stores: &[(usize, StorePlan)], outputs: &[(usize, Output)]) -> Result<(), TopologyError> {
    if stores.len() > 250 {
        return Err(TopologyError::TooManyStores(stores.len()));
    }
    let (mut names, mut stored) = (std::collections::BTreeSet::new(), std::collections::BTreeSet::new());
    for (_, store) in stores {
        check_name(store.name)?;
        check_name(store.stored_as)?;
        if !names.insert(store.name) {
            return Err(TopologyError::TwoStores(store.name.to_owned()));
        }
        if !stored.insert(store.stored_as) {
            return Err(TopologyError::TwoStores(store.stored_as.to_owned()));
        }
    }
    let mut written = std::collections::BTreeSet::new();
    for output in outputs.iter().map(|(_, output)| output) {
        check_name(output.topic.as_str())?;
        if !written.insert(&output.topic) {
            return Err(match output.kind {
                OutputKind::Topic(_) => TopologyError::TwoOutputs(output.topic.clone()),
                OutputKind::Repartition => TopologyError::TwoRepartitions(output.topic.clone()),
            });
        }
    }
    let mut read = std::collections::BTreeSet::new();
    for sub in subs.iter().filter(|sub| sub.merged_into.is_none()) {
        for source in &sub.sources {
            let Source::Input(input) = source else { continue };
            check_name(input.topic.as_str())?;
            if sub.chain.is_none() {
                return Err(TopologyError::Unused(input.topic.clone()));
            }
            if written.contains(&input.topic) {
                return Err(TopologyError::Loop(input.topic.clone()));
            }
            if !read.insert(&input.topic) {
                return Err(TopologyError::TwoInputs(input.topic.clone()));
            }
        }
    }
    Ok(())
}
