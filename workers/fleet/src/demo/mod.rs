//! `streamfleet demo`: a log, what feeds it, the four workers and a screen in one process.
//!
//! Not here: each of them. Invariant: everything that a later run needs is in the data folder, so that a
//! demo that was ended in any way goes on where it was.

mod broom;
mod feeder;
mod findings;
mod fleet;
mod follower;
mod ground;
mod port;
mod position;
mod results;
mod screen;
mod speed;
mod summary;
mod tail;
mod view;

use std::fs::OpenOptions;
use std::io::IsTerminal as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use chrono::DateTime;
use clap::Args;
use events::Gazetteer;
use processing_core::error::{CoreError, ExitCode, Remedy};
use processing_core::log::Log;
use processing_core::metrics::Telemetry;
use processing_core::record::{DurationMs, TopicName};
use processing_core::run::{RunOptions, StatePlace, Surroundings};
use processing_core::service::http::HttpServer;
use processing_core::service::logging;
use processing_core::service::settings::{LogFormat, LoggingSettings};
use processing_core::service::signals;
use processing_core::service::status::Snapshot;
use state::MemoryBudget;
use trending_cities::TrendingSettings;

use self::broom::Broom;
use self::feeder::{FeedOrder, FeedProgress, Feeder, Sources};
use self::findings::Findings;
use self::fleet::Fleet;
use self::ground::{Ground, patiently};
use self::position::FeedPosition;
use self::results::Results;
use self::screen::{Frame, Screen};
use self::speed::Speed;
use self::summary::Summary;
use self::view::{Rates, View, WorkerView};
use crate::folder::{DataFolder, refused};

/// How often the picture is drawn.
const DRAW_EVERY: Duration = Duration::from_millis(500);
/// How often a demo looks whether it is at its end.
const LOOK_EVERY: Duration = Duration::from_millis(100);
/// Memory of the log and the workers' stores.
const MEMORY_BYTES: usize = 96 << 20;
/// The longest wait for the workers to follow a feed that has ended.
const SETTLE_MAX: Duration = Duration::from_secs(3_600);

/// Show four workers live: a seeded world of events, and what the fleet makes of it
///
/// Everything is kept in the data folder. Stop the demo with Ctrl-C, or kill it: the same command goes on
/// where it was, without losing or doubling anything.
#[derive(Args)]
pub(crate) struct Demo {
    #[command(flatten)]
    data: DataFolder,
    /// Run on this Kafka cluster, which is the demo's own, instead of a log in the data folder
    #[arg(long, value_name = "HOST:PORT")]
    brokers: Option<String>,
    /// How fast the feed's clock goes: 60x is an hour a minute; max is as fast as the worker follows
    #[arg(long, default_value = "60x")]
    speed: Speed,
    /// End after this long, such as 30s or 5m; without it, at Ctrl-C
    #[arg(long = "for", value_name = "TIME", value_parser = span)]
    for_time: Option<Duration>,
    /// End when the worker has followed the feed to its first N events
    #[arg(long, value_name = "N")]
    events: Option<u64>,
    /// Print a line now and then instead of drawing
    #[arg(long)]
    headless: bool,
    /// How often a headless demo prints its line
    #[arg(long, value_name = "TIME", default_value = "2s", value_parser = span)]
    every: Duration,
    /// Write the summary as JSON to this file
    #[arg(long, value_name = "FILE")]
    report: Option<PathBuf>,
    /// Which feed; fixed by the first start in a data folder
    #[arg(long, value_name = "N")]
    seed: Option<u64>,
    /// When the feed's present begins, such as 2026-11-21T08:00:00Z; without it, now. Fixed by the first start
    #[arg(long, value_name = "TIME", value_parser = start_time)]
    start: Option<i64>,
    /// How much history is loaded first, of the feed and of the world; without it, 2 days and 35 days. Fixed by the first start
    #[arg(long, value_name = "TIME", value_parser = span)]
    history: Option<Duration>,
    /// Events per minute of the feed's clock, beside which the world has half as many; fixed by the first start
    #[arg(long, value_name = "N")]
    rate: Option<u32>,
    /// Publish places as well (`poi.ingested`), in which events without a city find theirs; fixed by the first start
    #[arg(long)]
    places: bool,
    /// How long the topics keep their records, by the feed's clock
    #[arg(long, value_name = "TIME", default_value = "1d", value_parser = span)]
    keep: Duration,
    /// Threads of trending-cities; the other workers have one each
    #[arg(long, value_name = "N", default_value_t = 1)]
    threads: u32,
    /// After how long a silent partition no longer holds the others up, or `off`
    #[arg(long, value_name = "TIME", default_value = "3s", value_parser = idle)]
    idle_after: Idle,
}

