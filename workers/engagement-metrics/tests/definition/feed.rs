//! What the worker is fed with: people who do things over days and weeks, out of order, twice and late.
//!
//! Not here: what comes of it. Invariant: all of it follows from the seed.

use engagement_metrics::EngagementSettings;
use engagement_metrics::action::{Action, Deed, Reading, Traffic};
use engagement_metrics::definitions::Definitions;
use engagement_metrics::kind::Kind;
use events::identity::IdHash;
use processing_core::log::partition_for_key;
use processing_core::prelude::*;
use processing_core::record::{LogTime, Partition, TopicName, TopicPartition};
use processing_core::testing::{Arrival, Dice, Feed};

/// When everything is over: longer than any limit, timeout or month behind the last event.
const AFTERWARDS: i64 = 40 * 86_400_000;

/// Short limits and timeouts, and kinds of every sort.
const DEFINITIONS: &str = r#"
[[funnel]]
name = "fast"
steps = ["search", "click", "rate"]
within = "10m"

[[funnel]]
name = "slow"
app = "lens"
steps = [["view", "search"], "view", "xp.earned"]
within = "2d"

[[pipeline]]
name = "documents"
start = "document.uploaded"
stages = ["document.parsed", "document.embedded"]
failed = "document.failed"
key = "subject"
timeout = "45m"

[[pipeline]]
name = "missions"
app = "jobquest"
start = "mission.started"
stages = ["mission.completed"]
key = "user-subject"
timeout = "1d"

[[pipeline]]
name = "applications"
start = "job.applied"
updates = "job.status.updated"
initial = "applied"
states = ["applied", "interview", "offer", "rejected"]
ends = ["offer", "rejected"]
key = "subject"
timeout = "2d"

[[pipeline]]
name = "replies"
start = ["lead.message.inbound", "lead.created.asking"]
stages = ["lead.message.outbound"]
key = "subject"
across_tenants = true
timeout = "3h"

[[pipeline]]
name = "dedup"
start = "poi.dedup.requested"
stages = []
key = "subject"
"#;

const KINDS: [Kind; 27] = [
    Kind::Search,
    Kind::Search,
    Kind::Click,
    Kind::Click,
    Kind::Rate,
    Kind::Rate,
    Kind::Rate,
    Kind::View,
    Kind::View,
    Kind::XpEarned,
    Kind::ChallengeAvailable,
    Kind::SystemError,
    Kind::DocumentUploaded,
    Kind::DocumentParsed,
    Kind::DocumentEmbedded,
    Kind::DocumentFailed,
    Kind::MissionStarted,
    Kind::MissionCompleted,
    Kind::JobApplied,
    Kind::JobStatusUpdated,
    Kind::JobStatusUpdated,
    Kind::LeadInbound,
    Kind::LeadOutbound,
    Kind::LeadCreatedAsking,
    Kind::PoiFavorited,
    Kind::PoiUnfavorited,
    Kind::DedupRequested,
];

/// One record on its way.
#[derive(Debug, Clone)]
pub(crate) struct Sent {
    topic: usize,
    key: String,
    logged: i64,
    at_ms: u64,
    value: Vec<u8>,
}

/// A drawn case.
#[derive(Debug, Clone)]
pub(crate) struct Drawn {
    pub(crate) settings: EngagementSettings,
    pub(crate) definitions: Definitions,
    /// Topics and their partitions.
    pub(crate) topics: Vec<(String, u32)>,
    sent: Vec<Sent>,
    last: i64,
}

