//! The contract that every log keeps, kept by Kafka.
//!
//! Not here: the cases ([`processing_core::log::contract`]). Invariant: each case sees a cluster of its own,
//! because every name it uses is prefixed, and a broker gets the time it needs, because a poll that finds nothing
//! is followed by a pause.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use processing_core::batch::RecordBatch;
use processing_core::log::kafka::{KafkaLog, KafkaOptions};
use processing_core::log::{
    Admin, FetchEpoch, FreeReader, GroupMetadata, GroupSource, Log, LogError, Membership, Polled, Publish, Published,
    Read, TopicInfo, TopicSettings, Transaction, TransactionalId, Watermarks,
};
use processing_core::record::{LogTime, Offset, TopicName, TopicPartition};
use tests::kafka::cluster::shared;

/// After a poll that found nothing. Not what is waited for: only how often it is asked.
const PAUSE: Duration = Duration::from_millis(20);

processing_core::for_every_case! { anywhere || -> Arc<dyn Log> { Arc::new(Named::new()) } }

/// A log in which all names begin with the case's own number.
struct Named {
    prefix: Arc<str>,
    log: Arc<KafkaLog>,
}

impl Named {
    fn new() -> Self {
        static CASES: AtomicU32 = AtomicU32::new(0);
        let prefix = format!("case{}.", CASES.fetch_add(1, Ordering::SeqCst));
        let set = [
            ("bootstrap.servers", shared().brokers()),
            // A rebalance is heard of by heartbeat, a new topic by asking again.
            ("heartbeat.interval.ms", "50".to_owned()),
            ("session.timeout.ms", "6000".to_owned()),
            ("topic.metadata.refresh.interval.ms", "300".to_owned()),
        ];
        let properties: BTreeMap<_, _> = set.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
        let options = KafkaOptions { application: format!("{prefix}app"), properties, replication: 1 };
        Self { prefix: prefix.into(), log: KafkaLog::open(options).unwrap() }
    }

    fn names(&self) -> Names {
        Names(Arc::clone(&self.prefix))
    }
}

#[derive(Clone)]
struct Names(Arc<str>);

impl Names {
    fn topic(&self, name: &TopicName) -> TopicName {
        TopicName::new(self.text(name.as_str()))
    }

    fn text(&self, name: &str) -> String {
        format!("{}{name}", self.0)
    }

    fn place(&self, place: &TopicPartition) -> TopicPartition {
        TopicPartition { topic: self.topic(&place.topic), partition: place.partition }
    }

    fn own_topic(&self, name: &TopicName) -> Option<TopicName> {
        name.as_str().strip_prefix(&*self.0).map(TopicName::new)
    }

    fn own(&self, place: TopicPartition) -> TopicPartition {
        let topic = self.own_topic(&place.topic).unwrap();
        TopicPartition { topic, partition: place.partition }
    }

    fn own_places(&self, places: Vec<TopicPartition>) -> Vec<TopicPartition> {
        places.into_iter().map(|place| self.own(place)).collect()
    }

    fn error<T>(&self, answer: Result<T, LogError>) -> Result<T, LogError> {
        answer.map_err(|error| match error {
            LogError::Unknown(place) => LogError::Unknown(self.own(place)),
            LogError::Retry(text) => {
                pause();
                LogError::Retry(text)
            }
            error => error,
        })
    }
}

fn pause() {
    std::thread::sleep(PAUSE);
}

impl Log for Named {
    fn group_source(&self, membership: Membership) -> Result<Box<dyn GroupSource>, LogError> {
        let names = self.names();
        let anchors = membership.anchors.iter().map(|anchor| names.topic(anchor)).collect();
        let group = names.text(&membership.group);
        let source = self.log.group_source(Membership { group, anchors, ..membership })?;
        Ok(Box::new(NamedMember { names, source }))
    }

    fn transaction(&self, id: &TransactionalId) -> Result<Box<dyn Transaction>, LogError> {
        let names = self.names();
        let producer = self.log.transaction(&TransactionalId(names.text(&id.0)))?;
        Ok(Box::new(NamedProducer { names, producer, reader: self.log.reader()?, sent: Vec::new() }))
    }

    fn reader(&self) -> Result<Box<dyn FreeReader>, LogError> {
        Ok(Box::new(NamedReader { names: self.names(), reader: self.log.reader()? }))
    }

    fn admin(&self) -> Result<Box<dyn Admin>, LogError> {
        Ok(Box::new(NamedAdmin { names: self.names(), admin: self.log.admin()? }))
    }
}

struct NamedMember {
    names: Names,
    source: Box<dyn GroupSource>,
}

impl GroupSource for NamedMember {
    fn poll(&mut self, batch: &mut RecordBatch) -> Result<Polled, LogError> {
        let names = &self.names;
        Ok(match names.error(self.source.poll(batch))? {
            Polled::Nothing => {
                pause();
                Polled::Nothing
            }
            Polled::Records { partition, next, epoch } => {
                Polled::Records { partition: names.own(partition), next, epoch }
            }
            Polled::Assigned(places) => Polled::Assigned(names.own_places(places)),
            Polled::Revoked(places) => Polled::Revoked(names.own_places(places)),
            Polled::Lost(places) => Polled::Lost(names.own_places(places)),
        })
    }

    fn fetch(&mut self, partition: &TopicPartition, from: Offset, epoch: FetchEpoch) -> Result<(), LogError> {
        let place = self.names.place(partition);
        // Right after an assignment a partition is not ready to be read elsewhere; a worker asks again.
        loop {
            match self.names.error(self.source.fetch(&place, from, epoch)) {
                Err(LogError::Retry(_)) => {}
                answer => return answer,
            }
        }
    }

