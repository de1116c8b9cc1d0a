//! A worker thread: steps its worker, rests when there is nothing to do, and tells how it goes.
//!
//! Not here: what a step does ([`crate::worker`]) and who starts and ends threads ([`crate::run`]).
//! Invariant: a thread that ends has closed its worker or says why it could not; between two steps it
//! looks at the wish to stop, so that stopping waits for one step and one commit.

#![allow(clippy::disallowed_methods, reason = "one thread for each worker and its restores is used here")]

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use ::metrics::Counter;

use crate::clock::Clock;
use crate::control::Control;
use crate::counts::Counts;
use crate::error::{CoreError, Remedy};
use crate::instances::{Hold, Instances};
use crate::layout::Layout;
use crate::limits::{IDLE_WAIT_FIRST, IDLE_WAIT_MAX, RETRIES_MAX, STATUS_EVERY, retry_wait};
use crate::log::Log;
use crate::metrics::catalogue as c;
use crate::metrics::{PartitionGauges, ReasonCounters, RestoreGauges, TaskMetrics, Telemetry, ThreadMetrics};
use crate::nursery::{Progress, Progresses, ThreadNursery};
use crate::query::{Mailbox, Queries};
use crate::record::{TopicPartition, WallTime};
use crate::service::signals::Shutdown;
use crate::service::status::{CommitCounts, PartitionStatus, RestoreProgress, StatusBoard, TaskState, ThreadReporter};
use crate::task::TaskId;
use crate::worker::{StateHome, Worker, WorkerStatus, WorkerTerms};

/// What a thread is given.
#[derive(Clone)]
pub(crate) struct Station {
    pub(crate) log: Arc<dyn Log>,
    pub(crate) layout: Arc<Layout>,
    pub(crate) terms: WorkerTerms,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) board: Arc<StatusBoard>,
    pub(crate) telemetry: Arc<Telemetry>,
    pub(crate) shutdown: Shutdown,
    pub(crate) queries: Queries,
    pub(crate) instances: Instances,
    pub(crate) control: Arc<Control>,
    pub(crate) pulse: Arc<Pulse>,
}

/// How often a thread came round, for those who wait until all is done.
#[derive(Debug, Default)]
pub(crate) struct Pulse {
    /// Rounds in which something happened or is still to be committed.
    pub(crate) busy: AtomicU64,
    /// Rounds in which there was nothing left to do.
    pub(crate) at_rest: AtomicU64,
}

type RunningWorker<H> = Worker<H, ThreadNursery<<H as StateHome>::Base>>;

/// The thread's whole life. An error has stopped everything else too.
pub(crate) fn work<H: StateHome + Clone>(station: Station, home: H) -> Result<(), CoreError> {
    let name = station.terms.instance.clone();
    let reporter = station.board.thread(&name);
    let shutdown = station.shutdown.clone();
    let mut desk = Desk::new(&station, reporter);
    let instances = station.instances.clone();
    let result = station.serve(home, &mut desk);
    instances.leave(&name);
    match &result {
        Ok(()) => desk.reporter.stopped(),
        Err(error) => {
            tracing::error!(thread = name, "{error}");
            desk.reporter.failed(error.to_string());
            shutdown.request(format!("thread {name} has failed: {error}"));
        }
    }
    result
}

impl Station {
    fn serve<H: StateHome + Clone>(self, home: H, desk: &mut Desk) -> Result<(), CoreError> {
        let Some((mut worker, progresses)) = self.connect(home, desk)? else { return Ok(()) };
        let mailbox = self.queries.mailbox(&self.terms.instance, &progresses);
        let served = self.turn(&mut worker, desk, &mailbox, &progresses);
        // ORDER: no more questions before the stores are closed.
        drop(mailbox);
        served?;
        let begun = self.clock.elapsed();
        worker.close(self.clock.now())?;
        let took = self.clock.elapsed().saturating_sub(begun);
        tracing::info!(
            thread = self.terms.instance,
            took_ms = took.as_millis() as u64,
            "committed, flushed and closed"
        );
        Ok(())
    }

