//! Every metric of the library: name, kind, unit, labels with their known values, help.
//!
//! Not here: who feeds them (`handles`). Dashboards and alerts are tested against this table.
//! Invariant: names follow Prometheus' rules ([`Metric::check`]), labels are bounded, and a name is
//! never used again for something else.

/// What a metric counts in; its name says so too.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unit {
    /// A number of things, which the name gives.
    Count,
    /// Seconds, as a span or since 1970.
    Seconds,
    /// Bytes.
    Bytes,
    /// 0 or 1: the labels are the message.
    Flag,
}

/// How a metric moves.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Kind {
    /// Only up, in whole numbers.
    Counter,
    /// Only up, in parts of seconds.
    SecondsCounter,
    /// Up and down.
    Gauge,
    /// Samples sorted into buckets with these upper bounds.
    Histogram(&'static [f64]),
}

/// A label and the values it is known to take, which are exported as 0 from the start. An empty list
/// means names of topics, tasks, stores, threads: as many as the topology has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LabelSpec {
    /// The label's name.
    pub name: &'static str,
    /// Its known values.
    pub known: &'static [&'static str],
}

/// One metric.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Metric {
    /// The full name as scraped.
    pub name: &'static str,
    /// How it moves.
    pub kind: Kind,
    /// What it counts in.
    pub unit: Unit,
    /// Its labels, in the order in which handles give their values.
    pub labels: &'static [LabelSpec],
    /// One sentence for people.
    pub help: &'static str,
}

/// Labels that a metric may have; a key, a user, a city or a trace is none of them.
const ALLOWED_LABELS: &[&str] = &[
    "topic",
    "partition",
    "task",
    "store",
    "node",
    "reason",
    "stage",
    "state",
    "status",
    "result",
    "role",
    "op",
    "thread",
    "version",
    "hash",
    "scope",
    "rank",
];

impl Metric {
    /// What is wrong with the declaration, if anything.
    pub fn check(&self) -> Result<(), String> {
        let name = self.name;
        let words_fit = name
            .split('_')
            .all(|word| !word.is_empty() && word.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit()));
        if !words_fit || !name.starts_with(|c: char| c.is_ascii_lowercase()) {
            return Err("a name is lower case words joined by single underscores".into());
        }
        let counts = matches!(self.kind, Kind::Counter | Kind::SecondsCounter);
        if name.ends_with("_total") != counts {
            return Err("`_total` ends the name of each counter, and of nothing else".into());
        }
        let stem = name.strip_suffix("_total").unwrap_or(name);
        let unit_fits = match self.unit {
            Unit::Seconds => stem.ends_with("_seconds"),
            Unit::Bytes => stem.ends_with("_bytes") || stem.contains("_bytes_"),
            Unit::Count | Unit::Flag => !stem.ends_with("_seconds") && !stem.ends_with("_bytes"),
        };
        if !unit_fits {
            return Err(format!("the name does not say its unit ({:?})", self.unit));
        }
        if let Kind::Histogram(bounds) = self.kind
            && (bounds.is_empty() || !bounds.is_sorted_by(|a, b| a < b))
        {
            return Err("a histogram's bounds rise".into());
        }
        for label in self.labels {
            if !ALLOWED_LABELS.contains(&label.name) {
                return Err(format!("`{}` is no bounded label; allowed are {ALLOWED_LABELS:?}", label.name));
            }
        }
        if self.help.is_empty() || self.help.ends_with('.') || self.help.contains('\n') {
            return Err("help is one line without a full stop".into());
        }
        Ok(())
    }
}

const fn open(name: &'static str) -> LabelSpec {
    LabelSpec { name, known: &[] }
}

const TOPIC: LabelSpec = open("topic");
const PARTITION: LabelSpec = open("partition");
const TASK: LabelSpec = open("task");
const STORE: LabelSpec = open("store");
const NODE: LabelSpec = open("node");
const THREAD: LabelSpec = open("thread");

/// Milliseconds to a commit interval: work on one batch or one commit.
const WORK: &[f64] = &[0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0];
/// Ten milliseconds to five minutes, with 30 s: the objective of freshness is read from that bucket.
const FRESHNESS: &[f64] = &[0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0];
/// A second to a week: how much disorder the input has.
const LATENESS: &[f64] = &[1.0, 5.0, 30.0, 60.0, 300.0, 900.0, 3_600.0, 21_600.0, 86_400.0, 604_800.0];
/// Microseconds to a second: one operation of a store.
const STORE_OP: &[f64] =
    &[0.000_001, 0.000_005, 0.000_01, 0.000_05, 0.000_1, 0.000_5, 0.001, 0.005, 0.01, 0.05, 0.1, 1.0];

