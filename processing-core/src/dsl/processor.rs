//! The step that hands records to a processor of the application's own.
//!
//! Not here: what a processor is and when it is called ([`crate::processor`]). Invariant: what a processor works with is
//! declared while the topology is built, so that it stands in the plan.

use std::cell::RefCell;
use std::rc::Rc;

use state::{ColumnId, StateKey};

use super::draft::Draft;
use super::stream::Stream;
use crate::plan::{Source, StepKind, StoreKind};
use crate::process::{Inlet, Pipe, Sources, Terminal};
use crate::processor::{
    Declared, KeyValueStore, Output, Outputs, Process, Processor, Stores, Timer, VersionedStore, WindowedStore,
};
use crate::record::DurationMs;
use crate::table::Kept;
use crate::word::LastWord;

/// A side chain of what a processor forwards to one of its named outputs: where it begins.
pub type OutputStream<K, W> = Stream<Inlet<K, W, LastWord>, ()>;

/// Where a processor declares what it works with.
pub struct Setup<K> {
    draft: Rc<RefCell<Draft>>,
    sub: usize,
    /// The number of the processor's step.
    at: usize,
    agenda: ColumnId,
    names: Vec<&'static str>,
    timers: Vec<&'static str>,
    stores: Stores,
    outputs: Outputs<K>,
}

impl<K: StateKey> Setup<K> {
    /// A store with one row for each key. Its keys are the processor's to choose.
    pub fn key_value_store<J: StateKey, V: Kept>(&mut self, name: &'static str) -> KeyValueStore<J, V> {
        let column = self.store(name, StoreKind::Rows, holds::<J, V>(""));
        KeyValueStore::declare(name, column, &mut self.stores)
    }

    /// A store with one row for each start of a window and key, until the window began longer ago than `retention`.
    pub fn windowed_store<J: StateKey, V: Kept>(
        &mut self,
        name: &'static str,
        retention: DurationMs,
    ) -> WindowedStore<J, V> {
        let retention = DurationMs(retention.0.max(0));
        let column = self.store(name, StoreKind::Windowed(retention), holds::<J, V>(""));
        WindowedStore::declare(name, column, retention, &mut self.stores)
    }

    /// A store whose rows can be looked up as they were at a time, as far back as `history`.
    pub fn versioned_store<J: StateKey, V: Kept>(
        &mut self,
        name: &'static str,
        history: DurationMs,
    ) -> VersionedStore<J, V> {
        let column = self.store(name, StoreKind::Composed, holds::<J, V>("versions of "));
        VersionedStore::declare(name, column, DurationMs(history.0.max(0)), &mut self.stores)
    }

    /// A kind of timer. Timers that are set are kept by the order in which their kinds were declared.
    pub fn timer(&mut self, name: &'static str) -> Timer {
        let number = u16::try_from(self.timers.len()).unwrap_or(u16::MAX);
        self.timers.push(name);
        Timer::declare(self.agenda, number)
    }

    /// An output beside the chain that follows: a side chain, which must end in `to`, in `end` or in a window of its own.
    pub fn output<W, T>(&mut self, side: impl FnOnce(OutputStream<K, W>) -> T) -> Output<W>
    where
        W: Clone + Send + 'static,
        T: Terminal<K, W>,
    {
        let at = self.draft.borrow_mut().step(self.sub, StepKind::Operator("output"), &[self.at]);
        let side = side(Stream { draft: Rc::clone(&self.draft), sub: self.sub, at, pipe: Inlet::new(), owed: () });
        self.outputs.declare(self.agenda, side)
    }

    fn store(&mut self, name: &'static str, kind: StoreKind, holds: String) -> ColumnId {
        self.names.push(name);
        self.draft.borrow_mut().store(self.sub, name, kind, DurationMs(0), holds)
    }
}

fn holds<K, V>(what: &str) -> String {
    format!("{what}{} by {}", std::any::type_name::<V>(), std::any::type_name::<K>())
}

impl<P, O> Stream<P, O>
where
    P: Pipe<Head = Sources, Key: StateKey, Value: Kept>,
{
    /// Hands every record to a processor of one's own, which `set_up` makes when it has declared its stores, timers and
    /// outputs; see [`Processor`] for one. What it forwards comes out under its key.
    ///
    /// A stream whose key its partitions do not keep together goes through [`super::Grouped::repartition`] first; several
    /// topics need the same number of partitions. `name` names what it keeps of its own: in the store `<name>-waiting`
    /// the timers that are set and records that have to wait, in `<name>-timers` which timer is set to when.
    pub fn process<R>(
        self,
        name: &'static str,
        set_up: impl FnOnce(&mut Setup<P::Key>) -> R,
    ) -> Stream<Process<P, R>, O>
    where
        R: Processor<Key = P::Key, In = P::Value>,
    {
        let Self { draft, sub, at, pipe, owed } = self;
        let key = std::any::type_name::<P::Key>();
        let (topics, is_of_several, agenda, at) = {
            let mut draft = draft.borrow_mut();
            let sources = &draft.subs[sub].sources;
            let topics = sources.iter().map(|source| source.topic().clone()).collect();
            let is_of_several = sources.iter().filter(|source| !source.is_table()).count() > 1
                || sources.iter().any(|source| matches!(source, Source::Repartition { .. }));
            let waiting = format!("timers and {} by {key}", std::any::type_name::<P::Value>());
            let agenda = draft.queue(sub, (name, "waiting"), DurationMs(0), waiting);
            let at = draft.step(sub, StepKind::Process { name, stores: Vec::new() }, &[at]);
            (topics, is_of_several, agenda, at)
        };
        let mut setup = Setup {
            draft,
            sub,
            at,
            agenda: agenda.1,
            names: vec![agenda.0],
            timers: Vec::new(),
            stores: Stores::default(),
            outputs: Outputs::default(),
        };
        let processor = set_up(&mut setup);
        let timer_rows = (!setup.timers.is_empty()).then(|| {
            let name = setup.draft.borrow_mut().name_beside(name, "timers");
            let holds = format!("timers {} by {key}", setup.timers.join(", "));
            (name, setup.store(name, StoreKind::Composed, holds))
        });
        let Setup { draft, names, timers, stores, outputs, .. } = setup;
        draft.borrow_mut().keeps(at, names);
        let declared = Declared { topics, is_of_several, agenda, timers, timer_rows, stores, outputs };
        let pipe = Process::new(pipe, processor, declared);
        Stream { draft, sub, at, pipe, owed }
    }
}
