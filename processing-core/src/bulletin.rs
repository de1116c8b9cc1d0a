//! The thread that follows an application's small compacted topics, and writes this instance's note into one.
//!
//! Not here: what stands in them ([`crate::instances`], [`crate::control`]). Invariant: nothing here takes part in
//! a worker's transaction or holds up its steps. What passes is tried again, at most once in [`BULLETIN_RETRY`], and
//! what was known before stays known meanwhile; what does not (a missing right, a name that another process has
//! claimed) ends the worker.

#![allow(clippy::disallowed_methods, reason = "the small topics are followed by a thread of their own")]

use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use crate::batch::{Headers, RecordBatch, RecordRef};
use crate::clock::Clock;
use crate::control::{self, Control};
use crate::error::{CoreError, Remedy};
use crate::instances::{Instances, Task};
use crate::limits::{BULLETIN_LOOK, BULLETIN_RETRY, IDLE_WAIT_MAX, NOTE_EVERY};
use crate::log::{GroupMetadata, Log, LogError, Publish, Transaction, TransactionalId};
use crate::record::{DurationMs, LogTime, Offset, TopicName, TopicPartition};
use crate::service::signals::Shutdown;
use crate::tail::{Followed, Tail};

/// The topic in which the instances of an application write what they have.
pub(crate) fn instances_topic(app: &str) -> TopicName {
    TopicName::new(format!("{app}-instances"))
}

/// The thread at work. Dropped, it takes this instance's note back and ends.
pub(crate) struct Bulletin {
    instances: Instances,
    thread: Option<JoinHandle<Result<(), CoreError>>>,
}

impl Bulletin {
    /// Follows the topics of the application `app`, which stand. What cannot be mended is a wish to stop.
    pub(crate) fn start(
        log: Arc<dyn Log>,
        app: &str,
        instances: &Instances,
        control: &Arc<Control>,
        clock: Arc<dyn Clock>,
        shutdown: Shutdown,
    ) -> std::io::Result<Self> {
        let follower = Follower {
            notes: Tail::new(TopicPartition::new(instances_topic(app), 0)),
            words: Tail::new(TopicPartition::new(control::topic(app), 0)),
            pen: Pen {
                id: TransactionalId(format!("{app}-{}-instances", instances.name())),
                place: TopicPartition::new(instances_topic(app), 0),
                producer: None,
                written: None,
            },
            log,
            instances: instances.clone(),
            control: Arc::clone(control),
            clock,
            shutdown,
            told: None,
        };
        let thread = std::thread::Builder::new().name("bulletin".into()).spawn(move || follower.follow())?;
        Ok(Self { instances: instances.clone(), thread: Some(thread) })
    }

    /// Takes this instance's note back, and ends.
    ///
    /// # Errors
    /// What has ended it before.
    pub(crate) fn end(mut self) -> Result<(), CoreError> {
        self.join()
    }

    fn join(&mut self) -> Result<(), CoreError> {
        self.instances.end();
        // A panic there has been reported by its own hook.
        self.thread.take().map_or(Ok(()), |thread| thread.join().unwrap_or(Ok(())))
    }
}

impl Drop for Bulletin {
    fn drop(&mut self) {
        if let Err(error) = self.join() {
            tracing::debug!(%error, "nobody asks any more");
        }
    }
}

struct Follower {
    log: Arc<dyn Log>,
    instances: Instances,
    control: Arc<Control>,
    clock: Arc<dyn Clock>,
    shutdown: Shutdown,
    notes: Tail,
    words: Tail,
    pen: Pen,
    /// The failure that was told last.
    told: Option<String>,
}

impl Follower {
    fn follow(mut self) -> Result<(), CoreError> {
        loop {
            let task = self.instances.next_task();
            let passed = self.pass(&task);
            self.instances.passed(&task, passed == Ok(Followed::End));
            let pause = match &passed {
                Ok(Followed::End) => BULLETIN_LOOK,
                Ok(Followed::Waiting) => IDLE_WAIT_MAX,
                Ok(Followed::Behind) => DurationMs(0),
                Err(_) => BULLETIN_RETRY,
            };
            if let Err(error) = &passed
                && CoreError::from(error.clone()).remedy() == Remedy::Stop
                && !task.ending
            {
                tracing::error!("{error}");
                self.shutdown.request(error.to_string());
                return Err(error.clone().into());
            }
            let failed = passed.err().map(|error| error.to_string());
            if failed != self.told {
                if let Some(failed) = &failed {
                    tracing::warn!("the topics of instances and control cannot be followed: {failed}; trying again");
                }
                self.told.clone_from(&failed);
            }
            if task.ending {
                return Ok(());
            }
            self.instances.wait(pause.span());
        }
    }

