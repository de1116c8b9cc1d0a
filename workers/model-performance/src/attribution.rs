//! Which shown list a click belongs to.
//!
//! An impression is a (list, item) that a user was shown. A click on an item within the attribution window after lists that
//! held it belongs to the latest of them (last touch); it is also told of the earliest (first touch). An impression counts
//! at most one click. A click that names its request belongs to that request's list alone. A rating belongs to the latest
//! list with the item too, and is no click unless its kind is one.
//!
//! A user's lists and clicks are gathered minute by minute and worked off in the order of event time: of one moment, lists
//! before clicks. When the minute in which the attribution window of a list ends has closed, its outcome is told, at the
//! end of that minute: so the outcomes of one minute are those of the lists that were shown one attribution window before.
//!
//! Not here: what is counted of outcomes ([`crate::outcomes`]). Invariant: each list's outcome leaves once.

use processing_core::decode::Poison;
use processing_core::prelude::{Context, KeyValueStore, Processor, Timer};
use processing_core::record::{DurationMs, EventTime};
use serde::{Deserialize, Serialize};

use crate::earliest::{Act, Earliest};
use crate::event::Item;
use crate::outcomes::Outcome;
use crate::performance::Fact;
use crate::serving::tenant;
use crate::statistics::ranking;
use crate::subject::Subject;

const MINUTE: i64 = 60_000;
/// So many lists of a user wait for clicks; the oldest gives way, and is told early.
const LISTS_MAX: usize = 64;

/// Something between a user and the recommendations, in the order in which it counts.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Touch {
    /// When.
    pub time: i64,
    /// What.
    pub kind: TouchKind,
    /// Which event.
    pub id: u64,
}

/// What it was.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum TouchKind {
    /// A list was shown.
    Shown {
        /// Whose.
        model: Subject,
        /// The hash of its request's id.
        request: u64,
        /// What was in it, best first.
        items: Vec<Item>,
    },
    /// The user did something with an item.
    Acted {
        /// With which.
        item: Item,
        /// Whether it is a click.
        is_click: bool,
        /// In millionths.
        rating: Option<i64>,
        /// The hash of the request by whose list the user came to it.
        request: Option<u64>,
    },
}

impl Act for Touch {
    fn heap_bytes(&self) -> usize {
        match &self.kind {
            TouchKind::Shown { items, .. } => items.len() * size_of::<Item>(),
            TouchKind::Acted { .. } => 0,
        }
    }
}

/// A user's minute.
pub type TouchMinute = Earliest<Touch>;

/// The lists of a user that may still be clicked, by time.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Shown(Vec<List>);

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct List {
    time: i64,
    model: Subject,
    request: u64,
    items: Vec<Item>,
    clicked: Vec<bool>,
    /// Clicked, and no earlier list held the item.
    clicked_first: Vec<bool>,
    ratings: u64,
    rating_sum: i64,
}

impl List {
    fn outcome(&self) -> Outcome {
        let count = |which: &[bool]| which.iter().filter(|clicked| **clicked).count() as u64;
        Outcome {
            impressions: self.items.len() as u64,
            clicks: count(&self.clicked),
            clicks_first: count(&self.clicked_first),
            ndcg_micros: ranking::ndcg(&self.clicked),
            reciprocal_rank_micros: ranking::reciprocal_rank(&self.clicked),
            ratings: self.ratings,
            rating_sum_micros: self.rating_sum,
        }
    }

    /// When its outcome is told.
    fn due(&self, window: DurationMs) -> i64 {
        let last = self.time.saturating_add(window.0);
        last - last.rem_euclid(MINUTE) + MINUTE - 1
    }
}

