//! What happens to the processes of a run, and how often.
//!
//! Not here: what the log does to them ([`crate::log::memory::FaultPlan`]). Invariant: options say nothing
//! about results; every run of the same workload ends with the same ones.

use super::dice::Dice;
use super::mutant::Mutation;
use crate::limits::Bounds;
use crate::log::memory::FaultPlan;
use crate::record::DurationMs;

/// How a run is made. Each `f64` is a probability, drawn for each process and round.
#[derive(Debug, Clone, PartialEq)]
pub struct SimOptions {
    /// What the log does.
    pub faults: FaultPlan,
    /// How many processes there are at most.
    pub processes: usize,
    /// How many threads each has: workers with a static instance of their own, which share the process's
    /// volume and die with it.
    pub threads: usize,
    /// A process dies between two steps.
    pub crash: f64,
    /// A process dies before some stage of its next commit.
    pub stage_crash: f64,
    /// A process that has died loses its volume too.
    pub wipe: f64,
    /// A process stands still for a while, long enough to be taken for dead.
    pub pause: f64,
    /// A second process comes up under the instance of one that still runs.
    pub twin: f64,
    /// A process stops in good order and comes back later.
    pub leave: f64,
    /// The group rebalances.
    pub rebalance: f64,
    /// The log compacts its topics.
    pub compact: f64,
    /// Repartition records that the group has committed are deleted.
    pub purge: f64,
    /// A write to a disk fails, and the store is damaged by it. Drawn for each write.
    pub disk: f64,
    /// The longest time that a process is away, in milliseconds.
    pub away_ms: u64,
    /// The longest time between two rounds, in milliseconds.
    pub tick_ms: u64,
    /// See [`crate::worker::WorkerTerms`].
    pub commit_interval: DurationMs,
    /// See [`crate::worker::WorkerTerms`].
    pub idle_after: Option<DurationMs>,
    /// See [`crate::worker::WorkerTerms`].
    pub idle_close: Option<DurationMs>,
    /// See [`crate::worker::WorkerTerms`].
    pub future_bound: Option<DurationMs>,
    /// When commits come early.
    pub bounds: Bounds,
    /// A store flushes by itself from so many bytes on.
    pub flush_after_bytes: Option<usize>,
    /// The most records of one poll.
    pub batch_records: usize,
    /// How many of the log's last steps a failure shows.
    pub trace_lines: usize,
    /// A rule that is broken on purpose.
    pub mutation: Option<Mutation>,
}

impl SimOptions {
    /// One process on an honest log, to which nothing happens.
    pub fn calm() -> Self {
        Self {
            faults: FaultPlan::NONE,
            processes: 1,
            threads: 1,
            crash: 0.0,
            stage_crash: 0.0,
            wipe: 0.0,
            pause: 0.0,
            twin: 0.0,
            leave: 0.0,
            rebalance: 0.0,
            compact: 0.0,
            purge: 0.0,
            disk: 0.0,
            away_ms: 1,
            tick_ms: 20,
            commit_interval: DurationMs(100),
            idle_after: None,
            idle_close: None,
            future_bound: Some(DurationMs::hours(1)),
            bounds: Bounds::default(),
            flush_after_bytes: None,
            batch_records: 500,
            trace_lines: 0,
            mutation: None,
        }
    }

    /// Everything at once, in a mixture that the seed decides.
    pub fn hostile(seed: u64) -> Self {
        let mut dice = Dice::new(seed ^ 0x5eed_0f0f);
        let mut rate = |max: f64| if dice.chance(0.4) { 0.0 } else { max * dice.fraction() };
        let (crash, stage_crash, pause, twin) = (rate(0.01), rate(0.03), rate(0.01), rate(0.005));
        let (leave, rebalance, compact, wipe) = (rate(0.005), rate(0.01), rate(0.02), rate(1.0));
        let (purge, disk) = (rate(0.02), rate(0.03));
        let faults = match dice.below(8) {
            0 => FaultPlan::NONE,
            1 => FaultPlan::SHUFFLED,
            // Tasks that go back and on again in memory, without anything being read anew.
            2 => FaultPlan { publish_aborted: 0.25, retry: 0.02, ..FaultPlan::SHUFFLED },
            kind => {
                // Members that are taken for dead while they work, and their successors at work beside them.
                let expire = if kind < 5 { 0.03 } else { FaultPlan::HOSTILE.expire };
                FaultPlan { late_ms: 1 + dice.below(8_000), expire, ..FaultPlan::HOSTILE }
            }
        };
        let small = dice.chance(0.5);
        let staged_bytes = if small { 200 + dice.below(4_000) as usize } else { 1 << 20 };
        let applied_bytes = dice.below(4_000) as usize;
        let held_bytes = if small { 100 + dice.below(4_000) as usize } else { 1 << 20 };
        let bounds = Bounds {
            transaction_bytes: 2 * held_bytes,
            all_applied_bytes: 2 * applied_bytes,
            all_changed_bytes: 3 * applied_bytes,
            staged_bytes,
            applied_bytes,
            held_bytes,
            cached_bytes: dice.below(4_000) as usize,
            outbox_bytes: if small { 200 + dice.below(8_000) as usize } else { 1 << 20 },
            close_slice_records: 1 + dice.below(12) as usize,
        };
        Self {
            faults,
            processes: 1 + dice.below(4) as usize,
            threads: 1 + dice.below(3) as usize,
            crash,
            stage_crash,
            wipe,
            pause,
            twin,
            leave,
            rebalance,
            compact,
            purge,
            disk,
            away_ms: 10 + dice.below(12_000),
            tick_ms: 1 + dice.below(60),
            commit_interval: DurationMs(10 + dice.below(200) as i64),
            idle_after: dice.chance(0.7).then(|| DurationMs(20 + dice.below(300) as i64)),
            future_bound: Some(DurationMs::hours(1)),
            bounds,
            flush_after_bytes: dice.chance(0.7).then(|| 100 + dice.below(4_000) as usize),
            batch_records: 1 + dice.below(60) as usize,
            idle_close: dice.chance(0.3).then(|| DurationMs(1_000 + dice.below(4_000) as i64)),
            trace_lines: 0,
            mutation: None,
        }
    }
}