#[derive(Debug, Clone, Copy)]
struct Idle(Option<DurationMs>);

fn idle(text: &str) -> Result<Idle, String> {
    if text == "off" {
        return Ok(Idle(None));
    }
    span(text).map(|span| Idle(Some(DurationMs(span.as_millis() as i64))))
}

fn span(text: &str) -> Result<Duration, String> {
    let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (digits, unit) = text.split_at(end);
    let millis = match unit {
        "ms" => 1,
        "s" | "" => 1_000,
        "m" => 60_000,
        "h" => 3_600_000,
        "d" => 86_400_000,
        _ => 0,
    };
    let number = digits.parse::<u64>().ok().filter(|_| millis > 0).and_then(|number| number.checked_mul(millis));
    number.map(Duration::from_millis).ok_or_else(|| "takes a number with ms, s, m, h or d, such as 30s".to_owned())
}

fn start_time(text: &str) -> Result<i64, String> {
    let time = DateTime::parse_from_rfc3339(text);
    time.map(|time| time.timestamp_millis()).map_err(|_| "takes a time such as 2026-11-21T08:00:00Z".to_owned())
}

impl Demo {
    pub(crate) fn run(self) -> Result<(), CoreError> {
        let data = self.data.path()?;
        std::fs::create_dir_all(&data).map_err(|error| refused("make", &data, &error))?;
        let around = self.surroundings(&data)?;
        let budget = MemoryBudget::new(MEMORY_BYTES);
        let gazetteer = Arc::new(Gazetteer::shipped());
        let application = TrendingSettings::default().application_id;
        let ground = Ground::open(&data, self.brokers.as_deref(), &application, &budget)?;
        let log = ground.log();

        self.greet(&data);
        ground.refuse_strangers(self.places, &around.shutdown)?;
        // ORDER: the producer first. What one that was killed has left undecided is decided then, and stays so.
        let producer = patiently(&around.shutdown, || feeder::producer(&*log))?;
        let from = self.position(&*log, &around)?;
        let recruits = fleet::recruits(from.places, &gazetteer)?;
        let resumed_at = from.position;
        self.tell(&from);
        patiently(&around.shutdown, || feeder::make_topics(&*log, from.places))?;
        let keeper = ground.keeper(&around.clock).map_err(thread)?;
        let fleet = Fleet::start(recruits, &ground, |name| self.options(name, &data, &budget), &around)?;
        let sources = Sources::at(&from, &gazetteer);
        let progress = Arc::new(FeedProgress::of(&sources));
        let server = port::open(ground.inlet(&progress), &around, fleet.answers())?;
        let note = server.as_ref().map(|server| ground.note(server)).transpose()?;
        let hints = self.hints(&ground, server.as_ref());
        if self.headless {
            hints.iter().for_each(|hint| eprintln!("{hint}"));
        }
        let frame = Frame { speed: self.speed, resumed_at, hints };
        let [first, others @ ..] = &fleet.members[..] else {
            return Err(CoreError::contradiction("a demo without workers"));
        };
        let world = |topic: &TopicName| !feeder::is_of_the_feed(topic.as_str());
        let feeder = Feeder::start(FeedOrder {
            producer,
            from,
            sources,
            progress: Arc::clone(&progress),
            speed: self.speed,
            until: self.events,
            clock: Arc::clone(&around.clock),
            shutdown: around.shutdown.clone(),
            follower: first.follower.clone(),
            world_followers: others.iter().map(|member| member.follower.of(world)).collect(),
            gazetteer,
        })?;

        let results = Results::new(Arc::clone(&log));
        let findings = Findings::new(Arc::clone(&log));
        let mut shown = Shown { results, findings, rates: Rates::default(), origin: from, frame };
        let keep_ms = i64::try_from(self.keep.as_millis()).unwrap_or(i64::MAX);
        let mut broom = Broom::new(fleet.members.iter().map(|member| &*member.plan), keep_ms);
        let (last, complete) = self.watch(&around, &fleet, &progress, &mut shown, || {
            broom.sweep(&*log, around.clock.elapsed(), progress.world_time())
        })?;
        eprintln!("stopping: what is under way is committed");
        // ORDER: first nobody publishes any more, then the feed ends, then the workers commit.
        drop((note, server));
        around.shutdown.request("the demo has ended");
        let fed = feeder.join();
        let (stopped, ran) = fleet.stop();
        drop(keeper);
        let pages: Vec<_> = stopped.iter().map(|worker| (worker.name, worker.page.clone())).collect();
        let mut view = shown.last_view(around.clock.elapsed(), &pages, &progress)?;
        // Stopping is no work.
        view.events_per_second = last.events as f64 / last.seconds.max(f64::MIN_POSITIVE);
        let feed = FeedPosition { position: view.feed_position, world: view.world_position, ..from };
        let outputs = summary::outputs(stopped.iter().map(|worker| &*worker.plan), &*log)?;
        let brokers = self.brokers.clone();
        let summary = Summary { data, brokers, feed, resumed_at, complete, outputs, view };
        summary.tell(self.headless, self.report.as_deref())?;
        // A full disk ends all of them, and only one may have been told that it is full.
        match ran {
            Err(full) if full.exit_code() == ExitCode::DiskFull => Err(full),
            ran => fed.and(ran),
        }
    }

