//! Records for an input topic: chosen to the byte, compressed, or in transactions.
//!
//! Not here: which ones. Invariant: what [`Feed::flush`] has passed over stands in the topic.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use rdkafka::client::ClientContext;
use rdkafka::config::{ClientConfig, FromClientConfigAndContext as _};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{DeliveryResult, Header, OwnedHeaders};
use rdkafka::producer::{BaseRecord, Producer as _, ProducerContext, ThreadedProducer};

use super::admin::client;

const PATIENCE: Duration = Duration::from_secs(90);

/// A record to be fed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fed {
    /// Its partition.
    pub partition: u32,
    /// Its log timestamp in milliseconds, where the topic takes it from the producer.
    pub timestamp: i64,
    /// Its key.
    pub key: Option<Vec<u8>>,
    /// Its value; `None` is a tombstone.
    pub value: Option<Vec<u8>>,
    /// Its headers.
    pub headers: Vec<(String, Vec<u8>)>,
}

/// A producer.
pub struct Feed {
    producer: ThreadedProducer<Deliveries>,
    failed: Arc<Mutex<Option<KafkaError>>>,
}

struct Deliveries(Arc<Mutex<Option<KafkaError>>>);

impl ClientContext for Deliveries {}

impl ProducerContext for Deliveries {
    type DeliveryOpaque = ();

    fn delivery(&self, result: &DeliveryResult<'_>, (): ()) {
        if let Err((error, _)) = result
            // What was aborted was meant not to arrive.
            && !matches!(error, KafkaError::MessageProduction(RDKafkaErrorCode::PurgeQueue | RDKafkaErrorCode::PurgeInflight))
        {
            self.0.lock().expect("no holder panics").get_or_insert_with(|| error.clone());
        }
    }
}

impl Feed {
    /// Writes what it is given, once each, whatever happens to the connection.
    pub fn new(brokers: &str) -> Self {
        Self::of(client(brokers).set("enable.idempotence", "true"))
    }

    /// The same, compressed with `gzip`, `snappy`, `lz4` or `zstd`.
    pub fn compressed(brokers: &str, codec: &str) -> Self {
        // A compressed batch that is no smaller is sent plain: wait until there is something to compress.
        Self::of(
            client(brokers).set("enable.idempotence", "true").set("compression.type", codec).set("linger.ms", "50"),
        )
    }

    /// In transactions of this id; [`Self::begin`] comes first.
    pub fn transactional(brokers: &str, id: &str) -> Self {
        let feed = Self::of(client(brokers).set("transactional.id", id));
        feed.producer.init_transactions(PATIENCE).expect("a transactional producer can be made");
        feed
    }

    fn of(config: &ClientConfig) -> Self {
        let failed = Arc::new(Mutex::new(None));
        let producer = ThreadedProducer::from_config_and_context(config, Deliveries(Arc::clone(&failed)));
        Self { producer: producer.expect("a producer can be made"), failed }
    }

    /// Hands over a record; it may stand in the topic only after [`Self::flush`].
    pub fn send(&self, topic: &str, fed: &Fed) {
        let mut headers = OwnedHeaders::new();
        for (key, value) in &fed.headers {
            headers = headers.insert(Header { key, value: Some(value) });
        }
        let mut record: BaseRecord<'_, [u8], [u8]> =
            BaseRecord::to(topic).partition(fed.partition as i32).timestamp(fed.timestamp).headers(headers);
        record.key = fed.key.as_deref();
        record.payload = fed.value.as_deref();
        while let Err((error, refused)) = self.producer.send(record) {
            let full = KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull);
            assert_eq!(error, full, "the record cannot be sent");
            self.producer.flush(PATIENCE).expect("what waits can be sent");
            record = refused;
        }
    }

    /// Hands over records in their order and waits until they stand in the topic.
    pub fn send_all(&self, topic: &str, fed: &[Fed]) {
        fed.iter().for_each(|fed| self.send(topic, fed));
        self.flush();
    }

    /// Waits until everything stands in its topic.
    pub fn flush(&self) {
        self.producer.flush(PATIENCE).expect("everything can be sent");
        let failed = self.failed.lock().expect("no holder panics");
        assert!(failed.is_none(), "a record did not arrive: {failed:?}");
    }

    /// Begins a transaction.
    pub fn begin(&self) {
        self.producer.begin_transaction().expect("a transaction can begin");
    }

    /// Makes its records true.
    pub fn commit(&self) {
        self.flush();
        self.producer.commit_transaction(PATIENCE).expect("a transaction can be committed");
    }

    /// Leaves its records in the topic, for no committed reader.
    pub fn abort(&self) {
        self.flush();
        self.producer.abort_transaction(PATIENCE).expect("a transaction can be aborted");
    }
}
