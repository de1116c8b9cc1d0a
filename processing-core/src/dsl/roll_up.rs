//! Coarser windows merged from closed finer ones.
//!
//! Not here: the merging ([`crate::aggregate::rolled_up()`]) and when windows fit ([`crate::window`]). Invariant: what is
//! rolled up by this step is counted in exactly one coarser window, or in each that overlaps.

use state::StateKey;

use super::stream::Stream;
use super::topology::TopologyError;
use super::window::Table;
use crate::aggregate::{Mergeable, RolledUp, rolled_up};
use crate::hindsight::Hindsight;
use crate::process::{Filter, FilterCounted, Head, Peek, Pipe, Split, Stateless, Tee};
use crate::updates::Watch;
use crate::window::{Windowing, Windows};
use crate::windowed::{Closed, Intake, Local, OnClose};
use crate::word::Settled;

/// A chain of closed windows that knows which windows they are: `on_close`, and what lets them pass unchanged.
#[diagnostic::on_unimplemented(
    message = "it is not known which windows come out here",
    label = "not `on_close`, nor `tee`, `filter`, `peek` or `split` behind it",
    note = "roll up right behind `on_close`; or write `.window(..).fold(store, rolled_up())`, which checks nothing"
)]
pub trait Closings {
    /// The windows that come out.
    fn windows(&self) -> Windows;
}

impl<I: Intake, U, B> Closings for OnClose<I, U, B>
where
    U: Watch<I::Key, I::State>,
    B: Hindsight<I::Key, I::State>,
{
    fn windows(&self) -> Windows {
        self.panes.store.windows
    }
}

impl<P: Closings, S> Closings for Tee<P, S> {
    fn windows(&self) -> Windows {
        self.up.windows()
    }
}

impl<P: Closings, A> Closings for Split<P, A> {
    fn windows(&self) -> Windows {
        self.up.windows()
    }
}

macro_rules! unchanged {
    ($($operation:ident)+) => {
        $(impl<P: Closings, C> Closings for Stateless<P, $operation<C>> {
            fn windows(&self) -> Windows {
                self.up.windows()
            }
        })+
    };
}

unchanged!(Filter FilterCounted Peek);

impl<P: Pipe, O> Stream<P, O> {
    /// Merges closed windows into coarser ones: minutes into hours, hours into days. The input is not read twice and
    /// nothing is repartitioned; each level is in the task of the level before. `store` holds one row per key and
    /// coarser window, into which each finer window is merged when it has closed.
    ///
    /// ```
    /// # use processing_core::prelude::*;
    /// # #[derive(serde::Deserialize)] struct Search { at: i64, city: String }
    /// # let app = Topology::named("rollup");
    /// app.stream(Topic::<Json<Search>>::json("searches"))
    ///     .event_time(|search| EventTime(search.at))
    ///     .key_by(|search| search.city.clone())
    ///     .window(Tumbling::minutes(1).grace(DurationMs::seconds(30)))
    ///     .fold("minutes", count())
    ///     .on_close()
    ///     .tee(|minutes| minutes.map(|closed| closed.value.get()).to(Topic::json("searches.1m")))
    ///     .roll_up(Tumbling::hours(1), "hours")
    ///     .on_close()
    ///     .tee(|hours| hours.map(|closed| closed.value.get()).to(Topic::json("searches.1h")))
    ///     .roll_up(LocalDays::of(Tz::Europe__Lisbon), "days")
    ///     .on_close()
    ///     .map(|closed| closed.value.get())
    ///     .to(Topic::json("searches.1d"));
    /// # app.build().unwrap();
    /// ```
    ///
    /// Which events a coarser window holds was decided at the finest: an event that was late for its minute is in no
    /// hour. Closed windows come in the order of time, so none is late here and the coarser windows need no grace; with
    /// one they would only close later. An hour closes as its last minute does.
    ///
    /// Finer windows that overlap, and coarser ones that begin or end within a finer one, are refused by
    /// [`super::Topology::build`].
    pub fn roll_up<A, W>(self, windows: W, store: &'static str) -> Table<Local<P, RolledUp<A>>, O, W>
    where
        P: Closings + Pipe<Key: StateKey, Value = Closed<A>>,
        A: Mergeable,
        W: Windowing,
        <P::Head as Head>::Word: Settled,
    {
        let finer = self.pipe.windows();
        if let Err(misfit) = windows.windows().map_or(Ok(()), |coarser| coarser.made_of(&finer)) {
            self.draft.borrow_mut().errors.push(TopologyError::roll_up(store, misfit));
        }
        self.window(windows).fold(store, rolled_up())
    }
}
