//! Warm copies of tasks that other processes run, so that whoever gets such a task restores its tail only.
//!
//! Not here: what a copy may take over ([`replica`]). Invariant: a worker thread that wants a store never waits for
//! more than one step of a copy and its flush; nothing is fenced and nothing is written to the log here.
//!
//! ```text
//!   <app>-instances ─▶ who runs what, who lives ─▶ choice ─▶ a copy of each task chosen
//!   changelogs ── one reader, pass by pass ──▶ <state.dir>/<application>/0_3   the folder that a worker would open
//! ```
//!
//! [`RocksHome`] knows who has a folder open: a worker thread that meets a copy there says that it wants it, and the
//! copy is closed with what it has. A copy that is not wanted any more is closed too, and goes as every folder does
//! that nobody uses.
//!
//! Kafka's assignor, as librdkafka has it, knows nothing of copies. With as many copies as there are other processes
//! every task finds one wherever it lands; with fewer it may land where there is none.

#![allow(clippy::disallowed_methods, reason = "copies have a thread of their own")]

mod choice;
pub(crate) mod replica;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use state::{TaskStore, TaskStoreLimits};

use self::replica::{Following, Replica};
use crate::error::{CoreError, Remedy};
use crate::home::{HousedBase, RocksHome};
use crate::instances::Instances;
use crate::layout::Layout;
use crate::limits::{RESTORE_WAIT, STANDBY_LOOK, STANDBY_PASS, STANDBY_RETRY, STANDBY_STEPS_MAX};
use crate::log::{FreeReader, Log};
use crate::metrics::StandbyGauges;
use crate::run::Surroundings;
use crate::service::signals::Shutdown;
use crate::service::status::StandbyStatus;
use crate::task::TaskId;

/// What the thread is given.
pub(crate) struct Standby {
    pub(crate) log: Arc<dyn Log>,
    pub(crate) layout: Arc<Layout>,
    pub(crate) home: RocksHome,
    pub(crate) instances: Instances,
    pub(crate) around: Surroundings,
    pub(crate) epoch: u32,
    pub(crate) shutdown: Shutdown,
}

/// A task that this process is to have a copy of.
struct Place {
    /// `None` while its folder is somebody else's, or the log does not answer.
    replica: Option<Replica<HousedBase>>,
    /// While there is a copy.
    gauges: Option<StandbyGauges>,
    /// When there is something to do for it.
    due: Duration,
    /// Whether it was said that it has caught up.
    told: bool,
}

type Shelf = BTreeMap<TaskId, Place>;

impl Standby {
    /// Starts the thread, which ends by the wish to stop. Fails where the machine gives none.
    pub(crate) fn start(self) -> std::io::Result<JoinHandle<()>> {
        std::thread::Builder::new().name("standby".into()).spawn(move || self.work())
    }

    fn work(self) {
        let mut shelf = Shelf::new();
        let mut reader = None;
        let mut choose_at = Duration::ZERO;
        let mut pause = Duration::ZERO;
        while !self.shutdown.wait(pause) {
            let now = self.around.clock.elapsed();
            if now >= choose_at {
                choose_at = now + STANDBY_PASS.span();
                self.choose(&mut shelf);
            }
            let mut busy = false;
            for id in shelf.keys().copied().collect::<Vec<_>>() {
                busy |= self.attend(id, &mut shelf, &mut reader);
            }
            self.show(&mut shelf);
            pause = if busy { Duration::ZERO } else { STANDBY_LOOK.span() };
        }
        for (id, place) in shelf {
            self.close(id, place.replica, true);
        }
        self.around.board.standbys(BTreeMap::new());
    }

    /// Gives one copy its turn, of several steps: a reader that goes on where it stands is quicker than one that goes
    /// from changelog to changelog. Answers whether there is more to do at once.
    fn attend(&self, id: TaskId, shelf: &mut Shelf, reader: &mut Option<Box<dyn FreeReader>>) -> bool {
        for _ in 0..STANDBY_STEPS_MAX {
            if self.shutdown.requested() {
                return false;
            }
            self.hand_over(shelf);
            let Some(place) = shelf.get_mut(&id).filter(|place| self.around.clock.elapsed() >= place.due) else {
                return false;
            };
            if !self.advance(id, place, reader) {
                return false;
            }
        }
        true
    }

    /// Which tasks this process is to have copies of.
    fn choose(&self, shelf: &mut Shelf) {
        let copies = self.instances.copies() as usize;
        let census = self.instances.census();
        for id in self.layout.tasks() {
            let wanted = match census.owners.get(&id) {
                // Its owner has gone, and the next one is not known: everybody stays as they are.
                None => continue,
                Some(owner) => {
                    let living = census.living.iter().map(String::as_str);
                    choice::holders(id, owner, living, copies).contains(&self.instances.name())
                }
            };
            if wanted && !shelf.contains_key(&id) {
                shelf.insert(id, Place { replica: None, gauges: None, due: Duration::ZERO, told: false });
            } else if !wanted && let Some(place) = shelf.remove(&id) {
                self.close(id, place.replica, false);
            }
        }
    }

