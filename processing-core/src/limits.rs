//! The bounds of the library in one place, with the relations that must hold between them.
//!
//! Not here: what operators set for their own load (`service::settings`); those settings have their
//! ranges from here where a bound of the code stands behind them.
//! Invariant: no queue, batch, retry, buffer or wait in this crate grows beyond a constant of this
//! file; a change that breaks a relation does not compile.

use crate::record::DurationMs;

const KIB: usize = 1024;
const MIB: usize = 1024 * KIB;

// ---- A transaction -----------------------------------------------------------------------------

/// What all tasks of one thread hold for the open transaction before it is committed early: decoded rows, staged ones and
/// records. Encoding, sending and writing it takes about as much again.
pub const TRANSACTION_BYTES_MAX: usize = 8 * MIB;
/// Committed rows that all tasks of a process keep in memory before they write them to their stores, in equal parts of its
/// threads; less where the process has less memory.
pub const APPLIED_BYTES_MAX: usize = 24 * MIB;
/// What all tasks of a process have committed of their state since they last wrote to their stores, overwritten rows
/// included, in equal parts of its threads: a crash would have to bring it back from the changelogs, at about 30 ns a byte.
pub const CHANGED_BYTES_MAX: usize = 64 * MIB;
/// However many threads share a process, those of each keep so many committed rows.
pub const APPLIED_BYTES_MIN: usize = 4 * MIB;
/// Staged state of one task before its thread commits early.
pub const STAGED_BYTES_MAX: usize = 16 * MIB;
/// Memory of a store that is written to a snapshot or made of one.
pub const SNAPSHOT_MEMORY: usize = 64 * MIB;
/// Decoded rows and partial aggregates that the operators of one task hold for the open transaction.
pub const HELD_BYTES_MAX: usize = 16 * MIB;
/// Rows that all stores of one thread's tasks keep in memory between transactions, about.
pub const CACHED_BYTES_MAX: usize = 40 * MIB;
/// What spares looks into the store for keys that are new: of ids, of each pane of one task, where the caches have no room to
/// know in which row each is; of rows, of each pane of a store. With more keys the store is asked for each.
pub const KEY_FILTER_BYTES_MAX: usize = 16 * MIB;
/// Results and changelog records of one task that wait for the transaction before its thread commits early.
pub const OUTBOX_BYTES_MAX: usize = 32 * MIB;
/// What each partition of each topic that a task writes keeps of it for the next transaction: one of usual size then
/// allocates little, and the largest ones of all tasks do not add up.
pub const OUTBOX_KEPT_BYTES: usize = 64 * KIB;
/// Records that one slice of a closing cursor emits before the thread looks up: input, ticks, commit.
pub const CLOSE_SLICE_RECORDS_MAX: usize = 4_000;
/// Partial aggregates for one partition travel together up to this; a larger one travels alone.
pub const BUNDLE_BYTES: usize = 16 * KIB;
/// The records that a key has in a pane of a join go on in another row where one would be larger than this.
pub const JOIN_ROW_BYTES: usize = 4 * KIB;
/// So many slices of unmatched records does a join keep in memory in the order in which they are due.
pub const JOIN_DUE_SLICES: usize = 8;
/// How often a store is made anew without a commit in between before its changelog is held to be what cannot
/// be read.
pub const STORE_REBUILDS_MAX: u32 = 3;
/// The longest interval between commits that may be set.
pub const COMMIT_INTERVAL_MAX: DurationMs = DurationMs::seconds(5);

