//! A task's state as the task sees it: the open transaction over what is committed over the base.
//!
//! ```text
//!   put, delete ──▶ staged    the open transaction; discard() forgets it
//!                     │ apply(receipt of a publish)
//!                   applied   committed, not yet given to the base; a crash loses it together with
//!                     │       its positions, and the changelog's tail brings both back
//!                     ▼ one batch, once it has grown to a bound or on flush()
//!                   base      rows and positions on disk
//! ```
//!
//! The middle layer is there for speed: a row that is written at every commit, or that expires soon,
//! reaches the base once or never.
//!
//! Not here: how a transaction is published; the caller proves that one was by a [`Receipt`].
//! Invariant: the base is written only with changes that a receipt, or the changelog itself, vouches
//! for, and never without the positions that belong to them.

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::iter::Peekable;
use std::marker::PhantomData;
use std::ops::ControlFlow;

use crate::batch::{Batch, Change};
use crate::error::StoreError;
use crate::layer::{Layer, LayerRow, Overlaid, Word};
use crate::position::Position;
use crate::stack::Stack;
use crate::store::{Base, ColumnId, KeyRange, Row, Visit};

/// Proof that a transaction was published. Only a successful publish may make one.
pub trait Receipt {
    /// The changelog position that `column` has reached by the transaction. `None` where the log did
    /// not tell: the old position stays, and a restart replays that tail once more.
    fn position(&self, column: ColumnId) -> Option<Position>;
}

/// The bounds of one [`TaskStore`]'s memory. They are not part of [`crate::MemoryBudget`]: whoever opens
/// many tasks divides what he has among them.
#[derive(Clone, Copy, Debug)]
pub struct TaskStoreLimits {
    /// From this size on, [`TaskStore::is_full`] asks for a commit.
    pub staged_bytes_max: usize,
    /// From this size on, committed changes are written to the base.
    pub applied_bytes_max: usize,
}

impl Default for TaskStoreLimits {
    fn default() -> Self {
        Self { staged_bytes_max: 16 << 20, applied_bytes_max: 4 << 20 }
    }
}

/// How much more than [`TaskStoreLimits::applied_bytes_max`] may be committed before the base is written, where rows
/// are overwritten.
const REPLAY_FACTOR: usize = 2;

/// What a write to a [`TaskStore`] answers.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Room {
    /// There is room for more.
    Left,
    /// The write was taken, and the transaction should be committed before the next record.
    Full,
}

/// The rows of one task, with uncommitted changes on top. `R` is the receipt that opens the base.
#[derive(Debug)]
pub struct TaskStore<B, R> {
    base: B,
    /// By column number. The first touch of a column makes its place.
    columns: Vec<Column>,
    applied_positions: BTreeMap<ColumnId, Position>,
    /// What was committed since the base was last written, overwritten rows included.
    changed_bytes: usize,
    staged_bytes: usize,
    limits: TaskStoreLimits,
    receipt: PhantomData<fn(&R)>,
}

#[derive(Default, Debug)]
struct Column {
    /// Declared or written: a column that the changelog's positions concern.
    known: bool,
    staged: Layer,
    applied: Stack,
}

impl<B: Base, R: Receipt> TaskStore<B, R> {
    /// The rows of `base`, with nothing staged. `columns` are those that [`Self::apply`] asks the receipt
    /// about, besides those that have been written through this value.
    pub fn new(base: B, columns: impl IntoIterator<Item = ColumnId>, limits: TaskStoreLimits) -> Self {
        let mut store = Self {
            base,
            columns: Vec::new(),
            applied_positions: BTreeMap::new(),
            changed_bytes: 0,
            staged_bytes: 0,
            limits,
            receipt: PhantomData,
        };
        for column in columns {
            store.column_mut(column).known = true;
        }
        store
    }

    /// Calls `use_value` with the value of `key`, if there is one, without copying it.
    pub fn with<T>(
        &self,
        column: ColumnId,
        key: &[u8],
        use_value: impl FnOnce(&[u8]) -> T,
    ) -> Result<Option<T>, StoreError> {
        if let Some(layers) = self.column(column) {
            let word = match layers.staged.get(key) {
                Word::Silent => layers.applied.get(key),
                word => word,
            };
            match word {
                Word::Value(value) => return Ok(Some(use_value(value))),
                Word::Deleted => return Ok(None),
                Word::Silent => {}
            }
        }
        let mut use_value = Some(use_value);
        let mut answer = None;
        self.base.read(column, key, &mut |value| answer = use_value.take().map(|use_value| use_value(value)))?;
        Ok(answer)
    }

