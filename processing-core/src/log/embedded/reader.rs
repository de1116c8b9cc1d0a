//! Reading outside every group, and the topics: in the process that writes, and beside it.
//!
//! Not here: the groups' reading ([`super::member`]).
//! Invariant: a reader beside the writer changes nothing in the log's folder.

use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use state::KeyRange;
use state::ordered::OrderedStore;

use super::catalog::{Catalog, Standing, damaged_error, load_ends, store_error};
use super::keys::{self, PartitionKey, StoredTopic};
use super::row::RowLimits;
use super::scan;
use super::writer::{Writer, load_meta};
use crate::batch::RecordBatch;
use crate::log::{Admin, FreeReader, LogError, Read, TopicInfo, TopicSettings, Watermarks};
use crate::record::{LogTime, Offset, TopicName, TopicPartition};

/// A look at the log that is up to date when asked.
pub(super) trait View: Send + Sync {
    fn store(&self) -> &OrderedStore;
    fn standing(&self, partition: &TopicPartition) -> Result<Standing, LogError>;
    fn topic(&self, name: &TopicName) -> Result<Option<TopicInfo>, LogError>;
    fn topics(&self) -> Result<Vec<TopicInfo>, LogError>;
    /// The name of the topic with this number, if it still exists.
    fn name_of(&self, number: u32) -> Result<Option<TopicName>, LogError>;
    fn enough(&self) -> RowLimits;
}

impl View for Writer {
    fn store(&self) -> &OrderedStore {
        &self.store
    }

    fn standing(&self, partition: &TopicPartition) -> Result<Standing, LogError> {
        Self::standing(self, partition)
    }

    fn topic(&self, name: &TopicName) -> Result<Option<TopicInfo>, LogError> {
        Ok(self.present().catalog.get(name).map(|topic| topic.info(name)))
    }

    fn topics(&self) -> Result<Vec<TopicInfo>, LogError> {
        Ok(self.present().catalog.infos())
    }

    fn name_of(&self, number: u32) -> Result<Option<TopicName>, LogError> {
        Ok(self.present().catalog.name_of(number).cloned())
    }

    fn enough(&self) -> RowLimits {
        self.options.row
    }
}

/// An embedded log that another process holds, opened for reading while that one writes.
pub struct EmbeddedReaderProcess {
    view: Arc<Beside>,
}

struct Beside {
    store: OrderedStore,
    scratch: PathBuf,
}

impl EmbeddedReaderProcess {
    /// Opens the log in `folder`. RocksDB's notes on it go to a temporary folder of this process.
    ///
    /// # Errors
    /// `Fatal` if there is no log or it cannot be read.
    pub fn open(folder: &Path) -> Result<Self, LogError> {
        static READERS: AtomicU64 = AtomicU64::new(0);
        let number = READERS.fetch_add(1, Ordering::Relaxed);
        let scratch = format!("streamfleet-read-{}-{number}", std::process::id());
        let scratch = std::env::temp_dir().join(scratch);
        let place = super::store_folder(folder);
        if !place.is_dir() {
            return Err(LogError::Fatal(format!(
                "there is no log in {}; name the folder that the demo or worker was started with",
                folder.display()
            )));
        }
        let store = OrderedStore::open_secondary(&place, &scratch).map_err(store_error)?;
        let view = Arc::new(Beside { store, scratch });
        match load_meta(&view.store)? {
            Some(_) => Ok(Self { view }),
            None => Err(LogError::Retry(format!("the log in {} is just being made", folder.display()))),
        }
    }

    /// A reader of what the writer has written by the time of each call.
    pub fn reader(&self) -> Box<dyn FreeReader> {
        Box::new(EmbeddedReader { view: Arc::clone(&self.view) as Arc<dyn View> })
    }

    /// The topics; whatever would change them is refused.
    pub fn admin(&self) -> Box<dyn Admin> {
        Box::new(EmbeddedAdmin { view: Arc::clone(&self.view) as Arc<dyn View>, writer: None })
    }
}

impl Beside {
    fn stored(&self, name: &TopicName) -> Result<Option<StoredTopic>, LogError> {
        self.store.catch_up().map_err(store_error)?;
        let key = keys::topic(name.as_str());
        let found = self.store.with_value(&key, StoredTopic::from_bytes).map_err(store_error)?;
        found.transpose().map_err(|damaged| damaged_error(&format!("topic {name}"), &damaged))
    }
}

impl View for Beside {
    fn store(&self) -> &OrderedStore {
        &self.store
    }

    fn standing(&self, partition: &TopicPartition) -> Result<Standing, LogError> {
        let unknown = || LogError::Unknown(partition.clone());
        let topic = self.stored(&partition.topic)?.ok_or_else(unknown)?;
        if partition.partition.0 >= topic.settings.partitions {
            return Err(unknown());
        }
        let key = PartitionKey { topic: topic.number, partition: partition.partition };
        Ok(Standing { key, ends: load_ends(&self.store, key)? })
    }

    fn topic(&self, name: &TopicName) -> Result<Option<TopicInfo>, LogError> {
        let info = |topic: StoredTopic| TopicInfo { name: name.clone(), id: topic.id, settings: topic.settings };
        Ok(self.stored(name)?.map(info))
    }

