//! What lies before a window: aggregates of earlier spans, looked at when the window closes.
//!
//! Not here: the window's own value ([`crate::closing`]). Invariant: a pane is taken into the history
//! exactly once, when the window has moved past it and no record can change it any more; so frames are
//! made of final values only.
//!
//! A frame is a span relative to the window's start that ends at or before it: the day before, the same
//! hour yesterday. Each keeps a running value per key: what enters is added, what leaves is removed, so a
//! window costs two panes per frame however long the frame is. Running values are derived from the
//! history's rows and never stored.
//!
//! ```text
//!   ──┬───────────────┬──────────────────────────────────────────┬──────────────┬──▶ event time
//!     │  frame "yesterday"                                       │    window    │
//!     │  frame "the day before" ─────────────────────────────────│
//! ```

use rustc_hash::FxHashMap;
use serde::{Deserialize, Serialize};
use state::keys::meta::MetaKey;
use state::{ColumnId, StateKey};

use crate::aggregate::Mergeable;
use crate::changelog;
use crate::record::{DurationMs, EventTime};
use crate::step::Step;
use crate::window::{Window, Windows};
use crate::window_store::WindowStore;

/// A span before a window: from `start` to `end` before the window's own start.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Frame {
    /// How long before the window's start the frame starts.
    pub(crate) start: DurationMs,
    /// How long before the window's start it ends; 0 or more.
    pub(crate) end: DurationMs,
}

impl Frame {
    /// The span of this length that ends where the window starts.
    pub const fn before(length: DurationMs) -> Self {
        Self { start: length, end: DurationMs(0) }
    }

    /// A span as long as the window, this much earlier; `shift` is at least the window's size.
    pub const fn same_window_earlier(shift: DurationMs, size: DurationMs) -> Self {
        Self { start: shift, end: DurationMs(shift.0 - size.0) }
    }
}

/// What a window sees of the time before it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Earlier<H> {
    /// The value of each frame for the key, in the order in which the frames were named.
    pub frames: Vec<H>,
    /// How much time lies between the first record and the window's start, at most as much as the
    /// longest frame asks for. Behind a repartition topic it is the first record of all upstream tasks,
    /// whoever has its key now; else the first one that this task ever saw.
    pub covered: DurationMs,
}

