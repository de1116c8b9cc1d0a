//! Handles in groups: what a thread, a task and a log keep, and how they feed them.
//!
//! Not here: names (`catalogue`). The groups know nothing of the record path; they take plain
//! numbers once per batch or commit.
//! Invariant: after a group is made, feeding it registers nothing, except a topic or a reason that
//! is seen for the first time.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use ::metrics::{Counter, Histogram};

use super::catalogue as c;
use super::{Gauge, Metric, SecondsCounter, Telemetry};
use crate::record::{EventTime, TopicName, TopicPartition, WallTime};
use crate::service::status::{Snapshot, TaskState, ThreadState};

fn seconds_since_1970(millis: i64) -> f64 {
    millis as f64 / 1_000.0
}

/// One counter per value of a metric's label (`reason`, `result`).
#[derive(Debug)]
pub struct ReasonCounters {
    telemetry: Arc<Telemetry>,
    metric: &'static Metric,
    counters: BTreeMap<&'static str, Counter>,
}

impl ReasonCounters {
    pub(super) fn new(telemetry: Arc<Telemetry>, metric: &'static Metric) -> Self {
        let known = metric.labels.first().map_or(&[][..], |label| label.known);
        let mut all = Self { telemetry, metric, counters: BTreeMap::new() };
        for value in known {
            all.add(value, 0);
        }
        all
    }

    /// Counts `n` more for `value`.
    pub fn add(&mut self, value: &'static str, n: u64) {
        let Self { telemetry, metric, counters } = self;
        counters
            .entry(value)
            .or_insert_with(|| {
                let label = metric.labels.first().map_or("reason", |label| label.name);
                telemetry.counter(metric, &[(label, value)])
            })
            .increment(n);
    }
}

/// What the process as a whole shows; made once, at the start.
#[derive(Debug)]
pub struct ProcessMetrics {
    states: Vec<(&'static str, Gauge)>,
    _build: Gauge,
    _topology: Gauge,
    threads_alive: Gauge,
    threads_failed: Gauge,
    tasks_active: Gauge,
    tasks_restoring: Gauge,
    tasks_standby: Gauge,
    restore_active: Gauge,
    /// Size of the caches of decoded values, in bytes.
    pub cache_bytes: Gauge,
    /// RocksDB's block cache, in bytes.
    pub rocksdb_block_cache_bytes: Gauge,
    /// RocksDB's memtables, in bytes.
    pub rocksdb_memtable_bytes: Gauge,
    /// RocksDB's files, in bytes.
    pub rocksdb_sst_bytes: Gauge,
    /// RocksDB's compaction debt, in bytes.
    pub rocksdb_pending_compaction_bytes: Gauge,
    /// How long RocksDB held up writes.
    pub rocksdb_write_stall: SecondsCounter,
    /// Blocks found in the cache; fed with `absolute`.
    pub rocksdb_block_cache_hits: Counter,
    /// Blocks not found in the cache; fed with `absolute`.
    pub rocksdb_block_cache_misses: Counter,
    /// Errors of background work; fed with `absolute`.
    pub rocksdb_background_errors: Counter,
}

impl ProcessMetrics {
    /// `topology_hash` is the topology's fingerprint, or empty while there is none.
    pub fn new(telemetry: &Arc<Telemetry>, version: &str, topology_hash: &str) -> Self {
        let t = telemetry;
        let build = t.gauge(&c::BUILD_INFO, &[("version", version)]);
        build.set(1.0);
        let topology = t.gauge(&c::TOPOLOGY_INFO, &[("hash", topology_hash)]);
        topology.set(1.0);
        let known = c::APP_STATE.labels.first().map_or(&[][..], |label| label.known);
        // Counters that have no owner before the first event start at 0 here.
        drop(t.reasons(&c::TXN_ABORTED));
        drop(t.reasons(&c::COMMITS));
        drop(t.reasons(&c::DROPPED));
        drop(t.reasons(&c::DEAD_LETTERS));
        drop(t.counter(&c::RESTORED, &[]));
        Self {
            states: known.iter().map(|state| (*state, t.gauge(&c::APP_STATE, &[("state", state)]))).collect(),
            _build: build,
            _topology: topology,
            threads_alive: t.gauge(&c::THREADS, &[("status", "alive")]),
            threads_failed: t.gauge(&c::THREADS, &[("status", "failed")]),
            tasks_active: t.gauge(&c::TASKS, &[("role", "active")]),
            tasks_restoring: t.gauge(&c::TASKS, &[("role", "restoring")]),
            tasks_standby: t.gauge(&c::TASKS, &[("role", "standby")]),
            restore_active: t.gauge(&c::RESTORE_ACTIVE, &[]),
            cache_bytes: t.gauge(&c::CACHE_BYTES, &[]),
            rocksdb_block_cache_bytes: t.gauge(&c::ROCKSDB_CACHE_USAGE, &[]),
            rocksdb_memtable_bytes: t.gauge(&c::ROCKSDB_MEMTABLES, &[]),
            rocksdb_sst_bytes: t.gauge(&c::ROCKSDB_SST, &[]),
            rocksdb_pending_compaction_bytes: t.gauge(&c::ROCKSDB_PENDING, &[]),
            rocksdb_write_stall: t.seconds(&c::ROCKSDB_STALL, &[]),
            rocksdb_block_cache_hits: t.counter(&c::ROCKSDB_CACHE_HITS, &[]),
            rocksdb_block_cache_misses: t.counter(&c::ROCKSDB_CACHE_MISSES, &[]),
            rocksdb_background_errors: t.counter(&c::ROCKSDB_ERRORS, &[]),
        }
    }

