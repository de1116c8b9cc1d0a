//! A plan at work in a process: its threads, their state, and their end.
//!
//! Not here: a thread's loop ([`crate::threads`]), settings, the port and signals ([`crate::service`]).
//! Invariant: threads start only when every topic of the plan stands, and when one of them fails, all
//! stop and the first error is the process' own.
//!
//! ```text
//!   run ─▶ settings, log, port, signals ─▶ Running ─▶ layout ─▶ threads ─▶ close ─▶ exit code
//! ```
//!
//! [`run`] is the `main` of a worker's binary; [`Running`] is the same within another program.

#![allow(clippy::disallowed_methods, reason = "the threads of a process are started here")]

mod options;

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread::JoinHandle;
use std::time::Duration;

use axum::Router;
use state::MemoryBudget;

pub use self::options::{RunOptions, StatePlace};
use crate::bulletin::Bulletin;
use crate::clock::{Clock, SystemClock};
use crate::control::Control;
use crate::error::{CoreError, Remedy};
use crate::home::{MemoryHome, RocksHome};
use crate::instances::Instances;
use crate::keeper::LogKeeper;
use crate::layout::Layout;
use crate::limits::{Bounds, INPUTS_RETRY, REPARTITION_PURGE, STATE_UNUSED_CHECK};
use crate::log::Log;
use crate::log::embedded::{Durability, EmbeddedLog, EmbeddedOptions};
use crate::log::kafka::{KafkaLog, KafkaOptions};
use crate::metrics::Telemetry;
use crate::plan::Plan;
use crate::query::Queries;
use crate::record::{LogTime, TopicPartition};
use crate::service::settings::Settings;
use crate::service::signals::Shutdown;
use crate::service::status::{Snapshot, StatusBoard};
use crate::service::{self, Program, Shell, Start};
use crate::standby::Standby;
use crate::threads::{self, Pulse, Station};
use crate::worker::{StateHome, WorkerTerms};

/// What a running plan tells and is told through.
#[derive(Clone)]
pub struct Surroundings {
    /// The clocks.
    pub clock: Arc<dyn Clock>,
    /// Where metrics go.
    pub telemetry: Arc<Telemetry>,
    /// The status page.
    pub board: Arc<StatusBoard>,
    /// The wish to stop.
    pub shutdown: Shutdown,
}

impl Surroundings {
    /// For a plan within another program: the machine's clocks, a page and a wish to stop of its own, no
    /// metrics.
    pub fn quiet(application: &str) -> Self {
        let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
        let shutdown = Shutdown::new();
        let version = env!("CARGO_PKG_VERSION");
        let board = StatusBoard::new(application, version, Arc::clone(&clock), shutdown.clone());
        Self { clock, telemetry: Telemetry::off(), board, shutdown }
    }

    /// Those of a service.
    pub fn of(shell: &Shell) -> Self {
        Self {
            clock: Arc::clone(&shell.clock),
            telemetry: Arc::clone(&shell.telemetry),
            board: Arc::clone(&shell.board),
            shutdown: shell.shutdown.clone(),
        }
    }
}

/// A plan at work. Dropped, it stops in good order.
pub struct Running {
    around: Surroundings,
    queries: Queries,
    instances: Instances,
    pulses: Vec<Arc<Pulse>>,
    supervisor: Option<JoinHandle<Result<(), CoreError>>>,
}

impl Running {
    /// Starts everything and answers at once; inputs that are missing are waited for.
    ///
    /// # Errors
    /// If the machine refuses a thread. What goes wrong later is told by [`Running::wait`].
    pub fn start(
        plan: Arc<Plan>,
        log: Arc<dyn Log>,
        options: RunOptions,
        around: Surroundings,
    ) -> Result<Self, CoreError> {
        let threads = options.threads.max(1) as usize;
        let instances = Instances::new(&options.instance, Arc::clone(&around.clock));
        let queries = Queries::of(threads, instances.clone());
        let pulses: Vec<Arc<Pulse>> = (0..threads).map(|_| Arc::new(Pulse::default())).collect();
        let supervisor = Supervisor {
            plan,
            log,
            options,
            around: around.clone(),
            queries: queries.clone(),
            instances: instances.clone(),
            control: Arc::default(),
            pulses: pulses.clone(),
        };
        let thread = std::thread::Builder::new()
            .name("supervisor".into())
            .spawn(move || supervisor.supervise())
            .map_err(no_thread)?;
        Ok(Self { around, queries, instances, pulses, supervisor: Some(thread) })
    }

