//! What an operator can set for model-performance.
//!
//! Not here: reading files and environment (`processing_core::service::settings`). Invariant: the defaults are the
//! definition of the product, and stand in [`ModelSettings::default`] alone.

use std::path::PathBuf;
use std::sync::Arc;

use events::Contracts;
use processing_core::error::CoreError;
use processing_core::record::DurationMs;
use processing_core::service::settings::{Declarations, Settings, SettingsError, Spec, ValueKind};

use crate::experiments::Experiments;

/// Inputs, windows and rules.
#[derive(Debug, Clone, PartialEq)]
pub struct ModelSettings {
    /// The application's id: the prefix of its group and its internal topics.
    pub application_id: String,
    /// Where results go.
    pub outputs: Outputs,
    /// How late an event may come and still count.
    pub grace: DurationMs,
    /// For how long an event's id is remembered, so that one that comes again counts once.
    pub duplicates: DurationMs,
    /// How long a request waits for its response.
    pub timeout: DurationMs,
    /// By how much a response's clock may be behind its request's.
    pub skew: DurationMs,
    /// For how long after a response a click belongs to it; whole minutes.
    pub attribution: DurationMs,
    /// For how long after a message its true intent may become known.
    pub outcome: DurationMs,
    /// Names of the interactions that are clicks.
    pub clicks: Vec<String>,
    /// When a distribution has drifted.
    pub drift: Drift,
    /// So many ratings within an hour are worth training anew for.
    pub retrain_ratings: u64,
    /// What is known of experiments.
    pub experiments: Arc<Experiments>,
    /// Tells runs apart in the results; reprocessing gives a new one.
    pub run_id: String,
}

/// When a distribution has drifted from that of the week before.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Drift {
    /// From this population stability index on.
    pub psi: f64,
    /// From this Kolmogorov-Smirnov distance on.
    pub distance: f64,
    /// So many numbers both must have, or chance alone would look like drift.
    pub values_min: u64,
}

/// The topics of the results.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outputs {
    /// Models by the minute.
    pub minutes: String,
    /// Models by the hour.
    pub hours: String,
    /// The models that are asked most, by the hour.
    pub popular: String,
    /// Models' coverage by the day.
    pub coverage: String,
    /// What somebody should look at.
    pub alerts: String,
    /// What should be trained anew.
    pub retrain: String,
    /// How experiments stand.
    pub results: String,
    /// What was decided of experiments.
    pub decisions: String,
}

impl Default for Outputs {
    fn default() -> Self {
        Self {
            minutes: "model.performance.1m.v1".to_owned(),
            hours: "model.performance.1h.v1".to_owned(),
            popular: "model.popular.1h.v1".to_owned(),
            coverage: "model.coverage.1d.v1".to_owned(),
            alerts: "model.alerts.v1".to_owned(),
            retrain: "model.retrain.v1".to_owned(),
            results: "ab.results.v1".to_owned(),
            decisions: "ab.decision.v1".to_owned(),
        }
    }
}

impl Default for ModelSettings {
    fn default() -> Self {
        Self {
            application_id: "model-performance.v1".to_owned(),
            outputs: Outputs::default(),
            grace: DurationMs::minutes(1),
            duplicates: DurationMs::minutes(10),
            timeout: DurationMs::seconds(30),
            skew: DurationMs::seconds(1),
            attribution: DurationMs::minutes(30),
            outcome: DurationMs::hours(24),
            clicks: ["click", "clicked", "view", "watch", "play"].map(str::to_owned).to_vec(),
            drift: Drift { psi: 0.25, distance: 0.25, values_min: 200 },
            retrain_ratings: 100,
            experiments: Arc::new(Experiments::default()),
            run_id: "live".to_owned(),
        }
    }
}

/// Less than the library's, which would let 100 000 users and 1 000 models take 170 MiB: it costs a tenth of the CPU time to
/// stay below 150.
const CACHED: &str = "26MiB";
const MEMORY: &str = "68MiB";

