//! The log against a vector: random commands, reopening in between, everything compared after each.

use std::collections::BTreeMap;

use proptest::collection::vec;
use proptest::prelude::*;

use state::OrderedOptions;

use super::*;
use crate::log::embedded::row::RowLimits;

#[derive(Debug, Clone)]
enum Command {
    Append { partition: usize, records: Vec<Written> },
    Transaction { sends: Vec<(usize, Vec<Written>)>, position: Option<u64>, end: End },
    Purge { partition: usize, share: f64 },
    Maintain { now: i64 },
    Reopen,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum End {
    Publish,
    Abort,
    Drop,
    Fenced,
}

type Written = (u8, Option<u16>, i64);

/// Two partitions of a topic that keeps everything, one of a compacted topic, one stamped by the log.
fn partitions() -> [TopicPartition; 4] {
    [tp("kept", 0), tp("kept", 1), tp("compacted", 0), tp("stamped", 0)]
}
const COMPACTED: usize = 2;
const STAMPED: usize = 3;

#[derive(Default, Clone)]
struct Modelled {
    start: u64,
    lines: Vec<Line>,
}

fn written() -> impl Strategy<Value = Vec<Written>> {
    vec((0..6_u8, proptest::option::weighted(0.8, any::<u16>()), 0..100_i64), 0..12)
}

fn command() -> impl Strategy<Value = Command> {
    let end = prop_oneof![
        4 => Just(End::Publish),
        1 => Just(End::Abort),
        1 => Just(End::Drop),
        1 => Just(End::Fenced),
    ];
    let sends = vec((0..4_usize, written()), 0..5);
    prop_oneof![
        3 => (0..4_usize, written()).prop_map(|(partition, records)| Command::Append { partition, records }),
        4 => (sends, proptest::option::of(0..50_u64), end)
            .prop_map(|(sends, position, end)| Command::Transaction { sends, position, end }),
        1 => (0..4_usize, 0.0..1.2).prop_map(|(partition, share)| Command::Purge { partition, share }),
        2 => (0..10_000_i64).prop_map(|now| Command::Maintain { now }),
        1 => Just(Command::Reopen),
    ]
}

fn batch(records: &[Written]) -> RecordBatch {
    let mut batch = RecordBatch::new();
    for (key, value, time) in records {
        let value = value.map(|value| value.to_string());
        batch.push(keyed(&key.to_string(), value.as_deref(), *time));
    }
    batch
}

const NOW: i64 = 77;

fn small() -> EmbeddedOptions {
    let all_apart = options(&Hands::at(NOW));
    let store = OrderedOptions { large_row_bytes: 1, segment_bytes: 300, ..all_apart.store };
    EmbeddedOptions {
        store,
        row: RowLimits { records: 5, bytes: 40 },
        compaction_records_min: 4,
        // Few keys and few rows at a time, so that a pass takes several steps and is cut short.
        compaction_bytes_max: 150,
        maintain_bytes_max: 300,
        tombstone_retention: DurationMs(3_000),
        ..all_apart
    }
}

fn model_of(all: &mut [Modelled; 4], partition: usize, records: &[Written]) {
    let lines = &mut all[partition].lines;
    for (key, value, time) in records {
        let time = if partition == STAMPED { NOW } else { *time };
        lines.push((lines.len() as u64, time, key.to_string(), value.map(|v| v.to_string())));
    }
}

fn table(lines: &[Line]) -> BTreeMap<String, String> {
    let mut table = BTreeMap::new();
    for (_, _, key, value) in lines {
        match value {
            Some(value) => table.insert(key.clone(), value.clone()),
            None => table.remove(key),
        };
    }
    table
}

fn compare(log: &EmbeddedLog, model: &[Modelled; 4], position: Option<u64>) -> Result<(), TestCaseError> {
    let mut reader = log.reader().unwrap();
    for (index, partition) in partitions().iter().enumerate() {
        let Modelled { start, lines: modelled } = &model[index];
        let marks = reader.watermarks(partition).unwrap();
        prop_assert_eq!((marks.start.0, marks.high.0), (*start, modelled.len() as u64));
        let present: Vec<Line> = modelled.iter().filter(|line| line.0 >= *start).cloned().collect();
        let got = lines(log, partition);
        if index == COMPACTED {
            prop_assert!(got.iter().all(|line| present.contains(line)), "invented lines in {:?}", got);
            prop_assert!(got.is_sorted());
            // Purged records no longer count as a table's; the suffix does, from any point.
            prop_assert_eq!(table(&got), table(&present));
        } else {
            prop_assert_eq!(&got, &present);
        }
        for middle in *start..=modelled.len() as u64 {
            let wanted: Vec<Line> = got.iter().filter(|line| line.0 >= middle).cloned().collect();
            prop_assert_eq!(lines_from(&mut *reader, partition, Offset(middle)), wanted);
        }
        for time in [0, 1, 30, 76, 77, 78, 99, 100] {
            let wanted = got.iter().find(|line| line.1 >= time).map(|line| Offset(line.0));
            prop_assert_eq!(reader.offset_for_time(partition, LogTime(time)).unwrap(), wanted, "time {}", time);
        }
    }
    let offsets = log.admin().unwrap().group_offsets("g", &[tp("kept", 0), tp("kept", 1)]).unwrap();
    prop_assert_eq!(offsets, position.map(|p| (tp("kept", 0), Offset(p))).into_iter().collect::<Vec<_>>());
    Ok(())
}

fn run(commands: &[Command]) -> Result<(), TestCaseError> {
    let folder = tempfile::tempdir().unwrap();
    let mut log = EmbeddedLog::open(folder.path(), small()).unwrap();
    topic(&*log, "kept", settings(2));
    topic(&*log, "compacted", TopicSettings { cleanup: Cleanup::Compact, ..settings(1) });
    topic(&*log, "stamped", TopicSettings { log_append_time: true, ..settings(1) });
    let incarnation = log.incarnation();
    let (mut model, mut position) = (<[Modelled; 4]>::default(), None);
    for command in commands {
        match command {
            Command::Append { partition, records } => {
                let to = &partitions()[*partition];
                model_of(&mut model, *partition, records);
                let next = log.append(to, &batch(records), Durability::Os).unwrap();
                prop_assert_eq!(next.0, model[*partition].lines.len() as u64);
            }
            Command::Transaction { sends, position: moved, end } => {
                let id = TransactionalId("p".to_owned());
                let mut transaction = log.transaction(&id).unwrap();
                for (partition, records) in sends {
                    transaction.send(&partitions()[*partition], &batch(records)).unwrap();
                }
                let membership =
                    Membership { group: "g".to_owned(), instance: "a".to_owned(), anchors: vec!["kept".into()] };
                let source = log.group_source(membership).unwrap();
                let positions: Vec<_> = moved.iter().map(|p| (tp("kept", 0), Offset(*p))).collect();
                match end {
                    End::Abort => transaction.abort().unwrap(),
                    End::Drop => drop(transaction),
                    End::Fenced => {
                        log.transaction(&id).unwrap();
                        let answer = transaction.publish(&positions, &source.group_metadata());
                        prop_assert!(matches!(answer, Publish::Fenced(_)));
                    }
                    End::Publish => {
                        let answer = transaction.publish(&positions, &source.group_metadata());
                        let Publish::Published(published) = answer else { panic!("{answer:?}") };
                        for (partition, records) in sends {
                            model_of(&mut model, *partition, records);
                        }
                        for (partition, records) in sends.iter().filter(|(_, r)| !r.is_empty()) {
                            let next = published.next(&partitions()[*partition]);
                            prop_assert_eq!(next, Some(Offset(model[*partition].lines.len() as u64)), "{:?}", records);
                        }
                        position = moved.or(position);
                    }
                }
            }
            Command::Purge { partition, share } => {
                // A compacted topic is not purged: what a key's older records said would come back.
                if *partition != COMPACTED {
                    let modelled = &mut model[*partition];
                    let before = (modelled.lines.len() as f64 * share) as u64;
                    log.admin().unwrap().purge(&partitions()[*partition], Offset(before)).unwrap();
                    modelled.start = modelled.start.max(before.min(modelled.lines.len() as u64));
                }
            }
            Command::Maintain { now } => {
                log.maintain(LogTime(*now)).unwrap();
            }
            Command::Reopen => {
                drop(log);
                log = EmbeddedLog::open(folder.path(), small()).unwrap();
                prop_assert_eq!(log.incarnation(), incarnation);
            }
        }
        compare(&log, &model, position)?;
    }
    // Upkeep comes to an end, and then each key stands once among what it went through.
    let mut steps = 0;
    while log.maintain(LogTime(0)).unwrap().more {
        steps += 1;
        prop_assert!(steps < 1_000, "upkeep never ends");
    }
    compare(&log, &model, position)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, ..ProptestConfig::default() })]
    #[test]
    fn the_log_is_a_vector_that_survives_reopening(commands in vec(command(), 1..25)) {
        run(&commands)?;
    }
}
