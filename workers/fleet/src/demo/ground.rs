//! The log that a demo stands on: the embedded one in its folder, or a Kafka cluster's.
//!
//! Not here: what is done on it, which is the same on both. Invariant: a demo feeds and deletes records of a cluster
//! only where a demo has made the topics.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use processing_core::clock::Clock;
use processing_core::error::{CoreError, Remedy};
use processing_core::keeper::LogKeeper;
use processing_core::log::Log;
use processing_core::log::embedded::EmbeddedLog;
use processing_core::log::kafka::{KafkaLog, KafkaOptions};
use processing_core::record::TopicName;
use processing_core::service::http::HttpServer;
use processing_core::service::signals::Shutdown;
use state::MemoryBudget;

use super::feeder::{self, FeedProgress, PAUSE};
use super::port::Inlet;
use super::position::POSITIONS;
use crate::door;
use crate::folder::{AddressNote, Holder};

/// Where the demo's records are.
pub(crate) enum Ground {
    /// In the demo's own folder, held by this process alone.
    Embedded { log: Arc<EmbeddedLog>, folder: PathBuf },
    /// On a cluster.
    Kafka { log: Arc<dyn Log>, application: String, brokers: String },
}

impl Ground {
    /// Opens the log in the folder `data`, or goes to the cluster of `brokers`.
    pub(crate) fn open(
        data: &Path,
        brokers: Option<&str>,
        application: &str,
        budget: &MemoryBudget,
    ) -> Result<Self, CoreError> {
        let Some(brokers) = brokers else {
            let folder = data.join("log");
            return Ok(Self::Embedded { log: door::open(&folder, Some(budget))?, folder });
        };
        let log = on_cluster(brokers, application)?;
        Ok(Self::Kafka { log, application: application.to_owned(), brokers: brokers.to_owned() })
    }

    /// As everybody uses it.
    pub(crate) fn log(&self) -> Arc<dyn Log> {
        match self {
            Self::Embedded { log, .. } => Arc::clone(log) as Arc<dyn Log>,
            Self::Kafka { log, .. } => Arc::clone(log),
        }
    }

    /// As the worker `application` uses it: each has a group of its own on a cluster.
    pub(crate) fn log_of(&self, application: &str) -> Result<Arc<dyn Log>, CoreError> {
        match self {
            Self::Kafka { application: first, brokers, .. } if first != application => on_cluster(brokers, application),
            _ => Ok(self.log()),
        }
    }

    /// Where it is, for whoever looks for it.
    pub(crate) fn brokers(&self) -> Option<&str> {
        match self {
            Self::Embedded { .. } => None,
            Self::Kafka { brokers, .. } => Some(brokers),
        }
    }

    /// Fails where events that no demo has fed would be among the demo's, and would be deleted with them.
    pub(crate) fn refuse_strangers(&self, places: bool, shutdown: &Shutdown) -> Result<(), CoreError> {
        let Self::Kafka { log, brokers, .. } = self else { return Ok(()) };
        let mut admin = log.admin()?;
        if patiently(shutdown, || admin.topic(&POSITIONS.into()))?.is_some() {
            return Ok(());
        }
        for topic in feeder::topics(places).into_iter().map(TopicName::new) {
            if patiently(shutdown, || admin.topic(&topic))?.is_some() {
                return Err(CoreError::Usage(format!(
                    "Kafka at {brokers} has a topic {topic} that no demo has made; a demo writes events of its own into it \
                     and deletes old ones: give it a cluster of its own, as `make demo KAFKA=1` does"
                )));
            }
        }
        Ok(())
    }

    /// Who keeps the embedded log small; a cluster does that itself.
    pub(crate) fn keeper(&self, clock: &Arc<dyn Clock>) -> std::io::Result<Option<LogKeeper>> {
        let Self::Embedded { log, .. } = self else { return Ok(None) };
        LogKeeper::start(Arc::clone(log), Arc::clone(clock)).map(Some)
    }

    /// Where others publish, who cannot hold the log beside this process. A cluster takes records from anybody.
    pub(crate) fn inlet(&self, feed: &Arc<FeedProgress>) -> Option<Inlet> {
        let Self::Embedded { log, .. } = self else { return None };
        Some(Inlet { log: Arc::clone(log), feed: Arc::clone(feed) })
    }

    /// The note for those who look for the inlet.
    pub(crate) fn note(&self, server: &HttpServer) -> Result<Option<AddressNote>, CoreError> {
        let Self::Embedded { log, folder } = self else { return Ok(None) };
        let holder = Holder { address: server.address(), incarnation: log.incarnation() };
        AddressNote::write(folder, holder).map(Some)
    }
}

fn on_cluster(brokers: &str, application: &str) -> Result<Arc<dyn Log>, CoreError> {
    let properties = BTreeMap::from([("bootstrap.servers".to_owned(), brokers.to_owned())]);
    Ok(KafkaLog::open(KafkaOptions { application: application.to_owned(), properties, replication: -1 })?)
}

/// Asks again and again while the log says that it may answer later, until the wish to stop.
pub(crate) fn patiently<T, E: Into<CoreError>>(
    shutdown: &Shutdown,
    mut ask: impl FnMut() -> Result<T, E>,
) -> Result<T, CoreError> {
    let mut told = false;
    loop {
        match ask().map_err(Into::into) {
            Err(error) if error.remedy() == Remedy::Retry && !shutdown.wait(PAUSE) => {
                if !std::mem::replace(&mut told, true) {
                    tracing::info!("{error}; asking again until it passes");
                }
            }
            answer => return answer,
        }
    }
}
