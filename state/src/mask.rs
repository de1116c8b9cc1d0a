//! Ranges of keys whose rows in the layers below count as deleted.
//!
//! Not here: the rows written into such a range afterwards; they lie in the layer itself and win.
//! Invariant: the ranges are sorted, not empty, and neither overlap nor touch.

use crate::store::KeyRange;

/// Start and, if the range has one, end.
type Masked = (Box<[u8]>, Option<Box<[u8]>>);

/// A set of keys, kept as ranges.
#[derive(Default, Debug, Clone, PartialEq, Eq)]
pub(crate) struct Mask {
    ranges: Vec<Masked>,
}

/// Whether a range that ends at `end` reaches `start`, so that both are one range.
fn reaches(end: Option<&[u8]>, start: &[u8]) -> bool {
    end.is_none_or(|end| end >= start)
}

impl Mask {
    pub(crate) fn is_empty(&self) -> bool {
        self.ranges.is_empty()
    }

    pub(crate) fn covers(&self, key: &[u8]) -> bool {
        let after = self.ranges.partition_point(|(start, _)| &**start <= key);
        let last = after.checked_sub(1).and_then(|index| self.ranges.get(index));
        last.is_some_and(|(_, end)| end.as_deref().is_none_or(|end| key < end))
    }

    pub(crate) fn ranges(&self) -> impl Iterator<Item = KeyRange<'_>> {
        self.ranges.iter().map(|(start, end)| KeyRange { start, end: end.as_deref() })
    }

    /// Adds `range`; answers how many bytes of bounds are kept more than before (fewer: 0).
    pub(crate) fn add(&mut self, range: KeyRange<'_>) -> usize {
        if range.is_empty() {
            return 0;
        }
        let bytes_before = self.bytes();
        let first = self.ranges.partition_point(|(_, end)| !reaches(end.as_deref(), range.start));
        let after = self.ranges.partition_point(|(start, _)| reaches(range.end, start));
        let mut start: Box<[u8]> = range.start.into();
        let mut end: Option<Box<[u8]>> = range.end.map(Into::into);
        for (old_start, old_end) in self.ranges.drain(first..after) {
            start = start.min(old_start);
            end = end.and_then(|end| Some(end.max(old_end?)));
        }
        self.ranges.insert(first, (start, end));
        self.bytes().saturating_sub(bytes_before)
    }

    /// The parts of `range` that no range of this set covers, ascending.
    pub(crate) fn gaps<'a>(&'a self, range: KeyRange<'a>) -> Vec<KeyRange<'a>> {
        let mut gaps = Vec::new();
        let mut start = range.start;
        let first = self.ranges.partition_point(|(_, end)| !reaches(end.as_deref(), start));
        for (masked_from, masked_to) in self.ranges.iter().skip(first) {
            if range.end.is_some_and(|end| end <= &**masked_from) {
                break;
            }
            gaps.push(KeyRange { start, end: Some(masked_from) });
            match masked_to {
                Some(to) => start = start.max(to),
                None => {
                    gaps.retain(|gap| !gap.is_empty());
                    return gaps;
                }
            }
        }
        gaps.push(KeyRange { start, end: range.end });
        gaps.retain(|gap| !gap.is_empty());
        gaps
    }

    fn bytes(&self) -> usize {
        self.ranges.iter().map(|(start, end)| start.len() + end.as_ref().map_or(0, |end| end.len())).sum()
    }
}
