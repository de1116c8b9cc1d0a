//! What a case has written, topic by topic: records and bytes, as far as they stand in the log.
//!
//! Not here: what that costs. Invariant: nothing is counted that was there before, as long as a case has topics of its own.

use processing_core::batch::RecordBatch;
use processing_core::log::{Log, Read};
use processing_core::record::TopicPartition;

/// Prints the topics that weigh something, the heaviest first.
pub(crate) fn print(log: &dyn Log, events: u64) {
    let mut reader = log.reader().expect("a reader");
    let mut batch = RecordBatch::new();
    let mut topics = Vec::new();
    for topic in log.admin().expect("admin").topics().expect("topics") {
        let (mut records, mut bytes) = (0_u64, 0_usize);
        for partition in 0..topic.settings.partitions {
            let place = TopicPartition::new(topic.name.clone(), partition);
            let mut from = reader.watermarks(&place).expect("watermarks").start;
            while let Read::Records(next) = reader.read(&place, from, &mut batch).expect("records") {
                from = next;
                for record in batch.iter() {
                    records += 1;
                    let sizes = [record.key, record.value, Some(record.headers.0)];
                    bytes += sizes.into_iter().flatten().map(<[u8]>::len).sum::<usize>();
                }
            }
        }
        topics.push((bytes, records, topic.name));
    }
    topics.sort_by(|a, b| b.cmp(a));
    for (bytes, records, name) in topics.into_iter().filter(|(_, records, _)| *records > 0) {
        eprintln!(
            "{:<60}{records:>12} records{:>12.1} bytes each{:>10.1} bytes an event",
            name.as_str(),
            bytes as f64 / records as f64,
            bytes as f64 / events as f64
        );
    }
}
