//! A worker that is asked over TCP, for the tests of its routes; each of them reads this file by its path.
//!
//! Not here: what is asked, and what comes in. Invariant: two threads on a log of their own, of which a question sees what
//! has settled.

use std::collections::BTreeMap;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use processing_core::batch::RecordBatch;
use processing_core::log::embedded::{Durability, EmbeddedLog, EmbeddedOptions};
use processing_core::log::{Cleanup, Log, Read, TopicSettings};
use processing_core::metrics::ProcessMetrics;
use processing_core::prelude::Plan;
use processing_core::query::Queries;
use processing_core::record::{DurationMs, LogTime, Offset, TopicName, TopicPartition};
use processing_core::run::{RunOptions, Running, StatePlace, Surroundings};
use processing_core::service::http::{HttpServer, routes};
use processing_core::service::settings::HttpSettings;
use serde_json::Value;
use tempfile::TempDir;

pub(crate) struct Worker {
    log: Arc<EmbeddedLog>,
    running: Running,
    server: HttpServer,
    _folder: TempDir,
}

pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: Value,
}

impl Worker {
    /// On an empty log whose clock stands at `now`, without input topics.
    pub(crate) fn serve(
        plan: Plan,
        now: i64,
        future_bound: Option<DurationMs>,
        own: impl FnOnce(Queries) -> Router,
    ) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut options = EmbeddedOptions::new(Arc::new(move || LogTime(now)));
        options.durability = Durability::Os;
        let log = EmbeddedLog::open(folder.path(), options).unwrap();
        let around = Surroundings::quiet(plan.name());
        let options = RunOptions {
            instance: "http".to_owned(),
            threads: 2,
            commit_interval: DurationMs(20),
            idle_after: None,
            idle_close: None,
            future_bound,
            epoch: 0,
            cached_bytes: processing_core::limits::CACHED_BYTES_MAX,
            applied_bytes: processing_core::limits::APPLIED_BYTES_MAX,
            state: StatePlace::Memory,
        };
        let shared = Arc::clone(&log) as Arc<dyn Log>;
        let running = Running::start(Arc::new(plan), shared, options, around.clone()).unwrap();
        let process = Arc::new(ProcessMetrics::new(&around.telemetry, "0", ""));
        let own = own(running.queries());
        let all = routes(Arc::clone(&around.board), Arc::clone(&around.telemetry), process, own);
        let listen = HttpSettings { listen: Some("127.0.0.1:0".parse().unwrap()), next_free: false, advertised: None };
        let server = HttpServer::start(&listen, all).unwrap().unwrap();
        Self { log, running, server, _folder: folder }
    }

    pub(crate) fn get(&self, path: &str) -> Answer {
        let mut stream = TcpStream::connect(self.server.address()).unwrap();
        write!(stream, "GET {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").unwrap();
        let mut text = String::new();
        stream.read_to_string(&mut text).unwrap();
        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        Answer { status, head: head.to_lowercase(), body: serde_json::from_str(body).unwrap() }
    }

    pub(crate) fn create_topic(&self, topic: &str, partitions: u32) {
        let shape = TopicSettings { partitions, cleanup: Cleanup::Delete, retention_ms: None, log_append_time: false };
        self.log.admin().unwrap().create_topic(&TopicName::new(topic), shape).unwrap();
    }

    /// Appends to the inputs and waits until the worker has nothing left to do.
    pub(crate) fn append(&self, batches: &BTreeMap<TopicPartition, RecordBatch>) {
        for (place, batch) in batches {
            self.log.append(place, batch, Durability::Os).unwrap();
        }
        assert!(self.running.settle(Duration::from_secs(60)));
    }

    /// The records of an output, by key and in order.
    pub(crate) fn published(&self, topic: &str) -> BTreeMap<String, Vec<Value>> {
        let info = self.log.admin().unwrap().topic(&TopicName::new(topic)).unwrap().unwrap();
        let mut reader = self.log.reader().unwrap();
        let mut found: BTreeMap<String, Vec<Value>> = BTreeMap::new();
        let mut batch = RecordBatch::new();
        for partition in 0..info.settings.partitions {
            let place = TopicPartition::new(topic, partition);
            let mut from = Offset::ZERO;
            while let Read::Records(next) = reader.read(&place, from, &mut batch).unwrap() {
                for record in batch.iter() {
                    let key = String::from_utf8(record.key.unwrap().to_vec()).unwrap();
                    found.entry(key).or_default().push(serde_json::from_slice(record.value.unwrap()).unwrap());
                }
                from = next;
            }
        }
        found
    }
}