/// Outcomes are told at the ends of minutes.
const MINUTE: DurationMs = DurationMs::minutes(1);
const GRACE: ValueKind = ValueKind::Millis { min: DurationMs(0), max: DurationMs::hours(24), off: false };
const WAIT: ValueKind = ValueKind::Millis { min: DurationMs(1), max: DurationMs::hours(24), off: false };
const ATTRIBUTION: ValueKind = ValueKind::Millis { min: MINUTE, max: DurationMs::hours(7 * 24), off: false };
const OUTCOME: ValueKind = ValueKind::Millis { min: MINUTE, max: DurationMs::hours(31 * 24), off: false };
const COUNT: ValueKind = ValueKind::Integer { min: 1, max: 1_000_000_000 };
const THOUSANDTHS: ValueKind = ValueKind::Integer { min: 1, max: 100_000 };
const TOPIC: ValueKind = ValueKind::Checked {
    wants: "1 to 249 of the letters a-z A-Z 0-9 . _ -",
    check: |text| {
        let legal = |c: u8| c.is_ascii_alphanumeric() || matches!(c, b'.' | b'_' | b'-');
        (1..=249).contains(&text.len()) && text.bytes().all(legal) && text != "." && text != ".."
    },
};
const RUN_ID: ValueKind =
    ValueKind::Checked { wants: "1 to 100 characters", check: |text| (1..=100).contains(&text.len()) };
const NAMES: ValueKind = ValueKind::Checked {
    wants: "names, parted by commas",
    check: |text| text.split(',').all(|name| !name.trim().is_empty()),
};

impl ModelSettings {
    /// The library's settings, those of the contracts and the worker's own.
    pub fn declared() -> Declarations {
        let default = Self::default();
        let outputs = &default.outputs;
        let spec = |name, kind, default: &dyn std::fmt::Display, help| Spec {
            default: default.to_string().into(),
            ..Spec::new(name, kind, "", help)
        };
        let thousandths = |value: f64| (value * 1_000.0).round() as i64;
        let library = Declarations::library(&default.application_id)
            .with_default("statestore.cache.max.bytes", CACHED)
            .with_default("memory.budget.bytes", MEMORY);
        library.with(events::settings::specs()).with([
            spec("models.grace.ms", GRACE, &default.grace.0, "How late an event may come and still count"),
            spec("models.duplicates.ms", WAIT, &default.duplicates.0, "For how long an event's id is remembered"),
            spec("models.timeout.ms", WAIT, &default.timeout.0, "How long a request waits for its response"),
            spec("models.skew.ms", GRACE, &default.skew.0, "By how much a response's clock may be behind"),
            spec(
                "models.attribution.ms",
                ATTRIBUTION,
                &default.attribution.0,
                "For how long a click belongs to a list, in whole minutes",
            ),
            spec("models.outcome.ms", OUTCOME, &default.outcome.0, "For how long a message's true intent may come"),
            spec("models.clicks", NAMES, &default.clicks.join(","), "Interactions that are clicks"),
            spec("drift.psi.thousandths", THOUSANDTHS, &thousandths(default.drift.psi), "Drift from this index on"),
            spec(
                "drift.ks.thousandths",
                ValueKind::Integer { min: 1, max: 1_000 },
                &thousandths(default.drift.distance),
                "Drift from this Kolmogorov-Smirnov distance on",
            ),
            spec("drift.values.min", COUNT, &default.drift.values_min, "Numbers that a comparison needs on both sides"),
            spec("retrain.ratings.min", COUNT, &default.retrain_ratings, "Ratings an hour that are worth training for"),
            spec("experiments.file", ValueKind::Path, &"", "TOML file of experiments"),
            spec("outputs.minutes.topic", TOPIC, &outputs.minutes, "Topic of models' minutes"),
            spec("outputs.hours.topic", TOPIC, &outputs.hours, "Topic of models' hours"),
            spec("outputs.popular.topic", TOPIC, &outputs.popular, "Topic of the models that are asked most"),
            spec("outputs.coverage.topic", TOPIC, &outputs.coverage, "Topic of models' coverage"),
            spec("outputs.alerts.topic", TOPIC, &outputs.alerts, "Topic of alerts"),
            spec("outputs.retrain.topic", TOPIC, &outputs.retrain, "Topic of signals to train anew"),
            spec("outputs.results.topic", TOPIC, &outputs.results, "Topic of experiments' results"),
            spec("outputs.decisions.topic", TOPIC, &outputs.decisions, "Topic of experiments' decisions"),
            spec("run.id", RUN_ID, &default.run_id, "Tells runs apart in the results"),
        ])
    }