    fn pause(&mut self, partition: &TopicPartition) -> Result<(), LogError> {
        self.source.pause(&self.names.place(partition))
    }

    fn resume(&mut self, partition: &TopicPartition) -> Result<(), LogError> {
        self.source.resume(&self.names.place(partition))
    }

    fn release(&mut self, partition: &TopicPartition) -> Result<(), LogError> {
        self.source.release(&self.names.place(partition))
    }

    fn committed(&mut self, partition: &TopicPartition) -> Result<Option<Offset>, LogError> {
        self.names.error(self.source.committed(&self.names.place(partition)))
    }

    fn watermarks(&mut self, partition: &TopicPartition) -> Result<Watermarks, LogError> {
        self.names.error(self.source.watermarks(&self.names.place(partition)))
    }

    fn group_metadata(&self) -> GroupMetadata {
        let metadata = self.source.group_metadata();
        GroupMetadata { group: metadata.group.strip_prefix(&*self.names.0).unwrap().to_owned(), ..metadata }
    }

    fn close(&mut self) {
        self.source.close();
    }
}

struct NamedProducer {
    names: Names,
    producer: Box<dyn Transaction>,
    reader: Box<dyn FreeReader>,
    sent: Vec<TopicPartition>,
}

impl NamedProducer {
    /// What is committed is seen a moment later, when the coordinator has written its markers: a case that reads at
    /// once would be told the truth of a moment ago.
    fn await_markers(&mut self, published: &Published) {
        for place in self.sent.drain(..) {
            let Some(next) = published.next(&place) else { continue };
            while self.reader.watermarks(&place).is_ok_and(|marks| marks.last_stable < next) {
                pause();
            }
        }
    }
}

impl Transaction for NamedProducer {
    fn send(&mut self, to: &TopicPartition, records: &RecordBatch) -> Result<(), LogError> {
        self.sent.push(self.names.place(to));
        self.names.error(self.producer.send(&self.names.place(to), records))
    }

    fn publish(&mut self, positions: &[(TopicPartition, Offset)], group: &GroupMetadata) -> Publish {
        let positions: Vec<_> = positions.iter().map(|(place, at)| (self.names.place(place), *at)).collect();
        let group = GroupMetadata { group: self.names.text(&group.group), ..group.clone() };
        let answer = self.producer.publish(&positions, &group);
        if let Publish::Published(published) = &answer {
            self.await_markers(published);
        }
        // Told by the names of the case.
        match answer {
            Publish::Published(published) => Publish::Published(published.renamed(|place| self.names.own(place))),
            answer => answer,
        }
    }

    fn abort(&mut self) -> Result<(), LogError> {
        self.producer.abort()
    }
}

struct NamedReader {
    names: Names,
    reader: Box<dyn FreeReader>,
}

impl FreeReader for NamedReader {
    fn read(&mut self, partition: &TopicPartition, from: Offset, batch: &mut RecordBatch) -> Result<Read, LogError> {
        let place = self.names.place(partition);
        loop {
            match self.names.error(self.reader.read(&place, from, batch)) {
                Err(LogError::Retry(_)) => {}
                answer => return answer,
            }
        }
    }

    fn watermarks(&mut self, partition: &TopicPartition) -> Result<Watermarks, LogError> {
        self.names.error(self.reader.watermarks(&self.names.place(partition)))
    }

    fn offset_for_time(&mut self, partition: &TopicPartition, time: LogTime) -> Result<Option<Offset>, LogError> {
        self.names.error(self.reader.offset_for_time(&self.names.place(partition), time))
    }
}

struct NamedAdmin {
    names: Names,
    admin: Box<dyn Admin>,
}

impl NamedAdmin {
    fn own(&self, info: TopicInfo) -> Option<TopicInfo> {
        Some(TopicInfo { name: self.names.own_topic(&info.name)?, ..info })
    }
}

impl Admin for NamedAdmin {
    fn create_topic(&mut self, name: &TopicName, settings: TopicSettings) -> Result<TopicInfo, LogError> {
        self.admin.create_topic(&self.names.topic(name), settings).map(|info| self.own(info).unwrap())
    }

    fn topic(&mut self, name: &TopicName) -> Result<Option<TopicInfo>, LogError> {
        Ok(self.admin.topic(&self.names.topic(name))?.and_then(|info| self.own(info)))
    }

    fn topics(&mut self) -> Result<Vec<TopicInfo>, LogError> {
        let all = self.admin.topics()?;
        Ok(all.into_iter().filter_map(|info| self.own(info)).collect())
    }

    fn delete_topic(&mut self, name: &TopicName) -> Result<(), LogError> {
        self.admin.delete_topic(&self.names.topic(name))
    }

    fn purge(&mut self, partition: &TopicPartition, before: Offset) -> Result<(), LogError> {
        self.admin.purge(&self.names.place(partition), before)
    }

    fn group_offsets(
        &mut self,
        group: &str,
        partitions: &[TopicPartition],
    ) -> Result<Vec<(TopicPartition, Offset)>, LogError> {
        let partitions: Vec<TopicPartition> = partitions.iter().map(|place| self.names.place(place)).collect();
        let found = self.admin.group_offsets(&self.names.text(group), &partitions)?;
        Ok(found.into_iter().map(|(place, at)| (self.names.own(place), at)).collect())
    }
}