    /// The value of `key`, own uncommitted writes included.
    pub fn get(&self, column: ColumnId, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        self.with(column, key, <[u8]>::to_vec)
    }

    /// Calls `visit` for the rows of `range`, own uncommitted writes included, in ascending order of
    /// their keys, until it breaks.
    pub fn scan(
        &self,
        column: ColumnId,
        range: KeyRange<'_>,
        mut visit: impl FnMut(&[u8], &[u8]) -> ControlFlow<()>,
    ) -> Result<(), StoreError> {
        match self.column(column) {
            Some(layers) => layers.scan(&self.base, column, range, &mut visit),
            None => self.base.scan(column, range, &mut visit),
        }
    }

    /// Calls `visit` for the committed rows of `range`, without own uncommitted writes, in ascending order
    /// of their keys, until it breaks: what everybody else may see.
    pub fn scan_committed(
        &self,
        column: ColumnId,
        range: KeyRange<'_>,
        mut visit: impl FnMut(&[u8], &[u8]) -> ControlFlow<()>,
    ) -> Result<(), StoreError> {
        let Some(Column { applied, .. }) = self.column(column) else {
            return self.base.scan(column, range, &mut visit);
        };
        let mut upper = applied.rows_in(range).peekable();
        let mut flow = ControlFlow::Continue(());
        merge(&self.base, column, &mut upper, &applied.mask().gaps(range), &mut flow, &mut visit)?;
        finish(upper, flow, &mut visit);
        Ok(())
    }

    /// The row with the greatest key of `range`, own uncommitted writes included.
    pub fn last(&self, column: ColumnId, range: KeyRange<'_>) -> Result<Option<Row>, StoreError> {
        match self.column(column) {
            Some(layers) => layers.last(&self.base, column, range),
            None => self.base.last(column, range),
        }
    }

    /// Stages a value for `key`. It is taken even when there is no room left: ask between records.
    pub fn put(&mut self, column: ColumnId, key: &[u8], value: &[u8]) -> Room {
        self.stage(column, |layer| layer.set(key, Some(value)))
    }

    /// Stages the deletion of `key`.
    pub fn delete(&mut self, column: ColumnId, key: &[u8]) -> Room {
        self.stage(column, |layer| layer.set(key, None))
    }

    /// Stages the deletion of all keys of `range`, at a cost that does not depend on their number in
    /// the base.
    pub fn delete_range(&mut self, column: ColumnId, range: KeyRange<'_>) -> Room {
        self.stage(column, |layer| layer.delete_range(range))
    }

    /// Memory that the open transaction holds, in bytes, roughly.
    pub fn staged_bytes(&self) -> usize {
        self.staged_bytes
    }

    /// Whether the transaction should be committed before the next record.
    pub fn is_full(&self) -> bool {
        self.staged_bytes >= self.limits.staged_bytes_max
    }

    /// Makes the staged changes committed ones, at the positions of `receipt`. After an error the store must be closed and opened
    /// anew: what was published is in the changelog, and nothing may be processed on top.
    pub fn apply(&mut self, receipt: &R) -> Result<(), StoreError> {
        for (index, layers) in (0..=u8::MAX).zip(&mut self.columns) {
            layers.applied.absorb(&mut layers.staged);
            if !layers.known {
                continue;
            }
            if let Some(position) = receipt.position(ColumnId(index)) {
                self.applied_positions.insert(ColumnId(index), position);
            }
        }
        self.changed_bytes += std::mem::take(&mut self.staged_bytes);
        self.write_if_large()
    }

    /// Forgets the staged changes: the transaction was aborted.
    pub fn discard(&mut self) {
        for layers in &mut self.columns {
            layers.staged.clear();
        }
        self.staged_bytes = 0;
    }

