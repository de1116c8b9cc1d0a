//! Each closed window beside the one before it.
//!
//! Not here: windows and their closing ([`crate::closing`]). Invariant: a key that falls silent gets
//! exactly one empty window after its last one, when that window has closed.
//!
//! One row per key and window, time first; rows go when their successor has closed and `keep` is over.

use std::collections::BTreeMap;
use std::ops::ControlFlow;

use serde::{Deserialize, Serialize};
use state::keys::meta::MetaKey;
use state::keys::pane::PaneKey;
use state::{ColumnId, KeyRange, StateKey};

use crate::aggregate::Mergeable;
use crate::changelog;
use crate::error::CoreError;
use crate::latest::{Listener, Nobody};
use crate::process::{Head, Pipe, Timed};
use crate::record::{DurationMs, EventTime};
use crate::step::Step;
use crate::window::{Window, Windows};
use crate::windowed::Closed;

/// A closed window and its predecessor.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Successive<A> {
    /// Which window.
    pub window: Window,
    /// Everything in it; the empty value where the key has fallen silent.
    pub value: A,
    /// The window one advance earlier, if it held anything.
    pub previous: Option<A>,
}

/// Remembers the last window of each key.
#[derive(Clone)]
pub struct WithPrevious<P, K, A, L> {
    pub(crate) up: P,
    name: &'static str,
    column: ColumnId,
    windows: Windows,
    keep: DurationMs,
    listener: L,
    held: Option<Held<K, A>>,
}

#[derive(Clone)]
struct Held<K, A> {
    /// The last window of each key that may still get a successor.
    last: BTreeMap<K, (i64, A)>,
    progress: Progress,
}

/// A row of the task's meta column.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
struct Progress {
    /// Windows that end here or earlier have been followed up.
    through: i64,
    /// Rows of windows that start earlier are gone.
    expired: i64,
}

impl<P, K: StateKey, A: Mergeable> WithPrevious<P, K, A, Nobody> {
    pub(crate) fn new(up: P, name: &'static str, column: ColumnId, windows: Windows, keep: DurationMs) -> Self {
        Self { up, name, column, windows, keep, listener: Nobody, held: None }
    }

    pub(crate) fn told_to<L>(self, listener: L) -> WithPrevious<P, K, A, L> {
        let Self { up, name, column, windows, keep, .. } = self;
        WithPrevious { up, name, column, windows, keep, listener, held: None }
    }
}

impl<P, K, A, L> WithPrevious<P, K, A, L> {
    /// The chain before it, and the operator itself.
    fn split(&mut self) -> (&mut P, Memory<'_, K, A, L>) {
        let Self { up, name, column, windows, keep, listener, held } = self;
        (up, Memory { name, column: *column, windows, keep: *keep, listener, held })
    }
}

/// The store's side of the operator, apart from the chain before it.
struct Memory<'s, K, A, L> {
    name: &'static str,
    column: ColumnId,
    windows: &'s Windows,
    keep: DurationMs,
    listener: &'s mut L,
    held: &'s mut Option<Held<K, A>>,
}

