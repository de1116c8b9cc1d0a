//! The numbers that a model reports under one name: last, mean, least, greatest, and their distribution.
//!
//! Not here: whether they have moved ([`crate::drift`]). Invariant: sums of whole millionths; the last is that of the latest
//! event, and of one moment that of the greater id, whatever the order in which they came. Of all names the first
//! [`NAMES_MAX`] by their order are kept, and what others report is counted.

use std::collections::BTreeMap;

use compact_str::CompactString;
use processing_core::aggregate::{Exactness, Max, Mean, Mergeable, Min, Quantiles};
use serde::{Deserialize, Serialize};

/// So many names of one model are kept.
pub const NAMES_MAX: usize = 32;

/// One name's numbers.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Series {
    /// (time, event, value).
    pub last: Max<(i64, u64, i64)>,
    /// Of millionths.
    pub mean: Mean,
    /// In millionths.
    pub least: Min<i64>,
    /// In millionths.
    pub greatest: Max<i64>,
    /// Within 1 %.
    pub sketch: Quantiles,
}

/// All names of a model.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct AllSeries {
    names: BTreeMap<CompactString, Series>,
    /// Numbers under names that are too many.
    pub cut: u64,
}

impl AllSeries {
    /// Takes in a number.
    pub fn add(&mut self, metric: &CompactString, time: i64, id: u64, value: i64) {
        let series = self.names.entry(metric.clone()).or_default();
        series.last.add((time, id, value));
        series.mean.add(value);
        series.least.add(value);
        series.greatest.add(value);
        series.sketch.add(value as f64 / 1e6);
        self.bound();
    }

    /// By name.
    pub fn names(&self) -> impl Iterator<Item = (&CompactString, &Series)> {
        self.names.iter()
    }

    fn bound(&mut self) {
        while self.names.len() > NAMES_MAX {
            self.cut += self.names.pop_last().map_or(0, |(_, series)| series.mean.count());
        }
    }
}

impl Mergeable for AllSeries {
    const EXACTNESS: Exactness = Exactness::Exact;

    fn merge(&mut self, other: &Self) {
        for (name, more) in &other.names {
            let series = self.names.entry(name.clone()).or_default();
            series.last.merge(&more.last);
            series.mean.merge(&more.mean);
            series.least.merge(&more.least);
            series.greatest.merge(&more.greatest);
            series.sketch.merge(&more.sketch);
        }
        self.cut += other.cut;
        self.bound();
    }

    fn heap_bytes(&self) -> usize {
        self.names.values().map(|series| size_of::<Series>() + series.sketch.heap_bytes()).sum()
    }
}