    /// How it goes.
    pub fn status(&self) -> Snapshot {
        self.around.board.snapshot()
    }

    /// The way to the stores.
    pub fn queries(&self) -> Queries {
        self.queries.clone()
    }

    /// The instances of the application, to be told where this one can be asked.
    pub fn instances(&self) -> Instances {
        self.instances.clone()
    }

    /// The routes at which other instances ask this one, to be served beside the worker's own.
    pub fn routes(&self) -> Router {
        self.instances.routes(&self.queries)
    }

    /// Whether it has ended, asked to or not.
    pub fn has_ended(&self) -> bool {
        self.supervisor.as_ref().is_none_or(JoinHandle::is_finished)
    }

    /// Waits at most this long until everything that stands in the inputs is processed, committed and
    /// sent through all sub-topologies. Windows that are open stay open.
    pub fn settle(&self, at_most: Duration) -> bool {
        let clock = &self.around.clock;
        let begun = clock.elapsed();
        let busy = || self.pulses.iter().map(|pulse| pulse.busy.load(Ordering::SeqCst)).collect::<Vec<_>>();
        let at_rest = || self.pulses.iter().map(|pulse| pulse.at_rest.load(Ordering::SeqCst)).collect::<Vec<_>>();
        loop {
            let (was_busy, rested) = (busy(), at_rest());
            // Two rounds of rest of each thread without work of any: the first round may have looked for
            // records before another thread sent them.
            loop {
                if self.has_ended() || clock.elapsed().saturating_sub(begun) >= at_most {
                    return false;
                }
                if busy() != was_busy {
                    break;
                }
                if at_rest().iter().zip(&rested).all(|(now, then)| *now >= then + 3) {
                    return true;
                }
                std::thread::sleep(Duration::from_millis(1));
            }
        }
    }

    /// Waits until it has ended by itself or by the wish to stop.
    ///
    /// # Errors
    /// What stopped the first thread that failed.
    pub fn wait(mut self) -> Result<(), CoreError> {
        self.join()
    }

    /// Commits, flushes, closes, ends.
    ///
    /// # Errors
    /// What stopped the first thread that failed.
    pub fn stop(mut self) -> Result<(), CoreError> {
        self.around.shutdown.request("asked to");
        self.join()
    }

    fn join(&mut self) -> Result<(), CoreError> {
        match self.supervisor.take().map(JoinHandle::join) {
            None => Ok(()),
            Some(Ok(result)) => result,
            Some(Err(_)) => Err(panicked("the supervisor")),
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.around.shutdown.request("nobody holds it any more");
        if let Err(error) = self.join() {
            tracing::error!("{error}");
        }
    }
}

fn no_thread(error: std::io::Error) -> CoreError {
    CoreError::config(format!("the machine refuses a thread: {error}"))
}

fn panicked(who: &str) -> CoreError {
    CoreError::contradiction(format!("{who} has panicked, which is a bug: see its message above; nothing is lost"))
}

/// The thread that starts, watches and ends the others.
struct Supervisor {
    plan: Arc<Plan>,
    log: Arc<dyn Log>,
    options: RunOptions,
    around: Surroundings,
    queries: Queries,
    instances: Instances,
    control: Arc<Control>,
    pulses: Vec<Arc<Pulse>>,
}

impl Supervisor {
    fn supervise(self) -> Result<(), CoreError> {
        let Some(layout) = self.layout().inspect_err(|error| self.give_up(error))? else { return Ok(()) };
        let layout = Arc::new(layout);
        self.instances.settle_on(&layout);
        let (app, clock) = (layout.plan.name(), Arc::clone(&self.around.clock));
        let (log, shutdown) = (Arc::clone(&self.log), self.around.shutdown.clone());
        let bulletin = Bulletin::start(log, app, &self.instances, &self.control, clock, shutdown)
            .map_err(no_thread)
            .inspect_err(|error| self.give_up(error))?;
        let ended = self.work(&layout);
        // ORDER: after the threads, so that this instance's note is taken back when nobody has a task any more. What
        // ended it has ended the threads.
        bulletin.end().and(ended)
    }

