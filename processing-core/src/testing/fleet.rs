//! Virtual processes on one log, and the hand that lets them run, die and come back.
//!
//! Not here: what must be true afterwards ([`super::check`]). Invariant: one thread and one generator decide
//! every step, so the same seed gives the same run.

use std::ops::ControlFlow;
use std::sync::{Arc, Mutex, PoisonError};

use super::home::MemoryHome;
use super::options::{Dice, SimOptions};
use super::workload::Workload;
use crate::commit::CommitStage;
use crate::error::{CoreError, Remedy};
use crate::layout::Layout;
use crate::log::Log;
use crate::log::memory::{FaultPlan, MemoryLog};
use crate::record::WallTime;
use crate::worker::{InlineNursery, Worker, WorkerTerms};

type VirtualWorker = Worker<MemoryHome, InlineNursery<super::home::Disk>>;

/// Rounds in a row without anything to do, after which a fleet is at rest.
const QUIET_ROUNDS: usize = 12;
/// Rounds after which a fleet without faults must have come to rest.
const SETTLE_ROUNDS_MAX: usize = 20_000;
/// Virtual time between two rounds of a fleet that comes to rest.
const SETTLE_TICK_MS: u64 = 100;

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

/// Which stage the next commit does not live to see.
type Fate = Arc<Mutex<Option<CommitStage>>>;

struct Process {
    instance: String,
    home: MemoryHome,
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
    processes: Vec<Process>,
    ghosts: Vec<Ghost>,
    dice: Dice,
    elapsed_ms: u64,
    pub(super) tally: Tally,
}

impl Fleet {
    pub(super) fn new(log: Arc<MemoryLog>, layout: Arc<Layout>, options: SimOptions, seed: u64) -> Self {
        let mut dice = Dice::new(seed);
        let process = |number: usize| Process {
            instance: format!("pod-{number}"),
            home: MemoryHome::new(options.flush_after_bytes),
            worker: None,
            fate: Fate::default(),
            // Some come up later: the fleet is scaled up while it works.
            away_until: if number == 0 { 0 } else { dice.below(options.away_ms) },
        };
        let processes = (0..options.processes).map(process).collect();
        Self { log, layout, options, processes, ghosts: Vec::new(), dice, elapsed_ms: 0, tally: Tally::default() }
    }

    fn now(&self) -> WallTime {
        WallTime(self.log.now().0)
    }

