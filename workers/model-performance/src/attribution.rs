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
use crate::event::{Item, ItemList};
use crate::outcomes::Outcome;
use crate::packed;
use crate::performance::Fact;
use crate::serving::tenant;
use crate::span::Span;
use crate::statistics::ranking;
use crate::subject::{Member, Subject};

const MINUTE: i64 = 60_000;
/// So many lists of a user wait for clicks; the oldest gives way, and is told early.
const LISTS_MAX: usize = 64;

/// Something between a user and the recommendations, in the order in which it counts.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Touch {
    /// When, in milliseconds of its minute.
    pub at: u16,
    /// What.
    pub kind: TouchKind,
}

impl Touch {
    /// What was done at this time.
    pub fn at(time: EventTime, kind: TouchKind) -> Self {
        Self { at: time.0.rem_euclid(MINUTE) as u16, kind }
    }
}

/// What it was.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum TouchKind {
    /// A list was shown.
    Shown {
        /// Whose: the model within the tenant.
        model: Subject,
        /// The hash of its request's id.
        request: u64,
        /// What was in it, best first.
        #[serde(with = "packed")]
        items: ItemList,
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
        /// Which event.
        id: u64,
    },
}

impl Act for Touch {
    fn heap_bytes(&self) -> usize {
        match &self.kind {
            TouchKind::Shown { items, .. } if items.spilled() => items.capacity() * size_of::<Item>(),
            TouchKind::Shown { .. } | TouchKind::Acted { .. } => 0,
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
    /// Within the tenant.
    model: Subject,
    request: u64,
    #[serde(with = "packed")]
    items: ItemList,
    /// Most lists are left as they are: they are kept by the hundred thousand.
    #[serde(with = "rarely")]
    followed: Option<Box<Followed>>,
}

/// What users did with a list.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Followed {
    /// The places of items that were clicked, in order.
    clicked: Vec<u16>,
    /// Clicked, and no earlier list held the item.
    clicked_first: Vec<u16>,
    ratings: u64,
    rating_sum: i64,
}

/// Nothing is written as what begins with it, and costs no memory.
mod rarely {
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    use super::Followed;

    pub(super) fn serialize<S: Serializer>(followed: &Option<Box<Followed>>, serializer: S) -> Result<S::Ok, S::Error> {
        match followed {
            Some(followed) => followed.serialize(serializer),
            None => Followed::default().serialize(serializer),
        }
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Box<Followed>>, D::Error> {
        let followed = Followed::deserialize(deserializer)?;
        Ok((followed != Followed::default()).then(|| Box::new(followed)))
    }
}

/// Takes note of a click on the item at a place.
fn mark(clicked: &mut Vec<u16>, place: u16) {
    if let Err(at) = clicked.binary_search(&place) {
        clicked.insert(at, place);
    }
}

impl List {
    fn outcome(&self) -> Outcome {
        let impressions = self.items.len() as u64;
        let Some(followed) = &self.followed else { return Outcome { impressions, ..Outcome::default() } };
        let clicked: Vec<bool> = (0..self.items.len() as u16).map(|place| followed.clicked.contains(&place)).collect();
        Outcome {
            impressions,
            clicks: followed.clicked.len() as u64,
            clicks_first: followed.clicked_first.len() as u64,
            ndcg_micros: ranking::ndcg(&clicked),
            reciprocal_rank_micros: ranking::reciprocal_rank(&clicked),
            ratings: followed.ratings,
            rating_sum_micros: followed.rating_sum,
        }
    }

    fn followed(&mut self) -> &mut Followed {
        self.followed.get_or_insert_default()
    }