    /// Runs the threads, once it is known whether to pause and in which epoch to work.
    fn work(&self, layout: &Arc<Layout>) -> Result<(), CoreError> {
        if !self.hear_control() {
            return Ok(());
        }
        match &self.options.state {
            StatePlace::Memory => self.watch(layout, MemoryHome, None, || Ok(())),
            StatePlace::Folder { dir, budget } => {
                let (budget, clock) = (budget.clone(), Arc::clone(&self.around.clock));
                let home = RocksHome::new(dir, layout, budget, clock).inspect_err(|error| self.give_up(error))?;
                self.watch(layout, home.clone(), Some(&home), || home.remove_unused().map(drop))
            }
        }
    }

    /// The plan's topics, as soon as all inputs stand; `None` if the wish to stop comes first.
    fn layout(&self) -> Result<Option<Layout>, CoreError> {
        const OBSTACLE: &str = "topics";
        let Surroundings { board, shutdown, .. } = &self.around;
        let mut told = String::new();
        while !shutdown.requested() {
            let laid = match self.log.admin() {
                Ok(mut admin) => Layout::new(Arc::clone(&self.plan), &mut *admin),
                Err(error) => Err(error.into()),
            };
            match laid {
                Ok(layout) => {
                    board.obstacle(OBSTACLE, None);
                    return Ok(Some(layout));
                }
                Err(error) if error.remedy() == Remedy::Retry => {
                    let reason = error.to_string();
                    if reason != told {
                        tracing::warn!("{reason}");
                        told.clone_from(&reason);
                    }
                    board.obstacle(OBSTACLE, Some(reason));
                }
                Err(error) => return Err(error),
            }
            shutdown.wait(INPUTS_RETRY.span());
        }
        Ok(None)
    }

    /// Waits until it is known whether to pause, and in which epoch to work; `false` if the wish to stop comes first.
    fn hear_control(&self) -> bool {
        const OBSTACLE: &str = "control";
        let Surroundings { board, shutdown, .. } = &self.around;
        let every = INPUTS_RETRY.span();
        while !self.instances.caught_up(every) {
            board.obstacle(OBSTACLE, Some("the control topic is not read to its end yet".to_owned()));
            if shutdown.requested() {
                return false;
            }
        }
        board.obstacle(OBSTACLE, None);
        true
    }

    /// The state epoch: the control topic's, and where it names none that of the options.
    fn epoch(&self) -> u32 {
        self.control.epoch().unwrap_or(self.options.epoch)
    }

    fn give_up(&self, error: &CoreError) {
        tracing::error!("{error}");
        self.around.shutdown.request(error.to_string());
    }

    /// Runs the threads, in one state epoch after the other, until it is over. `folders` is where copies of tasks of
    /// other processes can be kept.
    fn watch<H: StateHome + Clone + 'static>(
        &self,
        layout: &Arc<Layout>,
        home: H,
        folders: Option<&RocksHome>,
        look_after: impl Fn() -> Result<(), CoreError>,
    ) -> Result<(), CoreError> {
        let shutdown = &self.around.shutdown;
        loop {
            let epoch = self.epoch();
            self.instances.enter(epoch);
            let round = Shutdown::new();
            let ended = self.watch_round(layout, home.clone(), folders, &look_after, epoch, &round);
            if let Err(error) = &ended {
                shutdown.request(error.to_string());
            }
            if shutdown.requested() {
                return ended;
            }
        }
    }

