//! What the embedded log costs a record: appended, flushed, merged in the background, and read back.
//!
//! Not here: a worker's work upon it. Invariant: CPU time is the whole process's,
//! background threads included. `log_cost [RECORDS] [RECORDS_A_COMMIT]`

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a bench that cannot go on has nothing to tell")]
#![allow(clippy::disallowed_methods, reason = "a bench reads clocks")]
#![allow(dead_code, reason = "the input is the other bench's too")]

mod input;

use cpu_time::ProcessTime;
use processing_core::batch::{Headers, RecordBatch, RecordRef};
use processing_core::log::{Cleanup, GroupMetadata, Log as _, Publish, Read, TopicSettings, TransactionalId};
use processing_core::record::{LogTime, Offset, TopicName, TopicPartition};

const PARTITIONS: u32 = 4;
const TOPICS: u32 = 4;

fn main() {
    let records: u64 = std::env::args().nth(1).and_then(|n| n.parse().ok()).unwrap_or(2_000_000);
    let per_commit: u64 = std::env::args().nth(2).and_then(|n| n.parse().ok()).unwrap_or(8_000);
    let folder = tempfile::tempdir_in(".").expect("a folder");
    let log = input::open(folder.path(), &state::MemoryBudget::default());
    let places: Vec<TopicPartition> = (0..TOPICS)
        .flat_map(|topic| (0..PARTITIONS).map(move |partition| TopicPartition::new(&*format!("t{topic}"), partition)))
        .collect();
    for topic in 0..TOPICS {
        let settings = TopicSettings {
            partitions: PARTITIONS,
            cleanup: Cleanup::Delete,
            retention_ms: None,
            log_append_time: false,
        };
        log.admin().unwrap().create_topic(&TopicName::new(format!("t{topic}")), settings).unwrap();
    }
    let each = per_commit / places.len() as u64;
    let (mut key, mut value, mut bytes) = (String::new(), String::new(), 0);
    let batches: Vec<RecordBatch> = (0..places.len() as u64)
        .map(|place| {
            let mut batch = RecordBatch::new();
            for number in 0..each {
                let time = input::write(place * each + number, per_commit, 100_000, &mut key, &mut value);
                bytes += key.len() + value.len();
                batch.push(RecordRef {
                    offset: Offset::ZERO,
                    timestamp: LogTime(time),
                    key: Some(key.as_bytes()),
                    value: Some(value.as_bytes()),
                    headers: Headers::NONE,
                });
            }
            batch
        })
        .collect();
    let mut producer = log.transaction(&TransactionalId("bench".into())).unwrap();
    let nobody = GroupMetadata::nobody();
    let start = ProcessTime::now();
    let mut appended = 0;
    while appended < records {
        for (place, batch) in places.iter().zip(&batches) {
            producer.send(place, batch).unwrap();
            appended += batch.len() as u64;
        }
        assert!(matches!(producer.publish(&[], &nobody), Publish::Published(_)));
    }
    let foreground = start.elapsed();
    drop(producer);
    drop(log);
    let log = input::open(folder.path(), &state::MemoryBudget::default());
    let append = start.elapsed();
    println!("{appended} records of {} bytes", bytes as u64 / (each * places.len() as u64));
    println!("append {:.0} ns a record, with rest {:.0}", ns(foreground, appended), ns(append, appended));
    let start = ProcessTime::now();
    let mut reader = log.reader().unwrap();
    let (mut read, mut batch) = (0_u64, RecordBatch::new());
    for place in &places {
        let mut next = Offset::ZERO;
        while let Read::Records(after) = reader.read(place, next, &mut batch).unwrap() {
            next = after;
            read += batch.len() as u64;
        }
    }
    println!("read   {:.0} ns a record", ns(start.elapsed(), read));
}

fn ns(time: std::time::Duration, records: u64) -> f64 {
    time.as_secs_f64() * 1e9 / records as f64
}
