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
//! Not here: rows of lists ([`crate::lists`]) and what is counted of outcomes ([`crate::outcomes`]).
//! Invariant: each list's outcome leaves once.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;

use processing_core::decode::Poison;
use processing_core::prelude::{Context, KeyValueStore, Processor, Timer, WindowedStore};
use processing_core::record::{DurationMs, EventTime};
use serde::{Deserialize, Serialize};

use crate::earliest::{Act, Earliest};
use crate::event::{Item, ItemList};
use crate::followed::Followed;
use crate::lists::{List, Waiting, WaitingMinute};
use crate::outcomes::Outcomes;
use crate::packed;
use crate::performance::Fact;
use crate::serving::tenant;
use crate::span::{MINUTE, Span};
use crate::subject::{Member, Subject};

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

/// A minute of some of a scope's users, whose lists are told of together: when it began.
pub type CrowdMinute = (Member, i64);

/// The minute of the user's crowd that began at `start`.
pub fn crowd_minute(user: &Member, start: i64) -> CrowdMinute {
    (user.scope.member(user.id >> CROWD_BITS), start)
}

/// The users of a crowd.
fn users(crowd: &Member) -> RangeInclusive<Member> {
    let first = crowd.id << CROWD_BITS;
    crowd.scope.member(first)..=crowd.scope.member(first | ((1 << CROWD_BITS) - 1))
}

/// A scope's users of one task are so many crowds: the outcomes of a minute's lists come out by the hundred, and a timer for
/// each user would be three rows for every list.
const CROWDS: u64 = 32;
/// The bits of a user that do not say which crowd is meant.
const CROWD_BITS: u32 = u64::BITS - CROWDS.ilog2();
/// So many users' lists are in memory at once.
const PAGE: usize = 256;

/// Handles users' minutes; keyed by the minutes of their crowds.
#[derive(Clone)]
pub struct Attributing {
    /// For how long after a list a click belongs to it: whole minutes.
    pub window: DurationMs,
    /// What a user was shown, by minute.
    pub lists: WindowedStore<Member, Vec<List>>,
    /// Where a user's lists are that may still be clicked.
    pub waiting: KeyValueStore<Member, Waiting>,
    /// The lists of a crowd's minute are to be told.
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

    /// The minutes that wait of a user of whom a minute was told need no longer be known, if that was the last.
    fn forget(&self, ctx: &mut Context<'_, '_, Self>, user: &Member, start: i64) {
        if ctx.store(&self.waiting).get(user).is_some_and(|waiting| waiting.is_over(start)) {
            ctx.store(&self.waiting).delete(user);
        }
    }
}

impl Processor for Attributing {
    type Key = CrowdMinute;
    type In = (Member, Span<TouchMinute>);
    type Out = (Subject, Fact);

    fn process(
        &self,
        ctx: &mut Context<'_, '_, Self>,
        of: &CrowdMinute,
        (user, minute): Self::In,
    ) -> Result<(), Poison> {
        let Span { start, value: touches, .. } = minute;
        let cut = touches.cut();
        let mut waiting = ctx.store(&self.waiting).get(&user).cloned().unwrap_or_default();
        waiting.forget_before(start.saturating_sub(self.window.0));
        let mut visit = Visit { by: self, ctx, of, user: &user, start, waiting, shown: Vec::new(), earlier: None };
        let mut unattributed = 0;
        for Touch { at, kind } in touches.into_kept() {
            match kind {
                TouchKind::Shown { model, request, items } => {
                    visit.show(List { at, model, request, items, followed: None });
                }
                TouchKind::Acted { item, is_click, rating, request, .. } => {
                    let is_found =
                        visit.attribute(&Sought { time: start + i64::from(at), item, request }, is_click, rating);
                    unattributed += u64::from(is_click && !is_found);
                }
            }
        }
        visit.leave();
        if unattributed > 0 {
            ctx.forward(of.clone(), (tenant(&user.scope), Fact::Unattributed(unattributed)));
        }
        if cut > 0 {
            ctx.forward(of.clone(), (tenant(&user.scope), Fact::Cut(cut)));
        }
        Ok(())
    }

