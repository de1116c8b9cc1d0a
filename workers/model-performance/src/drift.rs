//! Whether the numbers of an hour have moved from those of the seven days before.
//!
//! Compared are the model's response times, its scores, and every name that it reports numbers under, each by the
//! population stability index over the reference's deciles and by the Kolmogorov-Smirnov distance.
//!
//! Not here: who is told ([`crate::signals`]). Invariant: what was taken into the history can be taken out again, exactly.

use std::collections::BTreeMap;

use compact_str::CompactString;
use processing_core::aggregate::{Exactness, Mergeable, Quantiles};
use processing_core::record::DurationMs;
use serde::{Deserialize, Serialize};

use crate::performance::Performance;
use crate::settings::Drift;
use crate::statistics::{kolmogorov_smirnov, psi};

/// How far back the reference reaches.
pub const REFERENCE: DurationMs = DurationMs::hours(7 * 24);

/// What is remembered of an hour for the hours after it.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct History {
    /// Distributions by name.
    pub sketches: BTreeMap<CompactString, Quantiles>,
    /// Requests by the hour of the day.
    pub by_hour: BTreeMap<u8, u64>,
}

impl History {
    /// Of an hour. Names that the model reports stand behind `metric:`, so that none is taken for one of ours.
    pub fn of(hour: &Performance) -> Self {
        let metrics =
            hour.series.names().map(|(name, series)| (format!("metric:{name}").into(), series.sketch.clone()));
        let ours = [("response_time_ms", &hour.serving.response_time), ("score", &hour.serving.scores)];
        let ours = ours.into_iter().map(|(name, sketch)| (name.into(), sketch.clone()));
        let sketches = ours.chain(metrics).filter(|(_, sketch): &(_, Quantiles)| sketch.count() > 0).collect();
        Self { sketches, by_hour: hour.serving.by_hour.clone() }
    }

    /// The hour of the day with most requests, the earliest of equals; `None` without requests.
    pub fn peak_hour(&self) -> Option<(u8, u64)> {
        let most = self.by_hour.values().max()?;
        self.by_hour.iter().find(|(_, requests)| *requests == most).map(|(hour, requests)| (*hour, *requests))
    }
}

impl Mergeable for History {
    const EXACTNESS: Exactness = Exactness::Exact;
    const REMOVE: Option<fn(&mut Self, &Self)> = Some(|history, gone| {
        let remove = const {
            match Quantiles::<10>::REMOVE {
                Some(remove) => remove,
                None => panic!("sketches can be taken out"),
            }
        };
        for (name, sketch) in &gone.sketches {
            if let Some(kept) = history.sketches.get_mut(name) {
                remove(kept, sketch);
            }
        }
        history.sketches.retain(|_, sketch| sketch.count() > 0);
        for (hour, requests) in &gone.by_hour {
            if let Some(kept) = history.by_hour.get_mut(hour) {
                *kept = kept.wrapping_sub(*requests);
            }
        }
        history.by_hour.retain(|_, requests| *requests > 0);
    });

    fn merge(&mut self, other: &Self) {
        for (name, sketch) in &other.sketches {
            self.sketches.entry(name.clone()).or_default().merge(sketch);
        }
        for (hour, requests) in &other.by_hour {
            let kept = self.by_hour.entry(*hour).or_default();
            *kept = kept.wrapping_add(*requests);
        }
    }

    fn heap_bytes(&self) -> usize {
        self.sketches.values().map(|sketch| size_of::<Quantiles>() + sketch.heap_bytes()).sum()
    }
}

/// How far an hour's numbers have moved.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Moved {
    /// `response_time_ms`, `score`, or `metric:` and the name that the model reports.
    pub series: CompactString,
    /// The population stability index.
    pub psi: f64,
    /// The Kolmogorov-Smirnov distance.
    pub ks: f64,
    /// Numbers of the hour.
    pub values: u64,
    /// Numbers of the seven days before.
    pub reference_values: u64,
    /// Whether either is too far.
    pub is_drift: bool,
}

/// The hour beside the seven days before it, for each name of which both have enough numbers.
pub fn compare(hour: &History, reference: &History, rule: &Drift) -> Vec<Moved> {
    let moved = |(series, now): (&CompactString, &Quantiles)| {
        let before = reference.sketches.get(series)?;
        let (values, reference_values) = (now.count(), before.count());
        if values.min(reference_values) < rule.values_min {
            return None;
        }
        let [now, before]: [Vec<(f64, u64)>; 2] = [now.buckets().collect(), before.buckets().collect()];
        let (psi, ks) = (psi::psi(&before, &now)?, kolmogorov_smirnov::distance(&before, &now)?);
        let is_drift = psi >= rule.psi || ks >= rule.distance;
        Some(Moved { series: series.clone(), psi, ks, values, reference_values, is_drift })
    };
    hour.sketches.iter().filter_map(moved).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn of(numbers: &[(u8, u32)]) -> History {
        let mut history = History::default();
        for (name, number) in numbers {
            history.sketches.entry(format!("s{name}").into()).or_default().add(f64::from(*number));
            *history.by_hour.entry(*name).or_default() += 1;
        }
        history
    }

    const RULE: Drift = Drift { psi: 0.25, distance: 0.25, values_min: 100 };

    #[test]
    fn numbers_that_have_moved_are_told_and_too_few_are_not() {
        let numbers = |from: u32, count: u32| -> Vec<(u8, u32)> { (from..from + count).map(|n| (0, n)).collect() };
        let reference = of(&numbers(1_000, 1_000));
        let moved = |hour: &[(u8, u32)]| compare(&of(hour), &reference, &RULE);
        assert!(!moved(&numbers(1_000, 1_000))[0].is_drift);
        let away = moved(&numbers(5_000, 200));
        assert!(away[0].is_drift && away[0].ks > 0.99 && away[0].psi > 5.0, "{away:?}");
        assert_eq!((away[0].values, away[0].reference_values), (200, 1_000));
        assert!(moved(&numbers(5_000, 99)).is_empty());
        assert_eq!(of(&[(3, 1), (2, 1), (3, 1), (2, 1)]).peak_hour(), Some((2, 2)));
    }

    proptest! {
        #[test]
        fn what_is_taken_out_was_never_there(
            stay in prop::collection::vec((0_u8..4, 0_u32..50), 0..80), go in prop::collection::vec((0_u8..4, 0_u32..50), 0..80),
        ) {
            let mut both = of(&stay);
            both.merge(&of(&go));
            History::REMOVE.unwrap()(&mut both, &of(&go));
            prop_assert_eq!(both, of(&stay));
        }
    }
}
