//! Reading rows out of the store: into a batch, or by time.
//!
//! Not here: who may read what. Invariant: no more rows are touched than are handed out, but for the
//! handful that a search by time looks at.

use std::ops::ControlFlow;

use state::KeyRange;
use state::ordered::OrderedStore;

use super::catalog::{Standing, damaged_error, store_error};
use super::keys::PartitionKey;
use super::row::{Damaged, Row, RowLimits};
use crate::batch::RecordBatch;
use crate::log::LogError;
use crate::record::{LogTime, Offset, TopicPartition};

/// Calls `visit` for the rows that end in `from..to`, in order, until it breaks.
pub(super) fn rows(
    store: &OrderedStore,
    key: PartitionKey,
    from: Offset,
    to: Offset,
    mut visit: impl FnMut(Offset, Row<'_>, usize) -> Result<ControlFlow<()>, Damaged>,
) -> Result<(), LogError> {
    if from >= to {
        return Ok(());
    }
    let mut damaged = None;
    let (start, end) = (key.row(from), key.row(to));
    store
        .scan(KeyRange::new(&start, &end), |stored, bytes| {
            let last = stored.last_chunk::<8>().map_or(to, |last| Offset(u64::from_be_bytes(*last)));
            match Row::parse(bytes).and_then(|row| visit(last, row, bytes.len())) {
                Ok(flow) => flow,
                Err(error) => {
                    damaged = Some((last, error));
                    ControlFlow::Break(())
                }
            }
        })
        .map_err(store_error)?;
    match damaged {
        None => Ok(()),
        Some((last, error)) => {
            let PartitionKey { topic, partition } = key;
            let what = format!("topic number {topic}, partition {partition}, row up to offset {last}");
            Err(damaged_error(&what, &error))
        }
    }
}

/// Appends whole rows from `from` on to `batch` until it holds what `enough` says; answers where
/// reading goes on, or `None` if nothing stands from there up to the partition's end.
pub(super) fn load(
    store: &OrderedStore,
    standing: Standing,
    from: Offset,
    enough: RowLimits,
    batch: &mut RecordBatch,
) -> Result<Option<Offset>, LogError> {
    let mut next = None;
    rows(store, standing.key, from, standing.ends.next, |last, row, _| {
        row.load(from, batch)?;
        next = Some(last.next());
        let full = batch.len() >= enough.records || batch.byte_len() >= enough.bytes;
        Ok(if full { ControlFlow::Break(()) } else { ControlFlow::Continue(()) })
    })?;
    Ok(next)
}

/// The first offset of the partition whose record has `time` or a later one.
pub(super) fn offset_for_time(
    store: &OrderedStore,
    partition: &TopicPartition,
    standing: Standing,
    time: LogTime,
) -> Result<Option<Offset>, LogError> {
    let Standing { key, ends } = standing;
    if ends.max_time < time {
        return Ok(None);
    }
    // The greatest time so far never falls from row to row, so that the first row that reaches
    // `time` is found by halving; nothing before it holds such a record.
    let (mut low, mut high) = (ends.start, ends.next);
    while low < high {
        let middle = Offset(low.0 + (high.0 - low.0) / 2);
        let mut found = None;
        rows(store, key, middle, high, |last, row, _| {
            found = Some((last, row.base, row.running_max));
            Ok(ControlFlow::Break(()))
        })?;
        match found {
            Some((last, _, running)) if running < time => low = last.next(),
            Some((_, base, _)) => high = base.min(middle),
            None => high = middle,
        }
    }
    // It may have reached it by a record that has been deleted since: then a later one is sought.
    let mut answer = None;
    rows(store, key, low, ends.next, |_, row, _| {
        answer = row.offset_for_time(ends.start, time)?;
        Ok(if answer.is_some() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) })
    })
    .map_err(|error| match error {
        LogError::Fatal(text) => LogError::Fatal(format!("{partition}: {text}")),
        other => other,
    })?;
    Ok(answer)
}
