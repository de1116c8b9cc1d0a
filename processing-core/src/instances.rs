//! The instances of an application, to each other: who has which task, and the way to its rows.
//!
//! Not here: following the topic ([`crate::bulletin`]) and what a worker thread answers ([`crate::query`]).
//! Invariant: an answer is complete for the tasks asked, each of them answered by one instance that had it, or it
//! is an error that names a task, where it is, and when to ask again.
//!
//! ```text
//!   worker threads ─ claims ─▶ note ─▶ <app>-instances ─▶ table of every instance
//!   query ─▶ tasks ─▶ here: the threads' mailboxes
//!                  └▶ elsewhere: one hop, POST /instances/rows ─▶ its threads' mailboxes
//! ```
//!
//! An instance takes part from [`Instances::advertise`] on; before, and in a process that never does, queries see
//! its own tasks alone.

mod asking;
mod forward;
mod note;
mod routes;
mod table;
mod term;
#[cfg(test)]
mod tests;
mod wire;

use std::collections::BTreeMap;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

pub(crate) use note::Hold;
use note::{Claim, Note};
use table::{Owner, Table};
use term::Claims;
pub(crate) use term::Term;

use crate::clock::Clock;
use crate::layout::Layout;
use crate::limits::REFRESH_WAIT;
use crate::record::{Offset, WallTime};
use crate::task::TaskId;

/// What a process knows of all instances, its own among them; cheap to clone.
#[derive(Clone)]
pub struct Instances {
    shared: Arc<Shared>,
}

struct Shared {
    name: String,
    clock: Arc<dyn Clock>,
    ground: OnceLock<Ground>,
    inner: Mutex<Inner>,
    /// Rings when somebody wants a pass of the bulletin, and when one is over.
    bell: Condvar,
}

/// What is known once the topics stand.
struct Ground {
    app: String,
    stores: BTreeMap<&'static str, StoreTasks>,
}

/// The tasks of a store.
#[derive(Debug, Clone, Copy)]
struct StoreTasks {
    sub_topology: u16,
    tasks: u32,
}

#[derive(Default)]
struct Inner {
    epoch: u32,
    presence: Presence,
    own: BTreeMap<String, Held>,
    /// Rises with every change of what a note would say, its time aside.
    version: u64,
    table: Table,
    /// To this instance's name.
    claims: Claims,
    passes: Passes,
    ending: bool,
    /// How many instances besides its owner are to have a copy of each task.
    copies: u32,
}

/// Who lives and who runs what, of the instances that work in one state epoch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Census {
    pub(crate) living: Vec<String>,
    pub(crate) owners: BTreeMap<TaskId, String>,
}

/// Whether other instances are told of this one.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
enum Presence {
    #[default]
    Silent,
    /// With the address at which it can be asked, if it can.
    Advertised(Option<String>),
}

/// What a worker thread has.
#[derive(Debug, PartialEq, Eq)]
struct Held {
    generation: u64,
    tasks: BTreeMap<TaskId, Hold>,
}

/// The bulletin's rounds.
#[derive(Debug, Default)]
struct Passes {
    begun: u64,
    ended: u64,
    /// Somebody waits for this one.
    wanted: u64,
    /// Whether the ends of the topics were ever reached.
    complete: bool,
}

/// What the bulletin has to do in a round.
pub(crate) struct Task {
    number: u64,
    /// See `Inner::version`.
    pub(crate) version: u64,
    /// The last round: this instance's note is taken back.
    pub(crate) ending: bool,
}

impl Instances {
    pub(crate) fn new(name: &str, clock: Arc<dyn Clock>) -> Self {
        let (ground, inner, bell) = (OnceLock::new(), Mutex::default(), Condvar::new());
        Self { shared: Arc::new(Shared { name: name.to_owned(), clock, ground, inner, bell }) }
    }

    /// This instance's name.
    pub(crate) fn name(&self) -> &str {
        &self.shared.name
    }