/// The bounds at which a worker's transaction is committed early. Smaller ones make more and smaller
/// commits, never other results.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bounds {
    /// See [`TRANSACTION_BYTES_MAX`].
    pub transaction_bytes: usize,
    /// See [`APPLIED_BYTES_MAX`].
    pub all_applied_bytes: usize,
    /// See [`CHANGED_BYTES_MAX`].
    pub all_changed_bytes: usize,
    /// See [`STAGED_BYTES_MAX`].
    pub staged_bytes: usize,
    /// Committed changes of one task that wait before they are written to its base together.
    pub applied_bytes: usize,
    /// See [`HELD_BYTES_MAX`].
    pub held_bytes: usize,
    /// See [`CACHED_BYTES_MAX`].
    pub cached_bytes: usize,
    /// See [`OUTBOX_BYTES_MAX`].
    pub outbox_bytes: usize,
    /// See [`CLOSE_SLICE_RECORDS_MAX`].
    pub close_slice_records: usize,
}

impl Default for Bounds {
    fn default() -> Self {
        Self {
            transaction_bytes: TRANSACTION_BYTES_MAX,
            all_applied_bytes: APPLIED_BYTES_MAX,
            all_changed_bytes: CHANGED_BYTES_MAX,
            staged_bytes: STAGED_BYTES_MAX,
            applied_bytes: 16 * MIB,
            held_bytes: HELD_BYTES_MAX,
            cached_bytes: CACHED_BYTES_MAX,
            outbox_bytes: OUTBOX_BYTES_MAX,
            close_slice_records: CLOSE_SLICE_RECORDS_MAX,
        }
    }
}

impl Bounds {
    /// Those of one of so many threads, whose stores may keep `cached_bytes` between transactions, and those of all threads
    /// `applied_bytes` that are committed and not written.
    pub fn of_one_of(threads: u32, cached_bytes: usize, applied_bytes: usize) -> Self {
        let whole = Self::default();
        let part = |bytes: usize| (bytes / threads.max(1) as usize).max(APPLIED_BYTES_MIN);
        let all_applied_bytes = part(applied_bytes);
        Self {
            all_applied_bytes,
            all_changed_bytes: part(whole.all_changed_bytes),
            applied_bytes: whole.applied_bytes.min(all_applied_bytes),
            cached_bytes,
            ..whole
        }
    }
}

// ---- Buffers -----------------------------------------------------------------------------------

/// Tasks that one restore thread works on at once.
pub const RESTORE_TASKS_AT_ONCE: usize = 4;
/// Partitions of one topic.
pub const PARTITIONS_MAX: u32 = 10_000;
/// Threads of one process.
pub const THREADS_MAX: u32 = 64;

// ---- State -------------------------------------------------------------------------------------

/// A store that nobody on this machine has open is removed when it was not in use for this long: its task has moved
/// elsewhere, and what it would spare, should the task return, is less than the disk it takes.
pub const STATE_UNUSED_MAX: DurationMs = DurationMs::hours(12);
/// How often such stores are looked for.
pub const STATE_UNUSED_CHECK: DurationMs = DurationMs::minutes(10);
/// Rows that one commit writes again, of each store whose rows would outlive their changelog.
pub const REWRITE_ROWS_MAX: usize = 256;
/// Bytes of such rows, up to the row that passes it.
pub const REWRITE_BYTES_MAX: usize = MIB / 4;
/// Deleted rows of a table that are left in their places at least; from there on, when they are as many as the rows
/// that live, the table is written anew without them.
pub const TABLE_GONE_MIN: u64 = 8;
/// Rows that a look at a range of a processor's store, or at what it has still to do, takes from it at once.
pub const SCAN_ROWS: usize = 256;
/// Versions of one key in a processor's versioned store; the oldest give way.
pub const VERSIONS_MAX: usize = 1_000;
/// How long a thread waits for a store that somebody else is closing.
pub const STORE_HANDOVER_MAX: DurationMs = DurationMs::seconds(30);

/// Processes that keep a copy of one task.
pub const STANDBYS_MAX: u32 = 16;
/// How long a copy of another process' task rests between two looks at its changelogs.
pub const STANDBY_PASS: DurationMs = DurationMs::seconds(2);
/// Batches that a copy reads in its turn before the next one has its own.
pub const STANDBY_STEPS_MAX: usize = 64;
/// How often the thread of the copies looks whether a worker thread wants one of their folders.
pub const STANDBY_LOOK: DurationMs = DurationMs::millis(50);
/// When a copy that has failed, or was thrown or given away, is tried again.
pub const STANDBY_RETRY: DurationMs = DurationMs::seconds(10);
/// How long a worker thread's word counts that it wants a store which somebody else has.
pub const STORE_WANTED: DurationMs = DurationMs::seconds(5);

