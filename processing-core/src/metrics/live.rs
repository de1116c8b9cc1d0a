//! Series that live as long as their owner: gauges, and counters of seconds.
//!
//! Not here: counters and histograms, which outlive tasks. The `metrics` crate's own gauges stay for
//! ever or vanish by a timer, and the lag of a partition that has moved to another process must not
//! stay at its last word; its counters count in whole numbers, and a thread's time does not.
//! Invariant: a series is rendered exactly while a handle to it is alive.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use super::catalogue::{Kind, Metric};

/// A value that goes up and down.
#[derive(Debug, Clone)]
pub struct Gauge(Arc<AtomicU64>);

impl Gauge {
    /// Shows `value` from here on.
    pub fn set(&self, value: f64) {
        self.0.store(value.to_bits(), Ordering::Relaxed);
    }
}

/// A sum of spans of time.
#[derive(Debug, Clone)]
pub struct SecondsCounter(Arc<AtomicU64>);

impl SecondsCounter {
    /// Adds a span; sums up to 584 years.
    pub fn add(&self, span: Duration) {
        self.0.fetch_add(u64::try_from(span.as_nanos()).unwrap_or(u64::MAX), Ordering::Relaxed);
    }

    /// Takes over a sum that somebody else keeps and that never falls.
    pub fn absolute(&self, sum: Duration) {
        self.0.fetch_max(u64::try_from(sum.as_nanos()).unwrap_or(u64::MAX), Ordering::Relaxed);
    }
}

#[derive(Debug)]
struct Family {
    kind: Kind,
    help: &'static str,
    series: BTreeMap<String, Weak<AtomicU64>>,
}

/// All living series, by name and labels.
#[derive(Debug, Default)]
pub(super) struct LiveSeries {
    families: Mutex<BTreeMap<&'static str, Family>>,
}

impl LiveSeries {
    pub(super) fn gauge(&self, metric: &Metric, labels: &[(&'static str, String)]) -> Gauge {
        Gauge(self.cell(metric, labels))
    }

    pub(super) fn seconds(&self, metric: &Metric, labels: &[(&'static str, String)]) -> SecondsCounter {
        SecondsCounter(self.cell(metric, labels))
    }

    /// The cell of a series; the same one for as long as somebody holds it, so that a task which
    /// changes threads within the process is one series.
    fn cell(&self, metric: &Metric, labels: &[(&'static str, String)]) -> Arc<AtomicU64> {
        let mut families = self.families.lock().unwrap_or_else(PoisonError::into_inner);
        let family = families.entry(metric.name).or_insert_with(|| Family {
            kind: metric.kind,
            help: metric.help,
            series: BTreeMap::new(),
        });
        family.series.retain(|_, cell| cell.strong_count() > 0);
        let slot = family.series.entry(label_text(labels)).or_default();
        slot.upgrade().unwrap_or_else(|| {
            let cell = Arc::new(AtomicU64::new(0));
            *slot = Arc::downgrade(&cell);
            cell
        })
    }

    pub(super) fn render(&self, text: &mut String) {
        let families = self.families.lock().unwrap_or_else(PoisonError::into_inner);
        for (name, family) in families.iter() {
            let alive: Vec<(&String, u64)> = family
                .series
                .iter()
                .filter_map(|(labels, cell)| Some((labels, cell.upgrade()?.load(Ordering::Relaxed))))
                .collect();
            if alive.is_empty() {
                continue;
            }
            let counts = matches!(family.kind, Kind::SecondsCounter);
            write_head(text, name, if counts { "counter" } else { "gauge" }, family.help);
            for (labels, bits) in alive {
                let value = if counts { Duration::from_nanos(bits).as_secs_f64() } else { f64::from_bits(bits) };
                write_line(text, name, labels, value);
            }
        }
    }
}

/// `# HELP` and `# TYPE` of a family.
pub(super) fn write_head(text: &mut String, name: &str, kind: &str, help: &str) {
    text.push_str(&format!("# HELP {name} {help}\n# TYPE {name} {kind}\n"));
}

/// One sample.
pub(super) fn write_line(text: &mut String, name: &str, labels: &str, value: f64) {
    text.push_str(&format!("{name}{labels} {value}\n"));
}

fn label_text(labels: &[(&'static str, String)]) -> String {
    if labels.is_empty() {
        return String::new();
    }
    let pairs: Vec<String> = labels
        .iter()
        .map(|(name, value)| {
            let value = value.replace('\\', r"\\").replace('"', "\\\"").replace('\n', r"\n");
            format!("{name}=\"{value}\"")
        })
        .collect();
    format!("{{{}}}", pairs.join(","))
}