    /// Takes committed changes of one column from its changelog, in the log's order, up to `position`,
    /// the next offset to read. Changes and position become visible, and later durable, together.
    pub fn replay<'c>(
        &mut self,
        column: ColumnId,
        changes: impl IntoIterator<Item = Change<'c>>,
        position: Position,
    ) -> Result<(), StoreError> {
        let mut replayed = Layer::default();
        changes.into_iter().for_each(|change| replayed.add(change));
        self.column_mut(column).applied.absorb(&mut replayed);
        self.applied_positions.insert(column, position);
        self.write_if_large()
    }

    /// How far `column` has followed its changelog, by what is committed.
    pub fn position(&self, column: ColumnId) -> Result<Option<Position>, StoreError> {
        match self.applied_positions.get(&column) {
            Some(position) => Ok(Some(*position)),
            None => self.base.position(column),
        }
    }

    /// Puts everything committed on disk; what is staged stays staged.
    pub fn flush(&mut self) -> Result<(), StoreError> {
        self.write_applied()?;
        self.base.flush()
    }

    /// Bytes that a crash now would lose and the changelog's tail would bring back, roughly.
    pub fn unflushed_bytes(&self) -> usize {
        self.applied_bytes() + self.base.unflushed_bytes()
    }

    /// The base, to read; what is staged or only applied is not in it.
    pub fn base(&self) -> &B {
        &self.base
    }

    /// Gives the base up as it is: what was not flushed or written to it is lost, as in a crash.
    pub fn into_base(self) -> B {
        self.base
    }

    fn column(&self, column: ColumnId) -> Option<&Column> {
        self.columns.get(usize::from(column.0))
    }

    fn column_mut(&mut self, column: ColumnId) -> &mut Column {
        let index = usize::from(column.0);
        if self.columns.len() <= index {
            self.columns.resize_with(index + 1, Column::default);
        }
        &mut self.columns[index]
    }

    fn stage(&mut self, column: ColumnId, change: impl FnOnce(&mut Layer)) -> Room {
        let layers = self.column_mut(column);
        layers.known = true;
        let staged = &mut layers.staged;
        let before = staged.bytes();
        change(staged);
        let after = staged.bytes();
        self.staged_bytes = self.staged_bytes + after - before;
        if self.is_full() { Room::Full } else { Room::Left }
    }

    /// Memory that committed changes hold which the base has not been given yet, in bytes, roughly.
    pub fn applied_bytes(&self) -> usize {
        self.columns.iter().map(|layers| layers.applied.bytes()).sum()
    }

    /// What was committed since the base was last given anything, overwritten rows included: about as much as a crash now
    /// would have to bring back of the changelog.
    pub fn changed_bytes(&self) -> usize {
        self.changed_bytes
    }

    fn write_if_large(&mut self) -> Result<(), StoreError> {
        // Rows that are overwritten at every commit never grow, but the changelog behind them does.
        let replay_bytes_max = self.limits.applied_bytes_max.saturating_mul(REPLAY_FACTOR);
        if self.applied_bytes() < self.limits.applied_bytes_max && self.changed_bytes < replay_bytes_max {
            return Ok(());
        }
        self.write_applied()
    }

    /// Gives all committed changes to the base, so that they take no memory here. After an error as after one of
    /// [`Self::apply`].
    pub fn write_applied(&mut self) -> Result<(), StoreError> {
        let columns = (0..=u8::MAX).map(ColumnId).zip(&self.columns);
        let mut batch = Batch::of(columns.map(|(column, layers)| (column, &layers.applied)));
        for (column, position) in &self.applied_positions {
            batch.set_position(*column, *position);
        }
        if batch.is_empty() {
            self.changed_bytes = 0;
            return Ok(());
        }
        batch.stands_for(self.changed_bytes);
        self.base.write(&batch)?;
        // ORDER: forgotten only once the base has it, so that a failed write loses no committed row.
        for layers in &mut self.columns {
            layers.applied.clear();
        }
        self.applied_positions.clear();
        self.changed_bytes = 0;
        Ok(())
    }
}

impl Column {
    /// The rows of both layers as one ascending sequence; `None` for keys deleted by a row of their own.
    /// Keys deleted only by a mask are left out.
    fn upper_rows<'a>(&'a self, range: KeyRange<'_>) -> impl Iterator<Item = (&'a [u8], Option<&'a [u8]>)> + 'a {
        let staged_mask = self.staged.mask();
        let applied = self.applied.rows_in(range).filter(|(key, _)| !staged_mask.covers(key));
        Overlaid::new(self.staged.rows_in(range), applied, Ordering::Less)
    }