    /// When its outcome is told.
    fn due(&self, window: DurationMs) -> i64 {
        let last = self.time.saturating_add(window.0);
        last - last.rem_euclid(MINUTE) + MINUTE - 1
    }
}

/// What a minute brings.
#[derive(Debug, Default)]
struct Brought {
    /// When the outcomes of the lists that came are due; rarely more than one time.
    due: Vec<i64>,
    /// Outcomes that had to be told early.
    early: Vec<(Subject, Outcome)>,
    /// So many clicks belonged to no list.
    unattributed: u64,
}

impl Shown {
    /// What the minute that begins at `start` changes.
    fn follow(&mut self, window: DurationMs, start: i64, minute: TouchMinute) -> Brought {
        let mut brought = Brought::default();
        // Those that have been told lie in the row until it is written again.
        self.0.retain(|list| list.due(window) >= start);
        for Touch { at, kind } in minute.into_kept() {
            let time = start + i64::from(at);
            match kind {
                TouchKind::Shown { model, request, items } => {
                    let list = List { time, model, request, items, followed: None };
                    let due = list.due(window);
                    if brought.due.last() != Some(&due) {
                        brought.due.push(due);
                    }
                    self.0.push(list);
                    if self.0.len() > LISTS_MAX {
                        let oldest = self.0.remove(0);
                        let outcome = oldest.outcome();
                        brought.early.push((oldest.model, outcome));
                    }
                }
                TouchKind::Acted { item, is_click, rating, request, .. } => {
                    let found = self.attribute(window, time, (item, is_click, rating, request));
                    brought.unattributed += u64::from(is_click && !found);
                }
            }
        }
        brought
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
            if is_near && is_named { list.items.iter().position(|shown| *shown == item) } else { None }
        };
        // A list has some hundreds of items at most.
        let mut places = self.0.iter().enumerate().filter_map(|(at, list)| Some((at, holds(list)? as u16)));
        let Some(first) = places.next() else { return false };
        let last = places.next_back().unwrap_or(first);
        if is_click {
            if let Some(list) = self.0.get_mut(first.0) {
                mark(&mut list.followed().clicked_first, first.1);
            }
            if let Some(list) = self.0.get_mut(last.0) {
                mark(&mut list.followed().clicked, last.1);
            }
        }
        if let (Some(rating), Some(list)) = (rating, self.0.get_mut(last.0)) {
            let followed = list.followed();
            followed.ratings += 1;
            followed.rating_sum += rating;
        }
        true
    }

    /// The lists whose outcomes are due at this time.
    fn due(&self, window: DurationMs, at: i64) -> impl Iterator<Item = (&Subject, Outcome)> {
        let due = self.0.iter().filter(move |list| list.due(window) == at);
        due.map(|list| (&list.model, list.outcome()))
    }

    /// Whether all outcomes that are due by this time are all that there are.
    fn is_told(&self, window: DurationMs, by: i64) -> bool {
        self.0.iter().all(|list| list.due(window) <= by)
    }
}

/// Some of a scope's users, who are told of together.
pub fn crowd(user: &Member) -> Member {
    user.scope.member(user.id >> (u64::BITS - CROWDS.ilog2()))
}

/// A scope's users of one task have so many timers together: the outcomes of a minute's lists come out by the hundred, and
/// a timer for each user would be three rows for every list. Users of one crowd are neighbours in the store.
const CROWDS: u64 = 32;

/// Handles users' minutes; keyed by the users' crowds.
#[derive(Clone)]
pub struct Attributing {
    /// For how long after a list a click belongs to it.
    pub window: DurationMs,
    /// The lists that may still be clicked, by user.
    pub shown: KeyValueStore<Member, Shown>,
    /// Users of a crowd with lists whose outcomes are due at a time.
    pub due: KeyValueStore<(Member, i64), Vec<u64>>,
    /// The first of a crowd's times.
    pub matures: Timer,
}

impl Attributing {
    /// Tells the outcomes of a user that are due.
    fn tell(&self, ctx: &mut Context<'_, '_, Self>, crowd: &Member, user: &Member, at: i64) {
        let Some(shown) = ctx.store(&self.shown).get(user) else { return };
        let is_told = shown.is_told(self.window, at);
        let due: Vec<(Subject, Outcome)> =
            shown.due(self.window, at).map(|(model, outcome)| (user.scope.join(model), outcome)).collect();
        for (model, outcome) in due {
            ctx.forward(crowd.clone(), (model, Fact::Outcome { outcome, is_early: false }));
        }
        if is_told {
            ctx.store(&self.shown).delete(user);
        }
    }
}

impl Processor for Attributing {
    type Key = Member;
    type In = (Member, Span<TouchMinute>);
    type Out = (Subject, Fact);