    fn on_timer(&self, ctx: &mut Context<'_, '_, Self>, of: &CrowdMinute, _: Timer) -> Result<(), Poison> {
        let ((crowd, start), mut models) = (of, BTreeMap::<Subject, Outcomes>::new());
        let mut users = users(crowd);
        loop {
            let rows = ctx.store(&self.lists).range_of_keys(EventTime(*start), &users, PAGE);
            let next = rows.last().filter(|_| rows.len() == PAGE).and_then(|(last, _)| last.id.checked_add(1));
            for (user, lists) in rows {
                self.forget(ctx, &user, *start);
                for list in lists {
                    let outcome = list.outcome();
                    models.entry(list.model).or_default().add(&outcome);
                }
            }
            match next {
                Some(next) => users = crowd.scope.member(next)..=users.end().clone(),
                None => break,
            }
        }
        for (model, outcomes) in models {
            ctx.forward(of.clone(), (crowd.scope.join(&model), Fact::Lists(outcomes)));
        }
        Ok(())
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
    list: usize,
    /// The item's place in the list.
    place: u16,
}

/// A user's minute, while it is worked off.
struct Visit<'v, 'c, 's> {
    by: &'v Attributing,
    ctx: &'v mut Context<'c, 's, Attributing>,
    of: &'v CrowdMinute,
    user: &'v Member,
    start: i64,
    waiting: Waiting,
    /// The minute's own lists, as far as they have come.
    shown: Vec<List>,
    /// The earlier minute that was asked for last: most clicks ask for one alone.
    earlier: Option<Earlier>,
}

/// The row of an earlier minute.
struct Earlier {
    start: i64,
    lists: Vec<List>,
    is_changed: bool,
}

impl Visit<'_, '_, '_> {
    fn show(&mut self, list: List) {
        self.waiting.push(self.start, &list.items);
        self.shown.push(list);
        if let Some(minute) = self.waiting.too_many() {
            self.give_way(minute);
        }
    }

    /// The oldest list is told before its time.
    fn give_way(&mut self, minute: WaitingMinute) {
        self.waiting.forget_oldest();
        let lists = self.lists_to_change(minute.start());
        if lists.is_empty() {
            return;
        }
        let list = lists.remove(0);
        let mut outcomes = Outcomes { early: 1, ..Outcomes::default() };
        outcomes.add(&list.outcome());
        self.ctx.forward(self.of.clone(), (self.user.scope.join(&list.model), Fact::Lists(outcomes)));
    }

    /// Whether there is a list to which a click or rating belongs.
    fn attribute(&mut self, sought: &Sought, is_click: bool, rating: Option<i64>) -> bool {
        let minutes: Vec<WaitingMinute> = self.waiting.with(sought.item, self.by.window, sought.time).collect();
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
        let (start, window) = (minute.start(), self.by.window.0);
        self.lists(start).iter().enumerate().filter_map(move |(list, shown)| {
            let time = start + i64::from(shown.at);
            let is_near = time <= sought.time && sought.time <= time.saturating_add(window);
            let is_named = sought.request.is_none_or(|request| request == shown.request);
            let place = shown.items.iter().position(|item| *item == sought.item).filter(|_| is_near && is_named)?;
            Some(Impression { start, list, place: place as u16 })
        })
    }

    fn follow(&mut self, of: &Impression, follow: impl FnOnce(&mut Followed)) {
        if let Some(list) = self.lists_to_change(of.start).get_mut(of.list) {
            follow(list.followed.get_or_insert_default());
        }
    }

    /// The user's lists of the minute that began at `start`.
    fn lists(&mut self, start: i64) -> &mut Vec<List> {
        if start == self.start {
            return &mut self.shown;
        }
        if self.earlier.as_ref().is_none_or(|earlier| earlier.start != start) {
            self.write_earlier();
            let lists = self.ctx.store(&self.by.lists).get(self.user, EventTime(start)).unwrap_or_default();
            self.earlier = Some(Earlier { start, lists, is_changed: false });
        }
        &mut self.earlier.get_or_insert_with(|| Earlier { start, lists: Vec::new(), is_changed: false }).lists
    }

    fn lists_to_change(&mut self, start: i64) -> &mut Vec<List> {
        self.lists(start);
        match &mut self.earlier {
            Some(earlier) if start != self.start => {
                earlier.is_changed = true;
                &mut earlier.lists
            }
            _ => &mut self.shown,
        }
    }

    fn write_earlier(&mut self) {
        if let Some(Earlier { start, lists, .. }) = self.earlier.take_if(|earlier| earlier.is_changed) {
            self.ctx.store(&self.by.lists).put(self.user, EventTime(start), &lists);
        }
    }

    /// Writes down what is new.
    fn leave(mut self) {
        self.write_earlier();
        if self.shown.is_empty() {
            return;
        }
        self.ctx.store(&self.by.lists).put(self.user, EventTime(self.start), &self.shown);
        self.ctx.store(&self.by.waiting).put(self.user, self.waiting);
        if self.ctx.timer(self.by.matures).is_none() {
            self.ctx.set_timer(self.by.matures, self.by.due(self.start));
        }
    }
}