    /// Takes over what the status page says, so that both tell the same.
    pub fn show(&self, page: &Snapshot) {
        for (state, gauge) in &self.states {
            gauge.set(f64::from(u8::from(*state == page.state.as_str())));
        }
        let count = |fits: fn(&ThreadState) -> bool| page.threads.values().filter(|t| fits(&t.state)).count() as f64;
        self.threads_alive.set(count(|state| matches!(state, ThreadState::Joining | ThreadState::Member)));
        self.threads_failed.set(count(|state| matches!(state, ThreadState::Failed(_))));
        let restoring =
            page.tasks.values().filter(|task| matches!(task.state, TaskState::Created | TaskState::Restoring)).count();
        self.tasks_active.set((page.tasks.len() - restoring) as f64);
        self.tasks_restoring.set(restoring as f64);
        self.tasks_standby.set(page.standbys.len() as f64);
        self.restore_active.set(restoring as f64);
    }
}

/// What one worker thread shows.
#[derive(Debug)]
pub struct ThreadMetrics {
    /// Waiting for the log to hand out records.
    pub poll: SecondsCounter,
    /// In the operator chain.
    pub process: SecondsCounter,
    /// From drain to applied state.
    pub commit: SecondsCounter,
    /// Closing windows and other work that time makes due.
    pub punctuate: SecondsCounter,
    /// Waiting for somebody else: a restore, a full queue.
    pub blocked: SecondsCounter,
    /// Nothing to do.
    pub idle: SecondsCounter,
    /// Time to process one batch, in seconds.
    pub process_duration: Histogram,
    /// Time of one commit, in seconds.
    pub commit_duration: Histogram,
    /// Commits by result.
    pub commits: ReasonCounters,
    /// Given-up transactions by reason.
    pub aborted: ReasonCounters,
    /// State changes that wait for the commit, in bytes.
    pub staged_bytes: Gauge,
    /// Age of the open transaction, in seconds.
    pub txn_open: Gauge,
    committed: Counter,
    last_tick: Gauge,
    last_progress: Gauge,
    rebalances: Counter,
    rebalance_duration: Histogram,
    last_rebalance: Gauge,
}

impl ThreadMetrics {
    /// The handles of the thread called `thread`.
    pub fn new(telemetry: &Arc<Telemetry>, thread: &str) -> Self {
        let t = telemetry;
        let stage = |stage| t.seconds(&c::THREAD_TIME, &[("thread", thread), ("stage", stage)]);
        let own = [("thread", thread)];
        Self {
            poll: stage("poll"),
            process: stage("process"),
            commit: stage("commit"),
            punctuate: stage("punctuate"),
            blocked: stage("blocked"),
            idle: stage("idle"),
            process_duration: t.histogram(&c::PROCESS_DURATION, &[]),
            commit_duration: t.histogram(&c::COMMIT_DURATION, &[]),
            commits: t.reasons(&c::COMMITS),
            aborted: t.reasons(&c::TXN_ABORTED),
            staged_bytes: t.gauge(&c::STAGED_BYTES, &own),
            txn_open: t.gauge(&c::TXN_OPEN, &own),
            committed: t.counter(&c::TXN_COMMITTED, &[]),
            last_tick: t.gauge(&c::POLL_TICK, &own),
            last_progress: t.gauge(&c::LAST_PROGRESS, &own),
            rebalances: t.counter(&c::REBALANCES, &[]),
            rebalance_duration: t.histogram(&c::REBALANCE_DURATION, &[]),
            last_rebalance: t.gauge(&c::LAST_REBALANCE, &own),
        }
    }

    /// The loop came round.
    pub fn tick(&self, now: WallTime) {
        self.last_tick.set(seconds_since_1970(now.0));
    }

    /// A commit became true and took `took`.
    pub fn commit_ok(&mut self, now: WallTime, took: Duration) {
        self.commits.add("ok", 1);
        self.committed.increment(1);
        self.commit_duration.record(took);
        self.last_progress.set(seconds_since_1970(now.0));
    }