    /// A worker that has joined, or `None` if the wish to stop came first.
    fn connect<H: StateHome + Clone>(
        &self,
        home: H,
        desk: &Desk,
    ) -> Result<Option<(RunningWorker<H>, Progresses)>, CoreError> {
        let mut tries = 0;
        loop {
            let nursery = ThreadNursery::start(&self.terms.instance, Arc::clone(&self.clock))
                .map_err(|error| CoreError::config(format!("the machine refuses a thread: {error}")))?;
            let progresses = nursery.progresses();
            let (log, layout) = (Arc::clone(&self.log), Arc::clone(&self.layout));
            match Worker::new(log, layout, self.terms.clone(), home.clone(), nursery) {
                Ok(worker) => return Ok(Some((worker, progresses))),
                Err(error) if !matches!(error.remedy(), Remedy::Retry | Remedy::Rejoin) => return Err(error),
                Err(error) if tries >= RETRIES_MAX => return Err(error.exhausted(tries)),
                Err(error) => tracing::warn!(thread = self.terms.instance, "cannot join yet: {error}"),
            }
            desk.reporter.tick(self.clock.now());
            if self.shutdown.wait(retry_wait(tries).span()) {
                return Ok(None);
            }
            tries += 1;
        }
    }

    /// Comes round until the wish to stop.
    fn turn<H: StateHome + Clone>(
        &self,
        worker: &mut RunningWorker<H>,
        desk: &mut Desk,
        mailbox: &Mailbox,
        progresses: &Progresses,
    ) -> Result<(), CoreError> {
        let mut pause = IDLE_WAIT_FIRST.span();
        while !self.shutdown.requested() {
            let (now, begun) = (self.clock.now(), self.clock.elapsed());
            desk.reporter.tick(now);
            desk.metrics.tick(now);
            worker.pause(self.control.paused());
            let activity = worker.step(now)?;
            let took = self.clock.elapsed().saturating_sub(begun);
            let at_rest = activity.idle && worker.is_at_rest();
            desk.look(worker, progresses, now, activity.committed || !at_rest)?;
            if activity.committed {
                desk.metrics.commit.add(took);
                desk.metrics.commit_ok(now, took);
            } else if activity.records > 0 {
                desk.metrics.process.add(took);
                desk.metrics.process_duration.record(took);
            } else {
                desk.metrics.poll.add(took);
            }
            mailbox.answer(worker);
            // ORDER: after the board, so that who sees rest sees the counts that led to it.
            let counter = if at_rest { &self.pulse.at_rest } else { &self.pulse.busy };
            counter.fetch_add(1, Ordering::SeqCst);
            if activity.idle {
                mailbox.wait(worker, pause);
                desk.metrics.idle.add(pause);
                pause = (pause * 2).min(IDLE_WAIT_MAX.span());
            } else {
                pause = IDLE_WAIT_FIRST.span();
            }
        }
        desk.look(worker, progresses, self.clock.now(), true)
    }
}

/// Where a thread writes down how it goes.
struct Desk {
    reporter: ThreadReporter,
    metrics: ThreadMetrics,
    telemetry: Arc<Telemetry>,
    processed: Counter,
    emitted: Counter,
    dropped: ReasonCounters,
    dead: ReasonCounters,
    restored: Counter,
    tasks: BTreeMap<TaskId, TaskDesk>,
    /// What was told last.
    told: WorkerStatus,
    looked: Option<WallTime>,
    /// What the worker waited for at the last look, and what has been said to stand in the way.
    waited_for: Option<String>,
    obstacle: Option<String>,
    joined: bool,
    app: String,
    thread: String,
    instances: Instances,
}

struct TaskDesk {
    state: TaskState,
    metrics: TaskMetrics,
    restore: RestoreGauges,
    partitions: BTreeMap<TopicPartition, PartitionDesk>,
}

