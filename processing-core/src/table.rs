//! The rows of a table: the present value of each key.
//!
//! Not here: where rows come from and at which event time they take effect ([`crate::table_join`]). Invariant: at
//! every commit the staged rows and the rows in memory say the same; a key that is gone takes no room for ever.
//!
//! ```text
//! value of a row   ┌──────┬────────────────────────┐
//!                  │ 0x01 │ the row, state's codec │      0x00 alone: the key is gone
//!                  └──────┴────────────────────────┘
//! ```
//!
//! A row that is deleted is first written as gone. When as many rows are gone as live, the table begins a new
//! generation: the rows that live are moved into it, a bounded number with each commit, and the older generation
//! leaves as one range. So nothing hangs on a changelog's record that a row is no more, which a compacted topic
//! forgets after a while: rows behind the cursor of a move are never looked at again, whoever still has them.

mod held;
mod packed;
mod range;

use std::ops::ControlFlow;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use state::keys::meta::MetaKey;
use state::keys::table::TableKey;
use state::{ColumnId, KeyRange, StateKey};

use self::held::{Asked, Held, Open};
use crate::changelog;
use crate::error::CoreError;
use crate::limits::{REWRITE_BYTES_MAX, REWRITE_ROWS_MAX, TABLE_GONE_MIN};
use crate::state_view::Rows;
use crate::step::Step;

/// What a store can keep: anything that serde writes and reads.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be kept in a store",
    label = "a join keeps this until the other side has come as far",
    note = "derive `serde::Serialize` and `serde::Deserialize` for it"
)]
pub trait Kept: Serialize + DeserializeOwned + Send + 'static {}

impl<T: Serialize + DeserializeOwned + Send + 'static> Kept for T {}

const GONE: u8 = 0;
const LIVE: u8 = 1;

/// A table counts for so many stores where memory is divided: of its rows each is looked for by itself, and takes a fifth of
/// what one of a window does, which is most often read again in its turn.
const CACHE_SHARES: usize = 3;

/// The rows of one table of one task, as far as they are in memory.
pub(crate) struct TableRows<K, R> {
    name: &'static str,
    column: ColumnId,
    held: Held<K, R>,
    /// How many of those that are open have changed.
    dirty: usize,
    /// `None` until it has been read from the store.
    progress: Option<Progress>,
}

/// A row of the task's meta column.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Progress {
    /// In which rows are written.
    generation: u32,
    /// How many rows of it were written as gone.
    gone: u64,
    /// How many keys have a row, in whichever generation.
    live: u64,
    /// Rows of the generation before, up to this key, have been moved or dropped; `None` where there is none.
    cursor: Option<Vec<u8>>,
}

/// A clone has seen nothing: what it is cloned from is a prototype.
impl<K, R> Clone for TableRows<K, R> {
    fn clone(&self) -> Self {
        Self::new(self.name, self.column)
    }
}

impl<K, R> TableRows<K, R> {
    pub(crate) fn new(name: &'static str, column: ColumnId) -> Self {
        Self { name, column, held: Held::default(), dirty: 0, progress: None }
    }

    pub(crate) fn column(&self) -> ColumnId {
        self.column
    }
}

impl<K: StateKey, R: Kept> TableRows<K, R> {
    /// The row of `key`, if it has one.
    pub(crate) fn get(&mut self, step: &mut Step<'_>, key: &K) -> Option<&R> {
        self.open(step, key)?.row.as_ref()
    }

    /// Puts a row in the place of the one that `key` has, or takes it away.
    pub(crate) fn set(&mut self, step: &mut Step<'_>, key: &K, row: Option<R>) {
        self.change(step, key, |there| *there = row);
    }

    /// Lets `change` look at the row of `key` and put another one in its place, or take it away.
    pub(crate) fn change(&mut self, step: &mut Step<'_>, key: &K, change: impl FnOnce(&mut Option<R>)) {
        let Some(open) = self.open(step, key) else { return };
        let was_there = open.row.is_some();
        change(&mut open.row);
        // Nothing is written about a key that was never there.
        if !was_there && open.row.is_none() {
            return;
        }
        if !std::mem::replace(&mut open.dirty, true) {
            self.dirty += 1;
        }
    }

    /// What a row takes in memory beside its own heap.
    const ROW_BYTES: usize = size_of::<Open<K, R>>();

