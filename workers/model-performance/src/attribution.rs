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
//! Not here: rows of lists ([`crate::lists`], [`crate::untold`]) and what is counted of outcomes ([`crate::outcomes`]).
//! Invariant: each list's outcome leaves once.

use processing_core::decode::Poison;
use processing_core::prelude::{Context, KeyValueStore, Processor, Timer, WindowedStore};
use processing_core::record::{DurationMs, EventTime};
use serde::{Deserialize, Serialize};

use crate::earliest::{Act, Earliest};
use crate::event::{Item, ItemList};
use crate::lists::{List, Waiting, WaitingMinute};
use crate::outcomes::Outcomes;
use crate::packed;
use crate::performance::Fact;
use crate::serving::tenant;
use crate::span::{MINUTE, Span};
use crate::subject::{Member, Subject};
use crate::untold::{Followed, Untold};

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

/// Some of a scope's users, who are told of together.
pub fn crowd(user: &Member) -> Member {
    user.scope.member(user.id >> (u64::BITS - CROWDS.ilog2()))
}

/// A scope's users of one task are so many crowds: the outcomes of a minute's lists come out by the hundred, and a timer for
/// each user would be three rows for every list.
const CROWDS: u64 = 32;

/// Handles users' minutes; keyed by the users' crowds.
#[derive(Clone)]
pub struct Attributing {
    /// For how long after a list a click belongs to it: whole minutes.
    pub window: DurationMs,
    /// What a user was shown, by minute.
    pub lists: WindowedStore<Member, Vec<List>>,
    /// Where a user's lists are that may still be clicked.
    pub waiting: KeyValueStore<Member, Waiting>,
    /// The lists of a crowd that were shown in the minute that began at a time, until they are told.
    pub untold: KeyValueStore<(Member, i64), Untold>,
    /// The first of a crowd's minutes is to be told.
    pub matures: Timer,
}

impl Attributing {
    /// For how long a row of lists is looked for: a click at the last moment of its minute may belong to a list at the first
    /// moment of its own.
    pub fn kept(window: DurationMs) -> DurationMs {
        DurationMs(window.0.saturating_add(2 * MINUTE))
    }

    /// When the lists are told that were shown in the minute that began at `start`.
    fn due(&self, start: i64) -> EventTime {
        EventTime(start.saturating_add(self.window.0).saturating_add(MINUTE - 1))
    }

    /// Tells what became of a crowd's minute.
    fn tell(&self, ctx: &mut Context<'_, '_, Self>, crowd: &Member, start: i64, untold: &Untold) {
        for (model, outcomes) in untold.outcomes() {
            ctx.forward(crowd.clone(), (crowd.scope.join(model), Fact::Lists(outcomes)));
        }
        for user in untold.users() {
            let user = crowd.scope.member(*user);
            if ctx.store(&self.waiting).get(&user).is_some_and(|waiting| waiting.is_over(start)) {
                ctx.store(&self.waiting).delete(&user);
            }
        }
        ctx.store(&self.untold).delete(&(crowd.clone(), start));
    }
}

impl Processor for Attributing {
    type Key = Member;
    type In = (Member, Span<TouchMinute>);
    type Out = (Subject, Fact);

    fn process(&self, ctx: &mut Context<'_, '_, Self>, crowd: &Member, (user, minute): Self::In) -> Result<(), Poison> {
        let Span { start, value: touches, .. } = minute;
        let cut = touches.cut();
        let mut waiting = ctx.store(&self.waiting).get(&user).cloned().unwrap_or_default();
        waiting.forget_before(start.saturating_sub(self.window.0));
        let mut visit = Visit { of: self, ctx, crowd, user: &user, start, waiting, shown: Vec::new(), read: None };
        let mut unattributed = 0;
        for Touch { at, kind } in touches.into_kept() {
            match kind {
                TouchKind::Shown { model, request, items } => visit.show(List { at, model, request, items }),
                TouchKind::Acted { item, is_click, rating, request, .. } => {
                    let is_found =
                        visit.attribute(&Sought { time: start + i64::from(at), item, request }, is_click, rating);
                    unattributed += u64::from(is_click && !is_found);
                }
            }
        }
        visit.leave();
        if unattributed > 0 {
            ctx.forward(crowd.clone(), (tenant(&user.scope), Fact::Unattributed(unattributed)));
        }
        if cut > 0 {
            ctx.forward(crowd.clone(), (tenant(&user.scope), Fact::Cut(cut)));
        }
        Ok(())
    }

    fn on_timer(&self, ctx: &mut Context<'_, '_, Self>, crowd: &Member, _: Timer) -> Result<(), Poison> {
        let now = ctx.event_time();
        let (first, last) = ((crowd.clone(), i64::MIN), (crowd.clone(), i64::MAX));
        loop {
            // The first is due, as the timer says, and the one behind it tells when the timer comes again.
            let rows = ctx.store(&self.untold).range(first.clone()..=last.clone(), 2);
            let is_last = rows.len() < 2;
            for ((_, start), untold) in rows {
                if self.due(start) > now {
                    ctx.set_timer(self.matures, self.due(start));
                    return Ok(());
                }
                self.tell(ctx, crowd, start, &untold);
            }
            if is_last {
                return Ok(());
            }
        }
    }
}

