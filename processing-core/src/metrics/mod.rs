//! What the process measures about itself, and the text that Prometheus reads.
//!
//! Not here: the status page (`service::status`) and the numbers of the business, which are results
//! in topics. A worker declares metrics of its own as [`Metric`]s and hands them to [`Telemetry`].
//! Invariant: a name, its labels and its help stand in one table ([`catalogue`]); handles are taken
//! once per thread or task and fed per batch or commit, never per record.
//!
//! ```text
//!   catalogue ──▶ Telemetry ──▶ ThreadMetrics, TaskMetrics, LogMetrics, ProcessMetrics
//!                     │                     (fed per batch and commit)
//!                     └──▶ render() ──▶ GET /metrics
//! ```

pub mod catalogue;
mod handles;
mod live;
mod process;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use ::metrics::{Counter, Histogram, Key, Label, Level, Metadata, Recorder};
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle, PrometheusRecorder};
use thiserror::Error;

pub use catalogue::{Kind, LabelSpec, Metric, Unit};
pub use handles::{
    LogMetrics, PartitionGauges, ProcessMetrics, ReasonCounters, RestoreGauges, StandbyGauges, StoreGauges,
    TaskMetrics, ThreadMetrics,
};
pub use live::{Gauge, SecondsCounter};

use crate::limits::{LABEL_VALUES_MAX, METRICS_UPKEEP};
use live::LiveSeries;

static METADATA: Metadata<'static> = Metadata::new("processing_core", Level::INFO, None);

/// Metrics that cannot be served.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("metric {metric}: {problem}")]
pub struct TelemetryError {
    metric: &'static str,
    problem: String,
}

/// The registry of one process (or of one virtual worker in a simulation): nothing of it is global.
pub struct Telemetry {
    recorder: Option<PrometheusRecorder>,
    live: LiveSeries,
    series: Mutex<BTreeMap<&'static str, BTreeSet<String>>>,
}

impl Telemetry {
    /// A registry of the library's metrics and a worker's `own`, which are held to the same rules of
    /// naming. Whoever keeps it for long starts [`Upkeep`] too.
    pub fn new(own: &[Metric]) -> Result<Arc<Self>, TelemetryError> {
        let mut builder = PrometheusBuilder::new();
        let mut names = BTreeSet::new();
        for metric in catalogue::ALL.iter().chain(own) {
            let fail = |problem: String| TelemetryError { metric: metric.name, problem };
            metric.check().map_err(fail)?;
            if !names.insert(metric.name) {
                return Err(fail("is declared twice".into()));
            }
            if let Kind::Histogram(bounds) = metric.kind {
                let name = Matcher::Full(metric.name.into());
                builder = builder.set_buckets_for_metric(name, bounds).map_err(|e| fail(e.to_string()))?;
            }
        }
        Ok(Self::with_recorder(Some(builder.build_recorder())))
    }

    /// A registry that forgets everything: for simulations, where nobody reads it.
    pub fn off() -> Arc<Self> {
        Self::with_recorder(None)
    }

    fn with_recorder(recorder: Option<PrometheusRecorder>) -> Arc<Self> {
        Arc::new(Self { recorder, live: LiveSeries::default(), series: Mutex::default() })
    }