    /// The greatest row of both layers, deleted ones included.
    fn upper_last<'a>(&'a self, range: KeyRange<'_>) -> Option<(&'a [u8], Option<&'a [u8]>)> {
        let staged = self.staged.rows_back_in(range).next();
        let staged_mask = self.staged.mask();
        let applied = self.applied.rows_back_in(range).find(|(key, _)| !staged_mask.covers(key));
        match (staged, applied) {
            (Some(upper), Some(lower)) if lower.0 > upper.0 => Some(lower),
            (Some(upper), _) => Some(upper),
            (None, lower) => lower,
        }
    }

    /// Calls `read` for the parts of `range` whose base rows no layer has deleted by range, ascending.
    fn unmasked<'r>(
        &'r self,
        range: KeyRange<'r>,
        mut read: impl FnMut(&[KeyRange<'_>]) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        match (self.staged.mask().is_empty(), self.applied.mask().is_empty()) {
            (true, true) => read(&[range]),
            (false, true) => read(&self.staged.mask().gaps(range)),
            (true, false) => read(&self.applied.mask().gaps(range)),
            (false, false) => {
                let mut both = self.applied.mask().clone();
                for masked in self.staged.mask().ranges() {
                    both.add(masked);
                }
                read(&both.gaps(range))
            }
        }
    }

    fn scan<B: Base>(
        &self,
        base: &B,
        column: ColumnId,
        range: KeyRange<'_>,
        visit: &mut Visit<'_>,
    ) -> Result<(), StoreError> {
        let mut upper = self.upper_rows(range).peekable();
        let mut flow = ControlFlow::Continue(());
        self.unmasked(range, |gaps| merge(base, column, &mut upper, gaps, &mut flow, visit))?;
        finish(upper, flow, visit);
        Ok(())
    }

    fn last<B: Base>(&self, base: &B, column: ColumnId, range: KeyRange<'_>) -> Result<Option<Row>, StoreError> {
        // Each round that does not answer meets a deleted row of a layer and goes on below it.
        let mut end: Option<Vec<u8>> = range.end.map(Into::into);
        loop {
            let below = KeyRange { start: range.start, end: end.as_deref() };
            let upper = self.upper_last(below);
            let mut lower = None;
            let above_upper = KeyRange { start: upper.map_or(range.start, |(key, _)| key), end: end.as_deref() };
            self.unmasked(above_upper, |gaps| {
                for gap in gaps.iter().rev() {
                    lower = base.last(column, *gap)?;
                    if lower.is_some() {
                        break;
                    }
                }
                Ok(())
            })?;
            let next_end = match (upper, lower) {
                (None, lower) => return Ok(lower),
                (Some((key, _)), Some(lower)) if lower.0.as_slice() > key => {
                    return Ok(Some(lower));
                }
                (Some((key, Some(value))), _) => return Ok(Some((key.to_vec(), value.to_vec()))),
                (Some((key, None)), _) => key.to_vec(),
            };
            end = Some(next_end);
        }
    }
}

/// Visits the base's rows in `gaps` together with the rows of `upper` that come before the last of them.
fn merge<'u, B: Base>(
    base: &B,
    column: ColumnId,
    upper: &mut Peekable<impl Iterator<Item = LayerRow<'u>>>,
    gaps: &[KeyRange<'_>],
    flow: &mut ControlFlow<()>,
    visit: &mut Visit<'_>,
) -> Result<(), StoreError> {
    for gap in gaps {
        if flow.is_break() {
            break;
        }
        base.scan(column, *gap, &mut |base_key, base_value| {
            while let Some((key, value)) = upper.next_if(|(key, _)| *key <= base_key) {
                if let Some(value) = value {
                    *flow = visit(key, value);
                }
                if key == base_key || flow.is_break() {
                    return *flow;
                }
            }
            *flow = visit(base_key, base_value);
            *flow
        })?;
    }
    Ok(())
}

/// Visits what `upper` still has after the base's last row.
fn finish<'u>(upper: impl Iterator<Item = LayerRow<'u>>, mut flow: ControlFlow<()>, visit: &mut Visit<'_>) {
    for (key, value) in upper {
        if flow.is_break() {
            break;
        }
        if let Some(value) = value {
            flow = visit(key, value);
        }
    }
}
