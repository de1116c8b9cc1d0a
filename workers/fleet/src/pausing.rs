//! `streamfleet pause` and `streamfleet resume`: whether a worker takes in new input.
//!
//! Not here: what pausing means ([`processing_core::control`]). Invariant: the word stands in the log when the
//! command ends, for every process that runs the worker now or later.

use std::sync::Arc;

use clap::Args;
use events::Gazetteer;
use processing_core::clock::{Clock as _, SystemClock};
use processing_core::control::{self, Word};
use processing_core::error::CoreError;
use processing_core::record::LogTime;

use crate::describe::plan_of;
use crate::door::{self, Door};
use crate::folder::DataFolder;
use crate::record_line::{Bytes, RecordLine};

/// Let a worker take in no new input: what it has is committed and answered, and it stays ready
#[derive(Args)]
pub(crate) struct Pause {
    #[command(flatten)]
    whom: Whom,
}

/// Let a worker that was paused go on where it stopped
#[derive(Args)]
pub(crate) struct Resume {
    #[command(flatten)]
    whom: Whom,
}

#[derive(Args)]
struct Whom {
    /// The worker: trending-cities
    worker: String,
    #[command(flatten)]
    data: DataFolder,
}

impl Pause {
    pub(crate) fn run(self) -> Result<(), CoreError> {
        self.whom.tell(Word::Pause(true))
    }
}

impl Resume {
    pub(crate) fn run(self) -> Result<(), CoreError> {
        self.whom.tell(Word::Pause(false))
    }
}

impl Whom {
    fn tell(self, word: Word) -> Result<(), CoreError> {
        let plan = plan_of(&self.worker, Arc::new(Gazetteer::shipped()))?;
        let (app, folder) = (plan.name(), door::existing(self.data.log()?)?);
        match Door::find(&folder)? {
            Door::Own(log) => word.say(&*log, app, LogTime(SystemClock::new().now().0))?,
            through @ Door::Through { .. } => {
                let topic = control::topic(app);
                // The holder would make the topic as one of events.
                if door::beside(&folder)?.admin().topic(&topic)?.is_none() {
                    return Err(CoreError::config(format!(
                        "there is no topic {topic}: {app} has not run on this log yet"
                    )));
                }
                let (key, value) = (Some(Bytes::new(word.key())), Some(Bytes::new(word.value())));
                through.send(&topic, &[RecordLine { key, value, ..RecordLine::default() }])?;
            }
        }
        match word {
            Word::Pause(true) => eprintln!("{app} takes in no new input until `streamfleet resume {}`", self.worker),
            _ => eprintln!("{app} goes on"),
        }
        Ok(())
    }
}
