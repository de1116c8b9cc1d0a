//! What an operator tells all processes of an application at once: pause, resume, and the state epoch.
//!
//! Not here: obeying it ([`crate::threads`] pauses, [`crate::run`] changes the epoch) and following the topic
//! ([`crate::bulletin`]). Invariant: the last record of each key counts, whoever wrote it; a record that cannot be
//! read changes nothing.
//!
//! The topic is `<app>-control`, compacted, of one partition. Keys and values are text, so that any tool can write
//! them; a tombstone takes a word back.
//!
//! | key | value | meaning |
//! |---|---|---|
//! | `pause` | `{"v":1,"paused":true}` | no new input is taken in; everything else goes on |
//! | `epoch` | `{"v":1,"epoch":3}` | the state epoch in which all work |

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

use serde::{Deserialize, Serialize};

use crate::error::CoreError;
use crate::log::{
    Admin, Cleanup, FreeReader, GroupMetadata, Log, LogError, Publish, Read, TopicSettings, TransactionalId,
};
use crate::record::{LogTime, Offset, TopicName, TopicPartition};

const VERSION: u32 = 1;

/// The control topic of an application.
pub fn topic(app: &str) -> TopicName {
    TopicName::new(format!("{app}-control"))
}

/// One word of an operator.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Word {
    /// Whether new input waits.
    Pause(bool),
    /// The state epoch.
    Epoch(u32),
}

#[derive(Serialize, Deserialize)]
struct PauseWire {
    v: u32,
    paused: bool,
}

#[derive(Serialize, Deserialize)]
struct EpochWire {
    v: u32,
    epoch: u32,
}

const PAUSE: &str = "pause";
const EPOCH: &str = "epoch";

impl Word {
    /// The record's key.
    pub fn key(self) -> &'static str {
        match self {
            Self::Pause(_) => PAUSE,
            Self::Epoch(_) => EPOCH,
        }
    }

    /// The record's value.
    pub fn value(self) -> Vec<u8> {
        let text = match self {
            Self::Pause(paused) => serde_json::to_vec(&PauseWire { v: VERSION, paused }),
            Self::Epoch(epoch) => serde_json::to_vec(&EpochWire { v: VERSION, epoch }),
        };
        // Numbers and switches: nothing that JSON could refuse.
        text.unwrap_or_default()
    }

    /// Writes the word into the log; all processes obey it within a moment.
    ///
    /// # Errors
    /// If the topic cannot be made or the log does not take the record. It may be said again.
    pub fn say(self, log: &dyn Log, app: &str, now: LogTime) -> Result<(), CoreError> {
        let topic = topic(app);
        make(&mut *log.admin()?, &topic)?;
        let mut batch = crate::batch::RecordBatch::new();
        let value = self.value();
        batch.push(crate::batch::RecordRef {
            offset: Offset::ZERO,
            timestamp: now,
            key: Some(self.key().as_bytes()),
            value: Some(&value),
            headers: crate::batch::Headers::NONE,
        });
        let mut producer = log.transaction(&TransactionalId(format!("{app}-control")))?;
        producer.send(&TopicPartition::new(topic, 0), &batch)?;
        match producer.publish(&[], &GroupMetadata::nobody()) {
            Publish::Published(_) => Ok(()),
            Publish::Refused(error) => Err(error.into()),
            Publish::Aborted(why) | Publish::Ambiguous(why) => Err(LogError::Retry(why).into()),
            Publish::Fenced(why) => Err(LogError::Fenced(why).into()),
        }
    }
}

/// The state epoch that was said last in the log; `None` where none was.
///
/// # Errors
/// If the log cannot be read.
pub fn epoch_in(admin: &mut dyn Admin, reader: &mut dyn FreeReader, app: &str) -> Result<Option<u32>, CoreError> {
    let control = Control::default();
    let topic = topic(app);
    if admin.topic(&topic)?.is_none() {
        return Ok(None);
    }
    let place = TopicPartition::new(topic, 0);
    let mut batch = crate::batch::RecordBatch::new();
    let mut next = reader.watermarks(&place)?.start;
    loop {
        next = match reader.read(&place, next, &mut batch)? {
            Read::Records(after) => after,
            Read::End(_) => return Ok(control.epoch()),
            Read::OutOfRange(marks) => marks.start.max(next.next()),
        };
        batch.iter().for_each(|record| control.hear(record.key.unwrap_or_default(), record.value));
    }
}