struct PartitionDesk {
    gauges: PartitionGauges,
    /// Since when there are unread records.
    behind: Option<WallTime>,
}

impl Desk {
    fn new(station: &Station, reporter: ThreadReporter) -> Self {
        let app = station.layout.plan.name().to_owned();
        let telemetry = Arc::clone(&station.telemetry);
        Self {
            reporter,
            metrics: ThreadMetrics::new(&telemetry, &station.terms.instance),
            processed: telemetry.counter(&c::RECORDS_PROCESSED, &[("node", &app)]),
            emitted: telemetry.counter(&c::WINDOW_EMITS, &[("node", &app)]),
            dropped: telemetry.reasons(&c::DROPPED),
            dead: telemetry.reasons(&c::DEAD_LETTERS),
            restored: telemetry.counter(&c::RESTORED, &[]),
            tasks: BTreeMap::new(),
            told: WorkerStatus::default(),
            looked: None,
            waited_for: None,
            obstacle: None,
            joined: false,
            telemetry,
            app,
            thread: station.terms.instance.clone(),
            instances: station.instances.clone(),
        }
    }

    /// Takes over what has changed: counts whenever `news` says that there may be some, tasks and places
    /// now and then.
    fn look<H: StateHome + Clone>(
        &mut self,
        worker: &mut RunningWorker<H>,
        progresses: &Progresses,
        now: WallTime,
        news: bool,
    ) -> Result<(), CoreError> {
        let due = self.looked.is_none_or(|last| now.0.saturating_sub(last.0) >= STATUS_EVERY.0 || now < last);
        if !due && !news {
            return Ok(());
        }
        let status = worker.status();
        self.count(&status, now);
        if due {
            self.wait_visibly(&status);
        }
        let changed = {
            let running = |status: &WorkerStatus| status.running.iter().map(|(id, _)| *id).collect::<Vec<_>>();
            running(&status) != running(&self.told) || status.restoring != self.told.restoring
        };
        if due || changed {
            self.looked = Some(now);
            self.list(&status, progresses);
            let held = |ids: Vec<TaskId>, hold| ids.into_iter().map(move |id| (id, hold));
            let running = held(status.running.iter().map(|(id, _)| *id).collect(), Hold::Running);
            let restoring = held(status.restoring.clone(), Hold::Restoring);
            self.instances.claim(&self.thread, worker.generation(), running.chain(restoring).collect());
            self.place(worker, now)?;
            if !self.joined && (changed || !status.running.is_empty() || due) {
                self.joined = true;
                self.reporter.joined();
            }
        }
        self.told = status;
        Ok(())
    }

    /// Names what stands in the way when two looks in a row have met it.
    fn wait_visibly(&mut self, status: &WorkerStatus) {
        let present = status.waits_for.clone();
        let lasting = present.clone().filter(|_| present == self.waited_for);
        if lasting != self.obstacle {
            if let Some(reason) = &lasting {
                tracing::warn!("{reason}; trying again until it passes");
            }
            self.reporter.obstacle(lasting.clone());
            self.obstacle = lasting;
        }
        self.waited_for = present;
    }