    fn surroundings(&self, data: &Path) -> Result<Surroundings, CoreError> {
        let around = Surroundings::quiet(&TrendingSettings::default().application_id);
        let path = data.join("demo.log");
        let file = OpenOptions::new().create(true).append(true).open(&path);
        let file = file.map_err(|error| refused("open", &path, &error))?;
        let settings = LoggingSettings { format: LogFormat::Text, level: "info".to_owned() };
        let subscriber = logging::subscriber(&settings, false, Arc::clone(&around.clock), Mutex::new(file))?;
        if tracing::subscriber::set_global_default(subscriber).is_err() {
            return Err(CoreError::config("the log is set up already"));
        }
        let telemetry = Telemetry::new(&[]).map_err(|error| CoreError::config(error.to_string()))?;
        signals::listen(&around.shutdown).map_err(thread)?;
        Ok(Surroundings { telemetry, ..around })
    }

    /// Which feed, and how far it is: as the folder says, or as the command line does for a new one.
    fn position(&self, log: &dyn Log, around: &Surroundings) -> Result<FeedPosition, CoreError> {
        const MINUTE: i64 = 60_000;
        if let Some(found) = FeedPosition::read(log, &around.shutdown)? {
            let differs = |name: &str, found: String, given: Option<String>| {
                given.filter(|given| *given != found).map(|given| format!("{name} is {found} there and {given} here"))
            };
            let wrong = differs("--seed", found.seed.to_string(), self.seed.map(|seed| seed.to_string()))
                .or_else(|| differs("--start", found.start_ms.to_string(), self.start.map(|start| start.to_string())))
                .or_else(|| {
                    differs("--rate", found.events_per_minute.to_string(), self.rate.map(|rate| rate.to_string()))
                })
                .or_else(|| {
                    let given = self.history.map(|history| history.as_millis().to_string());
                    differs("--history", found.history_ms.to_string(), given)
                })
                .or_else(|| differs("--places", found.places.to_string(), self.places.then(|| true.to_string())));
            return match wrong {
                None => Ok(found),
                Some(wrong) => Err(CoreError::Usage(format!(
                    "the data folder has a feed of its own: {wrong}; leave the flag out, or begin anew with another --data"
                ))),
            };
        }
        let now = around.clock.now().0;
        let rate = self.rate.unwrap_or(200).max(1);
        let world_per_minute = (rate / 2).max(1);
        Ok(FeedPosition {
            seed: self.seed.unwrap_or(1),
            start_ms: self.start.unwrap_or(now - now.rem_euclid(MINUTE)),
            history_ms: self.history.map_or(48 * 60 * MINUTE, |history| history.as_millis() as i64),
            events_per_minute: rate,
            position: 0,
            places: self.places,
            // A demo that is told how much history to have has no more of the world, and that is not thin.
            world_history_ms: self.history.map_or_else(position::world_history_ms, |span| span.as_millis() as i64),
            world_history_per_minute: self
                .history
                .map_or_else(position::world_history_per_minute, |_| world_per_minute),
            world_per_minute,
            world: 0,
        })
    }

    fn greet(&self, data: &Path) {
        eprintln!("data in {} (log lines in demo.log there)", data.display());
        if let Some(brokers) = &self.brokers {
            eprintln!("records on Kafka at {brokers}");
        }
    }

    fn tell(&self, from: &FeedPosition) {
        if from.position == 0 {
            eprintln!(
                "a new feed with seed {}: first its history, then the present at speed {}",
                from.seed, self.speed
            );
        } else {
            eprintln!(
                "going on after {} events of the feed with seed {}: nothing is lost, nothing is doubled",
                screen::grouped(from.position),
                from.seed
            );
        }
    }

