//! What a processor has still to do: records that have come and timers that are set, in one order.
//!
//! Not here: how far time has come, and what is done ([`super`]). Invariant: what is taken out comes in the order of
//! (time, records before timers, source, arrival), each once, whatever was in memory and whatever in the store; nothing
//! is put in before what has been taken out.
//!
//! ```text
//! value of an entry  ┌────────────────┬─────┬───────────────────────────┐
//!                    │ key length u32 │ key │ state's codec: a record,  │
//!                    │                │     │ or the timer's number u16 │
//!                    └────────────────┴─────┴───────────────────────────┘
//! ```
//! Big-endian; the side of the entry's place says which it is. What comes and goes within one transaction never reaches
//! the store.

use std::collections::{BTreeMap, VecDeque};
use std::ops::ControlFlow;

use serde::{Deserialize, Serialize};
use state::keys::meta::MetaKey;
use state::keys::queue::QueueKey;
use state::{ColumnId, StateKey};

use crate::changelog;
use crate::chunked::Chunked;
use crate::error::CoreError;
use crate::limits::SCAN_ROWS;
use crate::step::Step;
use crate::table::Kept;

pub(super) const RECORDS: u8 = 0;
pub(super) const TIMERS: u8 = 1;

/// A record on its way to the processor, with all that may be asked of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Arrived<V> {
    pub(super) value: V,
    pub(super) time: i64,
    /// The stream time of its partition before it; the least there is for what was made of time alone.
    pub(super) stream_time: i64,
    pub(super) headers: Vec<u8>,
    pub(super) origin: Origin,
}

/// Where a record came from, and how it looked there: it may yet be set aside.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Origin {
    /// A topic that others write.
    Input { source: u16, offset: u64, logged: i64, raw: Bytes },
    /// One of our repartition topics, which has offsets and times of its own.
    Travelled { source: u16, raw: Bytes },
    /// An operator before this one, which made it when time moved on.
    Derived,
}

/// A record's key and value as they came.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Bytes {
    pub(super) key: Option<Vec<u8>>,
    pub(super) value: Option<Vec<u8>>,
}

/// Something to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Due<K, V> {
    Record { key: K, record: Arrived<V> },
    Timer { key: K, number: u16 },
}

type Entry<K, V> = (QueueKey, Due<K, V>);

/// All that one task's processor has still to do.
pub(super) struct Agenda<K, V> {
    name: &'static str,
    column: ColumnId,
    /// Records that came within the open transaction, each to be done after the one before it, as nearly all come; not in
    /// the store.
    in_turn: Chunked<Entry<K, V>>,
    /// What else came within the open transaction: timers, and records to be done before one that was there already.
    between: BTreeMap<QueueKey, Due<K, V>>,
    /// The next entries of the store, while they are being taken out.
    stored: VecDeque<Entry<K, V>>,
    /// Whether the store has more of what is due than is in `stored`.
    is_cut: bool,
    /// The last one of the store's that was taken out.
    taken: Option<QueueKey>,
    /// The store holds nothing of this time or an earlier one.
    clear_through: i64,
    /// The number of the next to come; `None` until it has been read from the store.
    next: Option<u64>,
}

/// A clone has seen nothing: what it is cloned from is a prototype.
impl<K, V> Clone for Agenda<K, V> {
    fn clone(&self) -> Self {
        Self::new(self.name, self.column)
    }
}

/// The next thing to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Next {
    /// This, which is in memory for the open transaction anyway if `is_fresh`.
    At { place: QueueKey, is_fresh: bool },
    /// The store knows, and is to be [asked](Agenda::open_next). Nothing is earlier than this.
    Unknown(i64),
}

impl<K, V> Agenda<K, V> {
    pub(super) fn new(name: &'static str, column: ColumnId) -> Self {
        Self {
            name,
            column,
            in_turn: Chunked::default(),
            between: BTreeMap::new(),
            stored: VecDeque::new(),
            is_cut: false,
            taken: None,
            clear_through: i64::MIN,
            next: None,
        }
    }

    pub(super) fn column(&self) -> ColumnId {
        self.column
    }

    /// Forgets everything in memory.
    pub(super) fn abandon(&mut self) {
        *self = Self::new(self.name, self.column);
    }

    fn progress_key(&self) -> MetaKey {
        MetaKey::OperatorProgress(u16::from(self.column.0))
    }

