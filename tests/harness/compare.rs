//! Two demos of one feed, compared to the last byte that is promised to be the same.
//!
//! Not here: what became of either on the way. Invariant: offsets and times of the log differ from run to
//! run and are not compared; everything else is.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

use engagement_metrics::EngagementSettings;
use engagement_metrics::definitions::Definitions;
use events::{Contracts, Gazetteer};
use llm_rollups::LlmSettings;
use model_performance::ModelSettings;
use processing_core::plan::Plan;
use trending_cities::{TrendingSettings, topology};

use crate::demo_process::{Seen, as_set, by_key, committed, last_by_key};
use crate::stores::{Rows, Stores, replayed, stored};

/// The store whose rows wait until a word at a limited rate has been told: which ones, a clock decides. The
/// next closed window takes them away.
const CLOCKED: &str = "trending-cities.v1-trending-changelog";
/// Holds sketches of frequent queries: equal by what they answer, not by their bytes.
const SKETCHED: &str = "trending-cities.v1-query-hour-changelog";

/// Of the feed, and of the world beside it.
const INPUTS: [&str; 6] = [
    "search.executed",
    "poi.favorited",
    "chat.itinerary.saved",
    "chat.response.generated",
    "ab-test-events",
    "user-interactions",
];
/// Results that are told once, of all four workers.
const FINALS: [&str; 5] = [
    "trending.cities.v1",
    "city.activity.1m.v1",
    "searches.top.v1",
    "engagement.metrics.1m.v1",
    "engagement.sessions.v1",
];
/// Likewise; of workers whose windows wait for inputs on which little comes (`ai.error`): a short feed closes none.
pub const FINALS_OF_LONG_FEEDS: [&str; 3] = ["llm.rollups.1m.v1", "model.performance.1m.v1", "ab.results.v1"];

/// Fails unless the demo in folder `one` has said and kept the same as that in `whole`.
pub fn assert_same(one: &Path, whole: &Path) {
    assert_same_topics(|topic| committed(one, topic), |topic| committed(whole, topic));
    assert_same_rows(&kept(one), &kept(whole));
    // The others' rows differ in their bytes though they say the same: sketches remember in which order values came, rows
    // that wait for their time stand by arrival, and deleted ones stay for a while. What they come to is compared above.
    for plan in other_plans() {
        for folder in [one, whole] {
            assert!(kept_by(&plan, folder).values().any(|rows| !rows.is_empty()), "{}: no rows", plan.name());
        }
    }
}

/// Events of the feed in the log.
pub fn fed(folder: &Path) -> u64 {
    let positions = committed(folder, "streamfleet.demo.feed");
    let last =
        positions.iter().flatten().last().and_then(|record| record.value.clone()).expect("the feed has a position");
    let position: serde_json::Value = serde_json::from_slice(&last).expect("the feed has a position");
    position["position"].as_u64().expect("the trending plan stands")
}

