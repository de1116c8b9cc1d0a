//! The step that lets updates pass at a limited rate.
//!
//! Not here: how ([`crate::rate_limit`]), and the updates of windows, which are limited where they come from. Invariant: only
//! updates are limited; to leave out some of the last words would lose them.

use state::StateKey;

use super::stream::Stream;
use crate::plan::{StepKind, StoreKind};
use crate::process::{Head, Pipe};
use crate::rate_limit::RateLimit;
use crate::record::DurationMs;
use crate::table::Kept;
use crate::word::Replaced;

impl<P, O> Stream<P, O>
where
    P: Pipe<Head: Head<Word: Replaced>, Key: StateKey, Value: Kept>,
{
    /// Lets at most one update of each key pass in an `interval`. What comes sooner waits, in the place of what waited
    /// before it, and the last update always passes, at the latest one interval and one commit after it came, though
    /// nothing more comes. So a table whose rows change ten times a second is written once a second:
    ///
    /// ```
    /// # use processing_core::prelude::*;
    /// # #[derive(Clone, serde::Serialize, serde::Deserialize)] struct Trip { at: i64, city: String, cents: i64 }
    /// # let app = Topology::named("trips");
    /// app.stream(Topic::<Json<Trip>>::json("trips"))
    ///     .event_time(|trip| EventTime(trip.at))
    ///     .already_keyed_by(|trip| trip.city.clone())
    ///     .fold_table("fares", sum(|trip: &Trip| trip.cents))
    ///     .on_update(|rows| {
    ///         rows.map(|row| row.map(|cents| cents.get() as i64))
    ///             .rate_limit("fares-shown", DurationMs::seconds(1))
    ///             .to_table(Topic::json("fares.now").compacted())
    ///     });
    /// # app.build().unwrap();
    /// ```
    ///
    /// The interval is one of the wall clock, from commit to commit as they are made, as that of a window's
    /// [`on_update`](super::Table::on_update); it holds across crashes and moves too. A commit that has to be tried again
    /// is written later than it was made. `store` names what waits, and
    /// `<store>-waiting` whose turn is when. A key takes room there until an interval has passed without an update; an
    /// update that has to wait is written to the changelog as the row of a table is.
    ///
    /// Which of the values between are seen hangs on the clock; the last one of each key does not.
    pub fn rate_limit(self, store: &'static str, interval: DurationMs) -> Stream<RateLimit<P>, O> {
        let Self { draft, sub, at, pipe, owed } = self;
        let (key, value) = (std::any::type_name::<P::Key>(), std::any::type_name::<P::Value>());
        let (rows, queue, at) = {
            let mut draft = draft.borrow_mut();
            let rows =
                draft.store(sub, store, StoreKind::Composed, DurationMs(0), format!("turns of {value} by {key}"));
            // Without the interval, which may change as it likes.
            let queue = draft.queue(sub, (store, "waiting"), DurationMs(0), format!("turns by {key}"));
            (rows, queue, draft.step(sub, StepKind::RateLimit(store), &[at]))
        };
        let interval = DurationMs(interval.0.max(0));
        Stream { draft, sub, at, pipe: RateLimit::new(pipe, interval, (store, rows), queue), owed }
    }
}
