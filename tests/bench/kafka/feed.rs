//! What the cases read: topics, filled once for all rounds of all cases.
//!
//! Not here: what an event looks like (`input.rs`). Invariant: a topic is named by how many events it holds, so that no
//! case reads another's.

use crate::input::{self, CLICK_EVERY, PARTITIONS, PROFILES, USERS};
use crate::rounds::Bench;

/// Which topics a case reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Feed {
    /// An hour of searches.
    Searches,
    /// The same, and the clicks that followed some of them.
    Clicks,
    /// The same, and the profiles of those who searched.
    Profiles,
    /// As many searches, in so many hours.
    Hours(u64),
}

/// Topics that are filled.
pub(crate) struct Fed {
    /// Searches.
    pub(crate) topic: String,
    /// What stands beside them.
    pub(crate) beside: Option<String>,
    /// Of both.
    pub(crate) events: u64,
}

impl Bench {
    pub(crate) fn feed(&self, feed: Feed, events: u64) -> Fed {
        let hours = if let Feed::Hours(hours) = feed { hours } else { 1 };
        let topic = format!("search.executed.{events}.{hours}h");
        let is_new = self.fill(&topic, events, |number, key, value| {
            let time = input::time_within(number, events, hours);
            input::write_at(number, time, USERS, key, value);
            time
        });
        if is_new {
            // The first reader of a cold broker pays for the broker's own compiling.
            self.read_floor(&topic, events);
        }
        match feed {
            Feed::Searches | Feed::Hours(_) => Fed { topic, beside: None, events },
            Feed::Clicks => {
                let (beside, clicks) = (format!("search.clicked.{events}"), events / CLICK_EVERY);
                self.fill(&beside, clicks, |number, key, value| {
                    let search = number * CLICK_EVERY;
                    let time = input::click_time(search, events);
                    input::write_at(search, time, USERS, key, value);
                    time
                });
                Fed { topic, beside: Some(beside), events: events + clicks }
            }
            Feed::Profiles => {
                let beside = "user.profiled".to_owned();
                self.fill(&beside, PROFILES, input::write_profile);
                Fed { topic, beside: Some(beside), events: events + PROFILES }
            }
        }
    }

    /// Makes a topic of so many records, if it is not there; answers whether it is new.
    fn fill(&self, topic: &str, records: u64, record: impl Fn(u64, &mut String, &mut String) -> i64) -> bool {
        let is_new = self.loaded.borrow_mut().insert(topic.to_owned());
        if is_new {
            eprintln!("loading {records} records of {topic}…");
            self.client.create(topic, PARTITIONS);
            self.client.load(topic, 0..records, record);
        }
        is_new
    }
}
