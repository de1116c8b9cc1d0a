//! Logged impressions of a real fashion shop, under two policies that ran beside one another: the sample of the Open Bandit
//! Dataset (Saito, Aihara, Matsutani, Narita, "Open Bandit Dataset and Pipeline", NeurIPS 2021) that the Python package
//! `obp` ships. Its data are not part of this repository:
//!
//! ```text
//! pip download --no-deps obp==0.4.1 && unzip -q obp-0.4.1-py3-none-any.whl -d /tmp/obp
//! OPEN_BANDIT=/tmp/obp/obp/dataset/obd cargo test -p model-performance --test open_bandit -- --ignored
//! ```
//!
//! Each line of its logs is one impression: a list of one item for a user of its own, and a click one second later where
//! it says so. The policy is the model, the campaign its version. The click-through rates must be those that
//! `OpenBanditDataset.calc_on_policy_policy_value_estimate(policy, campaign)` answers.

#![allow(clippy::unwrap_used, reason = "a test stops where its helper finds nothing")]

use std::collections::BTreeMap;
use std::path::PathBuf;

use events::Contracts;
use model_performance::ModelSettings;
use model_performance::reading::CONTRACTS;
use processing_core::record::{LogTime, TopicName, TopicPartition};
use processing_core::testing::{Arrival, Feed, SimOptions, simulate_seed};
use serde_json::{Value, json};

/// Policy, campaign, impressions, and the rate that obp 0.4.1 answers.
const RATES: [(&str, &str, u64, f64); 6] = [
    ("random", "all", 10_000, 0.0038),
    ("random", "men", 10_000, 0.0046),
    ("random", "women", 10_000, 0.0046),
    ("bts", "all", 10_000, 0.0042),
    ("bts", "men", 10_000, 0.0069),
    ("bts", "women", 10_000, 0.0046),
];

/// Time, item, and whether it was clicked.
fn log(policy: &str, campaign: &str) -> Vec<(i64, String, bool)> {
    let folder = PathBuf::from(std::env::var("OPEN_BANDIT").unwrap());
    let text = std::fs::read_to_string(folder.join(policy).join(campaign).join(format!("{campaign}.csv"))).unwrap();
    let mut lines = text.lines();
    let names: Vec<&str> = lines.next().unwrap().split(',').collect();
    let [time, item, click] =
        ["timestamp", "item_id", "click"].map(|name| names.iter().position(|it| *it == name).unwrap());
    let row = |line: &str| {
        let fields: Vec<&str> = line.split(',').collect();
        let time = chrono::DateTime::parse_from_str(fields[time], "%Y-%m-%d %H:%M:%S%.f%:z").unwrap();
        (time.timestamp_millis(), fields[item].to_owned(), fields[click] == "1")
    };
    lines.map(row).collect()
}

#[test]
#[ignore = "needs the logs of the package obp, which are not part of this repository"]
fn click_through_rates_are_those_that_the_package_computes() {
    let mut records: Vec<(i64, &str, Value)> = Vec::new();
    for (policy, campaign, ..) in RATES {
        for (number, (time, item, is_clicked)) in log(policy, campaign).into_iter().enumerate() {
            let id = format!("{policy} {campaign} {number}");
            let of =
                |time: i64, what: &str| json!({ "event_id": format!("{what} {id}"), "userId": id, "timestamp": time });
            let mut given = of(time, "shown");
            (given["request_id"], given["item_ids"]) = (json!(id), json!([item]));
            (given["model"], given["version"]) = (json!(policy), json!(campaign));
            records.push((time, "recommendation-responses", given));
            if is_clicked {
                let mut click = of(time + 1_000, "clicked");
                (click["interactionType"], click["item_id"]) = (json!("click"), json!(item));
                records.push((time + 1_000, "user-interactions", click));
            }
        }
    }
    records.sort_by_key(|(time, ..)| *time);
    let end = records.last().unwrap().0 + 6 * 3_600_000;
    let contracts = Contracts::shipped();
    let topics: Vec<String> = contracts.topics(CONTRACTS).iter().map(|it| it.topic().to_owned()).collect();
    for topic in &topics {
        let envelope = json!({
            "event_id": topic, "event_type": topic, "timestamp": end, "payload": { "lead_id": "end" }, "request_id": "end",
            "interactionType": "none", "model": "end", "metric": "end", "value": 0, "experiment": "end", "event": "none",
        });
        records.push((end, topic, envelope));
    }
    let arrival = |(at_ms, (time, topic, value)): (u64, (i64, &str, Value))| Arrival {
        at_ms,
        timestamp: Some(LogTime(time)),
        place: TopicPartition::new(topic, 0),
        key: None,
        value: Some(value.to_string().into_bytes()),
    };
    let feed = Feed {
        inputs: topics.iter().map(|topic| (TopicName::new(topic), 1)).collect(),
        arrivals: (0..).zip(records).map(arrival).collect(),
    };
    let settings = ModelSettings::default();
    let topology = || model_performance::topology_of(&settings, &contracts).unwrap();
    let report = simulate_seed(topology, &feed, 1, &SimOptions::calm()).unwrap_or_else(|failure| panic!("{failure}"));
    let mut found: BTreeMap<(String, String), (u64, u64)> = BTreeMap::new();
    for value in report.outcome.results["model.performance.1m.v1"].values().flatten() {
        let record: Value = serde_json::from_slice(value).unwrap();
        let name = |field: &str| record[field].as_str().unwrap().to_owned();
        let lists = &record["recommendations"];
        if let (Some(clicks), Some(impressions)) = (lists["clicks"].as_u64(), lists["impressions"].as_u64()) {
            let sums = found.entry((name("model"), name("version"))).or_default();
            *sums = (sums.0 + clicks, sums.1 + impressions);
        }
    }
    for (policy, campaign, shown, rate) in RATES {
        let (clicks, impressions) = found[&(policy.to_owned(), campaign.to_owned())];
        println!("{policy} {campaign}: {clicks} of {impressions}");
        assert_eq!(impressions, shown, "{policy} {campaign}");
        assert!((clicks as f64 / impressions as f64 - rate).abs() < 1e-12, "{policy} {campaign}: {clicks} {rate}");
    }
}