// ---- Queries -----------------------------------------------------------------------------------

/// Queries that wait for one worker thread; the next one is told to come again.
pub const QUERIES_WAITING_MAX: usize = 64;
/// Rows that one query may answer.
pub const QUERY_ROWS_MAX: usize = 50_000;
/// Bytes of keys and values that one query may answer.
pub const QUERY_BYTES_MAX: usize = 8 * MIB;
/// How long a query waits for its worker threads.
pub const QUERY_WAIT: DurationMs = DurationMs::seconds(5);

// ---- Instances ---------------------------------------------------------------------------------

/// Instances of one application that others know of.
pub const INSTANCES_MAX: usize = 1_024;
/// How often an instance says that it lives; when its tasks change, it says so at once.
pub const NOTE_EVERY: DurationMs = DurationMs::seconds(5);
/// An instance that was not heard of for this long is gone: two notes may be missed.
pub const INSTANCE_GONE: DurationMs = DurationMs::seconds(16);
/// How often the topics of instances and control are looked into.
pub const BULLETIN_LOOK: DurationMs = DurationMs::millis(100);
/// The pause after a look that has failed.
pub const BULLETIN_RETRY: DurationMs = DurationMs::seconds(1);
/// Batches of such a topic that are read in one go.
pub const TAIL_BATCHES_MAX: usize = 64;
/// How long a query waits for such a look when it was sent to the wrong instance.
pub const REFRESH_WAIT: DurationMs = DurationMs::millis(500);
/// How long another instance may take to accept a connection.
pub const FORWARD_CONNECT: DurationMs = DurationMs::seconds(1);
/// How long the instances that are asked together may take to answer.
pub const FORWARD_WAIT: DurationMs = DurationMs::seconds(3);
/// Instances that are asked at the same time by one query.
pub const FORWARDS_AT_ONCE: usize = 8;
/// An answer of another instance: rows, and the length of each.
pub const FORWARD_BYTES_MAX: usize = QUERY_BYTES_MAX + 8 * QUERY_ROWS_MAX + KIB;
/// When to ask again for a task that is being restored for nobody knows how long.
pub const RESTORE_RETRY: DurationMs = DurationMs::seconds(5);
/// When to ask again for one whose restore takes longer than this: it may move, or go faster than foretold.
pub const RESTORE_RETRY_MAX: DurationMs = DurationMs::minutes(1);
/// When to ask again for a task that nobody has for the moment.
pub const OWNER_RETRY: DurationMs = DurationMs::seconds(2);

// ---- Idle loops --------------------------------------------------------------------------------