    /// The row of `key` among those that are open, where it always is afterwards.
    fn open(&mut self, step: &mut Step<'_>, key: &K) -> Option<&mut Open<K, R>> {
        let stored = match self.held.ask(key) {
            Asked::Open(at) => return self.held.open_at(at),
            Asked::Known(stored) => stored,
            Asked::Unknown => {
                let stored = self.load(step);
                self.held.learn(stored.as_deref())
            }
        };
        let bytes = self.held.stored(stored);
        // What it holds outside of itself is some three times of what is stored.
        step.held_bytes += Self::ROW_BYTES + bytes.map_or(0, |bytes| 4 * bytes.len());
        let row = bytes.map(read).transpose().map_err(|error| self.damaged(&error));
        let row = step.ok(row).flatten().flatten();
        self.held.open(key.clone(), row, stored)
    }

    /// What the store has of the key that was asked for last.
    fn load(&mut self, step: &mut Step<'_>) -> Option<Vec<u8>> {
        let progress = self.progress(step)?;
        let (generation, cursor) = (progress.generation, progress.cursor.clone());
        let mut bytes = Vec::new();
        TableKey::begin(&mut bytes, generation);
        let prefix = bytes.len();
        bytes.extend_from_slice(self.held.asked());
        let mut stored = step.rows.get(self.column, &bytes);
        if let (Ok(None), Some(cursor)) = (&stored, &cursor)
            && bytes[prefix..] >= cursor[..]
        {
            let mut before = Vec::with_capacity(bytes.len());
            TableKey::begin(&mut before, generation.wrapping_sub(1));
            before.extend_from_slice(&bytes[prefix..]);
            stored = step.rows.get(self.column, &before);
        }
        step.ok(stored)?
    }

    /// Stages and logs every row that is another than the store has, in key order, and goes on with a move.
    pub(crate) fn drain(&mut self, step: &mut Step<'_>) {
        if self.dirty > 0 {
            self.stage(step);
        }
        self.move_on(step);
        self.held.close(step.terms.shares.cached.saturating_mul(CACHE_SHARES));
        step.kept_bytes.extend([self.held.bytes() / CACHE_SHARES; CACHE_SHARES]);
    }

    fn stage(&mut self, step: &mut Step<'_>) {
        let Some(mut progress) = self.progress(step).cloned() else { return };
        let before = progress.clone();
        let (mut key, mut value) = (Vec::new(), Vec::new());
        let (changed, stored) = self.held.changed();
        for open in changed {
            open.dirty = false;
            value.clear();
            match &open.row {
                None => value.push(GONE),
                Some(row) => {
                    value.push(LIVE);
                    let encoded = state::codec::encode_into(&mut value, row);
                    step.ok(encoded.map_err(|error| CoreError::store_refused(format!("store {}: {error}", self.name))));
                }
            }
            let was = stored.value(open.stored);
            if was == Some(&value) {
                continue;
            }
            let was_live = was.is_some_and(|was| was.first() == Some(&LIVE));
            match (was_live, open.row.is_some()) {
                (false, true) => progress.live += 1,
                (true, false) => progress.live = progress.live.saturating_sub(1),
                (true, true) | (false, false) => {}
            }
            progress.gone += u64::from(open.row.is_none());
            key.clear();
            TableKey::begin(&mut key, progress.generation);
            open.key.encode(&mut key);
            changelog::put(step, self.column, &key, &value);
            open.stored = stored.replace(open.stored, &value);
        }
        self.dirty = 0;
        self.save(step, &before, progress);
    }

    /// Begins a new generation where it is worth it, and moves the next rows into it.
    fn move_on(&mut self, step: &mut Step<'_>) {
        let Some(progress) = self.progress(step) else { return };
        if progress.cursor.is_none() && progress.gone < TABLE_GONE_MIN.max(progress.live) {
            return;
        }
        let before = progress.clone();
        let mut progress = before.clone();
        if progress.cursor.is_none() {
            let Progress { generation, live, .. } = before;
            progress = Progress { generation: generation + 1, live, gone: 0, cursor: Some(Vec::new()) };
        }
        let (left, cursor) = self.some_rows(step, &progress);
        let mut to = Vec::new();
        for (from, value) in left {
            let Some(TableKey { key, .. }) = step.ok(TableKey::decode(&from).map_err(|e| self.damaged(&e.to_string())))
            else {
                return;
            };
            to.clear();
            TableKey::begin(&mut to, progress.generation);
            to.extend_from_slice(key);
            let known = step.rows.get(self.column, &to);
            if value.first() == Some(&LIVE) && step.ok(known).is_some_and(|known| known.is_none()) {
                changelog::put(step, self.column, &to, &value);
            }
            changelog::forget(step, self.column, &from);
        }
        if cursor.is_none()
            && let Some(end) = TableKey::before(progress.generation).end
        {
            changelog::expire(step, self.column, &end);
        }
        step.waiting |= cursor.is_some();
        progress.cursor = cursor;
        self.save(step, &before, progress);
    }

