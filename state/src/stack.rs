//! One column's committed changes that the base has not been given yet.
//!
//! Each commit lays a run of rows on those before it. A run that is less than twice as large as the one upon it becomes one
//! with it, so runs are few and double in size from the newest to the oldest, and a row is written again as often as what
//! lies there has doubled since: the logarithmic method of Bentley and Saxe (Decomposable searching problems, 1980).
//!
//! Not here: when the stack goes to the base; that is [`crate::staged`].
//! Invariant: all rows are newer than the mask, which speaks only for the base; of two rows under one key, the one in the
//! later run is newer.

use std::cmp::Ordering;

use crate::batch::Change;
use crate::layer::{self, Layer, LayerRow, Overlaid, Word};
use crate::mask::Mask;
use crate::run::SortedRun;
use crate::store::KeyRange;

/// Committed changes of one column.
#[derive(Default, Debug)]
pub(crate) struct Stack {
    /// The oldest first; none is empty.
    runs: Vec<SortedRun>,
    mask: Mask,
    mask_bytes: usize,
}

impl Stack {
    pub(crate) fn is_empty(&self) -> bool {
        self.runs.is_empty() && self.mask.is_empty()
    }

    /// Memory held, in bytes, roughly.
    pub(crate) fn bytes(&self) -> usize {
        self.mask_bytes + self.runs.iter().map(SortedRun::bytes).sum::<usize>()
    }

    pub(crate) fn mask(&self) -> &Mask {
        &self.mask
    }

    pub(crate) fn get(&self, key: &[u8]) -> Word<'_> {
        match self.runs.iter().rev().find_map(|run| run.get(key)) {
            Some(Some(value)) => Word::Value(value),
            Some(None) => Word::Deleted,
            None if self.mask.covers(key) => Word::Deleted,
            None => Word::Silent,
        }
    }

    /// Lays `upper`, which is newer, over all there is and leaves it empty.
    pub(crate) fn absorb(&mut self, upper: &mut Layer) {
        if upper.is_empty() {
            return;
        }
        let (run, mask) = upper.take();
        for range in mask.ranges() {
            self.runs.iter_mut().for_each(|run| run.delete_range(range));
            self.mask_bytes += self.mask.add(range);
        }
        self.runs.push(run);
        self.runs.retain(|run| !run.is_empty());
        while let [.., older, newer] = self.runs.as_slice()
            && older.bytes() < 2 * newer.bytes()
        {
            self.merge_last();
        }
    }

    fn merge_last(&mut self) {
        let newer = self.runs.pop().unwrap_or_default();
        let older = self.runs.pop().unwrap_or_default();
        self.runs.push(SortedRun::merged(older, newer));
    }

    /// All changes: ranges first, because the rows are newer.
    pub(crate) fn changes(&self) -> impl Iterator<Item = Change<'_>> {
        layer::changes(&self.mask, self.rows_in(KeyRange::ALL))
    }

    /// Forgets everything.
    pub(crate) fn clear(&mut self) {
        *self = Self::default();
    }

    /// The rows of `range`, ascending, deleted ones included.
    pub(crate) fn rows_in<'a>(&'a self, range: KeyRange<'_>) -> Rows<'a> {
        overlaid(self.runs.iter().map(|run| run.rows_in(range)), Ordering::Less)
    }

    /// The rows of `range`, descending, deleted ones included.
    pub(crate) fn rows_back_in<'a>(&'a self, range: KeyRange<'_>) -> Rows<'a> {
        overlaid(self.runs.iter().map(|run| run.rows_in(range).rev()), Ordering::Greater)
    }
}

type Rows<'a> = Box<dyn Iterator<Item = LayerRow<'a>> + 'a>;

/// Runs, the oldest first, as one. `first` is how the key that comes first compares to the other.
fn overlaid<'a, R: Iterator<Item = LayerRow<'a>> + 'a>(runs: impl Iterator<Item = R>, first: Ordering) -> Rows<'a> {
    runs.fold(Box::new(std::iter::empty()), |older: Rows<'a>, run| {
        let mut run = run.peekable();
        if run.peek().is_none() { older } else { Box::new(Overlaid::new(run, older, first)) }
    })
}
