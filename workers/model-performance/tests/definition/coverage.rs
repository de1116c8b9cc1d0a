//! Models' coverage, day by day, by the lists that were shown and the items that were touched in the 28 days before.
//!
//! Invariant: items are sets; nothing is estimated.

use std::collections::{BTreeMap, BTreeSet};

use model_performance::ModelSettings;
use model_performance::event::{Item, What};
use serde_json::json;

use crate::compare::Records;
use crate::lists;
use crate::models::{HOUR, share, stamp};
use crate::world::{Events, START, cutoff};

const DAY: i64 = 24 * HOUR;
const TENANT: &str = "lens/lens///";

pub(crate) fn expected(settings: &ModelSettings, events: &Events) -> Records {
    let mut records = Records::new();
    let served = lists::served(settings, events);
    let mut end = START;
    while end <= cutoff(events) {
        let start = end - 28 * DAY;
        let is_inside = |time: i64| start <= time && time < end;
        let mut models: BTreeMap<&str, BTreeSet<Item>> = BTreeMap::new();
        let mut seen: BTreeSet<Item> = BTreeSet::new();
        for (model, _, items) in served.iter().filter(|(_, time, _)| is_inside(*time)) {
            models.entry(model).or_default().extend(items);
            seen.extend(items);
        }
        for event in events.all.iter().filter(|event| is_inside(event.time()) && !event.misses_its_hour()) {
            if let What::Interacted(acted) = &event.event.what {
                seen.extend(acted.item);
            }
        }
        // A list of no known model is the tenant's alone.
        for (model, items) in models.into_iter().filter(|(model, _)| *model != TENANT) {
            let mut value = stamp(settings, model, model, start, end);
            (value["items_served"], value["items_seen"]) = (json!(items.len()), json!(seen.len()));
            value["coverage"] = share(items.len(), seen.len());
            records.entry(("model.coverage.1d.v1".to_owned(), model.to_owned())).or_default().push(value);
        }
        end += DAY;
    }
    records
}