/// Who looks back when a window closes.
pub trait Hindsight<K, A>: Clone + Send + 'static {
    /// What comes out in the place of a window's value.
    type Out: Clone + 'static;
    /// A window is about to be emitted: everything before it is final.
    #[allow(private_interfaces, reason = "implemented and called within the crate only")]
    fn look(&mut self, step: &mut Step<'_>, store: &mut WindowStore<K, A>, window: Window);
    /// The window's value beside what lies before it for `key`.
    fn view(&self, key: &K, value: A) -> Self::Out;
    /// Panes that start here or later have still to be taken in; those before may go.
    fn needs_from(&self) -> i64;
    /// A commit is due.
    fn drain(&mut self, step: &mut Step<'_>);
    /// The transaction was aborted.
    fn abandon(&mut self);
}

/// Nobody looks back.
#[derive(Debug, Clone, Copy)]
pub struct NoHindsight;

impl<K, A: Clone + 'static> Hindsight<K, A> for NoHindsight {
    type Out = A;
    #[allow(private_interfaces, reason = "implemented and called within the crate only")]
    fn look(&mut self, _: &mut Step<'_>, _: &mut WindowStore<K, A>, _: Window) {}
    fn view(&self, _: &K, value: A) -> A {
        value
    }
    fn needs_from(&self) -> i64 {
        i64::MAX
    }
    fn drain(&mut self, _: &mut Step<'_>) {}
    fn abandon(&mut self) {}
}

/// Running values of frames over the panes that windows have left behind.
#[derive(Clone)]
pub struct Frames<K, H, P> {
    history: WindowStore<K, H>,
    frames: Vec<Frame>,
    project: P,
    remove: fn(&mut H, &H),
    progress: Option<Progress>,
    /// By key, one value per frame; only keys with a pane in some frame.
    running: FxHashMap<K, Running<H>>,
    /// The window's start for which `running` stands.
    at: Option<i64>,
    covered: DurationMs,
}

#[derive(Clone)]
struct Running<H> {
    values: Vec<H>,
    /// How many panes are in the frames, all frames together.
    panes: u32,
}

/// A row of the task's meta column.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Progress {
    /// Panes that start earlier have been taken in.
    taken: i64,
    /// The first pane that ever held a record.
    since: Option<i64>,
    /// Rows of panes that start earlier are gone.
    expired: i64,
}

impl<K: StateKey, H: Mergeable, P> Frames<K, H, P> {
    /// `remove` undoes a merge exactly; without it a frame could not forget.
    pub(crate) fn new(
        name: &'static str,
        column: ColumnId,
        windows: Windows,
        frames: Vec<Frame>,
        project: P,
        remove: fn(&mut H, &H),
    ) -> Self {
        Self {
            history: WindowStore::new(name, column, windows),
            frames,
            project,
            remove,
            progress: None,
            running: FxHashMap::default(),
            at: None,
            covered: DurationMs(0),
        }
    }

    fn longest(&self) -> i64 {
        self.frames.iter().map(|frame| frame.start.0).max().unwrap_or(0)
    }

    fn progress(&mut self, step: &mut Step<'_>) -> Option<Progress> {
        if let Some(progress) = &self.progress {
            return Some(progress.clone());
        }
        let what = || format!("store {}: its progress cannot be read", self.history.name);
        let begun = Progress { taken: i64::MIN, since: None, expired: i64::MIN };
        Some(changelog::own(step, self.key(), what)?.unwrap_or(begun))
    }

    fn key(&self) -> MetaKey {
        MetaKey::OperatorProgress(u16::from(self.history.column.0))
    }

    /// Moves every frame's running values from the window start `from` to `to`.
    fn slide(&mut self, step: &mut Step<'_>, from: Option<i64>, to: i64) {
        let frames = self.frames.clone();
        for (number, frame) in frames.iter().enumerate() {
            let (start, end) = (frame.start.0, frame.end.0);
            match from {
                // A frame that has moved past all that it held begins anew, as all do after opening.
                Some(from) if to - from < start - end => {
                    self.turn(step, number, from - end, to - end, true);
                    self.turn(step, number, from - start, to - start, false);
                }
                Some(from) => {
                    self.turn(step, number, from - start, from - end, false);
                    self.turn(step, number, to - start, to - end, true);
                }
                None => self.turn(step, number, to - start, to - end, true),
            }
        }
        self.running.retain(|_, running| running.panes > 0);
    }

    /// Adds the panes from `from` to before `to` to a frame, or takes them out of it.
    fn turn(&mut self, step: &mut Step<'_>, number: usize, from: i64, to: i64, enter: bool) {
        let count = self.frames.len();
        let mut pane = from;
        while let Some(next) = self.history.first_pane_from(step, pane).filter(|next| *next < to) {
            let Self { history, running, remove, .. } = self;
            // Looked at and let go: after opening, a frame is a whole day of panes.
            history.visit(step, next, |_, key, value| {
                let running = running
                    .entry(key.clone())
                    .or_insert_with(|| Running { values: vec![H::default(); count], panes: 0 });
                let Some(total) = running.values.get_mut(number) else { return };
                if enter {
                    total.merge(value);
                    running.panes += 1;
                } else {
                    remove(total, value);
                    running.panes = running.panes.saturating_sub(1);
                }
            });
            pane = next + 1;
        }
    }
}

impl<K, A, H, P> Hindsight<K, A> for Frames<K, H, P>
where
    K: StateKey,
    A: Mergeable,
    H: Mergeable,
    P: Fn(&A) -> H + Clone + Send + 'static,
{
    type Out = (A, Earlier<H>);

    #[allow(private_interfaces, reason = "implemented and called within the crate only")]
    fn look(&mut self, step: &mut Step<'_>, store: &mut WindowStore<K, A>, window: Window) {
        let Some(mut progress) = self.progress(step) else { return };
        let start = window.start.0;
        let before = progress.clone();
        if progress.since.is_none() {
            progress.since = store.first_pane_from(step, i64::MIN);
        }
        // The panes that the window has left: no record reaches them any more.
        let mut pane = progress.taken;
        while let Some(next) = store.first_pane_from(step, pane).filter(|next| *next < start) {
            let rows: Vec<(K, H)> =
                store.rows_of(step, next).map(|(_, key, value)| (key.clone(), (self.project)(value))).collect();
            for (key, value) in rows {
                self.history.fold(step, next, next, key, |row| row.merge(&value));
            }
            pane = next + 1;
        }
        progress.taken = start.max(progress.taken);
        let from = self.at;
        self.slide(step, from, start);
        self.at = Some(start);

        self.history.expire(step, &mut progress.expired, start.saturating_sub(self.longest()));
        // A pane is looked at when it enters a frame and when it leaves one, hours apart.
        self.history.cool(start);
        let since = if step.since < EventTime::MAX { step.since.0 } else { progress.since.unwrap_or(start) };
        self.covered = DurationMs(start.saturating_sub(since).clamp(0, self.longest()));
        if progress != before {
            changelog::put_own(step, self.key(), &progress);
        }
        self.progress = Some(progress);
    }

    fn view(&self, key: &K, value: A) -> (A, Earlier<H>) {
        let frames = match self.running.get(key) {
            Some(running) => running.values.clone(),
            None => vec![H::default(); self.frames.len()],
        };
        (value, Earlier { frames, covered: self.covered })
    }

    fn needs_from(&self) -> i64 {
        self.progress.as_ref().map_or(i64::MIN, |progress| progress.taken)
    }

    fn drain(&mut self, step: &mut Step<'_>) {
        self.history.drain(step);
    }

    fn abandon(&mut self) {
        self.history.abandon();
        self.progress = None;
        self.running.clear();
        self.at = None;
    }
}