    /// A commit did not become true: `result` is a known value of `stream_commits_total`, `reason` one
    /// of `stream_txn_aborted_total`.
    pub fn commit_failed(&mut self, result: &'static str, reason: &'static str) {
        self.commits.add(result, 1);
        self.aborted.add(reason, 1);
    }

    /// A rebalance was taken over.
    pub fn rebalanced(&self, now: WallTime, took: Duration) {
        self.rebalances.increment(1);
        self.rebalance_duration.record(took);
        self.last_rebalance.set(seconds_since_1970(now.0));
    }
}

/// Lag of one input partition of a task.
#[derive(Debug)]
pub struct PartitionGauges {
    records: Gauge,
    seconds: Gauge,
}

impl PartitionGauges {
    /// `records` below the last stable offset are unread, the first of them `age` old.
    pub fn lag(&self, records: u64, age: Duration) {
        self.records.set(records as f64);
        self.seconds.set(if records == 0 { 0.0 } else { age.as_secs_f64() });
    }
}

/// One store of a task.
#[derive(Debug)]
pub struct StoreGauges {
    /// Entries, estimated.
    pub keys: Gauge,
    /// Bytes on disk, estimated.
    pub bytes: Gauge,
    /// Look-ups answered by the cache.
    pub cache_hits: Counter,
    /// Look-ups that went on to the store.
    pub cache_misses: Counter,
    /// Values given up for want of room.
    pub cache_evictions: Counter,
}

/// A task's restore; the gauges vanish when it is dropped.
#[derive(Debug)]
pub struct RestoreGauges {
    remaining: Gauge,
    time_left: Gauge,
}

impl RestoreGauges {
    /// Those of `task`.
    pub fn new(telemetry: &Arc<Telemetry>, task: &str) -> Self {
        Self {
            remaining: telemetry.gauge(&c::RESTORE_REMAINING, &[("task", task)]),
            time_left: telemetry.gauge(&c::RESTORE_TIME_LEFT, &[("task", task)]),
        }
    }

    /// How many offsets are yet to be read, and in what time, if that is known; 0 when it is over.
    pub fn show(&self, remaining: u64, time_left: Option<Duration>) {
        self.remaining.set(remaining as f64);
        self.time_left.set(time_left.unwrap_or_default().as_secs_f64());
    }
}

/// The copy of another process' task; the gauge vanishes when it is dropped.
#[derive(Debug)]
pub struct StandbyGauges {
    lag: Gauge,
}

impl StandbyGauges {
    /// Those of the copy of `task`.
    pub fn new(telemetry: &Arc<Telemetry>, task: &str) -> Self {
        Self { lag: telemetry.gauge(&c::STANDBY_LAG, &[("task", task)]) }
    }

    /// How many offsets are yet to be read.
    pub fn show(&self, lag: u64) {
        self.lag.set(lag as f64);
    }
}

/// What one task shows; its gauges vanish when it is dropped.
#[derive(Debug)]
pub struct TaskMetrics {
    telemetry: Arc<Telemetry>,
    task: String,
    /// Records taken in.
    pub processed: Counter,
    /// Records without effect, by reason.
    pub dropped: ReasonCounters,
    /// Dead letters, by reason.
    pub dead_letters: ReasonCounters,
    /// Final results of closed windows.
    pub window_emits: Counter,
    /// Updates not sent because nothing had changed.
    pub idempotent_skips: Counter,
    /// How far records were behind their stream time, in seconds; sampled, or per batch.
    pub lateness: Histogram,
    /// From event to read, in seconds.
    pub latency_source: Histogram,
    /// From event to committed result, in seconds.
    pub latency_sink: Histogram,
    stream_time: Gauge,
}

impl TaskMetrics {
    /// The handles of `task` (`0_3`: sub-topology 0, partition 3), which runs the sub-topology `node`.
    pub fn new(telemetry: &Arc<Telemetry>, task: &str, node: &str) -> Self {
        let t = telemetry;
        Self {
            telemetry: Arc::clone(t),
            task: task.to_owned(),
            processed: t.counter(&c::RECORDS_PROCESSED, &[("node", node)]),
            dropped: t.reasons(&c::DROPPED),
            dead_letters: t.reasons(&c::DEAD_LETTERS),
            window_emits: t.counter(&c::WINDOW_EMITS, &[("node", node)]),
            idempotent_skips: t.counter(&c::IDEMPOTENT_SKIPS, &[("node", node)]),
            lateness: t.histogram(&c::LATENESS_SECONDS, &[]),
            latency_source: t.histogram(&c::E2E_LATENCY, &[("node", "source")]),
            latency_sink: t.histogram(&c::E2E_LATENCY, &[("node", "sink")]),
            stream_time: t.gauge(&c::STREAM_TIME, &[("task", task)]),
        }
    }