    /// Reads what has come and writes what is due. Answers how far the topic was read that is further behind.
    fn pass(&mut self, task: &Task) -> Result<Followed, LogError> {
        let Self { log, instances, control, clock, notes, words, pen, .. } = self;
        if task.ending {
            return pen.take_back(&**log, instances, &**clock).map(|()| Followed::End);
        }
        let words = words.follow(&**log, |_, key, value| control.hear(key, value));
        let (wall, elapsed) = (clock.now(), clock.elapsed());
        let notes = notes.follow(&**log, |at, key, value| instances.hear(at, key, value, wall, elapsed));
        if instances.superseded() {
            return Err(LogError::Fatal(format!(
                "another process has started as instance {}, and this one ends; each process needs a \
                 `group.instance.id` of its own",
                instances.name()
            )));
        }
        // ORDER: read before written, so that nobody claims a name, or fences who has it, without knowing the last claim.
        let written = pen.write(&**log, instances, task, &**clock, notes == Ok(Followed::End));
        let read = words?.min(notes?);
        written?;
        Ok(read)
    }
}

/// Writes this instance's note.
struct Pen {
    id: TransactionalId,
    place: TopicPartition,
    producer: Option<Box<dyn Transaction>>,
    /// Which claims stand in the log, and since when; `None` before the first note.
    written: Option<(u64, Duration)>,
}

impl Pen {
    /// Writes the note if it is due; `at_end` if the topic was just read to its end.
    fn write(
        &mut self,
        log: &dyn Log,
        instances: &Instances,
        task: &Task,
        clock: &dyn Clock,
        at_end: bool,
    ) -> Result<(), LogError> {
        let (now, elapsed) = (clock.now(), clock.elapsed());
        let fresh =
            |(version, at): (u64, Duration)| version == task.version && elapsed.saturating_sub(at) < NOTE_EVERY.span();
        let knows = at_end || self.producer.is_some();
        if !knows || self.written.is_some_and(fresh) {
            return Ok(());
        }
        let Some(note) = instances.note(now) else { return Ok(()) };
        self.publish(log, instances.name(), Some(&note.to_bytes()), LogTime(now.0))?;
        instances.claimed(note.term);
        self.written = Some((task.version, elapsed));
        Ok(())
    }

    /// The last word of an instance that has spoken. One that lost its name has nothing to take back.
    fn take_back(&mut self, log: &dyn Log, instances: &Instances, clock: &dyn Clock) -> Result<(), LogError> {
        if self.written.is_none() || instances.superseded() {
            return Ok(());
        }
        self.publish(log, instances.name(), None, LogTime(clock.now().0))
    }

    fn publish(&mut self, log: &dyn Log, name: &str, value: Option<&[u8]>, now: LogTime) -> Result<(), LogError> {
        // Whatever is not a clear success leaves a producer that is not used again.
        let mut producer = match self.producer.take() {
            Some(producer) => producer,
            None => log.transaction(&self.id)?,
        };
        let mut batch = RecordBatch::new();
        batch.push(RecordRef {
            offset: Offset::ZERO,
            timestamp: now,
            key: Some(name.as_bytes()),
            value,
            headers: Headers::NONE,
        });
        producer.send(&self.place, &batch)?;
        match producer.publish(&[], &GroupMetadata::nobody()) {
            Publish::Published(_) => {
                self.producer = Some(producer);
                Ok(())
            }
            Publish::Refused(error) => Err(error),
            Publish::Aborted(why) | Publish::Ambiguous(why) => Err(LogError::Retry(why)),
            Publish::Fenced(why) => Err(LogError::Fenced(why)),
        }
    }
}
