//! What must be true when a fleet has come to rest.
//!
//! Not here: how it came to be. Invariant: a check compares the log's committed records with a run that
//! never failed, or a store with its own changelog; it knows nothing of how workers work.

use std::collections::BTreeMap;
use std::ops::ControlFlow;

use super::fleet::Fleet;
use crate::changelog::{self, Logged};
use crate::error::CoreError;
use crate::log::Cleanup;
use crate::log::memory::{MemoryLog, OwnedRecord};
use crate::plan::{OutputKind, Plan};
use crate::record::TopicName;
use state::{ColumnId, KeyRange};

/// The values of each partition and key.
pub(super) type ByKey = BTreeMap<(u32, Vec<u8>), Vec<Vec<u8>>>;

/// Topic, key, value and headers of a record that was set aside.
pub(super) type SetAside = (String, Option<Vec<u8>>, Option<Vec<u8>>, Vec<u8>);

/// What an application has said, in a form in which two runs can be compared.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Outcome {
    /// Of each output topic, by partition and key: all values in their order, or of a compacted topic the last,
    /// if it is no tombstone. Where their order follows arrival ([`Plan::follows_arrival`]) they are sorted.
    pub results: BTreeMap<String, ByKey>,
    /// Dead letters and late records, sorted: by topic, key, value and headers.
    pub set_aside: Vec<SetAside>,
}

impl Outcome {
    pub(super) fn of(plan: &Plan, log: &MemoryLog) -> Self {
        let mut outcome = Self::default();
        for (number, output) in plan.outputs().iter().enumerate() {
            let OutputKind::Topic(settings) = &output.kind else { continue };
            let mut by_key = BTreeMap::<_, Vec<Vec<u8>>>::new();
            for (partition, records) in (0..).zip(log.committed_records(&output.topic)) {
                for record in records {
                    let key = (partition, record.key.unwrap_or_default());
                    if settings.cleanup == Cleanup::Compact {
                        by_key.remove(&key);
                        // A row that came and went may have been seen by one run and not by another.
                        if record.value.is_none() {
                            continue;
                        }
                    }
                    by_key.entry(key).or_default().push(record.value.unwrap_or_default());
                }
            }
            if plan.follows_arrival(number) {
                by_key.values_mut().for_each(|values| values.sort());
            }
            outcome.results.insert(output.topic.as_str().to_owned(), by_key);
        }
        for kind in ["late", "dlq"] {
            let topic = TopicName::new(format!("{}-{kind}", plan.name()));
            let records = log.committed_records(&topic).into_iter().flatten();
            let plain = |record: OwnedRecord| (kind.to_owned(), record.key, record.value, record.headers);
            outcome.set_aside.extend(records.map(plain));
        }
        outcome.set_aside.sort();
        outcome
    }

    /// The first difference, for a person; `None` if there is none.
    pub(super) fn difference(&self, expected: &Self) -> Option<String> {
        for (topic, expected) in &expected.results {
            let Some(found) = self.results.get(topic) else { return Some(format!("topic {topic} is missing")) };
            for key in expected.keys().chain(found.keys()) {
                let (left, right) = (found.get(key), expected.get(key));
                if left != right {
                    let same = left.into_iter().flatten().zip(right.into_iter().flatten()).take_while(|(l, r)| l == r);
                    let same = same.count();
                    return Some(format!(
                        "topic {topic} partition {} key {}, after {same} equal values:\n  found    {}\n  expected {}",
                        key.0,
                        text(&key.1),
                        texts(left, same),
                        texts(right, same)
                    ));
                }
            }
        }
        if self.set_aside != expected.set_aside {
            let only = |left: &Self, right: &Self| {
                let left = left.set_aside.iter().filter(|record| !right.set_aside.contains(record));
                left.map(|(kind, _, value, headers)| {
                    format!("{kind} {} {}", text(value.as_deref().unwrap_or_default()), text(headers))
                })
                .take(3)
                .collect::<Vec<_>>()
            };
            return Some(format!(
                "set aside: {} records, expected {}\n  only found    {:?}\n  only expected {:?}",
                self.set_aside.len(),
                expected.set_aside.len(),
                only(self, expected),
                only(expected, self)
            ));
        }
        None
    }
}

fn text(bytes: &[u8]) -> String {
    bytes.escape_ascii().to_string()
}

fn texts(values: Option<&Vec<Vec<u8>>>, from: usize) -> String {
    let shown = |values: &Vec<Vec<u8>>| values.iter().skip(from).take(3).map(|value| text(value)).collect::<Vec<_>>();
    values.map_or("nothing".to_owned(), |values| shown(values).join(" | "))
}

/// Compares every store with what its changelog says when it is replayed from the beginning.
pub(super) fn stores_equal_changelogs(fleet: &Fleet) -> Result<Option<String>, CoreError> {
    for task in fleet.workers().flat_map(|worker| worker.running_tasks()) {
        for (column, place) in (0..=u8::MAX).map(ColumnId).zip(&task.changelogs) {
            if place.topic.as_str().is_empty() {
                continue;
            }
            let mut replayed = BTreeMap::new();
            let records = fleet.log.committed_records(&place.topic);
            for record in records.get(place.partition.0 as usize).into_iter().flatten() {
                match changelog::read(1, record.key.as_deref(), record.value.as_deref()) {
                    Some(Logged::Row { key, value: Some(value) }) => {
                        drop(replayed.insert(key.to_vec(), value.to_vec()))
                    }
                    Some(Logged::Row { key, value: None }) => drop(replayed.remove(key)),
                    Some(Logged::Expiry { before }) => replayed = replayed.split_off(before),
                    Some(Logged::OtherEpoch) | None => return Ok(Some(format!("{place} holds a foreign record"))),
                }
            }
            let mut rows = BTreeMap::new();
            task.store.scan(column, KeyRange::ALL, |key, value| {
                rows.insert(key.to_vec(), value.to_vec());
                ControlFlow::Continue(())
            })?;
            if rows != replayed {
                let odd = rows.iter().find(|(key, value)| replayed.get(*key) != Some(value));
                let lost = replayed.iter().find(|(key, value)| rows.get(*key) != Some(value));
                return Ok(Some(format!(
                    "the store of task {} differs from {place}: {} rows, {} replayed; store has {:?}, changelog {:?}",
                    task.id,
                    rows.len(),
                    replayed.len(),
                    odd.map(|(key, value)| (text(key), text(value))),
                    lost.map(|(key, value)| (text(key), text(value))),
                )));
            }
        }
    }
    Ok(None)
}