impl Shown {
    /// What a minute changes: outcomes that had to be told early, and how many clicks belonged to no list.
    fn follow(&mut self, window: DurationMs, minute: TouchMinute) -> (Vec<(Subject, Outcome)>, u64) {
        let (mut early, mut unattributed) = (Vec::new(), 0);
        for Touch { time, kind, .. } in minute.into_kept() {
            match kind {
                TouchKind::Shown { model, request, items } => {
                    let none = vec![false; items.len()];
                    let list = List {
                        time,
                        model,
                        request,
                        items,
                        clicked: none.clone(),
                        clicked_first: none,
                        ratings: 0,
                        rating_sum: 0,
                    };
                    self.0.push(list);
                    if self.0.len() > LISTS_MAX {
                        let oldest = self.0.remove(0);
                        early.push((oldest.model.clone(), oldest.outcome()));
                    }
                }
                TouchKind::Acted { item, is_click, rating, request } => {
                    let found = self.attribute(window, time, (item, is_click, rating, request));
                    unattributed += u64::from(is_click && !found);
                }
            }
        }
        (early, unattributed)
    }

    fn attribute(
        &mut self,
        window: DurationMs,
        time: i64,
        (item, is_click, rating, request): (Item, bool, Option<i64>, Option<u64>),
    ) -> bool {
        let holds = |list: &List| {
            let is_near = list.time <= time && time <= list.time.saturating_add(window.0);
            let is_named = request.is_none_or(|request| request == list.request);
            let place = list.items.iter().position(|shown| *shown == item);
            place.filter(|_| is_near && is_named)
        };
        let places: Vec<(usize, usize)> =
            self.0.iter().enumerate().filter_map(|(at, list)| Some((at, holds(list)?))).collect();
        let (Some(first), Some(last)) = (places.first(), places.last()) else { return false };
        if is_click {
            if let Some(clicked) = self.0.get_mut(first.0).and_then(|list| list.clicked_first.get_mut(first.1)) {
                *clicked = true;
            }
            if let Some(clicked) = self.0.get_mut(last.0).and_then(|list| list.clicked.get_mut(last.1)) {
                *clicked = true;
            }
        }
        if let (Some(rating), Some(list)) = (rating, self.0.get_mut(last.0)) {
            list.ratings += 1;
            list.rating_sum += rating;
        }
        true
    }

    /// Takes out the lists whose outcomes are due.
    fn due(&mut self, window: DurationMs, now: i64) -> Vec<(Subject, Outcome)> {
        let (due, rest) = std::mem::take(&mut self.0).into_iter().partition(|list| list.due(window) <= now);
        self.0 = rest;
        let due: Vec<List> = due;
        due.into_iter().map(|list| (list.model.clone(), list.outcome())).collect()
    }

    fn next_due(&self, window: DurationMs) -> Option<i64> {
        self.0.iter().map(|list| list.due(window)).min()
    }
}

/// Handles users' minutes; keyed by application, tenant and user.
#[derive(Clone)]
pub struct Attributing {
    /// For how long after a list a click belongs to it.
    pub window: DurationMs,
    /// The lists that may still be clicked.
    pub shown: KeyValueStore<Subject, Shown>,
    /// When the next outcome is due.
    pub matures: Timer,
}

impl Attributing {
    fn keep(&self, ctx: &mut Context<'_, '_, Self>, user: &Subject, shown: Shown) {
        match shown.next_due(self.window) {
            Some(due) => {
                ctx.set_timer(self.matures, EventTime(due));
                ctx.store(&self.shown).put(user, shown);
            }
            None => {
                ctx.cancel_timer(self.matures);
                ctx.store(&self.shown).delete(user);
            }
        }
    }
}

impl Processor for Attributing {
    type Key = Subject;
    type In = TouchMinute;
    type Out = (Subject, Fact);

