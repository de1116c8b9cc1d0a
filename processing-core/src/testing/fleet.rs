//! Virtual processes on one log, and the hand that lets them run, die and come back.
//!
//! Not here: what must be true afterwards ([`super::check`]). Invariant: one thread and one generator decide
//! every step, so the same seed gives the same run.

use std::ops::ControlFlow;
use std::sync::{Arc, Mutex, PoisonError};

use super::dice::Dice;
use super::feed::Feed;
use super::home::MemoryHome;
use super::mutant::{MutantHome, MutantLog};
use super::options::SimOptions;
use crate::commit::CommitStage;
use crate::error::{CoreError, Remedy};
use crate::layout::Layout;
use crate::log::memory::{FaultPlan, MemoryLog};
use crate::log::{Log, LogError};
use crate::record::WallTime;
use crate::worker::{InlineNursery, StateHome, Worker, WorkerTerms};

type VirtualWorker = Worker<MutantHome, InlineNursery<<MutantHome as StateHome>::Base>>;

/// Rounds in a row without anything to do, after which a fleet is at rest.
const QUIET_ROUNDS: usize = 12;
/// Rounds after which a fleet without faults must have come to rest.
const SETTLE_ROUNDS_MAX: usize = 20_000;
/// Virtual time between two rounds of a fleet that comes to rest.
const SETTLE_TICK_MS: u64 = 10;
/// The same once it seems to be at rest: over all quiet rounds longer than any timeout, since an open
/// transaction of somebody who is gone hides what lies behind it until it times out.
const QUIET_TICK_MS: u64 = 2_000;
/// Rounds after which time no longer goes on with the clock: whatever follows it is never at rest for long.
const CLOCK_ROUNDS: usize = 200;

/// How often what happened.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Tally {
    /// Steps of workers.
    pub steps: u64,
    /// Transactions that became true, by the word of those that lived to tell.
    pub commits: u64,
    /// Processes that died.
    pub crashes: u64,
    /// Tasks' state rebuilt from the last commit after something unknown.
    pub rebuilds: u64,
    /// Records restored from changelogs.
    pub restored: u64,
}

/// What happens to processes and has a word in the language of scripts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Disturbance {
    Rebalance,
    Crash,
}

/// Disturbances, each with how many records had come before it.
pub(super) type Disturbed = Vec<(usize, Disturbance)>;

/// Which stage the next commit does not live to see.
type Fate = Arc<Mutex<Option<CommitStage>>>;

/// One thread of a process.
struct Seat {
    instance: String,
    /// The number of its process.
    pod: usize,
    worker: Option<VirtualWorker>,
    fate: Fate,
    /// Does nothing before this time.
    away_until: u64,
}

/// A process whose instance somebody else has taken.
struct Ghost {
    worker: VirtualWorker,
    until: u64,
}

/// All processes of one application.
pub(super) struct Fleet {
    pub(super) log: Arc<MemoryLog>,
    pub(super) layout: Arc<Layout>,
    options: SimOptions,
    /// What the workers take for the log.
    front: Arc<dyn Log>,
    /// The volume of each process.
    homes: Vec<MutantHome>,
    seats: Vec<Seat>,
    ghosts: Vec<Ghost>,
    dice: Dice,
    elapsed_ms: u64,
    /// No faults any more.
    settles: bool,
    pub(super) tally: Tally,
    pub(super) disturbed: Disturbed,
    fed: usize,
}

impl Fleet {
    pub(super) fn new(log: Arc<MemoryLog>, layout: Arc<Layout>, options: SimOptions, seed: u64) -> Self {
        let mut dice = Dice::new(seed);
        let front: Arc<dyn Log> = match options.mutation {
            Some(mutation) => Arc::new(MutantLog::new(Arc::clone(&log), mutation)),
            None => Arc::clone(&log) as Arc<dyn Log>,
        };
        // Some come up later: the fleet is scaled up while it works.
        let begins: Vec<u64> =
            (0..options.processes).map(|pod| if pod == 0 { 0 } else { dice.below(options.away_ms) }).collect();
        let seat = |(pod, thread): (usize, usize)| Seat {
            instance: format!("pod-{pod}-{thread}"),
            pod,
            worker: None,
            fate: Fate::default(),
            away_until: begins[pod],
        };
        let threads = options.threads;
        let seats = (0..options.processes).flat_map(|pod| (0..threads).map(move |thread| (pod, thread)));
        let seats = seats.map(seat).collect();
        let mut fleet = Self {
            log,
            layout,
            front,
            homes: Vec::new(),
            seats,
            ghosts: Vec::new(),
            dice,
            elapsed_ms: 0,
            settles: false,
            tally: Tally::default(),
            disturbed: Vec::new(),
            fed: 0,
            options,
        };
        fleet.homes = (0..fleet.options.processes).map(|_| fleet.new_home()).collect();
        fleet
    }

    fn new_home(&mut self) -> MutantHome {
        let disks = MemoryHome::new(self.options.flush_after_bytes);
        disks.fail_writes(self.options.disk, self.dice.below(u64::MAX));
        MutantHome::new(disks, self.options.mutation)
    }