    /// The settings in force, checked against each other, and the contracts that they name.
    ///
    /// # Errors
    /// What does not go together, by name; a file that cannot be used.
    pub fn read(settings: &Settings) -> Result<(Self, Contracts), CoreError> {
        let mut read = Self::values(settings)?;
        if read.attribution.0 % MINUTE.0 != 0 {
            return Err(CoreError::config(format!(
                "{}: `models.attribution.ms` ({}) must be whole minutes, or the outcomes of a minute would be those of parts \
                 of two",
                settings.origin("models.attribution.ms"),
                read.attribution.0,
            )));
        }
        if read.duplicates < read.grace {
            return Err(CoreError::config(format!(
                "{}: `models.duplicates.ms` ({}) must be at least `models.grace.ms` ({}, {}), or an event within the grace \
                 could not be told from one that repeats it",
                settings.origin("models.duplicates.ms"),
                read.duplicates.0,
                read.grace.0,
                settings.origin("models.grace.ms"),
            )));
        }
        if let Some(file) = settings.get::<Option<PathBuf>>("experiments.file")? {
            let experiments = Experiments::read(&file).map_err(|error| {
                CoreError::config(format!("{}: `experiments.file`: {error}", settings.origin("experiments.file")))
            })?;
            read.experiments = Arc::new(experiments);
        }
        Ok((read, Contracts::read(settings)?))
    }

    fn values(settings: &Settings) -> Result<Self, SettingsError> {
        let thousandths = |name| settings.get::<i64>(name).map(|value| value as f64 / 1_000.0);
        let count = |name| settings.get::<i64>(name).map(i64::unsigned_abs);
        let clicks: String = settings.get("models.clicks")?;
        Ok(Self {
            application_id: settings.application.id.clone(),
            outputs: Outputs {
                minutes: settings.get("outputs.minutes.topic")?,
                hours: settings.get("outputs.hours.topic")?,
                popular: settings.get("outputs.popular.topic")?,
                coverage: settings.get("outputs.coverage.topic")?,
                alerts: settings.get("outputs.alerts.topic")?,
                retrain: settings.get("outputs.retrain.topic")?,
                results: settings.get("outputs.results.topic")?,
                decisions: settings.get("outputs.decisions.topic")?,
            },
            grace: settings.get("models.grace.ms")?,
            duplicates: settings.get("models.duplicates.ms")?,
            timeout: settings.get("models.timeout.ms")?,
            skew: settings.get("models.skew.ms")?,
            attribution: settings.get("models.attribution.ms")?,
            outcome: settings.get("models.outcome.ms")?,
            clicks: clicks.split(',').map(|name| name.trim().to_owned()).collect(),
            drift: Drift {
                psi: thousandths("drift.psi.thousandths")?,
                distance: thousandths("drift.ks.thousandths")?,
                values_min: count("drift.values.min")?,
            },
            retrain_ratings: count("retrain.ratings.min")?,
            experiments: Arc::new(Experiments::default()),
            run_id: settings.get("run.id")?,
        })
    }
}