    /// A counter. It stays for the life of the process.
    pub fn counter(&self, metric: &Metric, labels: &[(&'static str, &str)]) -> Counter {
        debug_assert_eq!(metric.kind, Kind::Counter, "{}", metric.name);
        match &self.recorder {
            None => Counter::noop(),
            Some(recorder) => {
                recorder.describe_counter(metric.name.into(), None, metric.help.into());
                recorder.register_counter(&self.key(metric, labels), &METADATA)
            }
        }
    }

    /// A histogram. It stays for the life of the process.
    pub fn histogram(&self, metric: &Metric, labels: &[(&'static str, &str)]) -> Histogram {
        debug_assert!(matches!(metric.kind, Kind::Histogram(_)), "{}", metric.name);
        match &self.recorder {
            None => Histogram::noop(),
            Some(recorder) => {
                recorder.describe_histogram(metric.name.into(), None, metric.help.into());
                recorder.register_histogram(&self.key(metric, labels), &METADATA)
            }
        }
    }

    /// A gauge. It is shown as long as the handle lives: a task that moves away takes its lag along
    /// instead of leaving the last word standing.
    pub fn gauge(&self, metric: &Metric, labels: &[(&'static str, &str)]) -> Gauge {
        debug_assert_eq!(metric.kind, Kind::Gauge, "{}", metric.name);
        self.live.gauge(metric, &self.bounded(metric, labels))
    }

    /// A counter of time. It is shown as long as the handle lives.
    pub fn seconds(&self, metric: &Metric, labels: &[(&'static str, &str)]) -> SecondsCounter {
        debug_assert_eq!(metric.kind, Kind::SecondsCounter, "{}", metric.name);
        self.live.seconds(metric, &self.bounded(metric, labels))
    }

    /// One counter for each known value of the metric's only label, all at 0 from the start.
    pub fn reasons(self: &Arc<Self>, metric: &'static Metric) -> ReasonCounters {
        ReasonCounters::new(Arc::clone(self), metric)
    }

    /// Everything in Prometheus' text format 0.0.4.
    pub fn render(&self) -> String {
        let mut text = self.handle().map(|handle| handle.render()).unwrap_or_default();
        self.live.render(&mut text);
        if self.recorder.is_some() {
            process::render(&mut text);
        }
        text
    }

    /// Folds raw samples into buckets. Without it histograms grow until the next scrape.
    pub fn upkeep(&self) {
        if let Some(handle) = self.handle() {
            handle.run_upkeep();
        }
    }

    fn handle(&self) -> Option<PrometheusHandle> {
        self.recorder.as_ref().map(PrometheusRecorder::handle)
    }

    fn key(&self, metric: &Metric, labels: &[(&'static str, &str)]) -> Key {
        let labels: Vec<Label> =
            self.bounded(metric, labels).into_iter().map(|(name, value)| Label::new(name, value)).collect();
        Key::from_parts(metric.name, labels)
    }

    /// The labels, or `other` in place of each value when the metric has as many series as it may.
    fn bounded(&self, metric: &Metric, labels: &[(&'static str, &str)]) -> Vec<(&'static str, String)> {
        debug_assert!(
            labels.len() == metric.labels.len()
                && labels.iter().zip(metric.labels).all(|((name, _), spec)| *name == spec.name),
            "{} takes the labels {:?}, not {labels:?}",
            metric.name,
            metric.labels
        );
        let mut text = String::new();
        for (_, value) in labels {
            text.push_str(value);
            text.push('\0');
        }
        let mut series = self.series.lock().unwrap_or_else(PoisonError::into_inner);
        let known = series.entry(metric.name).or_default();
        let fits = known.contains(&text) || (known.len() < LABEL_VALUES_MAX && known.insert(text));
        labels
            .iter()
            .map(|(name, value)| (*name, if fits { (*value).to_owned() } else { "other".to_owned() }))
            .collect()
    }
}

impl std::fmt::Debug for Telemetry {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Telemetry").field("on", &self.recorder.is_some()).finish_non_exhaustive()
    }
}

/// The thread that keeps histograms small, whether or not anybody scrapes. Ends when dropped.
#[derive(Debug)]
pub struct Upkeep {
    stop: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Upkeep {
    /// Starts it. Fails where the machine gives no more threads.
    #[allow(clippy::disallowed_methods, reason = "telemetry is outside the pure steps")]
    pub fn start(telemetry: &Arc<Telemetry>) -> std::io::Result<Self> {
        let (stop, stopped) = channel::<()>();
        let telemetry = Arc::clone(telemetry);
        let interval = METRICS_UPKEEP.span();
        let thread = std::thread::Builder::new().name("metrics-upkeep".into()).spawn(move || {
            while stopped.recv_timeout(interval) == Err(RecvTimeoutError::Timeout) {
                telemetry.upkeep();
            }
        })?;
        Ok(Self { stop: Some(stop), thread: Some(thread) })
    }
}

impl Drop for Upkeep {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            // A panic there has been reported by its own hook; there is nothing to add.
            drop(thread.join());
        }
    }
}

#[cfg(test)]
mod tests;