impl Drawn {
    /// The case of a seed.
    pub(crate) fn of(seed: u64) -> Self {
        let mut dice = Dice::new(seed ^ 0xe9a9);
        let zone = dice.pick([Tz::UTC, Tz::Europe__Berlin, Tz::Asia__Kathmandu, Tz::America__New_York]);
        let grace = dice.pick([0, 30, 300]);
        let gap = dice.pick([30, 30, 7]);
        let settings = EngagementSettings {
            zone,
            grace: DurationMs::seconds(grace),
            gap: DurationMs::minutes(gap),
            list_length: dice.pick([2, 20]),
            ..EngagementSettings::default()
        };
        let topics: Vec<(String, u32)> =
            (0..1 + dice.below(2)).map(|number| (format!("actions-{number}"), 1 + dice.below(3) as u32)).collect();
        // Winter, and the weeks in which clocks are put forward and back.
        let mut now = dice.pick([1_767_225_600_000, 1_774_300_000_000, 1_792_300_000_000]);
        let in_order = seed >= 1_000;
        let mut sent: Vec<Sent> = Vec::new();
        let mut at_ms = 0;
        let pace = dice.pick([1, 3]);
        for number in 0..40 + dice.below(160) {
            now += match dice.below(40) {
                0 => dice.below(9 * 86_400_000) as i64,
                1 => 86_400_000 * (1 + dice.below(2) as i64),
                2..=3 => dice.below(40 * 60_000) as i64,
                4 => 30 * 60_000,
                5..=7 => 0,
                _ => pace * dice.below(60_000) as i64,
            };
            at_ms += dice.below(60);
            let delay = match dice.below(12) {
                _ if in_order => 0,
                0 => dice.below(8 * 60_000) as i64,
                1..=3 => dice.below(20_000) as i64,
                _ => 0,
            };
            let action = action(&mut dice, number, now - delay);
            let record = Sent {
                topic: dice.below(topics.len() as u64) as usize,
                key: format!("{:?}", action.user),
                logged: now,
                at_ms,
                value: serde_json::to_vec(&Reading::Action(action)).unwrap(),
            };
            let again = dice.chance(0.1).then(|| dice.below(3));
            sent.push(record.clone());
            // Delivered once more, sometimes through another partition.
            for _ in 0..again.unwrap_or(0) {
                let key = if dice.chance(0.5) { record.key.clone() } else { "elsewhere".to_owned() };
                at_ms += dice.below(30);
                sent.push(Sent { key, at_ms, ..record.clone() });
            }
        }
        let definitions = Definitions::from_toml(DEFINITIONS).unwrap();
        Self { settings, definitions, topics, sent, last: now }
    }

    /// The same case on topics of so many partitions, with a grace that nothing misses.
    pub(crate) fn with_partitions(mut self, partitions: u32) -> Self {
        self.topics.iter_mut().for_each(|(_, of)| *of = partitions);
        self.settings.grace = DurationMs::hours(24);
        self
    }

    /// The records, and behind them time without events in which everything ends.
    pub(crate) fn feed(&self) -> Feed {
        let topic = |number: usize| TopicName::new(&self.topics[number].0);
        let mut arrivals: Vec<Arrival> = Vec::new();
        for sent in &self.sent {
            let partition = partition_for_key(sent.key.as_bytes(), self.topics[sent.topic].1);
            arrivals.push(Arrival {
                at_ms: sent.at_ms,
                timestamp: Some(LogTime(sent.logged)),
                place: TopicPartition { topic: topic(sent.topic), partition },
                key: Some(sent.key.clone().into_bytes()),
                value: Some(sent.value.clone()),
            });
        }
        let at_ms = self.sent.last().map_or(0, |sent| sent.at_ms) + 10;
        let end = self.last + AFTERWARDS;
        for (number, (_, partitions)) in self.topics.iter().enumerate() {
            for partition in 0..*partitions {
                arrivals.push(Arrival {
                    at_ms,
                    timestamp: Some(LogTime(end)),
                    place: TopicPartition { topic: topic(number), partition: Partition(partition) },
                    key: None,
                    value: Some(format!("{{\"time\":{end}}}").into_bytes()),
                });
            }
        }
        let inputs = self.topics.iter().map(|(topic, partitions)| (TopicName::new(topic), *partitions)).collect();
        Feed { inputs, arrivals }
    }
}

fn action(dice: &mut Dice, number: u64, time: i64) -> Action {
    let (app, tenant) = dice.pick([("lens", "acme"), ("lens", "acme"), ("lens", "b/c"), ("jobquest", "jobquest")]);
    let user = (!dice.chance(0.1)).then(|| format!("user-{}", dice.below(5)));
    let kind = dice.pick(KINDS);
    let traffic = match dice.below(20) {
        0 => Traffic::Bot,
        1 => Traffic::Internal,
        _ => Traffic::People,
    };
    let label = match kind {
        Kind::JobStatusUpdated => dice.pick([Some("interview"), Some("offer"), Some("rejected"), Some("hm"), None]),
        Kind::JobApplied => dice.pick([None, Some("interview")]),
        Kind::PoiFavorited | Kind::PoiUnfavorited => dice.pick([Some("p1"), Some("p2"), None]),
        Kind::SystemError => dice.pick([Some("500"), None]),
        _ => None,
    };
    Action {
        time: EventTime(time),
        app: app.into(),
        tenant: tenant.into(),
        user: user.map(|user| IdHash::of(&user)),
        deed: Deed {
            event: IdHash::of(&format!("event {number}")),
            kind,
            traffic,
            subject: (!dice.chance(0.1)).then(|| IdHash::of(&format!("thing {}", dice.below(3)))),
            amount: match kind {
                Kind::Rate => 500 * (1 + dice.below(10) as i64),
                _ => dice.below(50) as i64,
            },
            label: label.map(Into::into),
        },
    }
}
