//! Applications of rollups, exact distinct counts, repeated ids, split streams and local time.
//!
//! Not here: what their results have to be ([`crate::oracle`]). Invariant: as in [`super`].

use processing_core::aggregate::{
    Collect, Decimal, First, Fold, Histogram, Last, Quantiles, Ratio, collect, first, histogram, last, quantiles,
    ratio, weighted_mean,
};
use processing_core::window::{LocalDays, LocalMonths, Tz};
use processing_core::windowed::Closed;

use super::*;
use crate::events::START;

/// Aggregates of amounts from 1 to 99, by which all recipes that keep little are tried; a recipe like any other.
#[derive(Debug, Clone, Copy)]
struct ByAmounts;

type Amounts = (
    (Count, Sum),
    Quantiles<5>,
    Histogram<i64>,
    First<(EventTime, i64), i64>,
    Last<(EventTime, i64), i64>,
    Collect<i64, u16>,
    Ratio,
    Ratio,
);

impl Fold<Happening> for ByAmounts {
    type State = Amounts;

    fn add(&self, state: &mut Amounts, event: &Happening) {
        let recipe = (
            (count(), sum(amount)),
            // Within half a unit of any amount.
            quantiles(|event: &Happening| event.amount as f64).error_per_mille::<5>(),
            histogram([10, 50], amount),
            first(|event: &Happening| (event.time, event.amount), amount),
            last(|event: &Happening| (event.time, event.amount), amount),
            collect(3, amount, key),
            ratio(amount, |_: &Happening| 4),
            weighted_mean(amount, amount),
        );
        recipe.add(state, event);
    }
}

fn amounts_line(closed: &Closed<Amounts>) -> String {
    let ((count, sum), quantiles, histogram, first, last, collected, ratio, weighted) = &closed.value;
    let quantile = |q| quantiles.quantile(q).unwrap_or_default().round();
    let smallest: Vec<String> = collected.entries().iter().map(|(amount, _)| amount.to_string()).collect();
    let edge = |value: Option<&i64>| value.copied().unwrap_or_default();
    let decimal = |value: Option<Decimal>| value.map_or("-".to_owned(), |d| d.to_string());
    let rest = [
        format!("{} {}", count.get(), sum.get()),
        format!("{} {} {}", quantile(0.0), quantile(0.5), quantile(0.95)),
        format!("{} {} {}", histogram.up_to(&10), histogram.up_to(&50), histogram.count()),
        format!("{} {}", edge(first.get()), edge(last.get())),
        format!("{} {}", smallest.join(","), collected.left_out()),
        format!("{} {}", decimal(ratio.rounded(2)), decimal(weighted.rounded(3))),
    ];
    line(closed.window, rest.join(" | "))
}

/// Half seconds merged into two seconds and those into six, each level an output of its own.
pub(super) fn rollup() -> Plan {
    let topology = Topology::named("rollup");
    topology
        .stream(Topic::with("in", Plain))
        .event_time(time)
        .key_by(key)
        .window(Tumbling::millis(500).grace(ms(300)))
        .fold("fine", ByAmounts)
        .on_close()
        .tee(|fine| fine.map(|closed| amounts_line(&closed)).to(Topic::with("fine-out", Text)))
        .roll_up(Tumbling::millis(2_000), "middle")
        .on_close()
        .tee(|middle| middle.map(|closed| amounts_line(&closed)).to(Topic::with("middle-out", Text)))
        .roll_up(Tumbling::millis(6_000).offset(ms(4_000)), "coarse")
        .on_close()
        .map(|closed| amounts_line(&closed))
        .to(Topic::with("out", Text));
    built(topology)
}

/// Distinct amounts modulo 7 of each key, exactly.
pub(super) fn count_distinct() -> Plan {
    let topology = Topology::named("distinct");
    topology
        .stream(Topic::with("in", Plain))
        .event_time(time)
        .count_distinct(["pairs", "counts"], Tumbling::millis(1_500).grace(ms(400)), key, |event: &Happening| {
            event.amount % 7
        })
        .on_close()
        .map(|closed| line(closed.window, closed.value.get()))
        .to(Topic::with("out", Text));
    built(topology)
}

/// Events that repeat a key and amount modulo 4 within 700 ms are dropped; the others pass at once and are counted.
pub(super) fn distinct_by() -> Plan {
    let topology = Topology::named("repeats");
    topology
        .stream(Topic::with("in", Plain))
        .event_time(time)
        .already_keyed_by(key)
        .distinct_by("passed", |event: &Happening| (event.key, event.amount % 4), ms(700))
        .tee(|passed| passed.to(Topic::with("passed-out", Plain)))
        .window(Tumbling::millis(1_000).grace(ms(800)))
        .fold("counts", (count(), sum(amount)))
        .on_close()
        .map(|closed| line(closed.window, format!("{} {}", closed.value.0.get(), closed.value.1.get())))
        .to(Topic::with("out", Text));
    built(topology)
}

/// A third goes to a topic, half of the others to windows of their own, the rest on.
pub(super) fn split() -> Plan {
    let topology = Topology::named("split");
    topology
        .stream(Topic::with("in", Plain))
        .event_time(time)
        .already_keyed_by(key)
        .peek(|key, event| assert_eq!(*key, event.key))
        .split()
        .branch(|event| event.amount % 3 == 0, |thirds| thirds.to(Topic::with("thirds", Plain)))
        .branch(
            |event| event.amount % 2 == 0,
            |even| {
                even.window(Tumbling::millis(1_000).grace(ms(100)))
                    .fold("even", (count(), sum(amount)))
                    .on_close()
                    .map(|closed| line(closed.window, format!("{} {}", closed.value.0.get(), closed.value.1.get())))
                    .to(Topic::with("even-out", Text))
            },
        )
        .rest()
        .key_by(key)
        .window(Tumbling::millis(1_000).grace(ms(500)))
        .fold("rest", (count(), sum(amount)))
        .on_close()
        .map(|closed| line(closed.window, format!("{} {}", closed.value.0.get(), closed.value.1.get())))
        .to(Topic::with("out", Text));
    built(topology)
}

/// A millisecond of a workload as 43.2 seconds from 24 October 2024 on, so that a run goes over a change of the clock.
pub(crate) fn stretched(time: EventTime) -> EventTime {
    EventTime(START - 434 * 86_400_000 + (time.0 - START) * 43_200)
}

/// Days of Berlin and their months.
pub(super) fn local_days() -> Plan {
    let topology = Topology::named("local-days");
    topology
        .stream(Topic::with("in", Plain))
        .event_time(|event: &Happening| stretched(event.time))
        .key_by(key)
        .window(LocalDays::of(Tz::Europe__Berlin).grace(DurationMs::hours(6)))
        .fold("days", (count(), sum(amount)))
        .on_close()
        .tee(|days| {
            let text =
                days.map(|closed| line(closed.window, format!("{} {}", closed.value.0.get(), closed.value.1.get())));
            text.to(Topic::with("days-out", Text))
        })
        .roll_up(LocalMonths::of(Tz::Europe__Berlin), "months")
        .on_close()
        .map(|closed| line(closed.window, format!("{} {}", closed.value.0.get(), closed.value.1.get())))
        .to(Topic::with("out", Text));
    built(topology)
}
