//! What waits for its turn in event time: records of a stream, and the updates of the table it is joined with.
//!
//! Not here: which time may go on ([`crate::table_join`]). Invariant: what goes on does so in the order of (time,
//! updates before records, source, arrival), each once, whatever was in memory and whatever in the store.
//!
//! ```text
//! value of an update  ┌────────────────┬─────┬──────┬────────────────────────┐
//!                     │ key length u32 │ key │ 0x01 │ the row, state's codec │   0x00 alone: a deletion
//!                     └────────────────┴─────┴──────┴────────────────────────┘
//! value of a record   ┌────────────────┬─────┬────────────────────┬─────────┬──────────────────────────┐
//!                     │ key length u32 │ key │ headers length u32 │ headers │ the value, state's codec │
//!                     └────────────────┴─────┴────────────────────┴─────────┴──────────────────────────┘
//! ```
//! Big-endian. What comes and goes within one transaction never reaches the store.

use std::ops::ControlFlow;

use state::keys::meta::MetaKey;
use state::keys::queue::QueueKey;
use state::{ColumnId, KeyError, StateKey};

use crate::batch::Headers;
use crate::changelog;
use crate::error::CoreError;
use crate::process::Unkeyed;
use crate::step::Step;
use crate::table::Kept;

const UPDATES: u8 = 0;
const RECORDS: u8 = 1;

/// What a record that waits is kept under: the key of its stream, also where that has none yet.
pub trait QueuedKey: Sized + Send + 'static {
    #[doc(hidden)]
    fn write(&self, into: &mut Vec<u8>);
    #[doc(hidden)]
    fn read(bytes: &[u8]) -> Result<Self, KeyError>;
}

impl<K: StateKey> QueuedKey for K {
    fn write(&self, into: &mut Vec<u8>) {
        self.encode(into);
    }

    fn read(bytes: &[u8]) -> Result<Self, KeyError> {
        K::decode(bytes)
    }
}

impl QueuedKey for Unkeyed {
    fn write(&self, _: &mut Vec<u8>) {}

    fn read(_: &[u8]) -> Result<Self, KeyError> {
        Ok(Self)
    }
}

/// Something that waits. The table's key `U` is the stream's, or another one.
pub(crate) enum Waiter<K, V, R, U = K> {
    /// From its time on, the key has this row, or none.
    Update { key: U, row: Option<R> },
    /// A record of the stream.
    Record { key: K, value: V, headers: Vec<u8> },
}

type Entry<K, V, R, U> = (QueueKey, Waiter<K, V, R, U>);

/// All that waits in one task.
pub(crate) struct Waiting<K, V, R, U = K> {
    name: &'static str,
    column: ColumnId,
    /// Came within the open transaction and is not in the store.
    fresh: Vec<Entry<K, V, R, U>>,
    /// The store holds nothing of this time or an earlier one.
    clear_through: i64,
    /// The number of the next to come; `None` until it has been read from the store.
    next: Option<u64>,
}

/// A clone has seen nothing: what it is cloned from is a prototype.
impl<K, V, R, U> Clone for Waiting<K, V, R, U> {
    fn clone(&self) -> Self {
        Self::new(self.name, self.column)
    }
}

impl<K, V, R, U> Waiting<K, V, R, U> {
    pub(crate) fn new(name: &'static str, column: ColumnId) -> Self {
        Self { name, column, fresh: Vec::new(), clear_through: i64::MIN, next: None }
    }
}

impl<K: QueuedKey, V: Kept, R: Kept, U: StateKey> Waiting<K, V, R, U> {
    /// Takes something in. `source` tells those apart whose order among each other does not hang on their arrival;
    /// `heap_bytes` is about what it holds outside of itself.
    pub(crate) fn push(
        &mut self,
        step: &mut Step<'_>,
        time: i64,
        source: u16,
        waiter: Waiter<K, V, R, U>,
        heap_bytes: usize,
    ) {
        let Some(number) = self.number(step) else { return };
        let side = match waiter {
            Waiter::Update { .. } => UPDATES,
            Waiter::Record { .. } => RECORDS,
        };
        step.held_bytes += size_of::<Entry<K, V, R, U>>() + heap_bytes;
        self.fresh.push((QueueKey { time, side, source, number }, waiter));
    }