    fn process(&self, ctx: &mut Context<'_, '_, Self>, user: &Subject, minute: TouchMinute) -> Result<(), Poison> {
        let known = ctx.store(&self.shown).get(user).cloned();
        let had_none = known.is_none();
        let mut shown = known.unwrap_or_default();
        let cut = minute.cut();
        let (early, unattributed) = shown.follow(self.window, minute);
        let of_all = |fact| (tenant(&user.parent()), fact);
        let mut facts: Vec<(Subject, Fact)> =
            early.into_iter().map(|(model, outcome)| (model, Fact::Outcome { outcome, is_early: true })).collect();
        if unattributed > 0 {
            facts.push(of_all(Fact::Unattributed(unattributed)));
        }
        if cut > 0 {
            facts.push(of_all(Fact::Cut(cut)));
        }
        for fact in facts {
            ctx.forward(user.clone(), fact);
        }
        if !(had_none && shown.0.is_empty()) {
            self.keep(ctx, user, shown);
        }
        Ok(())
    }

    fn on_timer(&self, ctx: &mut Context<'_, '_, Self>, user: &Subject, _: Timer) -> Result<(), Poison> {
        let Some(mut shown) = ctx.store(&self.shown).get(user).cloned() else { return Ok(()) };
        let now = ctx.event_time().0;
        for (model, outcome) in shown.due(self.window, now) {
            ctx.forward(user.clone(), (model, Fact::Outcome { outcome, is_early: false }));
        }
        self.keep(ctx, user, shown);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WINDOW: DurationMs = DurationMs(100);

    fn shown(time: i64, model: &str, items: &[u32]) -> Touch {
        let kind = TouchKind::Shown {
            model: Subject::of([model]),
            request: time as u64,
            items: items.iter().copied().map(Item).collect(),
        };
        Touch { time, kind, id: time as u64 }
    }

    fn click(time: i64, item: u32, request: Option<u64>) -> Touch {
        Touch {
            time,
            kind: TouchKind::Acted { item: Item(item), is_click: true, rating: None, request },
            id: time as u64,
        }
    }

    fn of(touches: &[Touch]) -> (Shown, u64) {
        let (mut minute, mut all) = (TouchMinute::default(), Shown::default());
        touches.iter().for_each(|touch| minute.take_in(touch.clone()));
        let (early, unattributed) = all.follow(WINDOW, minute);
        assert!(early.is_empty());
        (all, unattributed)
    }

    /// Clicks by last and by first touch of each list.
    fn clicks(shown: &Shown) -> Vec<(u64, u64)> {
        shown.0.iter().map(|list| list.outcome()).map(|outcome| (outcome.clicks, outcome.clicks_first)).collect()
    }

    #[test]
    fn a_click_belongs_to_the_latest_list_with_the_item_and_is_told_of_the_earliest() {
        let lists = [shown(10, "a", &[1, 2]), shown(50, "b", &[2, 3]), shown(60, "c", &[4])];
        let with = |more: &[Touch]| of(&[&lists[..], more].concat());
        assert_eq!(clicks(&with(&[click(70, 2, None)]).0), [(0, 1), (1, 0), (0, 0)]);
        // One impression, one click.
        assert_eq!(clicks(&with(&[click(70, 3, None), click(71, 3, None)]).0), [(0, 0), (1, 1), (0, 0)]);
        // Named.
        assert_eq!(clicks(&with(&[click(70, 2, Some(10))]).0), [(1, 1), (0, 0), (0, 0)]);
        // The last moment of the first list, and one beyond; before the list; in no list.
        let (all, unattributed) =
            with(&[click(110, 1, None), click(111, 1, None), click(9, 1, None), click(70, 9, None)]);
        assert_eq!((clicks(&all), unattributed), (vec![(1, 1), (0, 0), (0, 0)], 3));
    }

    #[test]
    fn outcomes_are_told_at_the_end_of_the_minute_in_which_the_window_ends() {
        let (mut all, _) = of(&[shown(0, "a", &[1]), shown(59_899, "b", &[1]), shown(59_900, "c", &[1])]);
        assert_eq!(all.next_due(WINDOW), Some(59_999));
        let due: Vec<Subject> = all.due(WINDOW, 59_999).into_iter().map(|(model, _)| model).collect();
        assert_eq!(due, [Subject::of(["a"]), Subject::of(["b"])]);
        assert_eq!(all.next_due(WINDOW), Some(119_999));
    }
}