/// What a click or rating is looked for by.
struct Sought {
    time: i64,
    item: Item,
    request: Option<u64>,
}

/// An item in a list.
struct Impression {
    /// The minute of the list, and its place in that.
    start: i64,
    list: u16,
    model: Subject,
    impressions: u16,
    /// The item's place in the list.
    place: u16,
}

/// A user's minute, while it is worked off.
struct Visit<'v, 'c, 's> {
    of: &'v Attributing,
    ctx: &'v mut Context<'c, 's, Attributing>,
    crowd: &'v Member,
    user: &'v Member,
    start: i64,
    waiting: Waiting,
    /// The minute's own lists, as far as they have come.
    shown: Vec<List>,
    /// The row of an earlier minute that was read last: most clicks ask for one alone.
    read: Option<(i64, Vec<List>)>,
}

impl Visit<'_, '_, '_> {
    fn show(&mut self, list: List) {
        self.waiting.push(self.start, &list.items);
        let (user, mut is_first) = (self.user.id, false);
        self.ctx.store(&self.of.untold).change(&(self.crowd.clone(), self.start), |untold| {
            is_first = untold.is_none();
            untold.get_or_insert_default().add(user, &list.model, list.impressions());
        });
        let due = self.of.due(self.start);
        if is_first && self.ctx.timer(self.of.matures).is_none_or(|set| due < set) {
            self.ctx.set_timer(self.of.matures, due);
        }
        self.shown.push(list);
        if let Some(minute) = self.waiting.too_many() {
            self.give_way(minute);
        }
    }

    /// The oldest list is told before its time.
    fn give_way(&mut self, minute: WaitingMinute) {
        self.waiting.forget_oldest();
        let lists = self.lists(minute.start());
        let at = minute.first_of(lists);
        let Some((model, impressions)) = lists.get(at).map(|list| (list.model.clone(), list.impressions())) else {
            return;
        };
        let (id, mut outcome) = ((self.user.id, at as u16), None);
        self.ctx.store(&self.of.untold).change(&(self.crowd.clone(), minute.start()), |untold| {
            outcome = untold.as_mut().map(|untold| untold.take(id, &model, impressions));
        });
        if let Some(outcome) = outcome {
            let mut outcomes = Outcomes { early: 1, ..Outcomes::default() };
            outcomes.add(&outcome);
            self.ctx.forward(self.crowd.clone(), (self.user.scope.join(&model), Fact::Lists(outcomes)));
        }
    }

    /// Whether there is a list to which a click or rating belongs.
    fn attribute(&mut self, sought: &Sought, is_click: bool, rating: Option<i64>) -> bool {
        let minutes: Vec<WaitingMinute> = self.waiting.with(sought.item, self.of.window, sought.time).collect();
        let latest = minutes.iter().rev().find_map(|minute| self.impressions(*minute, sought).next_back());
        let Some(last) = latest else { return false };
        if is_click {
            if let Some(first) = minutes.iter().find_map(|minute| self.impressions(*minute, sought).next()) {
                self.follow(&first, |followed| followed.click_first(first.place));
            }
            self.follow(&last, |followed| followed.click(last.place));
        }
        if let Some(rating) = rating {
            self.follow(&last, |followed| followed.rate(rating));
        }
        true
    }

    /// Where the item stands in the lists of a minute, in their order.
    fn impressions<'l>(
        &'l mut self,
        minute: WaitingMinute,
        sought: &'l Sought,
    ) -> impl DoubleEndedIterator<Item = Impression> + use<'l> {
        let (start, window) = (minute.start(), self.of.window.0);
        let lists = self.lists(start);
        lists.iter().enumerate().skip(minute.first_of(lists)).filter_map(move |(at, list)| {
            let shown = start + i64::from(list.at);
            let is_near = shown <= sought.time && sought.time <= shown.saturating_add(window);
            let is_named = sought.request.is_none_or(|request| request == list.request);
            let place = list.items.iter().position(|item| *item == sought.item).filter(|_| is_near && is_named)?;
            let (list, model, impressions) = (at as u16, list.model.clone(), list.impressions());
            Some(Impression { start, list, model, impressions, place: place as u16 })
        })
    }

    /// The user's lists of the minute that began at `start`.
    fn lists(&mut self, start: i64) -> &[List] {
        if start == self.start {
            return &self.shown;
        }
        if self.read.as_ref().is_none_or(|(read, _)| *read != start) {
            let row = self.ctx.store(&self.of.lists).get(self.user, EventTime(start));
            self.read = Some((start, row.unwrap_or_default()));
        }
        self.read.as_ref().map_or(&[], |(_, lists)| lists)
    }

    fn follow(&mut self, of: &Impression, follow: impl FnOnce(&mut Followed)) {
        let id = (self.user.id, of.list);
        self.ctx.store(&self.of.untold).change(&(self.crowd.clone(), of.start), |untold| {
            if let Some(untold) = untold {
                follow(untold.follow(id, &of.model, of.impressions));
            }
        });
    }

    /// Writes down what is new.
    fn leave(self) {
        if !self.shown.is_empty() {
            self.ctx.store(&self.of.lists).put(self.user, EventTime(self.start), &self.shown);
            self.ctx.store(&self.of.waiting).put(self.user, self.waiting);
        }
    }
}