    /// Feeds the workload while everything goes wrong.
    pub(super) fn suffer(&mut self, workload: &Workload) -> Result<(), CoreError> {
        self.log.set_faults(self.options.faults);
        let mut events = workload.events.iter().peekable();
        while events.peek().is_some() {
            let tick = 1 + self.dice.below(self.options.tick_ms);
            self.pass(tick);
            while let Some(event) = events.next_if(|event| event.at_ms <= self.elapsed_ms) {
                Workload::feed(&self.log, event)?;
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
        self.log.set_faults(FaultPlan::NONE);
        self.ghosts.clear();
        for index in 0..self.processes.len() {
            // Some stay away for good: the fleet is scaled down.
            let leaves = index > 0 && self.dice.chance(0.3);
            let process = &mut self.processes[index];
            process.away_until = 0;
            *process.fate.lock().unwrap_or_else(PoisonError::into_inner) = None;
            if leaves {
                if process.worker.take().is_some() {
                    process.home.crash();
                }
                process.away_until = u64::MAX;
                let instance = process.instance.clone();
                self.log.expire_session(&instance);
            }
        }
        let tasks: usize = self.layout.parts.iter().map(|part| part.tasks as usize).sum();
        let mut quiet = 0;
        for _ in 0..SETTLE_ROUNDS_MAX {
            self.pass(if quiet > 2 { SETTLE_TICK_MS * 5 } else { SETTLE_TICK_MS / 10 });
            let mut idle = true;
            for index in 0..self.processes.len() {
                idle &= self.step(index)?;
            }
            let running: usize =
                self.processes.iter().flat_map(|process| &process.worker).map(|w| w.status().running.len()).sum();
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
        self.processes.iter().flat_map(|process| &process.worker)
    }

    fn pass(&mut self, ms: u64) {
        self.elapsed_ms += ms;
        self.log.advance(ms);
    }

    /// One round: each process may take some steps, and something may happen to it.
    fn act(&mut self) -> Result<(), CoreError> {
        let count = self.processes.len();
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
                self.ghosts[index].worker.step(now)?;
            }
        }
        if self.dice.chance(self.options.rebalance) {
            self.log.force_rebalance();
        }
        if self.dice.chance(self.options.compact) {
            self.log.run_compaction();
        }
        Ok(())
    }

    /// What fate has for a process in this round.
    fn befall(&mut self, index: usize) -> Result<(), CoreError> {
        let away = self.elapsed_ms + 1 + self.dice.below(self.options.away_ms);
        if self.processes[index].worker.is_none() {
            return Ok(());
        }
        let options = &self.options;
        if self.dice.chance(options.crash) {
            self.crash(index, away);
        } else if self.dice.chance(options.stage_crash) {
            let stage = CommitStage::ALL[self.dice.below(CommitStage::ALL.len() as u64) as usize];
            *self.processes[index].fate.lock().unwrap_or_else(PoisonError::into_inner) = Some(stage);
        } else if self.dice.chance(options.pause) {
            self.processes[index].away_until = away;
        } else if self.dice.chance(options.twin) {
            let until = self.elapsed_ms + self.dice.below(5_000);
            let process = &mut self.processes[index];
            // The volume stays with the one that holds it.
            process.home = MemoryHome::new(self.options.flush_after_bytes);
            process.fate = Fate::default();
            if let Some(worker) = process.worker.take() {
                self.ghosts.push(Ghost { worker, until });
            }
        } else if self.dice.chance(options.leave) {
            let now = self.now();
            if let Some(worker) = self.processes[index].worker.take() {
                self.note(&worker);
                match worker.close(now) {
                    Err(error) if error.remedy() == Remedy::Stop => return Err(error),
                    _ => {}
                }
            }
            self.processes[index].away_until = away;
        }
        Ok(())
    }

    fn crash(&mut self, index: usize, away: u64) {
        if let Some(worker) = self.processes[index].worker.take() {
            self.note(&worker);
        }
        self.tally.crashes += 1;
        let process = &mut self.processes[index];
        process.away_until = away;
        self.log.crash_member(&process.instance);
        process.home.crash();
        if self.dice.chance(self.options.wipe) {
            process.home.wipe();
        }
    }

    fn note(&mut self, worker: &VirtualWorker) {
        let status = worker.status();
        self.tally.commits += status.commits;
        self.tally.rebuilds += status.rebuilds;
        self.tally.restored += status.restored;
    }

    /// The totals of those that still run are added.
    pub(super) fn count_all(&mut self) {
        for process in std::mem::take(&mut self.processes) {
            if let Some(worker) = &process.worker {
                self.note(worker);
            }
            self.processes.push(process);
        }
    }

    /// One step of a process; it is started if it is not there. Answers whether it had nothing to do.
    fn step(&mut self, index: usize) -> Result<bool, CoreError> {
        let now = self.now();
        if self.processes[index].away_until > self.elapsed_ms {
            return Ok(true);
        }
        if self.processes[index].worker.is_none() {
            return self.start(index).map(|()| false);
        }
        self.tally.steps += 1;
        let Some(worker) = &mut self.processes[index].worker else { return Ok(true) };
        let activity = worker.step(now)?;
        if worker.has_crashed() {
            let away = self.elapsed_ms + self.dice.below(self.options.away_ms);
            self.crash(index, away);
        }
        Ok(activity.idle)
    }

    fn start(&mut self, index: usize) -> Result<(), CoreError> {
        let process = &mut self.processes[index];
        let terms = WorkerTerms {
            instance: process.instance.clone(),
            commit_interval: self.options.commit_interval,
            idle_after: self.options.idle_after,
            future_bound: self.options.future_bound,
            epoch: 1,
            bounds: self.options.bounds,
        };
        let log: Arc<dyn Log> = Arc::clone(&self.log) as Arc<dyn Log>;
        let nursery = InlineNursery::default();
        match Worker::new(log, Arc::clone(&self.layout), terms, process.home.clone(), nursery) {
            Ok(mut worker) => {
                let fate = Arc::clone(&process.fate);
                worker.set_probe(Some(Box::new(move |stage| {
                    let mut fate = fate.lock().unwrap_or_else(PoisonError::into_inner);
                    if *fate == Some(stage) {
                        *fate = None;
                        return ControlFlow::Break(());
                    }
                    ControlFlow::Continue(())
                })));
                process.worker = Some(worker);
                Ok(())
            }
            Err(error) if error.remedy() == Remedy::Retry => Ok(()),
            Err(error) => Err(error),
        }
    }
}