    /// Runs the threads in one state epoch until all have ended.
    fn watch_round<H: StateHome + Clone + 'static>(
        &self,
        layout: &Arc<Layout>,
        home: H,
        folders: Option<&RocksHome>,
        look_after: impl Fn() -> Result<(), CoreError>,
        epoch: u32,
        round: &Shutdown,
    ) -> Result<(), CoreError> {
        let shutdown = &self.around.shutdown;
        let mut threads = Vec::new();
        let mut result = Ok(());
        for (number, pulse) in self.pulses.iter().enumerate() {
            let station = self.station(layout, number, Arc::clone(pulse), epoch, round.clone());
            let (name, home) = (station.terms.instance.clone(), home.clone());
            let thread = std::thread::Builder::new().name(name.clone()).spawn(move || threads::work(station, home));
            match thread {
                Ok(thread) => threads.push((name, thread)),
                Err(error) => {
                    result = Err(no_thread(error));
                    shutdown.request("the machine refuses a thread");
                    break;
                }
            }
        }
        let mut standby = None;
        let mut moves_on = false;
        let mut looked = self.around.clock.elapsed();
        let mut purged = looked;
        while threads.iter().all(|(_, thread)| !thread.is_finished()) && !threads.is_empty() {
            shutdown.wait(Duration::from_millis(100));
            if shutdown.requested() {
                break;
            }
            let wanted = self.epoch();
            if wanted != epoch {
                tracing::warn!(epoch, wanted, "the state epoch has changed: the threads commit, end and begin in it");
                moves_on = true;
                break;
            }
            self.around.board.pause(self.control.paused());
            if let (None, Some(home)) = (&standby, folders.filter(|_| self.instances.copies() > 0)) {
                match self.standby(layout, home, epoch, round.clone()).start() {
                    Ok(thread) => standby = Some(thread),
                    Err(error) => {
                        result = Err(no_thread(error));
                        shutdown.request("the machine refuses a thread");
                        break;
                    }
                }
            }
            let now = self.around.clock.elapsed();
            if now.saturating_sub(looked) >= STATE_UNUSED_CHECK.span() {
                looked = now;
                // Old folders that cannot be removed now are no reason to stop what runs.
                look_after().unwrap_or_else(|error| tracing::warn!("{error}"));
            }
            if now.saturating_sub(purged) >= REPARTITION_PURGE.span() {
                purged = now;
                self.purge(layout).unwrap_or_else(|error| tracing::warn!("{error}"));
            }
        }
        if !moves_on {
            // A thread that has ended by itself or panicked takes the others along.
            shutdown.request(round.reason().unwrap_or_else(|| "a worker thread has ended".to_owned()));
        }
        round.request(shutdown.reason().unwrap_or_else(|| "the state epoch has changed".to_owned()));
        for (name, thread) in threads {
            let ended = thread.join().unwrap_or_else(|_| Err(panicked(&format!("thread {name}"))));
            result = result.and(ended);
        }
        if standby.is_some_and(|thread| thread.join().is_err()) {
            result = result.and(Err(panicked("thread standby")));
        }
        result
    }

    fn standby(&self, layout: &Arc<Layout>, home: &RocksHome, epoch: u32, shutdown: Shutdown) -> Standby {
        let (log, instances, around) = (Arc::clone(&self.log), self.instances.clone(), self.around.clone());
        Standby { log, layout: Arc::clone(layout), home: home.clone(), instances, around, epoch, shutdown }
    }

    /// Deletes the repartition records that the group has committed: nobody reads them again, since a task's
    /// state and its group's position move in one transaction.
    fn purge(&self, layout: &Layout) -> Result<(), CoreError> {
        let mut admin = self.log.admin()?;
        let read = layout.tasks().flat_map(|id| layout.sources(id));
        let own: Vec<TopicPartition> = read.filter(|(_, topic, _)| !topic.input).map(|(_, _, place)| place).collect();
        for (place, committed) in admin.group_offsets(layout.plan.name(), &own)? {
            admin.purge(&place, committed)?;
        }
        Ok(())
    }

    fn station(
        &self,
        layout: &Arc<Layout>,
        number: usize,
        pulse: Arc<Pulse>,
        epoch: u32,
        shutdown: Shutdown,
    ) -> Station {
        let RunOptions {
            instance,
            threads,
            commit_interval,
            idle_after,
            idle_close,
            future_bound,
            cached_bytes,
            applied_bytes,
            ..
        } = self.options.clone();
        let Surroundings { clock, telemetry, board, .. } = self.around.clone();
        Station {
            log: Arc::clone(&self.log),
            layout: Arc::clone(layout),
            terms: WorkerTerms {
                instance: format!("{instance}-{number}"),
                commit_interval,
                idle_after,
                idle_close,
                future_bound,
                epoch,
                bounds: Bounds::of_one_of(threads, cached_bytes, applied_bytes),
            },
            clock,
            board,
            telemetry,
            shutdown,
            queries: self.queries.clone(),
            instances: self.instances.clone(),
            control: Arc::clone(&self.control),
            pulse,
        }
    }
}