impl<K: StateKey, A: Mergeable, L: Listener<K, A>> Memory<'_, K, A, L> {
    fn held(&mut self, step: &mut Step<'_>) -> Option<&mut Held<K, A>> {
        if self.held.is_none() {
            *self.held = self.load(step);
        }
        self.held.as_mut()
    }

    fn load(&mut self, step: &mut Step<'_>) -> Option<Held<K, A>> {
        let damaged = |error: String| CoreError::store_rebuild(format!("store {}: {error}", self.name));
        let progress = changelog::own(step, MetaKey::ClosingCursor(self.column), || format!("store {}", self.name))?;
        let progress = progress.unwrap_or(Progress { through: i64::MIN, expired: i64::MIN });
        let mut last = BTreeMap::new();
        // The window before the last, while the listener has to be told again.
        let mut before_last = BTreeMap::new();
        let mut broken = None;
        let scanned = step.rows.scan(self.column, KeyRange::ALL, &mut |key, value| {
            let row = PaneKey::decode(key).map_err(|error| error.to_string()).and_then(|key| {
                let group = K::decode(key.key).map_err(|error| error.to_string())?;
                let value = state::codec::decode::<A>(value).map_err(|error| error.to_string())?;
                Ok((key.pane, group, value))
            });
            match row {
                Ok((start, key, value)) => {
                    let again = L::LISTENS.then(|| key.clone());
                    if let (Some(older), Some(key)) = (last.insert(key, (start, value)), again) {
                        before_last.insert(key, older);
                    }
                    ControlFlow::Continue(())
                }
                Err(error) => {
                    broken = Some(damaged(error));
                    ControlFlow::Break(())
                }
            }
        });
        step.ok(scanned)?;
        if let Some(error) = broken {
            step.fail(error);
            return None;
        }
        if L::LISTENS {
            let words = last.iter().map(|(key, (start, value))| {
                let next = self.end_of_next(*start) <= progress.through;
                let (start, value, previous) = if next {
                    (self.windows.next(*start), A::default(), Some(value.clone()))
                } else {
                    let earlier = before_last
                        .remove(key)
                        .filter(|(earlier, _): &(i64, A)| *earlier == self.windows.previous(*start));
                    (*start, value.clone(), earlier.map(|(_, value)| value))
                };
                let window = self.windows.starting(start);
                said(key.clone(), Successive { window, value, previous })
            });
            let words = words.collect();
            self.listener.recall(words);
        }
        // Rows are kept for queries after their successor has been emitted.
        last.retain(|_, (start, _)| self.end_of_next(*start) > progress.through);
        Some(Held { last, progress })
    }

    fn end_of_next(&self, start: i64) -> i64 {
        self.windows.starting(self.windows.next(start)).end.0
    }

    /// A window has closed with something in it.
    fn follow(&mut self, step: &mut Step<'_>, key: &K, closed: Closed<A>) -> Option<Successive<A>> {
        let windows = *self.windows;
        let (name, column) = (self.name, self.column);
        let held = self.held(step)?;
        let start = closed.window.start.0;
        let before = held.last.insert(key.clone(), (start, closed.value.clone()));
        let previous = before.filter(|(last, _)| *last == windows.previous(start)).map(|(_, value)| value);
        let (mut row, mut value) = (Vec::new(), Vec::new());
        PaneKey::begin(&mut row, start, start);
        key.encode(&mut row);
        let encoded = state::codec::encode_into(&mut value, &closed.value);
        step.ok(encoded.map_err(|error| CoreError::store_refused(format!("store {name}: {error}"))))?;
        changelog::put(step, column, &row, &value);
        Some(Successive { window: closed.window, value: closed.value, previous })
    }

    fn follow_up<F>(&mut self, step: &mut Step<'_>, record: Timed<K, Closed<A>>, emit: &mut F)
    where
        F: FnMut(&mut Step<'_>, Timed<K, Successive<A>>),
    {
        if let Some(value) = self.follow(step, &record.key, record.value) {
            let record = said(record.key, value);
            self.listener.hear(step, &record);
            emit(step, record);
        }
    }

    fn tell_silent<F>(&mut self, step: &mut Step<'_>, reached: i64, emit: &mut F)
    where
        F: FnMut(&mut Step<'_>, Timed<K, Successive<A>>),
    {
        let Some(silent) = self.silence(step, reached) else { return };
        for (key, value) in silent {
            let record = said(key, value);
            self.listener.hear(step, &record);
            emit(step, record);
        }
        // ORDER: only now it is known which words wait, and so which rows they may be made of again.
        self.expire(step);
    }

    /// All windows that end at or before `reached` have been emitted: keys that were not among them have
    /// fallen silent.
    /// `None` where time has not moved.
    fn silence(&mut self, step: &mut Step<'_>, reached: i64) -> Option<Vec<(K, Successive<A>)>> {
        let windows = *self.windows;
        let held = self.held(step)?;
        if reached <= held.progress.through {
            return None;
        }
        let mut silent = Vec::new();
        held.last.retain(|key, (start, value)| {
            let window = windows.starting(windows.next(*start));
            let follows = window.end.0 > reached;
            if !follows {
                let previous = Some(std::mem::take(value));
                silent.push((key.clone(), Successive { window, value: A::default(), previous }));
            }
            follows
        });
        held.progress.through = reached;
        Some(silent)
    }

    /// Drops the rows that nobody needs any more, and writes down how far everything is.
    fn expire(&mut self, step: &mut Step<'_>) {
        let needless = self.windows.size().0 + self.windows.advance().0 + self.keep.0;
        let (column, needed) = (self.column, self.listener.needs_from());
        let Some(held) = self.held(step) else { return };
        let expired = held.progress.through.saturating_sub(needless).min(needed);
        let expires = expired > held.progress.expired;
        held.progress.expired = expired.max(held.progress.expired);
        let progress = held.progress;
        if expires && let Some(end) = PaneKey::before(expired).end {
            changelog::expire(step, column, &end);
        }
        changelog::put_own(step, MetaKey::ClosingCursor(column), &progress);
    }
}

/// The last moment of a window is its record's time.
fn said<K, A>(key: K, value: Successive<A>) -> Timed<K, Successive<A>> {
    let time = value.window.end.minus(DurationMs(1));
    Timed { key, value, time }
}

impl<P, K, A, L> Pipe for WithPrevious<P, K, A, L>
where
    K: StateKey,
    A: Mergeable,
    P: Pipe<Key = K, Value = Closed<A>>,
    L: Listener<K, A>,
{
    type Head = P::Head;
    type Key = K;
    type Value = Successive<A>;

    fn feed<F>(&mut self, step: &mut Step<'_>, input: <Self::Head as Head>::In<'_>, emit: &mut F)
    where
        F: FnMut(&mut Step<'_>, Timed<K, Successive<A>>),
    {
        let (up, mut memory) = self.split();
        up.feed(step, input, &mut |step, record| memory.follow_up(step, record, emit));
    }

    fn advance<F>(&mut self, step: &mut Step<'_>, time: <Self::Head as Head>::Time<'_>, emit: &mut F) -> EventTime
    where
        F: FnMut(&mut Step<'_>, Timed<K, Successive<A>>),
    {
        let (up, mut memory) = self.split();
        let mut current = i64::MIN;
        let reached = up.advance(step, time, &mut |step, record| {
            // Windows come in the order of their ends: what is silent in one is known when the next
            // begins, and goes out before it.
            let start = record.value.window.start.0;
            if start > current {
                current = start;
                memory.tell_silent(step, record.value.window.end.0 - 1, emit);
            }
            memory.follow_up(step, record, emit);
        });
        memory.tell_silent(step, reached.0, emit);
        memory.listener.advance(step, reached);
        reached
    }

    fn drain<F>(&mut self, step: &mut Step<'_>, emit: &mut F)
    where
        F: FnMut(&mut Step<'_>, Timed<K, Successive<A>>),
    {
        let (up, mut memory) = self.split();
        up.drain(step, &mut |step, record| memory.follow_up(step, record, emit));
        // After opening, the listener hears again of what is there, also where nothing closes.
        if L::LISTENS {
            memory.held(step);
        }
        memory.listener.drain(step);
    }

    fn abandon(&mut self) {
        self.up.abandon();
        self.listener.abandon();
        self.held = None;
    }
}