    /// What is to be done next, as far as [`Self::open`] has looked.
    pub(super) fn next(&self) -> Option<Next> {
        let [in_turn, between] = self.fresh();
        match (self.stored.front(), [in_turn, between].into_iter().flatten().min()) {
            (None, _) if self.is_cut => {
                Some(Next::Unknown(self.taken.map_or(self.clear_through.saturating_add(1), |taken| taken.time)))
            }
            (Some((stored, _)), Some(fresh)) if fresh < *stored => Some(Next::At { place: fresh, is_fresh: true }),
            (Some((stored, _)), _) => Some(Next::At { place: *stored, is_fresh: false }),
            (None, Some(fresh)) => Some(Next::At { place: fresh, is_fresh: true }),
            (None, None) => None,
        }
    }

    /// What is next of either that came within the open transaction.
    fn fresh(&self) -> [Option<QueueKey>; 2] {
        let in_turn = self.in_turn.first().map(|(place, _)| *place);
        [in_turn, self.between.first_key_value().map(|(place, _)| *place)]
    }

    /// Takes out what [`Self::next`] has shown.
    pub(super) fn take(&mut self, is_fresh: bool) -> Option<Entry<K, V>> {
        if is_fresh {
            return match self.fresh() {
                [Some(in_turn), between] if between.is_none_or(|between| in_turn < between) => {
                    self.in_turn.take_first()
                }
                _ => self.between.pop_first(),
            };
        }
        let entry = self.stored.pop_front()?;
        self.taken = Some(entry.0);
        Some(entry)
    }
}

impl<K: StateKey, V: Kept> Agenda<K, V> {
    /// Takes something in. `source` tells those apart whose order among each other does not hang on their arrival;
    /// `heap_bytes` is about what it holds outside of itself.
    pub(super) fn put(&mut self, step: &mut Step<'_>, time: i64, source: u16, due: Due<K, V>, heap_bytes: usize) {
        let Some(number) = self.number(step) else { return };
        let side = match due {
            Due::Record { .. } => RECORDS,
            Due::Timer { .. } => TIMERS,
        };
        step.held_bytes += size_of::<Entry<K, V>>() + heap_bytes;
        let place = QueueKey { time, side, source, number };
        // A timer of a later time would keep every record before it out of the queue.
        if side == RECORDS && self.in_turn.last().is_none_or(|(last, _)| *last < place) {
            self.in_turn.push((place, due));
        } else {
            self.between.insert(place, due);
        }
    }

    fn number(&mut self, step: &mut Step<'_>) -> Option<u64> {
        let next = match self.next {
            Some(next) => next,
            None => changelog::own(step, self.progress_key(), || format!("store {}", self.name))?.unwrap_or(0),
        };
        self.next = Some(next + 1);
        Some(next)
    }

    /// Begins to take out what stands at `through` or earlier, at most so many entries.
    pub(super) fn open(&mut self, step: &mut Step<'_>, through: i64, most: usize) {
        if through > self.clear_through {
            self.open_part(step, through, most);
        }
    }

    /// Goes on where all that was opened has been taken out and the store has more. Answers whether it did.
    pub(super) fn open_next(&mut self, step: &mut Step<'_>, through: i64, most: usize) -> bool {
        let goes_on = self.is_cut && self.stored.is_empty() && most > 0;
        if goes_on {
            self.open_part(step, through, most);
        }
        goes_on
    }

    fn open_part(&mut self, step: &mut Step<'_>, through: i64, most: usize) {
        // An entry may be as large as a record, so they are read a few at a time.
        let most = most.min(SCAN_ROWS);
        let mut broken = None;
        let mut range = QueueKey::between(self.clear_through, through);
        if let Some(taken) = &self.taken {
            range.start = taken.behind();
        }
        self.is_cut = false;
        let Self { stored, is_cut, name, .. } = self;
        let scanned = step.rows.scan(self.column, range.as_range(), &mut |key, value| {
            *is_cut = stored.len() >= most;
            if *is_cut {
                return ControlFlow::Break(());
            }
            match read(key, value) {
                Ok(entry) => {
                    stored.push_back(entry);
                    ControlFlow::Continue(())
                }
                Err(error) => {
                    broken = Some(CoreError::store_rebuild(format!("store {name}: {error}")));
                    ControlFlow::Break(())
                }
            }
        });
        step.ok(scanned);
        if let Some(error) = broken {
            step.fail(error);
        }
    }