/// Fails unless two demos have said the same; each answers for a topic what stands in it.
pub fn assert_same_topics(one: impl Fn(&str) -> Vec<Vec<Seen>>, whole: impl Fn(&str) -> Vec<Vec<Seen>>) {
    for input in INPUTS {
        let (left, right) = (one(input), whole(input));
        assert!(left == right, "the feed of {input} lost or doubled something");
    }
    for finals in FINALS.into_iter().chain(FINALS_OF_LONG_FEEDS) {
        let (left, right) = (by_key(one(finals)), by_key(whole(finals)));
        let may_be_empty = FINALS_OF_LONG_FEEDS.contains(&finals);
        assert!(may_be_empty || !right.is_empty(), "{finals} is empty: nothing was compared");
        for (key, records) in &right {
            let other = left.get(key).map_or(&[][..], Vec::as_slice);
            let key = String::from_utf8_lossy(key);
            assert_eq!(other.len(), records.len(), "{finals} of {key}: another number of results");
            for (at, (one, other)) in records.iter().zip(other).enumerate() {
                assert_eq!(text(other), text(one), "{finals} of {key}: result {at} differs");
            }
        }
        assert_eq!(left.len(), right.len(), "{finals}: keys that should not be there");
        println!("{finals}: {} results of {} keys are equal", right.values().map(Vec::len).sum::<usize>(), right.len());
    }
    for side in [
        "trending-cities.v1-dlq",
        "trending-cities.v1-late",
        "llm-rollups.v1-dlq",
        "engagement-metrics.v1-dlq",
        "engagement-metrics.v1-late",
        "model-performance.v1-dlq",
    ] {
        let (left, right) = (as_set(one(side)), as_set(whole(side)));
        assert!(right.1 > 0, "{side} is empty: nothing was compared");
        assert_eq!((left.1, left.0.len()), (right.1, right.0.len()), "{side}: another number of records");
        assert!(left.0 == right.0, "{side}: other records");
    }
    let updates = "trending.cities.current.v1";
    let (left, right) = (last_by_key(one(updates)), last_by_key(whole(updates)));
    assert_eq!(left.len(), right.len(), "{updates}: other keys");
    for (key, record) in &right {
        assert_eq!(text(&left[key]), text(record), "{updates} of {}", String::from_utf8_lossy(key));
    }
}

/// The rows of a demo's trending-cities, which are those that its changelogs say.
pub fn kept(folder: &Path) -> Stores {
    kept_by(&plan(), folder)
}

/// The rows of one of a demo's workers, likewise.
fn kept_by(plan: &Plan, folder: &Path) -> Stores {
    let (rows, stored) = (replayed(plan, folder), stored(plan, folder));
    let stores = rows.keys().chain(stored.keys());
    let differing: BTreeSet<_> = stores.filter(|store| rows.get(*store) != stored.get(*store)).collect();
    assert!(differing.is_empty(), "stores in {} are not what their changelogs say: {differing:?}", folder.display());
    rows
}

/// Fails unless two demos have kept the same.
pub fn assert_same_rows(left: &Stores, right: &Stores) {
    assert_eq!(left.len(), right.len());
    let mut rows = 0;
    for (store, right) in right.iter().filter(|((name, _), _)| !name.ends_with("-meta-changelog")) {
        let left = &left[store];
        let keys = |rows: &Rows| rows.keys().cloned().collect::<Vec<_>>();
        if store.0 == CLOCKED {
            let both = left.iter().filter(|(key, _)| right.contains_key(*key)).collect::<Vec<_>>();
            assert!(both.iter().all(|(key, value)| right[*key] == **value), "{store:?}: rows with other values");
            assert!(right.is_empty() || !both.is_empty(), "{store:?}: no row in common");
        } else {
            assert!(keys(left) == keys(right), "{store:?}: other rows");
            assert!(store.0 == SKETCHED || left == right, "{store:?}: rows with other values");
        }
        rows += right.len();
    }
    assert!(rows > 0, "the stores are empty: nothing was compared");
    println!("{rows} rows of the stores are equal");
}

/// The plans of a demo's workers beside trending-cities.
fn other_plans() -> [Plan; 3] {
    let definitions = Definitions::shipped().expect("the shipped definitions can be read");
    [
        llm_rollups::topology(&LlmSettings::default()).expect("the plan of llm-rollups stands"),
        engagement_metrics::topology(&EngagementSettings::default(), &definitions)
            .expect("the plan of engagement-metrics stands"),
        model_performance::topology_of(&ModelSettings::default(), &Contracts::shipped())
            .expect("the plan of model-performance stands"),
    ]
}

/// The plan of a demo's trending-cities.
pub fn plan() -> Plan {
    topology(&TrendingSettings::default(), &Arc::new(Gazetteer::shipped())).expect("the trending plan stands")
}

fn text(record: &Seen) -> String {
    String::from_utf8_lossy(record.value.as_deref().unwrap_or_default()).into_owned()
}
