//! Workers that are killed, stopped, frozen and joined by others while input arrives: what comes out is what one worker
//! would say that never was disturbed.
//!
//! Not here: broken brokers and networks. Invariant: what happens and when follows from the seed and from what the
//! group has committed, never from a wait.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use rand::seq::IndexedRandom as _;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use tests::kafka::admin::Group;
use tests::kafka::cluster::{Cluster, Setup, shared};
use tests::kafka::feed::{Fed, Feed};
use tests::kafka::worker::WorkerProcess;

use crate::events::Events;
use crate::stage::Stage;

pub(crate) const PARTITIONS: u32 = 8;

/// The workers that are there at the beginning and at the end, and one that comes and goes.
const ALWAYS: [&str; 3] = ["a", "b", "c"];
const GUEST: &str = "guest";

/// Whoever may have a folder at the end.
pub(crate) const ALL: [&str; 4] = [ALWAYS[0], ALWAYS[1], ALWAYS[2], GUEST];

#[test]
fn workers_that_are_disturbed_twenty_times_say_what_one_says_that_never_was() {
    disturbed(shared(), "chaos", 4, 20);
}

/// New seeds for as many minutes as `STREAMFLEET_SOAK_MINUTES` says; what `make soak-kafka` runs.
#[test]
#[ignore = "takes as long as it is told to"]
fn soak() {
    let minutes = std::env::var("STREAMFLEET_SOAK_MINUTES").ok().and_then(|text| text.parse().ok()).unwrap_or(10);
    let end = Instant::now() + Duration::from_secs(60 * minutes);
    let since_1970 = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    let mut seed = since_1970.as_secs();
    let (mut runs, mut disturbances) = (0, 0);
    while Instant::now() < end {
        // A broker of its own each time, so that its logs speak of this seed alone.
        disturbed(&Cluster::start(Setup::plain(1)), &format!("soak-{seed}"), seed, 60);
        (runs, disturbances, seed) = (runs + 1, disturbances + 60, seed + 1);
        println!("{runs} runs, {disturbances} disturbances, nothing lost and nothing twice");
    }
}

fn disturbed(cluster: &Cluster, name: &str, seed: u64, disturbances: usize) {
    println!("{name}: seed {seed}, {disturbances} disturbances");
    let mut stage = Stage::new(cluster, name, PARTITIONS);
    if seed.is_multiple_of(2) {
        // Each task's state is kept by somebody else too, and taken over where that one gets the task.
        stage.setup = stage.setup.clone().setting("num.standby.replicas", "1");
    }
    let mut fleet = Fleet::start(&stage, seed, Box::new(Events::new(seed, PARTITIONS)));
    for number in 1..=disturbances {
        fleet.feed();
        let what = fleet.disturb();
        println!("{name}: {number}: {what}");
    }
    fleet.end(|workers| stage.settle(workers));
    stage.assert_results();
    stage.assert_stores(&ALL);
}

/// Where a fleet's records come from.
pub(crate) trait Source {
    /// The next `count` records, each with its topic. What is fed to the stage's own input tells how far the group is.
    fn take(&mut self, stage: &Stage, count: usize) -> Vec<(String, Fed)>;
    /// Records that are later than all others, and close what is open.
    fn last(&mut self, stage: &Stage) -> Vec<(String, Fed)>;
}

impl Source for Events {
    fn take(&mut self, stage: &Stage, count: usize) -> Vec<(String, Fed)> {
        Self::take(self, count).into_iter().map(|fed| (stage.input.clone(), fed)).collect()
    }

    fn last(&mut self, stage: &Stage) -> Vec<(String, Fed)> {
        Self::last(self).into_iter().map(|fed| (stage.input.clone(), fed)).collect()
    }
}

pub(crate) struct Fleet<'s> {
    stage: &'s Stage,
    rng: ChaCha8Rng,
    events: Box<dyn Source>,
    feed: Feed,
    group: Group,
    running: BTreeMap<&'static str, WorkerProcess>,
}

