//! Events out of order, for property tests.
//!
//! Not here: what is done with them; [`Workload::listed`](super::Workload::listed) takes them. Invariant: in the order
//! in which they come, no event lies further than the given bound before the latest one that came before it.

use std::fmt::Debug;

use proptest::collection::vec;
use proptest::prelude::*;

use crate::record::{DurationMs, EventTime};

/// 2026-01-01, ten o'clock.
const START_MS: i64 = 1_767_261_600_000;
/// Runs of events with a silence before each.
const RUNS_MAX: usize = 12;
/// Events of one run.
const RUN_MAX: usize = 8;
/// The longest silence, as a multiple of the disorder.
const SILENCE: i64 = 20;
/// The most disorder that is taken as it is given, so that no sum of times leaves the calendar: ten years.
const DISORDER_MS_MAX: i64 = 3_650 * 86_400_000;

/// Times of events in the order in which the events come: out of order by at most `max_disorder`, with bursts of one
/// moment, silences much longer than the disorder, and events that come twice.
///
/// ```
/// use processing_core::prelude::*;
/// use processing_core::testing::strategy::disordered;
/// use proptest::prelude::*;
///
/// proptest!(|(times in disordered(DurationMs::seconds(30)))| {
///     let mut latest = i64::MIN;
///     for time in times {
///         prop_assert!(time.0 >= latest.saturating_sub(30_000));
///         latest = latest.max(time.0);
///     }
/// });
/// ```
pub fn disordered(max_disorder: DurationMs) -> impl Strategy<Value = Vec<EventTime>> {
    events(max_disorder, Just(())).prop_map(|events| events.into_iter().map(|(time, ())| time).collect())
}

/// As [`disordered`], each time with something that happened: an event that comes twice is the same both times.
pub fn events<S>(max_disorder: DurationMs, happening: S) -> impl Strategy<Value = Vec<(EventTime, S::Value)>>
where
    S: Strategy,
    S::Value: Clone + Debug,
{
    let max = max_disorder.0.clamp(0, DISORDER_MS_MAX);
    // What shrinks becomes events of one moment in their order.
    let silence = prop_oneof![2 => Just(0), 2 => 0..=max, 1 => max..=max.saturating_mul(SILENCE).saturating_add(1)];
    let step = prop_oneof![1 => Just(0), 2 => 0..=max / 4 + 1];
    let back = prop_oneof![1 => Just(0), 1 => 0..=max];
    let again = proptest::option::weighted(0.1, 0..4_usize);
    let beat = (step, back, again, happening);
    let beat = beat.prop_map(|(step, back, again, happening)| Beat { step, back, again, happening });
    vec((silence, vec(beat, 1..=RUN_MAX)), 0..=RUNS_MAX).prop_map(move |runs| played(runs, max))
}

/// What one event adds to those before it.
#[derive(Debug, Clone)]
struct Beat<T> {
    /// How far time moves on.
    step: i64,
    /// How far before that the event lies.
    back: i64,
    /// After how many others it comes once more.
    again: Option<usize>,
    happening: T,
}

fn played<T: Clone>(runs: Vec<(i64, Vec<Beat<T>>)>, max: i64) -> Vec<(EventTime, T)> {
    let mut now = START_MS;
    let mut events = Vec::new();
    let mut twice: Vec<(usize, EventTime, T)> = Vec::new();
    for (silence, beats) in runs {
        now += silence;
        for Beat { step, back, again, happening } in beats {
            // What has become too old by then comes once only.
            twice.retain(|(due, time, happening)| {
                let waits = *due > events.len();
                if !waits && time.0 >= now - max {
                    events.push((*time, happening.clone()));
                }
                waits
            });
            now += step;
            let time = EventTime(now - back);
            events.push((time, happening.clone()));
            twice.extend(again.map(|others| (events.len() + others, time, happening)));
        }
    }
    events.extend(
        twice.into_iter().filter(|(_, time, _)| time.0 >= now - max).map(|(_, time, happening)| (time, happening)),
    );
    events
}

#[cfg(test)]
mod tests {
    use proptest::strategy::ValueTree;
    use proptest::test_runner::TestRunner;

    use super::*;

    #[test]
    fn there_are_bursts_silences_disorder_and_repeats_within_the_bound() {
        const MAX: i64 = 30_000;
        let mut runner = TestRunner::deterministic();
        let (mut bursts, mut silences, mut disorder, mut repeats, mut furthest) = (0, 0, 0, 0, 0);
        for _ in 0..200 {
            let events = events(DurationMs(MAX), 0..1_000_000_u32).new_tree(&mut runner).unwrap().current();
            let mut latest = i64::MIN;
            for (number, (time, what)) in events.iter().enumerate() {
                let behind = latest.saturating_sub(time.0);
                assert!(behind <= MAX, "{behind} ms behind");
                furthest = furthest.max(behind);
                disorder += usize::from(behind > 0);
                bursts += usize::from(behind == 0);
                silences += usize::from(latest > 0 && time.0 - latest > 5 * MAX);
                repeats += usize::from(events[..number].contains(&(*time, *what)));
                latest = latest.max(time.0);
            }
        }
        assert!(bursts > 100 && silences > 100 && disorder > 1_000 && repeats > 100);
        assert!(furthest > MAX * 9 / 10, "at most {furthest} ms");
    }

    #[test]
    fn without_disorder_every_event_is_the_latest() {
        let mut runner = TestRunner::deterministic();
        for _ in 0..50 {
            let times = disordered(DurationMs(0)).new_tree(&mut runner).unwrap().current();
            assert!(times.is_sorted());
        }
    }
}