macro_rules! catalogue {
    ($( $id:ident = $kind:expr, $unit:ident, $name:literal, [$($label:expr),*], $help:literal; )*) => {
        $(
            #[doc = concat!("`", $name, "`: ", $help, ".")]
            pub static $id: Metric = Metric {
                name: $name,
                kind: $kind,
                unit: Unit::$unit,
                labels: &[$($label),*],
                help: $help,
            };
        )*
        /// All of them, in the order of the table.
        pub static ALL: &[Metric] = &[$( Metric {
            name: $name,
            kind: $kind,
            unit: Unit::$unit,
            labels: &[$($label),*],
            help: $help,
        } ),*];
    };
}

use Kind::{Counter, Gauge, Histogram, SecondsCounter};

catalogue! {
    APP_STATE = Gauge, Flag, "stream_app_state",
        [LabelSpec { name: "state", known: &["starting", "restoring", "running", "paused", "degraded", "stopping"] }],
        "1 for the state the process is in, 0 for the others";
    BUILD_INFO = Gauge, Flag, "stream_build_info", [open("version")], "Always 1; the version is in the label";
    TOPOLOGY_INFO = Gauge, Flag, "stream_topology_info", [open("hash")], "Always 1; the topology's fingerprint is in the label";
    THREADS = Gauge, Count, "stream_threads", [LabelSpec { name: "status", known: &["alive", "failed"] }],
        "Worker threads by status";

    RECORDS_CONSUMED = Counter, Count, "stream_records_consumed_total", [TOPIC], "Records read from a topic";
    BYTES_CONSUMED = Counter, Bytes, "stream_bytes_consumed_total", [TOPIC],
        "Bytes of keys, values and headers read from a topic";
    RECORDS_PRODUCED = Counter, Count, "stream_records_produced_total", [TOPIC], "Records written to a topic, committed or not";
    BYTES_PRODUCED = Counter, Bytes, "stream_bytes_produced_total", [TOPIC],
        "Bytes of keys, values and headers written to a topic, committed or not";
    RECORDS_PROCESSED = Counter, Count, "stream_records_processed_total", [NODE], "Records that a sub-topology has taken in";
    PROCESS_DURATION = Histogram(WORK), Seconds, "stream_process_duration_seconds", [], "Time to process one batch";

    THREAD_TIME = SecondsCounter, Seconds, "stream_thread_time_seconds_total",
        [THREAD, LabelSpec { name: "stage", known: &["poll", "process", "commit", "punctuate", "blocked", "idle"] }],
        "What a worker thread spends its time on";
    POLL_TICK = Gauge, Seconds, "stream_poll_loop_last_tick_timestamp_seconds", [THREAD],
        "When a worker thread's loop last came round, since 1970";
    LAST_PROGRESS = Gauge, Seconds, "stream_last_progress_timestamp_seconds", [THREAD],
        "When a worker thread last committed something new, since 1970";

    COMMITS = Counter, Count, "stream_commits_total",
        [LabelSpec { name: "result", known: &["ok", "aborted", "fenced", "ambiguous", "apply_failed"] }],
        "Commits by how they ended";
    COMMIT_DURATION = Histogram(WORK), Seconds, "stream_commit_duration_seconds", [], "Time from drain to applied state";
    TXN_COMMITTED = Counter, Count, "stream_txn_committed_total", [], "Transactions that the log has confirmed";
    TXN_ABORTED = Counter, Count, "stream_txn_aborted_total",
        [LabelSpec { name: "reason", known: &["log", "fenced", "ambiguous", "lost_partition", "error", "shutdown"] }],
        "Transactions that were given up";
    TXN_OPEN = Gauge, Seconds, "stream_txn_open_seconds", [THREAD], "Age of the open transaction, 0 if there is none";
    E2E_LATENCY = Histogram(FRESHNESS), Seconds, "stream_record_e2e_latency_seconds",
        [LabelSpec { name: "node", known: &["source", "sink"] }],
        "From the event's timestamp until it is read (source) and until its result is committed (sink)";

    LAG_RECORDS = Gauge, Count, "stream_consumer_lag_records", [TOPIC, PARTITION], "Committed records that are not read yet";
    LAG_SECONDS = Gauge, Seconds, "stream_consumer_lag_seconds", [TOPIC, PARTITION],
        "Age of the next unread record, 0 if there is none";
    STREAM_TIME = Gauge, Seconds, "stream_time_seconds", [TASK], "The event time that a task has reached, since 1970";
    LATENESS_SECONDS = Histogram(LATENESS), Seconds, "stream_record_lateness_seconds", [],
        "How far behind their partition's stream time records were, of those behind it";
    SOURCE_RETENTION = Gauge, Seconds, "stream_source_retention_seconds", [TOPIC],
        "How long an input topic keeps its records; the lag must stay well below it";

    DROPPED = Counter, Count, "stream_records_dropped_total",
        [LabelSpec { name: "reason", known: &["late", "filtered_epoch", "no_city"] }],
        "Records that had no effect, by reason";
    DEAD_LETTERS = Counter, Count, "stream_dlq_records_total",
        [LabelSpec { name: "reason", known: &["deserialize", "process", "future", "no_time", "too_large"] }],
        "Records sent to the dead letters, by reason";
    WINDOW_EMITS = Counter, Count, "stream_window_emits_total", [NODE], "Final results of closed windows";
    IDEMPOTENT_SKIPS = Counter, Count, "stream_idempotent_skips_total", [NODE], "Updates not sent because nothing had changed";

    REBALANCES = Counter, Count, "stream_rebalances_total", [], "Rebalances that this process took part in";
    REBALANCE_DURATION = Histogram(FRESHNESS), Seconds, "stream_rebalance_duration_seconds", [],
        "From a revoke or assignment until its tasks are taken over";
    LAST_REBALANCE = Gauge, Seconds, "stream_last_rebalance_timestamp_seconds", [THREAD], "When the last rebalance was, since 1970";
    TASKS = Gauge, Count, "stream_tasks", [LabelSpec { name: "role", known: &["active", "restoring", "standby"] }],
        "Tasks of this process by what they do";

    RESTORE_REMAINING = Gauge, Count, "stream_restore_remaining_records", [TASK],
        "Changelog records that a task has yet to read before it runs";
    RESTORE_TIME_LEFT = Gauge, Seconds, "stream_restore_eta_seconds", [TASK],
        "How long reading them takes at the present pace; 0 before that was measured";
    RESTORED = Counter, Count, "stream_restored_records_total", [], "Changelog records read into stores";
    RESTORE_ACTIVE = Gauge, Count, "stream_restore_active_tasks", [], "Tasks that are being restored now";
    STANDBY_LAG = Gauge, Count, "stream_standby_lag_records", [TASK],
        "Changelog records that the copy of another process' task has yet to read, as the ends stood at its last look";

    STORE_OP_DURATION = Histogram(STORE_OP), Seconds, "stream_store_op_duration_seconds",
        [LabelSpec { name: "op", known: &["get", "put", "delete", "range", "flush"] }],
        "Time of sampled operations of the stores";
    STORE_KEYS = Gauge, Count, "stream_store_keys", [TASK, STORE], "Entries of a store, estimated";
    STORE_BYTES = Gauge, Bytes, "stream_store_bytes", [TASK, STORE], "Size of a store on disk, estimated";
    STAGED_BYTES = Gauge, Bytes, "stream_staged_bytes", [THREAD], "State changes that wait for the next commit";
    CACHE_HITS = Counter, Count, "stream_cache_hits_total", [STORE], "Look-ups answered by the cache of decoded values";
    CACHE_MISSES = Counter, Count, "stream_cache_misses_total", [STORE], "Look-ups that went on to the store";
    CACHE_EVICTIONS = Counter, Count, "stream_cache_evictions_total", [STORE], "Values that the cache gave up for want of room";
    CACHE_BYTES = Gauge, Bytes, "stream_cache_bytes", [], "Size of the caches of decoded values";

    ROCKSDB_CACHE_HITS = Counter, Count, "stream_rocksdb_block_cache_hits_total", [], "Blocks found in RocksDB's cache";
    ROCKSDB_CACHE_MISSES = Counter, Count, "stream_rocksdb_block_cache_misses_total", [], "Blocks that RocksDB read from disk";
    ROCKSDB_CACHE_USAGE = Gauge, Bytes, "stream_rocksdb_block_cache_usage_bytes", [], "Size of RocksDB's block cache";
    ROCKSDB_MEMTABLES = Gauge, Bytes, "stream_rocksdb_memtable_bytes", [], "Size of RocksDB's memtables";
    ROCKSDB_SST = Gauge, Bytes, "stream_rocksdb_sst_bytes", [], "Size of RocksDB's files";
    ROCKSDB_PENDING = Gauge, Bytes, "stream_rocksdb_pending_compaction_bytes", [], "What RocksDB has yet to compact";
    ROCKSDB_STALL = SecondsCounter, Seconds, "stream_rocksdb_write_stall_seconds_total", [], "How long RocksDB held up writes";
    ROCKSDB_ERRORS = Counter, Count, "stream_rocksdb_background_errors_total", [], "Errors of RocksDB's background work";
}
