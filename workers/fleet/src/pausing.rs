//! `streamfleet pause` and `streamfleet resume`: whether a worker takes in new input.
//!
//! Not here: what pausing means ([`processing_core::control`]). Invariant: the word stands in the log when the
//! command ends, for every process that runs the worker now or later.

use std::path::PathBuf;

use clap::Args;
use processing_core::clock::{Clock as _, SystemClock};
use processing_core::control::{self, Word};
use processing_core::error::CoreError;
use processing_core::log::kafka::{KafkaLog, KafkaOptions};
use processing_core::record::LogTime;
use processing_core::service::settings::Sources;
use processing_core::service::settings::flags::Line;

use crate::describe::plan_by;
use crate::door::{self, Door};
use crate::folder::DataFolder;
use crate::record_line::{Bytes, RecordLine};

/// Let a worker take in no new input: what it has is committed and answered, and it stays ready
///
/// On Kafka where the worker's own settings name brokers (KAFKA_BROKERS), else on the log of this machine.
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
    /// The worker: trending-cities, llm-rollups, engagement-metrics or model-performance
    worker: String,
    #[command(flatten)]
    data: DataFolder,
    /// What goes before the application's id, as KAFKA_GROUP_ID
    #[arg(long, value_name = "NAME")]
    group_id: Option<String>,
    /// The worker's settings file
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
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
        let flags = self.group_id.iter().map(|prefix| ("application.prefix".to_owned(), prefix.clone()));
        let line = Line { file: self.config.clone(), data: None, flags: flags.collect() };
        let (plan, settings) = plan_by(&self.worker, &Sources::from_process(line))?;
        let (app, now) = (plan.name(), LogTime(SystemClock::new().now().0));
        if settings.kafka.get("bootstrap.servers").is_some() {
            let application = app.to_owned();
            let options = KafkaOptions { application, properties: settings.kafka.0, replication: -1 };
            word.say(&*KafkaLog::open(options)?, app, now)?;
        } else {
            self.tell_here(word, app, now)?;
        }
        match word {
            Word::Pause(true) => eprintln!("{app} takes in no new input until `streamfleet resume {}`", self.worker),
            _ => eprintln!("{app} goes on"),
        }
        Ok(())
    }

    /// On the log of this machine.
    fn tell_here(&self, word: Word, app: &str, now: LogTime) -> Result<(), CoreError> {
        let folder = door::existing(self.data.log()?)?;
        match Door::find(&folder)? {
            Door::Own(log) => word.say(&*log, app, now),
            through @ Door::Through { .. } => {
                let topic = control::topic(app);
                // The holder would make the topic as one of events.
                if door::beside(&folder)?.admin().topic(&topic)?.is_none() {
                    return Err(CoreError::config(format!(
                        "there is no topic {topic}: {app} has not run on this log yet"
                    )));
                }
                let (key, value) = (Some(Bytes::new(word.key())), Some(Bytes::new(word.value())));
                through.send(&topic, &[RecordLine { key, value, ..RecordLine::default() }])
            }
        }
    }
}
