//! Which segments can go: those whose rows are deleted, after the few that live on have moved to the end.
//!
//! Not here: RocksDB's own files of rows, which it collects itself. Invariant: a segment is deleted only when no key leads
//! to it, by what is on stable storage.

use std::ops::ControlFlow;

use super::ordered::{OrderedStore, Sync};
use super::stored::Stored;
use super::write_set::WriteSet;
use crate::error::StoreError;
use crate::segments::Segment;
use crate::segments::entry::{Place, SegmentId, Walked};

/// How many rows one step looks at, or twice as many as came since the last step: so a round keeps up with whatever is
/// written, and the work is a constant for each row. With their keys sought, 4 000 take some milliseconds.
const ROWS_A_STEP: usize = 4 << 10;
/// How many bytes of rows one step moves at most, and one row.
const MOVED_BYTES_A_STEP: usize = 4 << 20;

/// Where the collection stands. It begins anew with the process.
#[derive(Debug, Default)]
pub(super) struct Collection {
    /// The segment that is looked at, or the first one to be.
    segment: SegmentId,
    stage: Stage,
    /// Something was written since the round began, so that another one may find more.
    anew: bool,
    /// How many rows have come to segments since the last step.
    appended: usize,
}

impl Collection {
    /// Takes note of a write that has put so many rows into segments.
    pub(super) fn note_write(&mut self, appended: usize) {
        self.anew = true;
        self.appended += appended;
    }
}

#[derive(Debug, Clone, Copy)]
enum Stage {
    /// Rows before `next` have been looked at; of these, `live` bytes are led to.
    Counting { next: u64, live: u64 },
    /// Rows before `next` are led to no more.
    Moving { next: u64 },
}

impl Default for Stage {
    fn default() -> Self {
        Self::Counting { next: 0, live: 0 }
    }
}

/// What a step found out about its segment.
enum Verdict {
    /// The step has come to its limit.
    Unfinished,
    /// It stays.
    Keep,
    Delete,
}

/// One bounded step; answers whether another one at once gives room back. A segment of which half is deleted gives its
/// rows to the end and goes. The caller lets nobody write meanwhile.
pub(super) fn step(store: &OrderedStore, at: &mut Collection) -> Result<bool, StoreError> {
    let mut rows = ROWS_A_STEP.max(std::mem::take(&mut at.appended).saturating_mul(2));
    let mut moved = false;
    while rows > 0 {
        let Some((id, segment)) = store.segments.ended_from(at.segment) else {
            if std::mem::take(&mut at.anew) {
                (at.segment, at.stage) = Default::default();
            }
            return Ok(moved);
        };
        if id != at.segment {
            (at.segment, at.stage) = (id, Stage::default());
        }
        let verdict = match at.stage {
            Stage::Counting { next, live } => count(store, at, &segment, next, live, &mut rows)?,
            Stage::Moving { next } => {
                (rows, moved) = (0, true);
                carry(store, at, &segment, next)?
            }
        };
        match verdict {
            Verdict::Unfinished => continue,
            Verdict::Keep => {}
            Verdict::Delete => {
                // Deleted keys must not come back with a loss of power when their rows are gone.
                store.sync_log()?;
                store.segments.remove(id)?;
            }
        }
        (at.segment, at.stage) = (id.next(), Stage::default());
    }
    Ok(moved || matches!(at.stage, Stage::Moving { .. }))
}

fn count(
    store: &OrderedStore,
    at: &mut Collection,
    segment: &Segment,
    from: u64,
    mut live: u64,
    rows: &mut usize,
) -> Result<Verdict, StoreError> {
    let walked = look_at(store, at.segment, segment, from, |key, place| {
        *rows -= 1;
        if leads_to(store, key, place)? {
            live += u64::from(place.length);
        }
        Ok(*rows == 0)
    })?;
    at.stage = match walked {
        Walked::Torn(_) => return Ok(Verdict::Keep),
        Walked::End(_) if live == 0 => return Ok(Verdict::Delete),
        Walked::End(length) if live * 2 > length => return Ok(Verdict::Keep),
        Walked::End(_) => Stage::Moving { next: 0 },
        Walked::To(next) => Stage::Counting { next, live },
    };
    Ok(Verdict::Unfinished)
}

fn carry(store: &OrderedStore, at: &mut Collection, segment: &Segment, from: u64) -> Result<Verdict, StoreError> {
    let files = store.segments.files();
    let (mut set, mut row) = (WriteSet::new(), Vec::new());
    let walked = look_at(store, at.segment, segment, from, |key, place| {
        if leads_to(store, key, place)? {
            let row = store.segments.read(&files, place, key, &mut row);
            set.put(key, row.map_err(|unread| store.unread(unread))?);
        }
        Ok(set.bytes() >= MOVED_BYTES_A_STEP)
    })?;
    if let Walked::Torn(_) = walked {
        return Ok(Verdict::Keep);
    }
    store.put(&set, Sync::Disk, 0)?;
    match walked {
        Walked::To(next) => {
            at.stage = Stage::Moving { next };
            Ok(Verdict::Unfinished)
        }
        _ => Ok(Verdict::Delete),
    }
}

/// Calls `is_enough` for the rows of a segment from `from` on, until it is. Where a row cannot be told from damage, those
/// behind it may live.
fn look_at(
    store: &OrderedStore,
    id: SegmentId,
    segment: &Segment,
    from: u64,
    mut is_enough: impl FnMut(&[u8], Place) -> Result<bool, StoreError>,
) -> Result<Walked, StoreError> {
    let mut failed = None;
    let walked = segment.walk(id, from, |key, place| match is_enough(key, place) {
        Ok(false) => ControlFlow::Continue(()),
        Ok(true) => ControlFlow::Break(()),
        Err(error) => {
            failed = Some(error);
            ControlFlow::Break(())
        }
    });
    if let Some(error) = failed {
        return Err(error);
    }
    let path = store.segments.path(id);
    let walked = walked.map_err(|error| StoreError::io(&path, "read the file", &error))?;
    if let Walked::Torn(from) = walked {
        tracing::warn!(path = %path.display(), from, "a file of the log is damaged; it is not deleted");
    }
    Ok(walked)
}

/// Whether `key` leads to the row at `place`.
fn leads_to(store: &OrderedStore, key: &[u8], place: Place) -> Result<bool, StoreError> {
    let found = store.stored(key, |bytes| Stored::parse(bytes) == Some(Stored::Apart(place)))?;
    Ok(found.unwrap_or(false))
}