    /// From here on other instances are told what this one has, and queries are answered for all of them.
    /// `address` is host and port of the routes of [`Self::routes`]; without it this one can ask and not be asked.
    pub fn advertise(&self, address: Option<String>) {
        let mut inner = self.lock();
        inner.presence = Presence::Advertised(address);
        inner.version += 1;
        drop(inner);
        self.shared.bell.notify_all();
    }

    /// How many instances besides its owner are to have a copy of each task; all of them must be told the same.
    pub(crate) fn stand_by(&self, copies: u32) {
        self.lock().copies = copies;
    }

    /// See [`Self::stand_by`].
    pub(crate) fn copies(&self) -> u32 {
        self.lock().copies
    }

    /// Who lives and who runs what, as far as is known. What this instance has is its own, whatever others say.
    pub(crate) fn census(&self) -> Census {
        let now = self.shared.clock.elapsed();
        let inner = self.lock();
        let here = inner.table.living(now).filter(|(_, entry)| entry.note.epoch == inner.epoch);
        let (mut living, mut owners) = (Vec::new(), BTreeMap::new());
        for (name, entry) in here {
            living.push(name.to_owned());
            for task in entry.note.tasks.keys().filter(|task| !owners.contains_key(*task)).copied().collect::<Vec<_>>()
            {
                owners.extend(inner.table.owner(task, inner.epoch, now).map(|owner| (task, owner.instance)));
            }
        }
        owners.extend(inner.tasks().into_keys().map(|task| (task, self.name().to_owned())));
        Census { living, owners }
    }

    /// The topics stand: which store has which tasks.
    pub(crate) fn settle_on(&self, layout: &Layout) {
        let mut stores = BTreeMap::new();
        for (part, laid) in layout.plan.sub_topologies().iter().zip(&layout.parts) {
            let tasks = StoreTasks { sub_topology: part.number, tasks: laid.tasks };
            stores.extend(part.stores.iter().map(|store| (store.name, tasks)));
        }
        // The first layout stays: a process has one plan.
        self.shared.ground.get_or_init(|| Ground { app: layout.plan.name().to_owned(), stores });
    }

    /// The state epoch in which this instance works from now on.
    pub(crate) fn enter(&self, epoch: u32) {
        let mut inner = self.lock();
        inner.epoch = epoch;
        inner.version += 1;
    }

    /// What a worker thread has from now on.
    pub(crate) fn claim(&self, thread: &str, generation: u64, tasks: BTreeMap<TaskId, Hold>) {
        let held = Held { generation, tasks };
        let mut inner = self.lock();
        if inner.own.get(thread) != Some(&held) {
            inner.own.insert(thread.to_owned(), held);
            inner.version += 1;
        }
    }

    /// A worker thread has nothing any more.
    pub(crate) fn leave(&self, thread: &str) {
        let mut inner = self.lock();
        if inner.own.remove(thread).is_some() {
            inner.version += 1;
        }
    }

    /// What is to be written of this instance; `None` while it does not take part.
    pub(crate) fn note(&self, at: WallTime) -> Option<Note> {
        let inner = self.lock();
        let Presence::Advertised(address) = &inner.presence else { return None };
        let (term, address) = (inner.claims.term(), address.clone());
        Some(Note { term, address, epoch: inner.epoch, at, tasks: inner.tasks() })
    }

    /// A note with `term` stands in the topic.
    pub(crate) fn claimed(&self, term: Term) {
        self.lock().claims.claimed(term);
    }

    /// Whether another process has claimed this instance's name after this one.
    pub(crate) fn superseded(&self) -> bool {
        self.lock().claims.superseded()
    }