    /// Ends what [`Self::open`] began. `clear_through`: nothing is left of this time or an earlier one.
    pub(super) fn close(&mut self, step: &mut Step<'_>, clear_through: Option<i64>) {
        let taken = self.taken.take();
        if let Some(taken) = taken {
            changelog::expire(step, self.column, &taken.behind());
        }
        self.stored.clear();
        self.is_cut = false;
        let behind = taken.map(|taken| taken.time.saturating_sub(1));
        self.clear_through = clear_through.or(behind).map_or(self.clear_through, |it| it.max(self.clear_through));
    }

    /// Stages and logs what has to wait longer than the open transaction.
    pub(super) fn drain(&mut self, step: &mut Step<'_>) {
        let mut fresh = std::mem::take(&mut self.between);
        fresh.extend(self.in_turn.drain());
        if fresh.is_empty() {
            return;
        }
        let mut value = Vec::new();
        for (place, due) in fresh {
            value.clear();
            let written = write(&mut value, &due);
            step.ok(written.map_err(|error| CoreError::store_refused(format!("store {}: {error}", self.name))));
            changelog::put(step, self.column, &place.to_bytes(), &value);
            // Should a chain before ever hand on something too early, found late is better than never.
            self.clear_through = self.clear_through.min(place.time.saturating_sub(1));
        }
        changelog::put_own(step, self.progress_key(), &self.next.unwrap_or_default());
    }
}

fn write<K: StateKey, V: Kept>(into: &mut Vec<u8>, due: &Due<K, V>) -> Result<(), state::CodecError> {
    let (Due::Record { key, .. } | Due::Timer { key, .. }) = due;
    into.extend_from_slice(&[0; 4]);
    key.encode(into);
    let length = (into.len() - 4) as u32;
    into[..4].copy_from_slice(&length.to_be_bytes());
    match due {
        Due::Record { record, .. } => state::codec::encode_into(into, record),
        Due::Timer { number, .. } => state::codec::encode_into(into, number),
    }
}

fn read<K: StateKey, V: Kept>(key: &[u8], value: &[u8]) -> Result<Entry<K, V>, String> {
    let place = QueueKey::decode(key).map_err(|error| error.to_string())?;
    let cut_off = || "an entry is cut off".to_owned();
    let (length, rest) = value.split_first_chunk::<4>().ok_or_else(cut_off)?;
    let (key, rest) = rest.split_at_checked(u32::from_be_bytes(*length) as usize).ok_or_else(cut_off)?;
    let key = K::decode(key).map_err(|error| error.to_string())?;
    let decoded = |error: state::CodecError| error.to_string();
    let due = match place.side {
        RECORDS => Due::Record { key, record: state::codec::decode(rest).map_err(decoded)? },
        TIMERS => Due::Timer { key, number: state::codec::decode(rest).map_err(decoded)? },
        side => return Err(format!("an entry is of no known side: {side}")),
    };
    Ok((place, due))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record() -> Arrived<String> {
        let raw = Bytes { key: None, value: Some(b"raw".to_vec()) };
        let origin = Origin::Input { source: 1, offset: 7, logged: -3, raw };
        Arrived { value: "v".to_owned(), time: -5, stream_time: i64::MIN, headers: vec![1, 2], origin }
    }

    #[test]
    fn entries_are_read_as_they_were_written_and_damage_is_told() {
        let place = |side| QueueKey { time: -5, side, source: 2, number: 9 };
        let travelled = Origin::Travelled { source: 0, raw: Bytes { key: Some(vec![]), value: None } };
        for due in [
            Due::Record { key: 7_u16, record: record() },
            Due::Record { key: 7, record: Arrived { origin: travelled, ..record() } },
            Due::Record { key: 7, record: Arrived { origin: Origin::Derived, ..record() } },
            Due::Timer { key: 7, number: 3 },
        ] {
            let side = if matches!(due, Due::Record { .. }) { RECORDS } else { TIMERS };
            let mut value = Vec::new();
            write(&mut value, &due).unwrap();
            assert_eq!(read(&place(side).to_bytes(), &value), Ok((place(side), due)));
            assert!(read::<u16, String>(&place(side).to_bytes(), &value[..value.len() - 1]).is_err());
            assert!(read::<u16, String>(&place(2).to_bytes(), &value).is_err());
            assert!(read::<u16, String>(&place(side).to_bytes(), &value[..5]).is_err());
        }
        let mut value = Vec::new();
        write(&mut value, &Due::<u16, String>::Timer { key: 258, number: 3 }).unwrap();
        assert_eq!(value[..6], [0, 0, 0, 2, 1, 2]);
    }
}