/// The `main` of a worker's binary: reads arguments and settings, has the worker built by them, runs it
/// until it is told to stop, and says by the exit code how it ended ([`crate::error::ExitCode`]). A worker
/// is its plan, and what makes its own routes of the way to its stores.
pub fn run<R: FnOnce(Queries) -> Router>(
    program: Program,
    build: impl FnOnce(&Settings) -> Result<(Plan, R), CoreError>,
) -> std::process::ExitCode {
    let name = program.name;
    let arguments = std::env::args().skip(1);
    service::end(name, serve(program, build, arguments)).into()
}

fn serve<R: FnOnce(Queries) -> Router>(
    program: Program,
    build: impl FnOnce(&Settings) -> Result<(Plan, R), CoreError>,
    arguments: impl IntoIterator<Item = String>,
) -> Result<(), CoreError> {
    let mut shell = match service::start(program, "", arguments)? {
        Start::Print(text) => {
            print!("{text}");
            return Ok(());
        }
        Start::Run(shell) => shell,
    };
    let (plan, routes) = build(&shell.settings)?;
    let plan = Arc::new(plan);
    let budget = shell.settings.memory_of_stores();
    let (log, keeper) = open_log(&shell.settings, &plan, &shell.clock, &budget)?;
    let running = Running::start(plan, log, RunOptions::of(&shell.settings, budget), Surroundings::of(&shell))?;
    // The port tells what is missing while it is missing.
    let bound = shell.serve(routes(running.queries()).merge(running.routes()))?;
    // The embedded log has one process: nobody else is there to be told.
    if shell.settings.kafka.get("bootstrap.servers").is_some() {
        running.instances().stand_by(shell.settings.copies.standby);
        running.instances().advertise(bound.and_then(|bound| shell.settings.http.reached_at(bound)));
    }
    let ended = running.wait();
    drop(keeper);
    ended
}

/// The cluster that the settings name, else the embedded log with its upkeep.
fn open_log(
    settings: &Settings,
    plan: &Plan,
    clock: &Arc<dyn Clock>,
    budget: &MemoryBudget,
) -> Result<(Arc<dyn Log>, Option<LogKeeper>), CoreError> {
    if !settings.is_embedded() {
        let log = KafkaLog::open(KafkaOptions {
            application: plan.name().to_owned(),
            properties: settings.kafka.0.clone(),
            replication: settings.copies.replication.map_or(-1, i32::from),
        })?;
        return Ok((log, None));
    }
    let log = open_embedded(settings, clock, budget)?;
    let keeper = LogKeeper::start(Arc::clone(&log), Arc::clone(clock)).map_err(no_thread)?;
    Ok((log, Some(keeper)))
}

fn open_embedded(
    settings: &Settings,
    clock: &Arc<dyn Clock>,
    budget: &MemoryBudget,
) -> Result<Arc<EmbeddedLog>, CoreError> {
    let clock = Arc::clone(clock);
    let mut options = EmbeddedOptions::new(Arc::new(move || LogTime(clock.now().0)));
    options.store.budget = Some(budget.clone());
    options.durability = if settings.embedded.sync { Durability::Disk } else { Durability::Os };
    Ok(EmbeddedLog::open(&settings.embedded.dir, options)?)
}
