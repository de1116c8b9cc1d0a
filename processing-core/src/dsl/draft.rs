//! What has been written down of a topology so far.
//!
//! Not here: the words of the language, which write into this. Invariant: steps, stores and outputs are
//! numbered in the order in which they are written.

use state::ColumnId;

use super::stream::internal;
use super::topology::TopologyError;
use crate::migration::Migration;
use crate::plan::{InputKind, Output, OutputKind, PlanStep, Source, StepKind, StoreKind, StorePlan};
use crate::process::Chain;
use crate::record::DurationMs;
use crate::word::Finality;

/// A topology in the making; each entry is headed by the sub-topology that it belongs to.
#[derive(Default)]
pub(crate) struct Draft {
    pub(crate) name: String,
    pub(crate) subs: Vec<SubDraft>,
    pub(crate) steps: Vec<(usize, PlanStep)>,
    pub(crate) stores: Vec<(usize, StorePlan)>,
    pub(crate) outputs: Vec<(usize, Output)>,
    pub(crate) migrations: Vec<Migration>,
    /// The names of types in Rust, and in fingerprints.
    pub(crate) type_names: Vec<(&'static str, String)>,
    /// The names of stores and repartitions in the topology, and those that they are kept under.
    pub(crate) stored_names: Vec<(&'static str, &'static str)>,
    /// Names that are made of others: each with the one that it is made of and its end.
    pub(crate) made_names: Vec<(&'static str, &'static str, &'static str)>,
    /// Found while writing, answered by `build`.
    pub(crate) errors: Vec<TopologyError>,
}

/// A sub-topology in the making.
#[derive(Default)]
pub(crate) struct SubDraft {
    pub(crate) sources: Vec<Source>,
    pub(crate) chain: Option<Box<dyn Chain>>,
    /// Its sources were taken over by this one.
    pub(crate) merged_into: Option<usize>,
}

impl Draft {
    /// A new sub-topology that reads `sources` as one stream. Answers its number and that of the step at
    /// which the stream begins.
    pub(crate) fn begin(&mut self, sources: Vec<Source>) -> (usize, usize) {
        let sub = self.subs.len();
        let topics: Vec<_> = sources.iter().map(|source| source.topic().clone()).collect();
        self.subs.push(SubDraft { sources, ..SubDraft::default() });
        let steps: Vec<_> = topics.into_iter().map(|topic| self.step(sub, StepKind::Source(topic), &[])).collect();
        match steps.as_slice() {
            [one] => (sub, *one),
            several => (sub, self.step(sub, StepKind::Operator("merge"), several)),
        }
    }

    /// Sub-topology `into` reads what `from` reads as well, behind what it reads itself. Answers how many sources it
    /// had before.
    pub(crate) fn take_over(&mut self, into: usize, from: usize) -> usize {
        let from = &mut self.subs[from];
        from.merged_into = Some(into);
        let sources = std::mem::take(&mut from.sources);
        let into = &mut self.subs[into];
        let count = into.sources.len();
        into.sources.extend(sources);
        count
    }

    /// A store of a sub-topology. Answers its column.
    pub(crate) fn store(
        &mut self,
        sub: usize,
        name: &'static str,
        kind: StoreKind,
        keep: DurationMs,
        holds: String,
    ) -> ColumnId {
        // Column 0 is the task's own. A number past the last possible one is refused by `build`.
        let column = ColumnId(u8::try_from(self.stores.len() + 1).unwrap_or(u8::MAX));
        self.stores.push((sub, StorePlan { name, stored_as: name, column, kind, keep, holds }));
        column
    }

    /// A store beside the store `of`, in which things wait for their time. Answers its name and its column.
    pub(crate) fn queue(
        &mut self,
        sub: usize,
        (of, suffix): (&'static str, &'static str),
        grace: DurationMs,
        holds: String,
    ) -> (&'static str, ColumnId) {
        let name = self.name_beside(of, suffix);
        (name, self.store(sub, name, StoreKind::Queue(grace), DurationMs(0), holds))
    }

    /// A name for something beside the store or processor `of`.
    pub(crate) fn name_beside(&mut self, of: &'static str, suffix: &'static str) -> &'static str {
        // A plan lives as long as its process.
        let name: &'static str = format!("{of}-{suffix}").leak();
        self.made_names.push((name, of, suffix));
        name
    }

    /// A repartition topic, written behind `at` of `sub` and read by a sub-topology of its own. Answers where that
    /// begins, and the topic's number as an output.
    pub(crate) fn through(&mut self, from: (usize, usize), name: &str) -> ((usize, usize), usize) {
        self.through_as(InputKind::Records, from, name)
    }

    /// The same, read as `kind`.
    pub(crate) fn through_as(
        &mut self,
        kind: InputKind,
        (sub, at): (usize, usize),
        name: &str,
    ) -> ((usize, usize), usize) {
        let topic = internal(&self.name, name, "repartition");
        let output = Output { topic: topic.clone(), kind: OutputKind::Repartition, finality: Finality::Final };
        let output = self.output(sub, output, at);
        (self.begin(vec![Source::Repartition { topic, kind }]), output)
    }

    /// A step after others. Answers its number.
    pub(crate) fn step(&mut self, sub: usize, kind: StepKind, follows: &[usize]) -> usize {
        let number = self.steps.len();
        self.steps.push((sub, PlanStep { number, kind, follows: follows.to_vec() }));
        number
    }

    /// The processor of a step keeps its rows in these stores.
    pub(crate) fn keeps(&mut self, step: usize, names: Vec<&'static str>) {
        if let Some((_, PlanStep { kind: StepKind::Process { stores, .. }, .. })) = self.steps.get_mut(step) {
            *stores = names;
        }
    }

    /// An output and the step that writes it. Answers the output's number.
    pub(crate) fn output(&mut self, sub: usize, output: Output, follows: usize) -> usize {
        let number = self.outputs.len();
        self.outputs.push((sub, output));
        self.step(sub, StepKind::Sink(number), &[follows]);
        number
    }
}