    fn count(&mut self, status: &WorkerStatus, now: WallTime) {
        if status.aborts > self.told.aborts {
            self.metrics.commit_failed("aborted", "log");
            self.reporter.aborted();
        }
        if status.rebuilds > self.told.rebuilds {
            self.metrics.commit_failed("fenced", "error");
        }
        self.restored.increment(status.restored - self.told.restored);
        if status.commits == self.told.commits {
            return;
        }
        let Counts { records, events, closed, results, .. } = &status.counts;
        let before = &self.told.counts;
        let dead: Vec<(&'static str, u64)> = since(&before.dead, &status.counts.dead);
        let late = status.counts.late_total() - before.late_total();
        let own = [("late", late), ("filtered_epoch", status.counts.other_epoch - before.other_epoch)];
        let own = own.into_iter().filter(|(_, n)| *n > 0);
        let dropped: Vec<_> = own.chain(since(&before.dropped, &status.counts.dropped)).collect();
        self.processed.increment(records - before.records);
        self.emitted.increment(closed - before.closed);
        for (reason, n) in &dropped {
            self.dropped.add(reason, *n);
        }
        for (reason, n) in &dead {
            self.dead.add(reason, *n);
        }
        let counts = CommitCounts {
            records_in: records - before.records,
            events_in: events - before.events,
            records_out: results - before.results,
            dropped: &dropped,
            dead_letters: &dead,
        };
        self.reporter.committed(now, counts);
    }

    /// Which tasks there are, and what they do.
    fn list(&mut self, status: &WorkerStatus, progresses: &Progresses) {
        let running = status.running.iter().map(|(id, _)| (*id, TaskState::Running));
        let restoring = status.restoring.iter().map(|id| {
            let known = progresses.of(*id).is_some();
            (*id, if known { TaskState::Restoring } else { TaskState::Created })
        });
        let present: BTreeMap<TaskId, TaskState> = running.chain(restoring).collect();
        let gone: BTreeSet<TaskId> = self.tasks.keys().filter(|id| !present.contains_key(id)).copied().collect();
        for id in gone {
            self.tasks.remove(&id);
            self.reporter.task_gone(&id.to_string());
        }
        for (id, state) in present {
            let name = id.to_string();
            let task = self.tasks.entry(id).or_insert_with(|| TaskDesk {
                state: TaskState::Created,
                restore: RestoreGauges::new(&self.telemetry, &name),
                metrics: TaskMetrics::new(&self.telemetry, &name, &self.app),
                partitions: BTreeMap::new(),
            });
            task.state = state;
            self.reporter.task(&name, state);
            let progress = progresses.of(id);
            let (remaining, time_left) = progress.as_ref().map_or((0, None), |now| (now.remaining, now.time_left));
            task.restore.show(remaining, time_left);
            if let Some(progress) = progress {
                let Progress { done, remaining, time_left, waits_for } = progress;
                let waits_for = waits_for.map(|place| place.to_string());
                let eta_seconds = time_left.map(|left| left.as_secs_f64().ceil() as u64);
                self.reporter.restoring(&name, "all", RestoreProgress { done, remaining, eta_seconds, waits_for });
            }
        }
    }

    fn place<H: StateHome + Clone>(&mut self, worker: &mut RunningWorker<H>, now: WallTime) -> Result<(), CoreError> {
        let places = match worker.places() {
            Err(error) if error.remedy() == Remedy::Retry => return Ok(()),
            // The worker's next step meets the same and knows what to do.
            Err(error) if error.remedy() < Remedy::Stop => return Ok(()),
            places => places?,
        };
        for place in places {
            let Some(task) = self.tasks.get_mut(&place.task) else { continue };
            let TaskDesk { metrics, partitions, .. } = task;
            let desk = partitions
                .entry(place.partition.clone())
                .or_insert_with(|| PartitionDesk { gauges: metrics.partition(&place.partition), behind: None });
            desk.behind = if place.lag == 0 { None } else { desk.behind.or(Some(now)) };
            let age = desk.behind.map_or(0, |since| now.0.saturating_sub(since.0).max(0));
            desk.gauges.lag(place.lag, Duration::from_millis(age.unsigned_abs()));
            metrics.stream_time(place.time);
            let status = PartitionStatus::new(place.next.0, place.lag, place.time, false);
            self.reporter.partition(&place.task.to_string(), &place.partition, status);
        }
        Ok(())
    }
}

fn since(before: &BTreeMap<&'static str, u64>, now: &BTreeMap<&'static str, u64>) -> Vec<(&'static str, u64)> {
    let more = now.iter().map(|(reason, n)| (*reason, n - before.get(reason).unwrap_or(&0)));
    more.filter(|(_, n)| *n > 0).collect()
}
