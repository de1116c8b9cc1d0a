//! llm-rollups, written down.
//!
//! Not here: what a rollup, an exchange, a ledger and an objective are. Invariant: this page says what the worker does, in
//! the order in which a record meets it.

use std::sync::Arc;

use compact_str::CompactString;
use processing_core::decode::{Decoder, Json, Poison};
use processing_core::dsl::Stream;
use processing_core::prelude::*;
use processing_core::process::{Pipe, Sources};

use crate::alerts::{BudgetAlert, SloAlert, Timeout};
use crate::budget::Budgets;
use crate::card::ProviderPrices;
use crate::event::{LlmEvent, What};
use crate::exchange::{Exchanges, Outcome, Turn};
use crate::lateness::{Arrival, AsItComes, Latecomers};
use crate::ledger::Ledger;
use crate::parts::{Entry, Part, Priced};
use crate::reading::LlmDecoder;
use crate::results::{CurrentCost, RollupResult};
use crate::rollup::{DayCost, Measure, Rollup};
use crate::series::Series;
use crate::settings::LlmSettings;
use crate::slo::{MinuteOfCalls, Objectives, Tally};
use crate::spending::{Admission, Admitted, Charge, Debit, Spending};

/// The store of hours, which answers are made of.
pub(crate) const HOURS: &str = "llm-hours";
/// How often the present day's cost is told of a series, at most.
const PRESENT_WORD: DurationMs = DurationMs::seconds(1);

/// The whole worker.
pub fn topology(settings: &LlmSettings) -> Result<Plan, TopologyError> {
    let app = Topology::named(settings.application_id.clone());
    let with = Arc::new(settings.clone());
    let events = app
        .streams(LlmDecoder::of(&settings.contracts).into_iter().map(|(topic, reader)| Topic::with(topic, reader)))
        .event_time(|event: &LlmEvent| event.time)
        .filter_counted("other", |event| event.what != What::Other);
    match &settings.prices {
        None => rollups(&app, &with, events.map(priced(&with))),
        Some(topic) => {
            let prices = app.table::<CompactString, _>(Topic::with(topic, PricesDecoder)).grace(settings.grace);
            let (named, pricing) = (Arc::clone(&with), Arc::clone(&with));
            // Nothing of it hangs on a key: what comes late waits in the task that it comes in.
            let arrivals = events
                .already_keyed_by(|_| ())
                .process("latecomers", |setup| Latecomers::declare(setup, settings.grace));
            let priced = arrivals.left_join_broadcast(
                prices,
                "prices",
                move |Arrival { event, .. }| Priced::row_of(&named, event),
                move |_, Arrival { event, is_late }, row| Priced::of(&pricing, event, row).late(is_late),
            );
            rollups(&app, &with, priced);
        }
    }
    app.build()
}

fn priced(settings: &Arc<LlmSettings>) -> impl Fn(LlmEvent) -> Priced + Clone + Send + 'static {
    let settings = Arc::clone(settings);
    move |event| Priced::of(&settings, event, None)
}