    fn topics(&self) -> Result<Vec<TopicInfo>, LogError> {
        self.store.catch_up().map_err(store_error)?;
        Ok(Catalog::load(&self.store)?.infos())
    }

    fn name_of(&self, number: u32) -> Result<Option<TopicName>, LogError> {
        Ok(Catalog::load(&self.store)?.name_of(number).cloned())
    }

    fn enough(&self) -> RowLimits {
        RowLimits { records: 512, bytes: 128 << 10 }
    }
}

impl Drop for Beside {
    fn drop(&mut self) {
        // Only RocksDB's own log file is in there; what stays behind does no harm.
        if let Err(error) = std::fs::remove_dir_all(&self.scratch) {
            tracing::debug!(folder = %self.scratch.display(), %error, "a reader's notes stay behind");
        }
    }
}

pub(super) struct EmbeddedReader {
    pub(super) view: Arc<dyn View>,
}

impl FreeReader for EmbeddedReader {
    fn read(&mut self, partition: &TopicPartition, from: Offset, batch: &mut RecordBatch) -> Result<Read, LogError> {
        batch.clear();
        let standing = self.view.standing(partition)?;
        let marks = standing.watermarks();
        if from < marks.start || from > marks.high {
            return Ok(Read::OutOfRange(marks));
        }
        let next = scan::load(self.view.store(), standing, from, self.view.enough(), batch)?;
        Ok(next.map_or(Read::End(marks.last_stable), Read::Records))
    }

    fn watermarks(&mut self, partition: &TopicPartition) -> Result<Watermarks, LogError> {
        Ok(self.view.standing(partition)?.watermarks())
    }

    fn offset_for_time(&mut self, partition: &TopicPartition, time: LogTime) -> Result<Option<Offset>, LogError> {
        let standing = self.view.standing(partition)?;
        scan::offset_for_time(self.view.store(), partition, standing, time)
    }
}

pub(super) struct EmbeddedAdmin {
    pub(super) view: Arc<dyn View>,
    /// `None` beside the writer.
    pub(super) writer: Option<Arc<Writer>>,
}

impl EmbeddedAdmin {
    fn writer(&self) -> Result<&Writer, LogError> {
        self.writer.as_deref().ok_or_else(|| {
            LogError::Fatal("the log is open for reading only; change it through the process that holds it".to_owned())
        })
    }
}

/// More would be an accident: each partition of a topic has its own entry in memory.
const PARTITIONS_MAX: u32 = 10_000;

impl Admin for EmbeddedAdmin {
    fn create_topic(&mut self, name: &TopicName, settings: TopicSettings) -> Result<TopicInfo, LogError> {
        let text = name.as_str();
        let legal = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
        if text.is_empty() || text.len() > 249 || matches!(text, "." | "..") || !text.chars().all(legal) {
            return Err(LogError::Fatal(format!(
                "`{text}` cannot name a topic: 1 to 249 of a-z A-Z 0-9 . _ - and neither `.` nor `..`"
            )));
        }
        if !(1..=PARTITIONS_MAX).contains(&settings.partitions) {
            return Err(LogError::Fatal(format!(
                "topic {name} is to have {} partitions; 1 to {PARTITIONS_MAX} are possible",
                settings.partitions
            )));
        }
        self.writer()?.create_topic(name, settings)
    }

    fn topic(&mut self, name: &TopicName) -> Result<Option<TopicInfo>, LogError> {
        self.view.topic(name)
    }

    fn topics(&mut self) -> Result<Vec<TopicInfo>, LogError> {
        self.view.topics()
    }

    fn delete_topic(&mut self, name: &TopicName) -> Result<(), LogError> {
        self.writer()?.delete_topic(name)
    }

    fn purge(&mut self, partition: &TopicPartition, before: Offset) -> Result<(), LogError> {
        self.writer()?.purge(partition, before)
    }

    fn group_offsets(
        &mut self,
        group: &str,
        partitions: &[TopicPartition],
    ) -> Result<Vec<(TopicPartition, Offset)>, LogError> {
        let prefix = keys::positions_of(group);
        let range = state::store::OwnedRange::of_prefix(&prefix);
        let mut found = Vec::new();
        // Opens the eyes of a reader beside the writer.
        self.view.topics()?;
        self.view
            .store()
            .scan(KeyRange { start: &range.start, end: range.end.as_deref() }, |key, value| {
                let entry = keys::partition_of_position(key)
                    .and_then(|partition| Ok((partition, keys::position_from_bytes(value)?)));
                let damaged = entry.is_err();
                found.push(entry);
                if damaged { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
            })
            .map_err(store_error)?;
        let mut offsets = Vec::with_capacity(found.len());
        for entry in found {
            let what = || format!("the positions of group {group}");
            let (key, offset) = entry.map_err(|damaged| damaged_error(&what(), &damaged))?;
            if let Some(topic) = self.view.name_of(key.topic)? {
                offsets.push((TopicPartition { topic, partition: key.partition }, offset));
            }
        }
        let of = |place: &TopicPartition| offsets.iter().find(|(known, _)| known == place).cloned();
        Ok(partitions.iter().filter_map(of).collect())
    }
}