impl<'s> Fleet<'s> {
    pub(crate) fn start(stage: &'s Stage, seed: u64, events: Box<dyn Source>) -> Self {
        let running = ALWAYS.iter().map(|name| (*name, stage.setup.start(name))).collect();
        let feed = Feed::new(&stage.brokers);
        let rng = ChaCha8Rng::seed_from_u64(seed);
        Self { stage, rng, events, feed, group: stage.group(), running }
    }

    /// Some more records, some of which are still on their way when the next disturbance comes.
    pub(crate) fn feed(&mut self) {
        let count = self.rng.random_range(40..200);
        let before = self.stage.taken(&self.group);
        let own = self.send(count);
        self.stage.await_taken(&self.group, before + self.rng.random_range(0..=own));
    }

    /// Sends so many records; answers how many of them went to the stage's own input.
    fn send(&mut self, count: usize) -> i64 {
        let records = self.events.take(self.stage, count);
        records.iter().for_each(|(topic, fed)| self.feed.send(topic, fed));
        records.iter().filter(|(topic, _)| *topic == self.stage.input).count() as i64
    }

    fn someone(&mut self) -> &'static str {
        let names: Vec<&'static str> = self.running.keys().copied().collect();
        names.choose(&mut self.rng).copied().expect("one worker runs always")
    }

    pub(crate) fn disturb(&mut self) -> String {
        let name = self.someone();
        let absent: Vec<&str> = ALWAYS.into_iter().filter(|name| !self.running.contains_key(name)).collect();
        match self.rng.random_range(0..20) {
            0..8 => {
                self.kill(name);
                self.begin(name);
                format!("{name} is killed and comes back")
            }
            8..10 if absent.is_empty() => {
                self.kill(name);
                format!("{name} is killed and stays away for now")
            }
            8..10 => {
                absent.iter().for_each(|name| self.begin(name));
                format!("{absent:?} come back")
            }
            10..14 => {
                self.terminate(name);
                self.begin(name);
                format!("{name} is stopped in good order and comes back")
            }
            14..17 if self.running.contains_key(GUEST) => {
                self.terminate(GUEST);
                "the guest goes".to_owned()
            }
            14..17 => {
                self.begin(GUEST);
                "a guest comes".to_owned()
            }
            _ if self.running.len() < 2 => {
                absent.iter().for_each(|name| self.begin(name));
                format!("{absent:?} come back")
            }
            _ => {
                self.freeze(name);
                format!("{name} is frozen until the group has forgotten it, and thaws")
            }
        }
    }

    fn begin(&mut self, name: &str) {
        let name = ALWAYS.into_iter().chain([GUEST]).find(|known| *known == name).expect("a name");
        self.running.insert(name, self.stage.setup.start(name));
    }

    fn kill(&mut self, name: &str) {
        let mut worker = self.running.remove(name).expect("it runs");
        assert!(worker.runs(), "{name} has ended by itself\n{}", self.stage.setup.last_words());
        worker.kill();
    }

    fn terminate(&mut self, name: &str) {
        self.running.remove(name).expect("it runs").terminate_somehow();
    }

    /// Stopped for so long that others have its partitions; then it goes on as if nothing had been.
    fn freeze(&mut self, name: &str) {
        let own = |member: &String| member.contains(&format!("-{name}-"));
        // Who is no member yet cannot be forgotten.
        self.group.await_members("joined", |members| members.iter().any(own));
        self.running[name].freeze();
        let count = self.rng.random_range(1..100);
        let before = self.stage.taken(&self.group);
        let sent = self.send(count);
        self.feed.flush();
        self.group.await_members("without the frozen one", |members| !members.iter().any(own));
        self.stage.await_taken(&self.group, before + sent.min(1));
        self.running[name].thaw();
    }

    /// Everyone is there again, the last windows close, and all stop in good order.
    pub(crate) fn end(mut self, settle: impl FnOnce(&mut [&mut WorkerProcess])) {
        for name in ALWAYS {
            if !self.running.contains_key(name) {
                self.begin(name);
            }
        }
        self.events.last(self.stage).iter().for_each(|(topic, fed)| self.feed.send(topic, fed));
        self.feed.flush();
        let mut workers: Vec<&mut WorkerProcess> = self.running.values_mut().collect();
        settle(&mut workers);
        workers.into_iter().for_each(WorkerProcess::terminate_somehow);
    }
}