    fn process(&self, ctx: &mut Context<'_, '_, Self>, crowd: &Member, (user, minute): Self::In) -> Result<(), Poison> {
        let cut = minute.value.cut();
        let mut brought = Brought::default();
        ctx.store(&self.shown).change(&user, |row| {
            let mut shown = row.take().unwrap_or_default();
            brought = shown.follow(self.window, minute.start, minute.value);
            *row = (!shown.0.is_empty()).then_some(shown);
        });
        for (model, outcome) in brought.early {
            ctx.forward(crowd.clone(), (user.scope.join(&model), Fact::Outcome { outcome, is_early: true }));
        }
        if brought.unattributed > 0 {
            ctx.forward(crowd.clone(), (tenant(&user.scope), Fact::Unattributed(brought.unattributed)));
        }
        if cut > 0 {
            ctx.forward(crowd.clone(), (tenant(&user.scope), Fact::Cut(cut)));
        }
        for due in brought.due {
            let mut is_first = false;
            ctx.store(&self.due).change(&(crowd.clone(), due), |users| {
                is_first = users.is_none();
                users.get_or_insert_default().push(user.id);
            });
            if is_first && ctx.timer(self.matures).is_none_or(|set| due < set.0) {
                ctx.set_timer(self.matures, EventTime(due));
            }
        }
        Ok(())
    }

    fn on_timer(&self, ctx: &mut Context<'_, '_, Self>, crowd: &Member, _: Timer) -> Result<(), Poison> {
        let now = ctx.event_time().0;
        let (first, last) = ((crowd.clone(), i64::MIN), (crowd.clone(), i64::MAX));
        while let Some((place, users)) = ctx.store(&self.due).range(first.clone()..=last.clone(), 1).pop() {
            if place.1 > now {
                ctx.set_timer(self.matures, EventTime(place.1));
                break;
            }
            for id in users {
                self.tell(ctx, crowd, &crowd.scope.member(id), place.1);
            }
            ctx.store(&self.due).delete(&place);
        }
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
        Touch::at(EventTime(time), kind)
    }

    fn click(time: i64, item: u32, request: Option<u64>) -> Touch {
        let kind = TouchKind::Acted { item: Item(item), is_click: true, rating: None, request, id: time as u64 };
        Touch::at(EventTime(time), kind)
    }

    fn of(touches: &[Touch]) -> (Shown, u64) {
        let (mut minute, mut all) = (TouchMinute::default(), Shown::default());
        touches.iter().for_each(|touch| minute.take_in(touch.clone()));
        let followed = all.follow(WINDOW, 0, minute);
        assert!(followed.early.is_empty());
        (all, followed.unattributed)
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
        let due = |all: &Shown, at| -> Vec<Subject> { all.due(WINDOW, at).map(|(model, _)| model.clone()).collect() };
        assert_eq!(due(&all, 59_999), [Subject::of(["a"]), Subject::of(["b"])]);
        assert_eq!(due(&all, 119_999), [Subject::of(["c"])]);
        assert!(!all.is_told(WINDOW, 59_999) && all.is_told(WINDOW, 119_999));
        // What has been told is no longer there for the minutes that follow.
        all.follow(WINDOW, 60_000, TouchMinute::default());
        assert_eq!(all.0.len(), 1);
    }
}
