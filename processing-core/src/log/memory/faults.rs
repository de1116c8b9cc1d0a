//! What the log may do to its users, how often, and the one generator that decides when.
//!
//! Not here: what each fault does; it is built in where the broker's honest step stands.
//! Invariant: every draw comes from one seeded generator, in the order of the calls, so that the same
//! seed under the same calls gives the same run.

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{RngCore, SeedableRng};

/// How often the log misbehaves. Each `f64` is a probability, drawn at each occasion that its line
/// names; 0 never happens. All of them are things that Kafka and its clients are allowed to do.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct FaultPlan {
    /// Any call that can fail answers `LogError::Retry` and has done nothing.
    pub retry: f64,
    /// A publish aborts and says so.
    pub publish_aborted: f64,
    /// A publish commits and answers `Ambiguous`.
    pub ambiguous_committed: f64,
    /// A publish aborts and answers `Ambiguous`.
    pub ambiguous_aborted: f64,
    /// A publish answers `Ambiguous` while its request to commit is still under way: it arrives up to
    /// [`Self::late_ms`] later, or never, unless a timeout or a new producer is first.
    pub ambiguous_late: f64,
    /// The records of a send stay under way for up to [`Self::late_ms`]. The publish then waits for
    /// them or answers `Ambiguous`; they still arrive, into whatever transaction this producer then has
    /// open on the partition, until it is fenced.
    pub late_produce: f64,
    /// A publish succeeds without telling where a partition's records came to stand.
    pub unknown_position: f64,
    /// The group rebalances between the fetching of its metadata and the publish.
    pub rebalance_in_publish: f64,
    /// One marker of an ended transaction (of one partition, or of the group's offsets) is written
    /// up to [`Self::marker_ms`] later than the answer.
    pub marker_delay: f64,
    /// A fetch hands out a random number of records and leaves markers behind it unpassed, instead of
    /// all there is.
    pub short_batch: f64,
    /// A poll takes a random partition, or none, instead of the next in turn.
    pub reorder: f64,
    /// A poll after a seek, release or revoke hands out records of the former fetch, under its epoch.
    pub stale_batch: f64,
    /// A poll repeats, splits or invents a control message: `Assigned` of what is held or of nothing,
    /// `Revoked` and `Lost` of what is not held.
    pub spurious_control: f64,
    /// A call of a member that was declared dead, or of a producer that was fenced, does not notice
    /// it: polls hand out stale records, sends vanish. A publish always notices.
    pub zombie: f64,
    /// An `advance` moves a partition to another member (or away and back, if there is but one).
    pub rebalance: f64,
    /// An `advance` declares a living member dead.
    pub expire: f64,
    /// The longest way of a late produce or commit, in milliseconds of the virtual clock; 1 or more.
    pub late_ms: u64,
    /// The longest delay of a marker, in milliseconds of the virtual clock; 1 or more.
    pub marker_ms: u64,
}

impl FaultPlan {
    /// An honest log: no fault, whole batches, partitions in turn.
    pub const NONE: Self = Self {
        retry: 0.0,
        publish_aborted: 0.0,
        ambiguous_committed: 0.0,
        ambiguous_aborted: 0.0,
        ambiguous_late: 0.0,
        late_produce: 0.0,
        unknown_position: 0.0,
        rebalance_in_publish: 0.0,
        marker_delay: 0.0,
        short_batch: 0.0,
        reorder: 0.0,
        stale_batch: 0.0,
        spurious_control: 0.0,
        zombie: 0.0,
        rebalance: 0.0,
        expire: 0.0,
        late_ms: 1,
        marker_ms: 1,
    };

    /// Everything that can go wrong, at rates under which a worker still gets forward.
    pub const HOSTILE: Self = Self {
        retry: 0.03,
        publish_aborted: 0.03,
        ambiguous_committed: 0.03,
        ambiguous_aborted: 0.03,
        ambiguous_late: 0.03,
        late_produce: 0.03,
        unknown_position: 0.1,
        rebalance_in_publish: 0.01,
        marker_delay: 0.3,
        short_batch: 0.7,
        reorder: 0.7,
        stale_batch: 0.3,
        spurious_control: 0.02,
        zombie: 0.7,
        rebalance: 0.01,
        expire: 0.003,
        late_ms: 20_000,
        marker_ms: 500,
    };

    /// No fault, but every freedom in the order of records and the size of batches.
    pub const SHUFFLED: Self = Self { short_batch: 0.7, reorder: 0.7, ..Self::NONE };
}

/// The log's generator.
pub(super) struct Dice(ChaCha8Rng);

impl Dice {
    pub(super) fn new(seed: u64) -> Self {
        Self(ChaCha8Rng::seed_from_u64(seed))
    }

    /// True with this probability. An impossible event draws nothing, so that an honest log is
    /// independent of its seed.
    pub(super) fn chance(&mut self, probability: f64) -> bool {
        probability > 0.0 && ((self.0.next_u32() as f64) < probability * (f64::from(u32::MAX) + 1.0))
    }

    /// A number below `n`; 0 where `n` is 0.
    pub(super) fn below(&mut self, n: usize) -> usize {
        if n < 2 { 0 } else { (self.0.next_u64() % n as u64) as usize }
    }

    /// A time from 1 to `max` milliseconds.
    pub(super) fn delay(&mut self, max: u64) -> i64 {
        1 + (self.0.next_u64() % max.max(1)) as i64
    }
}
