//! Calls that come late, and the tables that they are put beside.
//!
//! A row of a table is looked up as of a time, and what is later than the join's grace finds none. What comes late counts in
//! budgets all the same: it goes on as of the moment at which it comes, the stream time of its partition, and meets the rows
//! of that moment. The moment is decided where the call comes in, so a replay finds the same rows.
//!
//! Not here: what late calls count in ([`crate::spending`]). Invariant: what goes on has the time of its moment, each once,
//! whatever commits lie between.

use compact_str::CompactString;
use processing_core::dsl::Setup;
use processing_core::prelude::*;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::event::{LlmEvent, What};
use crate::spending::Spending;

/// So many stand in one row: a row is a record of a changelog, which has a bound.
const ROW_MAX: u64 = 64;

/// What waits until its moment is over, by key.
struct Moment<K, V> {
    rows: KeyValueStore<(K, u64), Vec<V>>,
    /// How many wait.
    count: KeyValueStore<K, u64>,
    over: Timer,
}

/// By hand: a derived one would ask what waits to be `Copy`.
impl<K, V> Clone for Moment<K, V> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<K, V> Copy for Moment<K, V> {}

impl<K, V> Moment<K, V>
where
    K: StateKey,
    V: Serialize + DeserializeOwned + Send + 'static,
{
    fn declare(setup: &mut Setup<K>, [rows, count]: [&'static str; 2]) -> Self {
        Self { rows: setup.key_value_store(rows), count: setup.key_value_store(count), over: setup.timer("moment") }
    }

    fn push<R: Processor<Key = K>>(&self, ctx: &mut Context<'_, '_, R>, key: &K, value: V) {
        let mut place = 0;
        ctx.store(&self.count).change(key, |count| {
            place = count.unwrap_or(0);
            *count = Some(place + 1);
        });
        ctx.store(&self.rows).change(&(key.clone(), place / ROW_MAX), |row| row.get_or_insert_default().push(value));
        let now = ctx.stream_time();
        ctx.set_timer(self.over, now);
    }

    /// All that waits, in the order in which it came.
    fn release<R: Processor<Key = K>>(
        &self,
        ctx: &mut Context<'_, '_, R>,
        key: &K,
        mut each: impl FnMut(&mut Context<'_, '_, R>, &V),
    ) where
        V: Clone,
    {
        let count = ctx.store(&self.count).get(key).copied().unwrap_or(0);
        ctx.store(&self.count).delete(key);
        for number in 0..count.div_ceil(ROW_MAX) {
            let place = (key.clone(), number);
            let row = ctx.store(&self.rows).get(&place).cloned().unwrap_or_default();
            ctx.store(&self.rows).delete(&place);
            row.iter().for_each(|value| each(ctx, value));
        }
    }
}

/// An event, and whether it comes later than the windows' grace.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, serde::Deserialize)]
pub struct Arrival {
    /// The event.
    pub event: LlmEvent,
    /// It counts in budgets alone.
    pub is_late: bool,
}

/// Lets events pass, and of those that are late the calls, as of the moment at which they come. Late events are set aside.
#[derive(Clone)]
pub struct Latecomers {
    grace: DurationMs,
    moment: Moment<(), LlmEvent>,
}

impl Latecomers {
    /// Declares what it keeps.
    pub fn declare(setup: &mut Setup<()>, grace: DurationMs) -> Self {
        Self { grace, moment: Moment::declare(setup, ["late-calls", "late-calls-count"]) }
    }
}

impl Processor for Latecomers {
    type Key = ();
    type In = LlmEvent;
    type Out = Arrival;

    fn process(&self, ctx: &mut Context<'_, '_, Self>, key: &(), event: LlmEvent) -> Result<(), Poison> {
        // By the join's own measure.
        if ctx.event_time().plus(self.grace) >= ctx.stream_time() {
            ctx.forward((), Arrival { event, is_late: false });
            return Ok(());
        }
        if matches!(event.what, What::Call(_)) {
            self.moment.push(ctx, key, event);
        }
        Err(Poison::new("late", "it is later than `rollups.grace.ms`: it counts in budgets alone"))
    }

    fn on_timer(&self, ctx: &mut Context<'_, '_, Self>, key: &(), _: Timer) -> Result<(), Poison> {
        self.moment.release(ctx, key, |ctx, event| ctx.forward((), Arrival { event: event.clone(), is_late: true }));
        Ok(())
    }
}

/// Passes on what is spent as of the moment at which it takes effect. So what comes late meets the budgets that are in
/// force when it comes, and a join with them finds nothing that is late.
#[derive(Clone)]
pub struct AsItComes {
    moment: Moment<CompactString, Spending>,
}

impl AsItComes {
    /// Declares what it keeps.
    pub fn declare(setup: &mut Setup<CompactString>) -> Self {
        Self { moment: Moment::declare(setup, ["spendings-of-a-moment", "spendings-of-a-moment-count"]) }
    }
}

impl Processor for AsItComes {
    type Key = CompactString;
    type In = Spending;
    type Out = Spending;

    fn process(&self, ctx: &mut Context<'_, '_, Self>, owner: &CompactString, spent: Spending) -> Result<(), Poison> {
        self.moment.push(ctx, owner, spent);
        Ok(())
    }

    fn on_timer(&self, ctx: &mut Context<'_, '_, Self>, owner: &CompactString, _: Timer) -> Result<(), Poison> {
        self.moment.release(ctx, owner, |ctx, spent| ctx.forward(owner.clone(), spent.clone()));
        Ok(())
    }
}
