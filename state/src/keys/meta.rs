//! The keys of a task's rows about itself.
//!
//! ```text
//!   ┌──────┬───────────────────────────────────────────────┐
//!   │ kind │ what tells rows of one kind apart             │
//!   ├──────┼───────────────────────────────────────────────┤
//!   │  1   │                        commit record          │
//!   │  2   │ column u8              closing cursor         │
//!   │  3   │ stage u16, task u32    upstream time          │
//!   │  4   │ input u16, part. u32   source time            │
//!   │  5   │                        state epoch            │
//!   │  6   │ operator u16           operator progress      │
//!   │  7   │ input u16, part. u32   repeated-id guard      │
//!   │  8   │ column u8              rewrite cursor         │
//!   │  9   │                        contents               │
//!   │ 10   │ column u8              last version           │
//!   │11-31 │                        reserved               │
//!   └──────┴───────────────────────────────────────────────┘
//!   all numbers big endian
//! ```
//!
//! Not here: what the rows say. Stages, inputs and operators are the caller's numbers, which its plan
//! keeps stable.
//! Invariant: a kind's number is never used for another kind.

use super::KeyError;
use crate::store::{ColumnId, OwnedRange};

const WHAT: &str = "meta key";

/// Which row about the task.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum MetaKey {
    /// The last commit: its number, input offsets, topic ids, times.
    CommitRecord,
    /// How far closing the windows of a column has come.
    ClosingCursor(ColumnId),
    /// The event time that an upstream task has reached.
    UpstreamTime {
        /// The sub-topology it belongs to.
        stage: u16,
        /// Its number there.
        task: u32,
    },
    /// The stream time of a source partition, raises included.
    SourceTime {
        /// The input's number in the plan.
        input: u16,
        /// The partition.
        partition: u32,
    },
    /// The epoch that reprocessing raises.
    StateEpoch,
    /// What an operator without a column has to remember, such as when it last emitted.
    OperatorProgress(u16),
    /// The last control messages seen of a source partition, so that a repeated one is known.
    RepeatGuard {
        /// The input's number in the plan.
        input: u16,
        /// The partition.
        partition: u32,
    },
    /// How far rows that the log would soon drop have been written again.
    RewriteCursor(ColumnId),
    /// What the task's columns hold.
    Contents,
    /// The last version that the operator which keeps a column has given to a row.
    LastVersion(ColumnId),
}

impl MetaKey {
    /// Appends the key's bytes to `out`.
    pub fn encode_into(&self, out: &mut Vec<u8>) {
        out.push(self.kind());
        match *self {
            Self::CommitRecord | Self::StateEpoch | Self::Contents => {}
            Self::ClosingCursor(column) | Self::RewriteCursor(column) | Self::LastVersion(column) => out.push(column.0),
            Self::UpstreamTime { stage: group, task: member }
            | Self::SourceTime { input: group, partition: member }
            | Self::RepeatGuard { input: group, partition: member } => {
                out.extend_from_slice(&group.to_be_bytes());
                out.extend_from_slice(&member.to_be_bytes());
            }
            Self::OperatorProgress(operator) => out.extend_from_slice(&operator.to_be_bytes()),
        }
    }

    /// The key's bytes.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(7);
        self.encode_into(&mut out);
        out
    }

    /// Reads what [`Self::encode_into`] wrote.
    pub fn decode(bytes: &[u8]) -> Result<Self, KeyError> {
        let (kind, rest) = bytes.split_first().ok_or(KeyError::Short { what: WHAT })?;
        match kind {
            1 => nothing(rest).map(|()| Self::CommitRecord),
            2 => fixed(rest).map(|[column]| Self::ClosingCursor(ColumnId(column))),
            3 => member(rest).map(|(stage, task)| Self::UpstreamTime { stage, task }),
            4 => member(rest).map(|(input, partition)| Self::SourceTime { input, partition }),
            5 => nothing(rest).map(|()| Self::StateEpoch),
            6 => fixed(rest).map(|operator| Self::OperatorProgress(u16::from_be_bytes(operator))),
            7 => member(rest).map(|(input, partition)| Self::RepeatGuard { input, partition }),
            8 => fixed(rest).map(|[column]| Self::RewriteCursor(ColumnId(column))),
            9 => nothing(rest).map(|()| Self::Contents),
            10 => fixed(rest).map(|[column]| Self::LastVersion(ColumnId(column))),
            kind => {
                Err(KeyError::Malformed { what: WHAT, detail: format!("kind {kind} is not known to this program") })
            }
        }
    }

    /// All upstream times of `stage`.
    pub fn upstream_times_of(stage: u16) -> OwnedRange {
        OwnedRange::of_prefix(&Self::UpstreamTime { stage, task: 0 }.to_bytes()[..3])
    }

    /// All upstream times.
    pub fn upstream_times() -> OwnedRange {
        OwnedRange::of_prefix(&Self::UpstreamTime { stage: 0, task: 0 }.to_bytes()[..1])
    }

    /// All source times.
    pub fn source_times() -> OwnedRange {
        OwnedRange::of_prefix(&Self::SourceTime { input: 0, partition: 0 }.to_bytes()[..1])
    }

    /// The same row of the column that `renumbered` answers, where the row is about a column: operators are numbered as
    /// the column that they keep. `None` where the column is no more.
    pub fn of_column(self, renumbered: impl FnOnce(ColumnId) -> Option<ColumnId>) -> Option<Self> {
        match self {
            Self::ClosingCursor(column) => renumbered(column).map(Self::ClosingCursor),
            Self::RewriteCursor(column) => renumbered(column).map(Self::RewriteCursor),
            Self::LastVersion(column) => renumbered(column).map(Self::LastVersion),
            Self::OperatorProgress(operator) => {
                let column = renumbered(ColumnId(u8::try_from(operator).ok()?))?;
                Some(Self::OperatorProgress(u16::from(column.0)))
            }
            Self::CommitRecord
            | Self::UpstreamTime { .. }
            | Self::SourceTime { .. }
            | Self::StateEpoch
            | Self::RepeatGuard { .. }
            | Self::Contents => Some(self),
        }
    }

    fn kind(&self) -> u8 {
        match self {
            Self::CommitRecord => 1,
            Self::ClosingCursor(_) => 2,
            Self::UpstreamTime { .. } => 3,
            Self::SourceTime { .. } => 4,
            Self::StateEpoch => 5,
            Self::OperatorProgress(_) => 6,
            Self::RepeatGuard { .. } => 7,
            Self::RewriteCursor(_) => 8,
            Self::Contents => 9,
            Self::LastVersion(_) => 10,
        }
    }
}

