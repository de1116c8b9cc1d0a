//! One partition against a naive model, step by step, under random transactions, purges and reads.
//!
//! The oracle keeps one row per offset ever written and answers every question by scanning them all.

use proptest::prelude::*;

use super::super::partition::{PartitionLog, Reach, TxnNumber};
use super::*;

#[derive(Debug, Clone)]
enum Step {
    Plain(usize),
    Send { txn: u64, records: usize },
    End { txn: u64, commit: bool },
    Purge(u64),
    Compact { bound: u64, forget: bool },
}

/// What stands at an offset: an undecided transaction's record, a visible one, or nothing to see.
#[derive(Debug, Clone, PartialEq)]
enum Row {
    Undecided(u64, u8),
    Visible(u8),
    Hidden,
}

#[derive(Default)]
struct Model {
    rows: Vec<Row>,
    start: u64,
}

impl Model {
    fn stable(&self) -> u64 {
        let open = self.rows.iter().position(|row| matches!(row, Row::Undecided(..)));
        open.map_or(self.rows.len() as u64, |first| (first as u64).max(self.start))
    }

    fn visible(&self, from: u64) -> Vec<(u64, u8)> {
        let rows = self.rows.iter().enumerate().map(|(offset, row)| (offset as u64, row));
        rows.filter(|(offset, _)| (from.max(self.start)..self.stable()).contains(offset))
            .filter_map(|(offset, row)| match row {
                Row::Visible(key) => Some((offset, *key)),
                _ => None,
            })
            .collect()
    }

    fn compact(&mut self, bound: u64) {
        let bound = bound.min(self.stable());
        let below: Vec<(u64, u8)> = self.visible(0).into_iter().filter(|(offset, _)| *offset < bound).collect();
        for (index, (offset, key)) in below.iter().enumerate() {
            if below[index + 1..].iter().any(|(_, later)| later == key) {
                self.rows[*offset as usize] = Row::Hidden;
            }
        }
    }
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        3 => (1..4_usize).prop_map(Step::Plain),
        5 => (0..3_u64, 1..4_usize).prop_map(|(txn, records)| Step::Send { txn, records }),
        4 => (0..3_u64, any::<bool>()).prop_map(|(txn, commit)| Step::End { txn, commit }),
        1 => (0..80_u64).prop_map(Step::Purge),
        1 => (0..80_u64, any::<bool>()).prop_map(|(bound, forget)| Step::Compact { bound, forget }),
    ];
    proptest::collection::vec(step, 1..50)
}

proptest! {
    #[test]
    fn a_partition_equals_its_model(steps in steps(), limit in 1..6_usize, trailing: bool) {
        let (mut log, mut model) = (PartitionLog::default(), Model::default());
        let mut key = 0_u8;
        for step in steps {
            let now = LogTime(model.rows.len() as i64);
            let mut fill = |count: usize, rows: &mut Vec<Row>, row: fn(u64, u8) -> Row, txn: u64| {
                let mut batch = RecordBatch::new();
                for _ in 0..count {
                    key = (key + 3) % 7;
                    let bytes = [key];
                    let key_and_value = Some(&bytes[..]);
                    batch.push(RecordRef {
                        offset: Offset::ZERO,
                        timestamp: now,
                        key: key_and_value,
                        value: key_and_value,
                        headers: Headers::NONE,
                    });
                    rows.push(row(txn, key));
                }
                batch
            };
            match step {
                Step::Plain(count) => {
                    let batch = fill(count, &mut model.rows, |_, key| Row::Visible(key), 0);
                    log.append(&batch, None, now, false);
                }
                Step::Send { txn, records } => {
                    let batch = fill(records, &mut model.rows, Row::Undecided, txn);
                    let next = log.append(&batch, Some(TxnNumber(txn)), now, false);
                    prop_assert_eq!(next.0, model.rows.len() as u64);
                }
                Step::End { txn, commit } => {
                    for row in &mut model.rows {
                        if let Row::Undecided(of, key) = *row && of == txn {
                            *row = if commit { Row::Visible(key) } else { Row::Hidden };
                        }
                    }
                    model.rows.push(Row::Hidden);
                    log.mark(TxnNumber(txn), commit, now);
                }
                Step::Purge(before) => {
                    model.start = model.start.max(before.min(model.rows.len() as u64));
                    log.purge(Offset(before));
                }
                Step::Compact { bound, forget } => {
                    model.compact(bound);
                    log.compact(Offset(bound), LogTime(if forget { i64::MAX } else { i64::MIN }));
                }
            }
            let high = model.rows.len() as u64;
            let wanted = Watermarks {
                start: Offset(model.start),
                last_stable: Offset(model.stable()),
                high: Offset(high),
            };
            prop_assert_eq!(log.watermarks(), wanted);
        }
        // Reading in bites from any offset finds the same, and ends at the last stable offset.
        let high = model.rows.len() as u64;
        for from in model.start..=high {
            let (mut found, mut position) = (Vec::new(), Offset(from));
            loop {
                let mut batch = RecordBatch::new();
                let next = log.read(position, Reach { records: limit, trailing }, &mut batch);
                found.extend(batch.iter().map(|record| (record.offset.0, record.key.unwrap()[0])));
                prop_assert!(next >= position && batch.len() <= limit);
                if batch.is_empty() {
                    prop_assert_eq!(next.0, from.max(model.stable()));
                    break;
                }
                position = next;
            }
            prop_assert_eq!(found, model.visible(from));
        }
    }
}