    /// The event time that the task has reached; before the first record 0 is shown.
    pub fn stream_time(&self, time: EventTime) {
        let seconds = if time == EventTime::MIN { 0.0 } else { seconds_since_1970(time.0) };
        self.stream_time.set(seconds);
    }

    /// The gauges of one input partition.
    pub fn partition(&self, partition: &TopicPartition) -> PartitionGauges {
        let number = partition.partition.to_string();
        let labels = [("topic", partition.topic.as_str()), ("partition", number.as_str())];
        PartitionGauges {
            records: self.telemetry.gauge(&c::LAG_RECORDS, &labels),
            seconds: self.telemetry.gauge(&c::LAG_SECONDS, &labels),
        }
    }

    /// The handles of one store.
    pub fn store(&self, store: &str) -> StoreGauges {
        let t = &self.telemetry;
        let both = [("task", self.task.as_str()), ("store", store)];
        let own = [("store", store)];
        StoreGauges {
            keys: t.gauge(&c::STORE_KEYS, &both),
            bytes: t.gauge(&c::STORE_BYTES, &both),
            cache_hits: t.counter(&c::CACHE_HITS, &own),
            cache_misses: t.counter(&c::CACHE_MISSES, &own),
            cache_evictions: t.counter(&c::CACHE_EVICTIONS, &own),
        }
    }
}

#[derive(Debug)]
struct Flow {
    records: Counter,
    bytes: Counter,
}

/// What goes in and out of the log, by topic, and what the stores' sampled operations cost.
#[derive(Debug)]
pub struct LogMetrics {
    telemetry: Arc<Telemetry>,
    consumed: BTreeMap<TopicName, Flow>,
    produced: BTreeMap<TopicName, Flow>,
    retention: BTreeMap<TopicName, Gauge>,
    store_ops: BTreeMap<&'static str, Histogram>,
}

impl LogMetrics {
    /// With series at 0 for the topics that are known to be read and written.
    pub fn new(telemetry: &Arc<Telemetry>, inputs: &[TopicName], outputs: &[TopicName]) -> Self {
        let ops = c::STORE_OP_DURATION.labels.first().map_or(&[][..], |label| label.known);
        let mut all = Self {
            telemetry: Arc::clone(telemetry),
            consumed: BTreeMap::new(),
            produced: BTreeMap::new(),
            retention: BTreeMap::new(),
            store_ops: ops.iter().map(|op| (*op, telemetry.histogram(&c::STORE_OP_DURATION, &[("op", op)]))).collect(),
        };
        for topic in inputs {
            all.consumed(topic, 0, 0);
        }
        for topic in outputs {
            all.produced(topic, 0, 0);
        }
        all
    }

    /// A batch was read.
    pub fn consumed(&mut self, topic: &TopicName, records: usize, bytes: usize) {
        let (counts, sizes) = (&c::RECORDS_CONSUMED, &c::BYTES_CONSUMED);
        Self::flow(&self.telemetry, &mut self.consumed, counts, sizes, topic, records, bytes);
    }

    /// A batch was written.
    pub fn produced(&mut self, topic: &TopicName, records: usize, bytes: usize) {
        let (counts, sizes) = (&c::RECORDS_PRODUCED, &c::BYTES_PRODUCED);
        Self::flow(&self.telemetry, &mut self.produced, counts, sizes, topic, records, bytes);
    }

    /// How long an input topic keeps its records; not shown for topics that keep them for ever.
    pub fn retention(&mut self, topic: &TopicName, retention: Option<Duration>) {
        let Some(retention) = retention else {
            self.retention.remove(topic);
            return;
        };
        let telemetry = &self.telemetry;
        self.retention
            .entry(topic.clone())
            .or_insert_with(|| telemetry.gauge(&c::SOURCE_RETENTION, &[("topic", topic.as_str())]))
            .set(retention.as_secs_f64());
    }

    /// A sampled operation of a store; unknown names of operations are not counted.
    pub fn store_op(&self, op: &'static str, took: Duration) {
        if let Some(histogram) = self.store_ops.get(op) {
            histogram.record(took);
        }
    }

    fn flow(
        telemetry: &Arc<Telemetry>,
        flows: &mut BTreeMap<TopicName, Flow>,
        counts: &'static Metric,
        sizes: &'static Metric,
        topic: &TopicName,
        records: usize,
        bytes: usize,
    ) {
        if !flows.contains_key(topic) {
            let label = [("topic", topic.as_str())];
            let flow = Flow { records: telemetry.counter(counts, &label), bytes: telemetry.counter(sizes, &label) };
            flows.insert(topic.clone(), flow);
        }
        if let Some(flow) = flows.get(topic) {
            flow.records.increment(records as u64);
            flow.bytes.increment(bytes as u64);
        }
    }
}