fn nothing(rest: &[u8]) -> Result<(), KeyError> {
    fixed::<0>(rest).map(|_| ())
}

fn fixed<const N: usize>(rest: &[u8]) -> Result<[u8; N], KeyError> {
    let error = if rest.len() < N { KeyError::Short { what: WHAT } } else { KeyError::Surplus { what: WHAT } };
    rest.try_into().map_err(|_| error)
}

fn member(rest: &[u8]) -> Result<(u16, u32), KeyError> {
    let [a, b, c, d, e, f] = fixed(rest)?;
    Ok((u16::from_be_bytes([a, b]), u32::from_be_bytes([c, d, e, f])))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn key() -> impl Strategy<Value = MetaKey> {
        (0..10, any::<u8>(), any::<u16>(), any::<u32>()).prop_map(|(kind, column, group, member)| match kind {
            0 => MetaKey::CommitRecord,
            1 => MetaKey::ClosingCursor(ColumnId(column)),
            2 => MetaKey::UpstreamTime { stage: group, task: member },
            3 => MetaKey::SourceTime { input: group, partition: member },
            4 => MetaKey::StateEpoch,
            5 => MetaKey::OperatorProgress(group),
            6 => MetaKey::RepeatGuard { input: group, partition: member },
            7 => MetaKey::RewriteCursor(ColumnId(column)),
            8 => MetaKey::LastVersion(ColumnId(column)),
            _ => MetaKey::Contents,
        })
    }

    proptest! {
        #[test]
        fn round_trip_order_and_ranges(a in key(), b in key(), stage in any::<u16>()) {
            prop_assert_eq!(MetaKey::decode(&a.to_bytes()), Ok(a));
            prop_assert_eq!(a.to_bytes().cmp(&b.to_bytes()), a.cmp(&b));
            let holds = |range: OwnedRange| range.as_range().contains(&a.to_bytes());
            let (upstream, of_stage) = match a {
                MetaKey::UpstreamTime { stage: of, .. } => (true, of == stage),
                _ => (false, false),
            };
            prop_assert_eq!(holds(MetaKey::upstream_times()), upstream);
            prop_assert_eq!(holds(MetaKey::upstream_times_of(stage)), of_stage);
            prop_assert_eq!(holds(MetaKey::source_times()), matches!(a, MetaKey::SourceTime { .. }));
        }

        #[test]
        fn any_bytes_are_a_key_or_an_error(bytes in proptest::collection::vec(any::<u8>(), 0..9)) {
            if let Ok(key) = MetaKey::decode(&bytes) {
                prop_assert_eq!(key.to_bytes(), bytes);
            }
        }
    }

    #[test]
    fn golden_bytes() {
        let table: [(MetaKey, &[u8]); 10] = [
            (MetaKey::CommitRecord, &[1]),
            (MetaKey::ClosingCursor(ColumnId(9)), &[2, 9]),
            (MetaKey::UpstreamTime { stage: 258, task: 3 }, &[3, 1, 2, 0, 0, 0, 3]),
            (MetaKey::SourceTime { input: 1, partition: 65_536 }, &[4, 0, 1, 0, 1, 0, 0]),
            (MetaKey::StateEpoch, &[5]),
            (MetaKey::OperatorProgress(7), &[6, 0, 7]),
            (MetaKey::RepeatGuard { input: 0, partition: 2 }, &[7, 0, 0, 0, 0, 0, 2]),
            (MetaKey::RewriteCursor(ColumnId(0)), &[8, 0]),
            (MetaKey::Contents, &[9]),
            (MetaKey::LastVersion(ColumnId(4)), &[10, 4]),
        ];
        for (key, bytes) in table {
            assert_eq!(key.to_bytes(), bytes);
        }
    }
}