    /// Takes in a record of the topic, read when the wall clock showed `wall` and time `elapsed` had gone by.
    pub(crate) fn hear(&self, at: Offset, key: &[u8], value: Option<&[u8]>, wall: WallTime, elapsed: Duration) {
        let Ok(name) = std::str::from_utf8(key) else { return };
        let note = value.and_then(Note::read);
        let mut inner = self.lock();
        if let Some(note) = note.as_ref().filter(|_| name == self.shared.name) {
            inner.claims.hear(note.term);
        }
        let heard = match &note {
            // Written before this process came: how old it is tells its writer's clock alone.
            Some(note) if !inner.passes.complete => {
                elapsed.saturating_sub(Duration::from_millis(wall.0.saturating_sub(note.at.0).max(0).unsigned_abs()))
            }
            _ => elapsed,
        };
        inner.table.hear(name, note, at, heard);
    }

    /// Begins a round of the bulletin.
    pub(crate) fn next_task(&self) -> Task {
        let mut inner = self.lock();
        inner.passes.begun += 1;
        Task { number: inner.passes.begun, version: inner.version, ending: inner.ending }
    }

    /// A round of the bulletin is over; `complete` if it has reached the ends of its topics.
    pub(crate) fn passed(&self, task: &Task, complete: bool) {
        let mut inner = self.lock();
        inner.passes.ended = task.number;
        inner.passes.complete |= complete;
        drop(inner);
        self.shared.bell.notify_all();
    }

    /// Waits at most `pause` for somebody who wants a round.
    pub(crate) fn wait(&self, pause: Duration) {
        let inner = self.lock();
        let nobody = |inner: &mut Inner| !inner.ending && inner.passes.wanted <= inner.passes.begun;
        drop(self.shared.bell.wait_timeout_while(inner, pause, nobody));
    }

    /// The next round of the bulletin is its last.
    pub(crate) fn end(&self) {
        self.lock().ending = true;
        self.shared.bell.notify_all();
    }

    /// Waits at most `at_most` until the topics were read to their ends; says whether they were.
    pub(crate) fn caught_up(&self, at_most: Duration) -> bool {
        let inner = self.lock();
        let waited = self.shared.bell.wait_timeout_while(inner, at_most, |inner| !inner.passes.complete);
        waited.unwrap_or_else(PoisonError::into_inner).0.passes.complete
    }

    /// Waits a bounded time for a whole round that begins from now on.
    fn refresh(&self) {
        let mut inner = self.lock();
        let wanted = inner.passes.begun + 1;
        inner.passes.wanted = wanted.max(inner.passes.wanted);
        self.shared.bell.notify_all();
        let most = REFRESH_WAIT.span();
        drop(self.shared.bell.wait_timeout_while(inner, most, |inner| inner.passes.ended < wanted && !inner.ending));
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        // Each change is made in one step.
        self.shared.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl std::fmt::Debug for Instances {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Instances").field("name", &self.shared.name).finish_non_exhaustive()
    }
}

impl Inner {
    /// What all threads have. While a task moves between two of them, the better claim counts.
    fn tasks(&self) -> BTreeMap<TaskId, Claim> {
        let mut tasks = BTreeMap::new();
        for (task, claim) in self.own.values().flat_map(Held::claims) {
            let present = tasks.entry(task).or_insert(claim);
            if (claim.hold, claim.generation) > (present.hold, present.generation) {
                *present = claim;
            }
        }
        tasks
    }

    /// How far this instance is with a task.
    fn claim(&self, task: TaskId) -> Option<Claim> {
        let claim = |held: &Held| Some(Claim { hold: *held.tasks.get(&task)?, generation: held.generation });
        self.own.values().filter_map(claim).max_by_key(|claim| (claim.hold, claim.generation))
    }

    /// Which other instance has `task`.
    fn other_owner(&self, own: &str, task: TaskId, now: Duration) -> Option<Owner> {
        self.table.owner(task, self.epoch, now).filter(|owner| owner.instance != own)
    }
}

impl Held {
    fn claims(&self) -> impl Iterator<Item = (TaskId, Claim)> {
        self.tasks.iter().map(|(task, hold)| (*task, Claim { hold: *hold, generation: self.generation }))
    }
}