/// The first pause of a thread that has nothing to do; each one is twice the last.
pub const IDLE_WAIT_FIRST: DurationMs = DurationMs::millis(1);
/// The longest such pause: what an input record may wait before it is seen.
pub const IDLE_WAIT_MAX: DurationMs = DurationMs::millis(8);
/// In what steps event time follows the clock where every input is idle: of how far it is behind, this part, and at least
/// and at most so long. Each is a commit of each task.
pub const IDLE_CLOSE_PART: i64 = 10;
/// See [`IDLE_CLOSE_PART`].
pub const IDLE_CLOSE_STEPS: (DurationMs, DurationMs) = (DurationMs::seconds(1), DurationMs::minutes(1));
/// How often the time of an input that moves is written into the time log, at most.
pub const PROGRESS_EVERY: DurationMs = DurationMs::seconds(1);
/// By how much event time an input may be ahead of the slowest one that has more to be read, before it waits. A batch that
/// spans more is still taken in whole.
pub const INPUT_AHEAD_MAX: DurationMs = DurationMs::minutes(1);
/// An input from which nothing has come for this long holds no other up.
pub const INPUT_HEARD_WITHIN: DurationMs = DurationMs::seconds(1);
/// How often idle inputs are looked for while others are busy.
pub const IDLE_CHECK: DurationMs = DurationMs::millis(200);
/// The pause of a restore that waits for an open transaction.
pub const RESTORE_WAIT: DurationMs = DurationMs::millis(10);
/// How long a restore's pace is measured before it counts.
pub const RESTORE_PACE: DurationMs = DurationMs::seconds(1);
/// How often a log line says how far the restores of a thread are.
pub const RESTORE_TELL: DurationMs = DurationMs::seconds(10);
/// How often a thread writes places and lags to the status page.
pub const STATUS_EVERY: DurationMs = DurationMs::millis(500);
/// How often inputs that are missing are looked for.
pub const INPUTS_RETRY: DurationMs = DurationMs::millis(500);
/// How often repartition records that were read are deleted; `repartition.purge.interval.ms` of Kafka Streams.
pub const REPARTITION_PURGE: DurationMs = DurationMs::seconds(30);
/// How often the embedded log is looked after while it has nothing to do.
pub const LOG_UPKEEP: DurationMs = DurationMs::seconds(5);

// ---- Kafka -------------------------------------------------------------------------------------

/// A record: a row's largest value and what goes with it.
pub const RECORD_BYTES_MAX: usize = 16 * MIB;
/// Records taken from one partition at once.
pub const FETCH_RECORDS_MAX: usize = 2_000;
/// What a consumer has fetched ahead of one partition.
pub const FETCH_QUEUE_KIB: usize = 512;
/// Below this many records of a partition, more of it are fetched.
pub const FETCH_MESSAGES_MIN: usize = 5_000;
/// What a fetch brings of one partition, compressed as it lies there; a larger record comes alone.
pub const FETCH_BYTES: usize = 256 * KIB;
/// How long a broker may hold back its answer to a worker that has read everything. One request to a broker is under
/// way at a time: while some partitions' queues are full, it asks for the others alone, and those that have room again
/// wait for its answer.
pub const FETCH_WAIT: DurationMs = DurationMs::millis(50);
/// Clients of readers that are kept for the next reader.
pub const KAFKA_READERS_IDLE_MAX: usize = 2;
/// How long a broker may hold back its answer to a reader that catches up.
pub const CATCH_UP_FETCH_WAIT: DurationMs = DurationMs::millis(10);
/// How often a new topic is asked for before the layout begins anew, and the pause in between.
pub const TOPIC_KNOWN_TRIES: u32 = 50;
/// See [`TOPIC_KNOWN_TRIES`].
pub const TOPIC_KNOWN_WAIT: DurationMs = DurationMs::millis(20);
/// How long a thread waits for one answer of a broker before it looks up.
pub const KAFKA_ANSWER_WAIT: DurationMs = DurationMs::seconds(1);
/// What a client has to say of why it reaches no broker, at most.
pub const CLIENT_ERRORS_MAX: usize = 64;
/// The same as [`KAFKA_ANSWER_WAIT`] where nothing else waits: making and describing topics.
pub const KAFKA_ADMIN_WAIT: DurationMs = DurationMs::seconds(5);
/// How long a producer waits for its coordinator before the worker tries anew.
pub const KAFKA_INIT_WAIT: DurationMs = DurationMs::seconds(5);
/// How long a member waits whose name is taken before it asks again.
pub const KAFKA_JOIN_AGAIN: DurationMs = DurationMs::millis(500);
/// How long a member's client may take to end: a worker that is told to stop has ten seconds for everything.
pub const MEMBER_CLOSE_WAIT: DurationMs = DurationMs::seconds(3);
/// How long a partition has to begin reading elsewhere before it is asked again.
pub const SEEK_WAIT: DurationMs = DurationMs::millis(500);
/// Questions in a row without an answer after which a client that only reads is made anew.
pub const UNANSWERED_MAX: u32 = 10;
/// How long a reader that is not at an end waits for records.
pub const READ_WAIT: DurationMs = DurationMs::millis(200);
/// `transaction.timeout.ms`: a transaction that is open for longer is aborted by the broker.
pub const TRANSACTION_TIMEOUT: DurationMs = DurationMs::seconds(10);
/// How long one step of an abort takes, and how many there are before the producer is made anew.
pub const ABORT_STEP_WAIT: DurationMs = DurationMs::millis(50);
/// See [`ABORT_STEP_WAIT`].
pub const ABORT_STEPS_MAX: u32 = 200;
/// How long one call of a transaction takes before it is made again.
pub const TRANSACTION_STEP_WAIT: DurationMs = DurationMs::seconds(1);
/// How often it is made before its answer counts as unknown.
pub const TRANSACTION_STEPS_MAX: u32 = 15;
/// How long the group's positions may take to come to the coordinator; longer than that, the transaction is gone.
pub const OFFSETS_WAIT: DurationMs = TRANSACTION_TIMEOUT;
/// Producers of a process that may be left behind in a call that does not end.
pub const CLIENTS_HUNG_MAX: u32 = 8;
/// Waits of a millisecond for the delivery of a transaction's records.
pub const DELIVERY_POLLS_MAX: u32 = 15_000;