/// Makes the topic where it does not stand yet.
fn make(admin: &mut dyn Admin, topic: &TopicName) -> Result<(), LogError> {
    let settings =
        TopicSettings { partitions: 1, cleanup: Cleanup::Compact, retention_ms: None, log_append_time: false };
    admin.create_topic(topic, settings).map(drop)
}

/// What was said last, shared by everything in a process.
#[derive(Debug, Default)]
pub struct Control {
    paused: AtomicBool,
    epoch: Mutex<Option<u32>>,
}

impl Control {
    /// Whether new input waits. Cheap: to be asked on each turn of a loop.
    pub fn paused(&self) -> bool {
        self.paused.load(Ordering::Relaxed)
    }

    /// The state epoch, if one was ever set.
    pub fn epoch(&self) -> Option<u32> {
        *self.epoch.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes in a record of the topic.
    pub(crate) fn hear(&self, key: &[u8], value: Option<&[u8]>) {
        match (key, value) {
            (key, None) if key == PAUSE.as_bytes() => self.set_paused(false),
            (key, None) if key == EPOCH.as_bytes() => self.set_epoch(None),
            (key, Some(value)) => match read(key, value) {
                Some(Word::Pause(paused)) => self.set_paused(paused),
                Some(Word::Epoch(epoch)) => self.set_epoch(Some(epoch)),
                None => tracing::warn!(
                    key = String::from_utf8_lossy(key).as_ref(),
                    "a record of the control topic cannot be read by this version, and changes nothing"
                ),
            },
            _ => {}
        }
    }

    fn set_paused(&self, paused: bool) {
        self.paused.store(paused, Ordering::Relaxed);
    }

    fn set_epoch(&self, epoch: Option<u32>) {
        *self.epoch.lock().unwrap_or_else(PoisonError::into_inner) = epoch;
    }
}

/// Reads a record; `None` for other keys, other versions and unknown forms.
fn read(key: &[u8], value: &[u8]) -> Option<Word> {
    if key == PAUSE.as_bytes() {
        let wire: PauseWire = serde_json::from_slice(value).ok()?;
        return (wire.v == VERSION).then_some(Word::Pause(wire.paused));
    }
    if key == EPOCH.as_bytes() {
        let wire: EpochWire = serde_json::from_slice(value).ok()?;
        return (wire.v == VERSION).then_some(Word::Epoch(wire.epoch));
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::log::memory::{MemoryLog, MemoryOptions};
    use crate::tail::{Followed, Tail};

    #[test]
    fn the_layout_never_changes_and_what_cannot_be_read_changes_nothing() {
        let control = Control::default();
        for (word, key, value) in [
            (Word::Pause(true), "pause", r#"{"v":1,"paused":true}"#),
            (Word::Epoch(3), "epoch", r#"{"v":1,"epoch":3}"#),
        ] {
            assert_eq!((word.key(), String::from_utf8(word.value()).unwrap().as_str()), (key, value));
            control.hear(key.as_bytes(), Some(value.as_bytes()));
        }
        for (key, value) in [
            ("pause", r#"{"v":2,"paused":false}"#),
            ("pause", "no"),
            ("epoch", r#"{"v":1,"epoch":-1}"#),
            ("speed", r#"{"v":1}"#),
        ] {
            control.hear(key.as_bytes(), Some(value.as_bytes()));
        }
        assert_eq!((control.paused(), control.epoch()), (true, Some(3)));
        control.hear(b"pause", None);
        control.hear(b"epoch", None);
        assert_eq!((control.paused(), control.epoch()), (false, None));
    }

    #[test]
    fn what_is_said_is_heard_also_by_who_comes_later() {
        let log = MemoryLog::new(MemoryOptions::default());
        let follow = || {
            let control = Control::default();
            let mut tail = Tail::new(TopicPartition::new(topic("app"), 0));
            let followed = tail.follow(&*log, |_, key, value| control.hear(key, value));
            assert_eq!(followed, Ok(Followed::End));
            (control.paused(), control.epoch())
        };
        for (word, heard) in [
            (Word::Pause(true), (true, None)),
            (Word::Epoch(1), (true, Some(1))),
            (Word::Pause(false), (false, Some(1))),
            (Word::Epoch(2), (false, Some(2))),
        ] {
            word.say(&*log, "app", log.now()).unwrap();
            assert_eq!(follow(), heard);
            log.run_compaction();
            assert_eq!(follow(), heard, "compacted");
        }
    }
}