/// From priced events to everything that is published.
fn rollups<P>(app: &Topology, with: &Arc<LlmSettings>, priced: Stream<P, ()>)
where
    P: Pipe<Head = Sources, Key: Clone, Value = Priced>,
{
    let settings = || Arc::clone(with);
    let outputs = &with.outputs;
    let minute = Tumbling::minutes(1);
    let entries = {
        let settings = settings();
        move |priced: Priced| priced.entries(&settings)
    };
    // What is spent counts long after its minute is over: budgets judge by themselves what comes late or again.
    let (events, spendings) = priced.flat_map(entries).split().branch_off(
        |entry| matches!(entry, Entry::Spending(_)),
        |entries| entries.flat_map(Entry::spending).key_by(|spending| spending.owner.clone()).repartition("spendings"),
    );
    ledger(app, with, spendings);
    let (parts, turns) = events
        .rest()
        .flat_map(Entry::event)
        .distinct_by("events-seen", Priced::id, with.repeats)
        .flat_map({
            let settings = settings();
            move |priced| priced.parts(&settings)
        })
        .split()
        .branch_off(
            |part| matches!(part, Part::Turn(_)),
            |parts| parts.flat_map(Part::turn).key_by(Turn::key).repartition("turns"),
        );
    let exchanged = turns
        .process("exchanges", |setup| Exchanges::declare(setup, with.patience()))
        .tee(|outcomes| {
            let settings = settings();
            outcomes
                .flat_map(Outcome::timed_out)
                .map(move |unanswered| Timeout::of(&settings, &unanswered))
                .to(Topic::with(&outputs.timeouts, Json::<Timeout>::new()))
        })
        .map(Outcome::measured);
    let rollup = |granularity: &'static str| {
        let settings = settings();
        move |series: &Series, closed: Closed<Rollup>| {
            RollupResult::of(&settings, granularity, series, &closed.window, &closed.value)
        }
    };
    let to = |topic: &str| Topic::with(topic, Json::<RollupResult>::new());
    parts
        .rest()
        .flat_map(Part::measure)
        .flat_map(Measure::everywhere)
        .key_by(|measure: &Measure| measure.series.clone())
        .window(minute.grace(with.grace))
        // Exchanges come in the order of time: no window waits for one that is late.
        .merge(
            exchanged.flat_map(Measure::everywhere).key_by(|measure: &Measure| measure.series.clone()).window(minute),
        )
        .aggregate::<Rollup>("llm-minutes")
        .on_close()
        .tee(|minutes| minutes.map_keyed(rollup("1m")).to(to(&outputs.minutes)))
        .tee(|minutes| {
            minutes
                .window(Tumbling::minutes(15))
                .fold("llm-quarters", rolled_up())
                .on_close()
                .tee(|quarters| {
                    quarters
                        .window(Tumbling::hours(1))
                        .keep(with.hours_kept)
                        .fold(HOURS, rolled_up())
                        .on_close()
                        .map_keyed(rollup("1h"))
                        .to(to(&outputs.hours))
                })
                .roll_up(LocalDays::of(with.time_zone), "llm-days")
                .on_close()
                .map_keyed(rollup("1d"))
                .to(to(&outputs.days))
        })
        .tee(|minutes| {
            let settings = settings();
            minutes
                .window(LocalDays::of(with.time_zone))
                .aggregate::<DayCost>("llm-today")
                .on_update(PRESENT_WORD, |today| {
                    today.map_keyed(move |series, day| CurrentCost::of(&settings, series, &day)).to(Topic::with(
                        &outputs.current,
                        Json::<CurrentCost>::new(),
                    )
                    .compacted())
                })
                .end()
        })
        .map(|minute| MinuteOfCalls { end: minute.window.end, calls: Tally::of(&minute.value) })
        .filter(|minute| minute.calls.all > 0)
        .process("slo", |setup| Objectives::declare(setup, with.targets))
        .map_keyed({
            let settings = settings();
            move |series, alert| SloAlert::of(&settings, series, &alert)
        })
        .to(Topic::with(&outputs.slo_alerts, Json::<SloAlert>::new()));
}

/// From what calls cost to alerts of budgets.
fn ledger<P>(app: &Topology, with: &Arc<LlmSettings>, spendings: Stream<P, ()>)
where
    P: Pipe<Head = Sources, Key = CompactString, Value = Spending>,
{
    let settings = Arc::clone(with);
    match &with.budgets_topic {
        None => judged(with, spendings.map(move |spending| Charge::of(&settings.budgets, None, &spending))),
        Some(topic) => {
            let budgets = app.table::<CompactString, _>(Topic::with(topic, BudgetsDecoder));
            let charges = spendings.process("spendings-as-they-come", AsItComes::declare).left_join_broadcast(
                budgets,
                "budgets",
                |spending| Some(spending.owner.clone()),
                move |_, spending, row| Charge::of(&settings.budgets, row, &spending),
            );
            judged(with, charges);
        }
    }
}

fn judged<P>(with: &Arc<LlmSettings>, charges: Stream<P, ()>)
where
    P: Pipe<Head = Sources, Key = CompactString, Value = Charge>,
{
    let settings = Arc::clone(with);
    charges
        .filter(|charge| !charge.budgets.is_empty())
        .process("admission", |setup| Admission::declare(setup, with.budget_names_max))
        .filter_counted("duplicate", |admitted| *admitted != Admitted::Repeated)
        .filter_counted("budget_names", |admitted| *admitted != Admitted::OneTooMany)
        .flat_map(Admitted::debit)
        // All accounts of an owner stand where the owner does.
        .already_keyed_by(|debit: &Debit| debit.account.clone())
        .process("ledger", Ledger::declare)
        .map(move |alert| BudgetAlert::of(&settings, &alert))
        .to(Topic::with(&with.outputs.budget_alerts, Json::<BudgetAlert>::new()));
}

/// Reads the topic of prices.
#[derive(Clone)]
struct PricesDecoder;

impl Decoder for PricesDecoder {
    type Event = ProviderPrices;

    fn decode(&self, value: Option<&[u8]>) -> Result<ProviderPrices, Poison> {
        let value = value.ok_or_else(|| Poison::new("tombstone", "the record has no value"))?;
        ProviderPrices::from_json(value).map_err(|error| Poison::new("prices", error.to_string()))
    }
}

/// Reads the topic of budgets.
#[derive(Clone)]
struct BudgetsDecoder;

impl Decoder for BudgetsDecoder {
    type Event = Budgets;

    fn decode(&self, value: Option<&[u8]>) -> Result<Budgets, Poison> {
        let value = value.ok_or_else(|| Poison::new("tombstone", "the record has no value"))?;
        Budgets::from_json(value).map_err(|error| Poison::new("budgets", error))
    }
}