    /// The next rows of the older generation, and where the rest begins.
    fn some_rows(&self, step: &mut Step<'_>, progress: &Progress) -> (Vec<state::Row>, Option<Vec<u8>>) {
        let most = REWRITE_ROWS_MAX.min(step.terms.bounds.close_slice_records).max(1);
        let range = TableKey::of_generation(progress.generation.wrapping_sub(1));
        let mut start = range.start;
        let prefix = start.len();
        start.extend_from_slice(progress.cursor.as_deref().unwrap_or_default());
        let (mut rows, mut bytes, mut left_at) = (Vec::<state::Row>::new(), 0, None);
        let within = KeyRange { start: &start, end: range.end.as_deref() };
        let scanned = step.rows.scan(self.column, within, &mut |key, value| {
            if rows.len() >= most || bytes >= REWRITE_BYTES_MAX {
                left_at = key.get(prefix..).map(<[u8]>::to_vec);
                return ControlFlow::Break(());
            }
            bytes += key.len() + value.len();
            rows.push((key.to_vec(), value.to_vec()));
            ControlFlow::Continue(())
        });
        step.ok(scanned);
        (rows, left_at)
    }

    fn progress(&mut self, step: &mut Step<'_>) -> Option<&Progress> {
        if self.progress.is_none() {
            let progress = changelog::own(step, self.progress_key(), || format!("store {}", self.name))?;
            self.progress = Some(progress.unwrap_or_default());
        }
        self.progress.as_ref()
    }

    fn save(&mut self, step: &mut Step<'_>, before: &Progress, progress: Progress) {
        if progress != *before {
            changelog::put_own(step, self.progress_key(), &progress);
        }
        self.progress = Some(progress);
    }

    fn progress_key(&self) -> MetaKey {
        MetaKey::OperatorProgress(u16::from(self.column.0))
    }

    fn damaged(&self, error: &str) -> CoreError {
        CoreError::store_rebuild(format!("store {}: {error}", self.name))
    }

    /// Forgets everything in memory.
    pub(crate) fn abandon(&mut self) {
        *self = Self::new(self.name, self.column);
    }
}

/// Which rows of a table count, for who goes through them from outside.
pub(crate) struct Standing(Progress);

impl Standing {
    /// As the task's rows say.
    pub(crate) fn read(rows: &dyn Rows, column: ColumnId) -> Result<Self, CoreError> {
        let Some(bytes) = rows.get(changelog::META, &MetaKey::OperatorProgress(u16::from(column.0)).to_bytes())? else {
            return Ok(Self(Progress::default()));
        };
        let progress = state::codec::decode(&bytes);
        progress.map(Self).map_err(|error| CoreError::store_rebuild(format!("column {}: {error}", column.0)))
    }

    /// Whether the row under this key is still looked at: those that a move has passed may come back from anywhere.
    pub(crate) fn is_read(&self, key: &[u8]) -> bool {
        let Self(Progress { generation, cursor, .. }) = self;
        TableKey::decode(key).is_ok_and(|row| {
            row.generation == *generation
                || (row.generation.checked_add(1) == Some(*generation)
                    && cursor.as_ref().is_some_and(|cursor| row.key >= cursor.as_slice()))
        })
    }
}

/// The value of a row with another row in it, as bytes; `None` where the key is gone.
pub(crate) fn migrated(
    value: &[u8],
    migrate: impl FnOnce(&[u8]) -> Result<Vec<u8>, String>,
) -> Result<Option<Vec<u8>>, String> {
    match value.split_first() {
        Some((&GONE, [])) => Ok(None),
        Some((&LIVE, row)) => Ok(Some([&[LIVE], migrate(row)?.as_slice()].concat())),
        _ => Err("it is in no known form".to_owned()),
    }
}

fn read<R: Kept>(value: &[u8]) -> Result<Option<R>, String> {
    match value.split_first() {
        Some((&GONE, [])) => Ok(None),
        Some((&LIVE, row)) => state::codec::decode(row).map(Some).map_err(|error| error.to_string()),
        _ => Err("a row of the table is in no known form".to_owned()),
    }
}