    fn now(&self) -> WallTime {
        WallTime(self.log.now().0)
    }

    /// Feeds the records while everything goes wrong.
    pub(super) fn suffer(&mut self, feed: &Feed) -> Result<(), CoreError> {
        self.log.set_faults(self.options.faults);
        let began = self.log.now();
        let mut arrivals = feed.arrivals.iter().peekable();
        while arrivals.peek().is_some() {
            let tick = 1 + self.dice.below(self.options.tick_ms);
            self.pass(tick);
            while let Some(arrival) = arrivals.next_if(|arrival| arrival.at_ms <= self.elapsed_ms) {
                Feed::append(&self.log, arrival, began)?;
                self.fed += 1;
            }
            self.act()?;
        }
        // The end of the input is as dangerous as the rest of it.
        for _ in 0..60 {
            let tick = 1 + self.dice.below(self.options.tick_ms);
            self.pass(tick);
            self.act()?;
        }
        Ok(())
    }

    /// Lets everything come to rest without faults. Answers `false` if it does not.
    pub(super) fn settle(&mut self) -> Result<bool, CoreError> {
        self.settles = true;
        self.log.set_faults(FaultPlan::NONE);
        self.homes.iter().for_each(|home| home.disks().fail_writes(0.0, 0));
        self.ghosts.clear();
        for pod in 0..self.homes.len() {
            // Some stay away for good: the fleet is scaled down.
            let leaves = pod > 0 && self.dice.chance(0.3);
            let until = if leaves { u64::MAX } else { 0 };
            if leaves {
                self.kill(pod, until);
            }
            for seat in self.seats.iter_mut().filter(|seat| seat.pod == pod) {
                seat.away_until = until;
                *seat.fate.lock().unwrap_or_else(PoisonError::into_inner) = None;
                if leaves {
                    self.log.expire_session(&seat.instance);
                }
            }
        }
        let tasks: usize = self.layout.parts.iter().map(|part| part.tasks as usize).sum();
        let mut quiet = 0;
        for round in 0..SETTLE_ROUNDS_MAX {
            self.pass(if quiet > 2 { QUIET_TICK_MS } else { SETTLE_TICK_MS });
            if round >= CLOCK_ROUNDS {
                self.seats.iter_mut().filter_map(|seat| seat.worker.as_mut()).for_each(Worker::let_time_stand_still);
            }
            let mut idle = true;
            for index in 0..self.seats.len() {
                idle &= self.step(index)?;
            }
            let running: usize = self.workers().map(|worker| worker.running_tasks().count()).sum();
            quiet = if idle && running == tasks { quiet + 1 } else { 0 };
            if quiet == QUIET_ROUNDS {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Where every task stands, for a person.
    pub(super) fn standing(&self) -> Vec<String> {
        let tasks = self.workers().flat_map(|worker| worker.running_tasks());
        let source =
            |source: &crate::source::SourcePartition| format!("{} {} {:?}", source.place, source.next, source.time);
        tasks
            .map(|task| format!("{}: {}", task.id, task.sources.iter().map(source).collect::<Vec<_>>().join("; ")))
            .collect()
    }

    /// The workers that run.
    pub(super) fn workers(&self) -> impl Iterator<Item = &VirtualWorker> {
        self.seats.iter().flat_map(|seat| &seat.worker)
    }

    fn pass(&mut self, ms: u64) {
        self.elapsed_ms += ms;
        self.log.advance(ms);
    }

    /// One round: each process may take some steps, and something may happen to it.
    fn act(&mut self) -> Result<(), CoreError> {
        let count = self.seats.len();
        let first = self.dice.below(count as u64) as usize;
        for index in (0..count).map(|n| (first + n) % count) {
            self.befall(index)?;
            for _ in 0..self.dice.below(4) {
                self.step(index)?;
            }
        }
        for index in (0..self.ghosts.len()).rev() {
            let now = self.now();
            if self.ghosts[index].until <= self.elapsed_ms {
                self.ghosts.swap_remove(index);
            } else if self.dice.chance(0.5) {
                match self.ghosts[index].worker.step(now) {
                    Err(error) if self.may_stop(&error) => drop(self.ghosts.swap_remove(index)),
                    stepped => drop(stepped?),
                }
            }
        }
        if self.dice.chance(self.options.rebalance) {
            self.disturbed.push((self.fed, Disturbance::Rebalance));
            self.log.force_rebalance();
        }
        if self.dice.chance(self.options.compact) {
            self.log.run_compaction();
        }
        if self.dice.chance(self.options.purge) {
            self.purge();
        }
        Ok(())
    }

    /// What upkeep does: repartition records below the group's committed offsets are deleted.
    fn purge(&self) {
        // A log that does not answer now is asked another time.
        let Ok(mut admin) = self.log.admin() else { return };
        for (place, committed) in self.log.group_offsets(self.layout.plan.name()) {
            if place.topic.as_str().ends_with("-repartition") && admin.purge(&place, committed).is_err() {
                return;
            }
        }
    }

    /// What fate has for a thread, or for its process, in this round.
    fn befall(&mut self, index: usize) -> Result<(), CoreError> {
        let away = self.elapsed_ms + 1 + self.dice.below(self.options.away_ms);
        if self.seats[index].worker.is_none() {
            return Ok(());
        }
        let (options, pod) = (&self.options, self.seats[index].pod);
        if self.dice.chance(options.crash) {
            self.crash(pod, away);
        } else if self.dice.chance(options.stage_crash) {
            let stage = CommitStage::ALL[self.dice.below(CommitStage::ALL.len() as u64) as usize];
            *self.seats[index].fate.lock().unwrap_or_else(PoisonError::into_inner) = Some(stage);
        } else if self.dice.chance(options.pause) {
            self.seats[index].away_until = away;
        } else if self.dice.chance(options.twin) {
            let until = self.elapsed_ms + self.dice.below(5_000);
            // The volume stays with the one that holds it.
            self.homes[pod] = self.new_home();
            for seat in self.seats.iter_mut().filter(|seat| seat.pod == pod) {
                seat.fate = Fate::default();
                self.ghosts.extend(seat.worker.take().map(|worker| Ghost { worker, until }));
            }
        } else if self.dice.chance(options.leave) {
            let now = self.now();
            for index in (0..self.seats.len()).filter(|index| self.seats[*index].pod == pod).collect::<Vec<_>>() {
                self.seats[index].away_until = away;
                let Some(worker) = self.seats[index].worker.take() else { continue };
                self.note(&worker);
                match worker.close(now) {
                    Err(error) if error.remedy() == Remedy::Stop => return Err(error),
                    _ => {}
                }
            }
        }
        Ok(())
    }

    fn crash(&mut self, pod: usize, away: u64) {
        self.tally.crashes += 1;
        self.disturbed.push((self.fed, Disturbance::Crash));
        self.kill(pod, away);
        if self.dice.chance(self.options.wipe) {
            self.homes[pod].wipe();
        }
    }

    /// A process is dead from one moment to the next, with all its threads.
    fn kill(&mut self, pod: usize, away: u64) {
        for index in 0..self.seats.len() {
            if self.seats[index].pod != pod {
                continue;
            }
            self.seats[index].away_until = away;
            if let Some(worker) = self.seats[index].worker.take() {
                self.note(&worker);
                self.log.crash_member(&self.seats[index].instance);
            }
        }
        self.homes[pod].disks().crash();
    }

    fn note(&mut self, worker: &VirtualWorker) {
        let status = worker.status();
        self.tally.commits += status.commits;
        self.tally.rebuilds += status.rebuilds;
        self.tally.restored += status.restored;
    }

    /// The totals of those that still run are added.
    pub(super) fn count_all(&mut self) {
        for seat in std::mem::take(&mut self.seats) {
            if let Some(worker) = &seat.worker {
                self.note(worker);
            }
            self.seats.push(seat);
        }
    }

    /// One step of a thread; it is started if it is not there. Answers whether it had nothing to do.
    fn step(&mut self, index: usize) -> Result<bool, CoreError> {
        let now = self.now();
        if self.seats[index].away_until > self.elapsed_ms {
            return Ok(true);
        }
        if self.seats[index].worker.is_none() {
            return self.start(index).map(|()| false);
        }
        self.tally.steps += 1;
        let Some(worker) = &mut self.seats[index].worker else { return Ok(true) };
        let stepped = worker.step(now);
        if worker.has_crashed() || stepped.as_ref().is_err_and(|error| self.may_stop(error)) {
            let away = self.elapsed_ms + self.dice.below(self.options.away_ms);
            self.crash(self.seats[index].pod, away);
            return Ok(false);
        }
        Ok(stepped?.idle)
    }

    /// Whether an error may end a process that will be started again. One that was replaced without
    /// knowing may find that what it wants to read has been purged behind its successor; in a fleet that
    /// comes to rest nobody has been.
    fn may_stop(&self, error: &CoreError) -> bool {
        !self.settles && matches!(error, CoreError::Log(LogError::Fatal(_)))
    }

    fn start(&mut self, index: usize) -> Result<(), CoreError> {
        let seat = &mut self.seats[index];
        let terms = WorkerTerms {
            instance: seat.instance.clone(),
            commit_interval: self.options.commit_interval,
            idle_after: self.options.idle_after,
            idle_close: self.options.idle_close,
            future_bound: self.options.future_bound,
            epoch: 1,
            bounds: self.options.bounds,
        };
        let (front, layout, home) = (Arc::clone(&self.front), Arc::clone(&self.layout), self.homes[seat.pod].clone());
        match Worker::new(front, layout, terms, home, InlineNursery::default()) {
            Ok(mut worker) => {
                let fate = Arc::clone(&seat.fate);
                worker.set_probe(Some(Box::new(move |stage| {
                    let mut fate = fate.lock().unwrap_or_else(PoisonError::into_inner);
                    if *fate == Some(stage) {
                        *fate = None;
                        return ControlFlow::Break(());
                    }
                    ControlFlow::Continue(())
                })));
                seat.worker = Some(worker);
                Ok(())
            }
            Err(error) if error.remedy() == Remedy::Retry => Ok(()),
            Err(error) => Err(error),
        }
    }
}