    /// Closes the copies whose folders a worker thread wants.
    fn hand_over(&self, shelf: &mut Shelf) {
        for (id, place) in shelf {
            if place.replica.is_some() && self.home.is_wanted(*id) {
                tracing::info!(task = %id, "the copy becomes the task's store");
                place.due = self.around.clock.elapsed() + STANDBY_RETRY.span();
                self.close(*id, place.replica.take(), false);
            }
        }
    }

    /// Does a bounded piece of work for one copy; answers whether there is more at once.
    fn advance(&self, id: TaskId, place: &mut Place, reader: &mut Option<Box<dyn FreeReader>>) -> bool {
        let (wait, more) = match self.try_advance(id, place, reader) {
            Ok(Following::Working) => (Duration::ZERO, true),
            Ok(Following::Waiting) => (STANDBY_LOOK.span(), false),
            Ok(Following::CaughtUp) => {
                if !std::mem::replace(&mut place.told, true) {
                    tracing::info!(task = %id, "the copy has caught up with its changelogs");
                }
                (STANDBY_PASS.span(), false)
            }
            Ok(Following::Anew(why)) => {
                tracing::warn!(task = %id, why, "the copy is made anew from its changelogs");
                self.discard(id, place.replica.take().map(Replica::into_base));
                place.told = false;
                (STANDBY_RETRY.span(), false)
            }
            Err(error) if error.remedy() == Remedy::Retry => {
                tracing::debug!(task = %id, "the copy waits: {error}");
                // The reader is not sent elsewhere before it has had its answer, or it might never get one.
                self.shutdown.wait(RESTORE_WAIT.span());
                (Duration::ZERO, true)
            }
            Err(error) => {
                tracing::warn!(task = %id, "the copy cannot follow; it is tried again: {error}");
                *reader = None;
                // Not flushed: what it holds in memory may be what is wrong with it.
                drop(place.replica.take());
                (STANDBY_RETRY.span(), false)
            }
        };
        place.due = self.around.clock.elapsed() + wait;
        more
    }

    fn try_advance(
        &self,
        id: TaskId,
        place: &mut Place,
        reader: &mut Option<Box<dyn FreeReader>>,
    ) -> Result<Following, CoreError> {
        let reader = match reader {
            Some(reader) => reader,
            None => reader.insert(self.log.reader()?),
        };
        match &mut place.replica {
            Some(replica) => replica.step(&mut **reader),
            None => {
                place.replica = self.open(id)?;
                // Nobody but a worker thread of this process has it: then it is no copy's, for now.
                Ok(if place.replica.is_some() { Following::Working } else { Following::Waiting })
            }
        }
    }

    fn open(&self, id: TaskId) -> Result<Option<Replica<HousedBase>>, CoreError> {
        let contents = self.layout.contents(id);
        for _ in 0..2 {
            let Some(base) = self.home.open_copy(id, &contents)? else { return Ok(None) };
            let changelogs = self.layout.changelogs(id);
            let columns: Vec<_> = changelogs.iter().map(|(column, _)| *column).collect();
            let store = TaskStore::new(base, columns, TaskStoreLimits::default());
            match Replica::new(id, store, self.epoch, changelogs)? {
                Ok(replica) => return Ok(Some(replica.of_stores(self.layout.stores(id)))),
                Err(base) => {
                    tracing::info!(task = %id, "the store is another state epoch's or was begun and left, and is made anew");
                    base.clear()?;
                }
            }
        }
        Ok(None)
    }

    /// Closes a copy with all it has. At the `end` of the state epoch's work one that has no commit record yet is
    /// thrown away: nothing would say of which epoch its rows are.
    fn close(&self, id: TaskId, replica: Option<Replica<HousedBase>>, end: bool) {
        let Some(replica) = replica else { return };
        let closed = match replica.has_record() {
            Ok(false) if end => return self.discard(id, Some(replica.into_base())),
            Ok(_) => replica.close().map(drop),
            Err(error) => Err(error),
        };
        if let Err(error) = closed {
            tracing::warn!(task = %id, "the copy was not closed in good order; its changelogs have its rows: {error}");
        }
    }

    fn discard(&self, id: TaskId, base: Option<HousedBase>) {
        if let Some(Err(error)) = base.map(HousedBase::clear) {
            tracing::warn!(task = %id, "the copy cannot be thrown away: {error}");
        }
    }

    fn show(&self, shelf: &mut Shelf) {
        for (id, place) in &mut *shelf {
            // A folder that a worker thread has is no copy: a lag that stood still would say that there is one.
            place.gauges = place.replica.as_ref().map(|replica| {
                let gauges = place.gauges.take();
                let gauges = gauges.unwrap_or_else(|| StandbyGauges::new(&self.around.telemetry, &id.to_string()));
                gauges.show(replica.lag());
                gauges
            });
        }
        let status = |place: &Place| {
            let replica = place.replica.as_ref();
            let followed = replica.and_then(|replica| replica.followed().ok()).unwrap_or_default();
            StandbyStatus { open: replica.is_some(), lag: replica.map_or(0, Replica::lag), followed }
        };
        self.around.board.standbys(shelf.iter().map(|(id, place)| (id.to_string(), status(place))).collect());
    }
}