    fn options(&self, worker: &str, data: &Path, budget: &MemoryBudget) -> RunOptions {
        RunOptions {
            instance: "demo".to_owned(),
            threads: if worker == "trending-cities" { self.threads.clamp(1, 64) } else { 1 },
            commit_interval: DurationMs(100),
            idle_after: self.idle_after.0,
            idle_close: None,
            future_bound: Some(DurationMs::hours(1)),
            epoch: 0,
            cached_bytes: processing_core::limits::CACHED_BYTES_MAX,
            applied_bytes: processing_core::limits::APPLIED_BYTES_MAX,
            state: StatePlace::Folder { dir: data.join("state"), budget: budget.clone() },
        }
    }

    /// What can be done beside a running demo, as commands that work as they stand.
    fn hints(&self, ground: &Ground, server: Option<&HttpServer>) -> Vec<String> {
        let program =
            std::env::args_os().next().map_or("streamfleet".into(), |name| name.to_string_lossy().into_owned());
        let data = self.data.as_arguments();
        let page = server.map_or_else(String::new, |server| format!("http://{}/status   ", server.address()));
        if let Some(brokers) = ground.brokers() {
            return vec![
                format!("look in by any client of Kafka: bootstrap.servers={brokers} topic=trending.cities.v1"),
                format!("{page}Ctrl-C ends"),
            ];
        }
        vec![
            format!("look in: {program} topics{data}"),
            format!("also read, state, publish, replay   {page}Ctrl-C ends"),
        ]
    }

    /// Shows how it goes until the end; answers the last picture, and whether the feed was followed to
    /// the end that was wanted.
    fn watch(
        &self,
        around: &Surroundings,
        fleet: &Fleet,
        progress: &FeedProgress,
        shown: &mut Shown,
        mut look_after: impl FnMut() -> Result<(), CoreError>,
    ) -> Result<(View, bool), CoreError> {
        let drawn = !self.headless && std::io::stdout().is_terminal();
        let screen = drawn.then(|| Screen::open(shown.frame.clone()));
        let every = if drawn { DRAW_EVERY } else { self.every };
        let mut last_shown = None;
        loop {
            let now = around.clock.elapsed();
            let pages: Vec<_> = fleet.members.iter().map(|member| (member.name, member.status())).collect();
            let view = shown.view(now, &pages, progress)?;
            if last_shown.is_none_or(|last| now.saturating_sub(last) >= every) {
                last_shown = Some(now);
                match &screen {
                    Some(screen) => screen.draw(&view),
                    None => println!("{}", screen::progress_line(&view)),
                }
            }
            if around.shutdown.requested() || fleet.has_ended() {
                return Ok((view, false));
            }
            if progress.done.load(Ordering::SeqCst) && fleet.rests(DRAW_EVERY).or_else(not_now)? {
                return Ok((view, true));
            }
            if self.for_time.is_some_and(|most| now >= most) || now > SETTLE_MAX && self.events.is_some() {
                return Ok((view, false));
            }
            look_after().or_else(not_now)?;
            around.shutdown.wait(every.min(LOOK_EVERY));
        }
    }
}

/// What pictures are made of from moment to moment.
struct Shown {
    results: Results,
    findings: Findings,
    rates: Rates,
    origin: FeedPosition,
    frame: Frame,
}

impl Shown {
    /// `pages` are the workers' own, trending-cities' first.
    fn view(
        &mut self,
        now: Duration,
        pages: &[(&'static str, Snapshot)],
        feed: &FeedProgress,
    ) -> Result<View, CoreError> {
        self.results.look()?;
        self.findings.look()?;
        let [(_, page), others @ ..] = pages else { return Err(CoreError::contradiction("a demo without workers")) };
        let others =
            others.iter().map(|(name, page)| WorkerView::new(name, page, &self.origin, self.findings.of(name)));
        let trending = self.results.newest.as_ref();
        Ok(View::new(now, page, &self.origin, feed, trending, others.collect(), &mut self.rates))
    }

    /// After the end: with everything that was committed.
    fn last_view(
        &mut self,
        now: Duration,
        pages: &[(&'static str, Snapshot)],
        feed: &FeedProgress,
    ) -> Result<View, CoreError> {
        while self.findings.look()? > 0 {}
        self.view(now, pages, feed)
    }
}

/// What may pass by itself is met again at the next look.
fn not_now<T: Default>(error: CoreError) -> Result<T, CoreError> {
    if error.remedy() == Remedy::Retry { Ok(T::default()) } else { Err(error) }
}

fn thread(error: std::io::Error) -> CoreError {
    CoreError::config(format!("the machine refuses a thread or a signal: {error}"))
}