// ---- Retries -----------------------------------------------------------------------------------

/// How often one step is tried again before the worker stops, so that something restarts it.
pub const RETRIES_MAX: u32 = 60;
/// The first wait between tries; each one is twice the last.
pub const RETRY_WAIT_FIRST: DurationMs = DurationMs::millis(50);
/// The longest wait between tries.
pub const RETRY_WAIT_MAX: DurationMs = DurationMs::seconds(5);

// ---- Life and death ----------------------------------------------------------------------------

/// A loop that has not come round for this long is dead; `max.poll.interval.ms` of Kafka.
pub const TICK_BOUND: DurationMs = DurationMs::minutes(5);
/// From a request to stop until the process is gone.
pub const SHUTDOWN_BUDGET: DurationMs = DurationMs::seconds(10);

// ---- HTTP --------------------------------------------------------------------------------------

/// A request's body.
pub const HTTP_BODY_BYTES_MAX: usize = 64 * KIB;
/// Open connections; the next one waits until one is closed.
pub const HTTP_CONNECTIONS_MAX: usize = 128;
/// A request must be answered within this.
pub const HTTP_REQUEST_TIMEOUT: DurationMs = DurationMs::seconds(10);
/// A connection that sends nothing for this long is closed.
pub const HTTP_IDLE_TIMEOUT: DurationMs = DurationMs::seconds(30);
/// Threads on which query handlers may block.
pub const HTTP_BLOCKING_THREADS_MAX: usize = 4;
/// How many ports are tried where the next free one is wanted.
pub const HTTP_PORTS_TRIED: u16 = 100;
/// Bytes of a foreign error text that go into a problem's `detail`.
pub const PROBLEM_DETAIL_BYTES_MAX: usize = 2 * KIB;

// ---- Telemetry ---------------------------------------------------------------------------------

/// A log line's field; the rest is cut.
pub const LOG_FIELD_BYTES_MAX: usize = 2 * KIB;
/// How often histograms' raw samples are folded into buckets; between two folds they are kept whole.
pub const METRICS_UPKEEP: DurationMs = DurationMs::seconds(5);
/// Different values of one label of one metric; what comes later is counted as `other`.
pub const LABEL_VALUES_MAX: usize = 1_000;
/// Different reasons the status page tells apart; what comes later is counted as `other`.
pub const STATUS_REASONS_MAX: usize = 64;
/// A settings file.
pub const SETTINGS_FILE_BYTES_MAX: u64 = MIB as u64;

// ---- Relations ---------------------------------------------------------------------------------