    fn number(&mut self, step: &mut Step<'_>) -> Option<u64> {
        let next = match self.next {
            Some(next) => next,
            None => changelog::own(step, self.progress_key(), || format!("store {}", self.name))?.unwrap_or(0),
        };
        self.next = Some(next + 1);
        Some(next)
    }

    /// Whether something waits for a later time than `time`.
    pub(crate) fn holds_later_than(&self, step: &mut Step<'_>, time: i64) -> bool {
        let mut holds = self.fresh.iter().any(|(key, _)| key.time > time);
        if !holds {
            let range = QueueKey::between(time, i64::MAX);
            let scanned = step.rows.scan(self.column, range.as_range(), &mut |_, _| {
                holds = true;
                ControlFlow::Break(())
            });
            step.ok(scanned);
        }
        holds
    }

    /// Shows to `each`, with its time, what waits for `through` or an earlier time, as much as the step allows.
    /// Answers where it stands if there is more: nothing that is left is earlier.
    pub(crate) fn release(
        &mut self,
        step: &mut Step<'_>,
        through: i64,
        mut each: impl FnMut(&mut Step<'_>, i64, Waiter<K, V, R, U>),
    ) -> Option<i64> {
        self.fresh.sort_unstable_by_key(|(key, _)| *key);
        let later = self.fresh.split_off(self.fresh.partition_point(|(key, _)| key.time <= through));
        let mut fresh = std::mem::replace(&mut self.fresh, later).into_iter().peekable();
        let (stored, cut) = self.stored(step, through);
        let mut stored = stored.into_iter().peekable();
        let (mut last, mut took_stored) = (None, false);
        while step.closings_left > 0 && step.failure.is_none() {
            let from_store = match (stored.peek(), fresh.peek()) {
                (Some((stored, _)), Some((fresh, _))) => stored < fresh,
                (stored, _) => stored.is_some(),
            };
            let Some((key, waiter)) = (if from_store { stored.next() } else { fresh.next() }) else { break };
            took_stored |= from_store;
            step.closings_left -= 1;
            last = Some(key);
            each(step, key.time, waiter);
        }
        if took_stored && let Some(last) = last {
            changelog::expire(step, self.column, &last.behind());
        }
        let is_more = cut || stored.peek().is_some() || fresh.peek().is_some();
        if !is_more {
            self.clear_through = through.max(self.clear_through);
            return None;
        }
        step.unfinished = true;
        let first = fresh.peek().map_or(through, |(key, _)| key.time);
        // In order before the later ones, which they were split from.
        self.fresh.splice(0..0, fresh);
        let behind_clear = self.clear_through.saturating_add(1);
        Some(last.map_or(first.min(behind_clear), |last| last.time))
    }

    /// What the store holds up to `through`, as much as the step allows, and whether that is all.
    fn stored(&self, step: &mut Step<'_>, through: i64) -> (Vec<Entry<K, V, R, U>>, bool) {
        let (mut entries, mut cut, mut broken) = (Vec::new(), false, None);
        if through <= self.clear_through {
            return (entries, cut);
        }
        let most = step.closings_left;
        let range = QueueKey::between(self.clear_through, through);
        let scanned = step.rows.scan(self.column, range.as_range(), &mut |key, value| {
            cut = entries.len() >= most;
            if cut {
                return ControlFlow::Break(());
            }
            match read(key, value) {
                Ok(entry) => {
                    entries.push(entry);
                    ControlFlow::Continue(())
                }
                Err(error) => {
                    broken = Some(self.damaged(&error));
                    ControlFlow::Break(())
                }
            }
        });
        step.ok(scanned);
        if let Some(error) = broken {
            step.fail(error);
        }
        (entries, cut)
    }

    /// Stages and logs what has to wait longer than the open transaction.
    pub(crate) fn drain(&mut self, step: &mut Step<'_>) {
        if self.fresh.is_empty() {
            return;
        }
        self.fresh.sort_unstable_by_key(|(key, _)| *key);
        let mut value = Vec::new();
        for (key, waiter) in std::mem::take(&mut self.fresh) {
            value.clear();
            let written = write(&mut value, &waiter);
            step.ok(written.map_err(|error| CoreError::store_refused(format!("store {}: {error}", self.name))));
            changelog::put(step, self.column, &key.to_bytes(), &value);
            self.clear_through = self.clear_through.min(key.time.saturating_sub(1));
        }
        changelog::put_own(step, self.progress_key(), &self.next.unwrap_or_default());
    }

    /// Forgets everything in memory.
    pub(crate) fn abandon(&mut self) {
        *self = Self::new(self.name, self.column);
    }

    fn progress_key(&self) -> MetaKey {
        MetaKey::OperatorProgress(u16::from(self.column.0))
    }

    fn damaged(&self, error: &str) -> CoreError {
        CoreError::store_rebuild(format!("store {}: {error}", self.name))
    }
}

fn write<K: QueuedKey, V: Kept, R: Kept, U: StateKey>(
    into: &mut Vec<u8>,
    waiter: &Waiter<K, V, R, U>,
) -> Result<(), state::CodecError> {
    into.extend_from_slice(&[0; 4]);
    match waiter {
        Waiter::Update { key, .. } => key.encode(into),
        Waiter::Record { key, .. } => key.write(into),
    }
    let length = (into.len() - 4) as u32;
    into[..4].copy_from_slice(&length.to_be_bytes());
    match waiter {
        Waiter::Update { row: None, .. } => {
            into.push(0);
            Ok(())
        }
        Waiter::Update { row: Some(row), .. } => {
            into.push(1);
            state::codec::encode_into(into, row)
        }
        Waiter::Record { headers, value, .. } => {
            into.extend_from_slice(&(headers.len() as u32).to_be_bytes());
            into.extend_from_slice(headers);
            state::codec::encode_into(into, value)
        }
    }
}

fn read<K: QueuedKey, V: Kept, R: Kept, U: StateKey>(key: &[u8], value: &[u8]) -> Result<Entry<K, V, R, U>, String> {
    let place = QueueKey::decode(key).map_err(|error| error.to_string())?;
    let (key, rest) = part(value).ok_or("an entry that waits is cut off")?;
    let decoded = |error: state::CodecError| error.to_string();
    let no_key = |error: KeyError| error.to_string();
    let waiter = match (place.side, rest.split_first()) {
        (UPDATES, Some((0, []))) => Waiter::Update { key: U::decode(key).map_err(no_key)?, row: None },
        (UPDATES, Some((1, row))) => {
            let row = Some(state::codec::decode(row).map_err(decoded)?);
            Waiter::Update { key: U::decode(key).map_err(no_key)?, row }
        }
        (RECORDS, _) => {
            let (headers, value) = part(rest).ok_or("a record that waits is cut off")?;
            let (key, value) = (K::read(key).map_err(no_key)?, state::codec::decode(value).map_err(decoded)?);
            Waiter::Record { key, headers: headers.to_vec(), value }
        }
        _ => return Err("an entry that waits is in no known form".to_owned()),
    };
    Ok((place, waiter))
}

/// A part with its length before it, and what is behind it.
fn part(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (length, rest) = bytes.split_first_chunk::<4>()?;
    rest.split_at_checked(u32::from_be_bytes(*length) as usize)
}

/// The headers of the record that is on its way, to be kept with it.
pub(crate) fn headers_of(step: &Step<'_>) -> Vec<u8> {
    let Headers(bytes) = step.headers.as_headers();
    bytes.to_vec()
}