// Rows that were committed were changed.
const _: () = assert!(APPLIED_BYTES_MIN <= APPLIED_BYTES_MAX && APPLIED_BYTES_MAX <= CHANGED_BYTES_MAX);
// Every staged write becomes a changelog record in the same outbox.
const _: () = assert!(STAGED_BYTES_MAX <= OUTBOX_BYTES_MAX);
// A row's place is told in 32 bits.
const _: () = assert!(JOIN_ROW_BYTES + RECORD_BYTES_MAX < u32::MAX as usize);
// A probe must not kill what is stopping in good order.
const _: () = assert!(SHUTDOWN_BUDGET.0 < TICK_BOUND.0);
// A retry that waits must not look like a dead loop.
const _: () = assert!(RETRY_WAIT_FIRST.0 <= RETRY_WAIT_MAX.0);
const _: () = assert!(RETRY_WAIT_MAX.0 * 2 < TICK_BOUND.0);
// All tries together outlast a broker's restart.
const _: () = assert!(RETRIES_MAX as i64 * RETRY_WAIT_MAX.0 >= DurationMs::minutes(2).0);
// A commit that is tried for as long as this has outlived its transaction, so that its answer is known or lost.
const _: () = assert!(TRANSACTION_STEP_WAIT.0 * TRANSACTION_STEPS_MAX as i64 > TRANSACTION_TIMEOUT.0);
const _: () = assert!(TRANSACTION_STEP_WAIT.0 * TRANSACTION_STEPS_MAX as i64 > OFFSETS_WAIT.0);
const _: () = assert!(DELIVERY_POLLS_MAX as i64 > TRANSACTION_TIMEOUT.0);
const _: () = assert!((DELIVERY_POLLS_MAX as i64) < TICK_BOUND.0);
// A copy makes room long before who wants its folder gives up.
const _: () = assert!(STORE_WANTED.0 < STORE_HANDOVER_MAX.0);
const _: () = assert!(STANDBY_RETRY.0 > STORE_WANTED.0);
const _: () = assert!(RESTORE_PACE.0 <= RESTORE_TELL.0);
const _: () = assert!(RESTORE_RETRY.0 <= RESTORE_RETRY_MAX.0);
// A query is answered, or given up, before its request is.
const _: () = assert!(QUERY_WAIT.0 < HTTP_REQUEST_TIMEOUT.0);
const _: () = assert!(IDLE_WAIT_FIRST.0 <= IDLE_WAIT_MAX.0);
// So is one that is sent to others twice, with a look into the topic in between.
const _: () = assert!(2 * FORWARD_WAIT.0 + REFRESH_WAIT.0 < HTTP_REQUEST_TIMEOUT.0);
const _: () = assert!(FORWARD_CONNECT.0 < FORWARD_WAIT.0);
// A look may fail, and its repetition come late, before an instance counts as gone.
const _: () = assert!(3 * NOTE_EVERY.0 + BULLETIN_RETRY.0 <= INSTANCE_GONE.0);
// A slow request is ended before its connection counts as idle.
const _: () = assert!(HTTP_REQUEST_TIMEOUT.0 < HTTP_IDLE_TIMEOUT.0);
const _: () = assert!(HTTP_BLOCKING_THREADS_MAX < HTTP_CONNECTIONS_MAX);

/// The wait before try number `attempt` (from 0): doubling, bounded.
pub fn retry_wait(attempt: u32) -> DurationMs {
    let factor = 1_i64 << attempt.min(20);
    DurationMs(RETRY_WAIT_FIRST.0.saturating_mul(factor).min(RETRY_WAIT_MAX.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_and_stop_at_the_bound() {
        let waits: Vec<i64> = (0..9).map(|attempt| retry_wait(attempt).0).collect();
        assert_eq!(waits, [50, 100, 200, 400, 800, 1_600, 3_200, 5_000, 5_000]);
        assert_eq!(retry_wait(u32::MAX), RETRY_WAIT_MAX);
    }
}
