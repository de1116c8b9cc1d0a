//! What an operator can set for engagement-metrics.
//!
//! Not here: reading files and environment (`processing_core::service::settings`), funnels and pipelines
//! ([`crate::definitions`]). Invariant: the defaults are the definition of the product, and stand in
//! [`EngagementSettings::default`] alone.

use std::path::PathBuf;

use chrono_tz::Tz;
use events::Contracts;
use processing_core::error::CoreError;
use processing_core::record::DurationMs;
use processing_core::service::settings::{Declarations, Settings, SettingsError, Spec, ValueKind};

use crate::definitions::Definitions;

/// Zone, gap and topics.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EngagementSettings {
    /// The application's id: the prefix of its group and its internal topics.
    pub application_id: String,
    /// Whose events are read, and how.
    pub contracts: Contracts,
    /// Where results go.
    pub outputs: Outputs,
    /// Whose days and hours.
    pub zone: Tz,
    /// How late an event may come and still count; together with a minute, how long a repeated one is known.
    pub grace: DurationMs,
    /// A longer pause splits a session.
    pub gap: DurationMs,
    /// How long lists of names are.
    pub list_length: u32,
    /// For how long results can be asked for.
    pub keep: DurationMs,
    /// Tells runs apart in the results; reprocessing gives a new one.
    pub run_id: String,
}

/// The topics of the results.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outputs {
    /// Scopes' minutes.
    pub minutes: String,
    /// Their hours.
    pub hours: String,
    /// Their days.
    pub days: String,
    /// Sessions.
    pub sessions: String,
    /// Funnels by the hour.
    pub funnels: String,
    /// Pipelines by the hour.
    pub pipelines: String,
    /// Cohorts by the day.
    pub retention: String,
    /// Names by the day.
    pub top: String,
}

impl Default for Outputs {
    fn default() -> Self {
        Self {
            minutes: "engagement.metrics.1m.v1".to_owned(),
            hours: "engagement.metrics.1h.v1".to_owned(),
            days: "engagement.metrics.1d.v1".to_owned(),
            sessions: "engagement.sessions.v1".to_owned(),
            funnels: "engagement.funnels.1h.v1".to_owned(),
            pipelines: "engagement.pipelines.1h.v1".to_owned(),
            retention: "engagement.retention.1d.v1".to_owned(),
            top: "engagement.top.1d.v1".to_owned(),
        }
    }
}

impl Default for EngagementSettings {
    fn default() -> Self {
        Self {
            application_id: "engagement-metrics.v1".to_owned(),
            contracts: Contracts::shipped(),
            outputs: Outputs::default(),
            zone: Tz::UTC,
            grace: DurationMs::minutes(5),
            gap: DurationMs::minutes(30),
            list_length: 20,
            keep: DurationMs::hours(35 * 24),
            run_id: "live".to_owned(),
        }
    }
}

const TOPIC: ValueKind = ValueKind::Checked {
    wants: "1 to 249 of the letters a-z A-Z 0-9 . _ -",
    check: |text| {
        let legal = |c: u8| c.is_ascii_alphanumeric() || matches!(c, b'.' | b'_' | b'-');
        (1..=249).contains(&text.len()) && text.bytes().all(legal) && text != "." && text != ".."
    },
};
const RUN_ID: ValueKind =
    ValueKind::Checked { wants: "1 to 100 characters", check: |text| (1..=100).contains(&text.len()) };
const ZONE: ValueKind = ValueKind::Checked {
    wants: "the name of a time zone, as UTC or Europe/Lisbon",
    check: |text| text.parse::<Tz>().is_ok(),
};
const GRACE: ValueKind = ValueKind::Millis { min: DurationMs(0), max: DurationMs::hours(24), off: false };
const GAP: ValueKind = ValueKind::Millis { min: DurationMs::minutes(1), max: DurationMs::hours(12), off: false };
const KEEP: ValueKind = ValueKind::Millis { min: DurationMs::hours(1), max: DurationMs::hours(366 * 24), off: false };

/// The setting that names the file of funnels and pipelines.
const DEFINITIONS_FILE: &str = "engagement.definitions.file";

impl EngagementSettings {
    /// The library's settings and the worker's own.
    pub fn declared() -> Declarations {
        let default = Self::default();
        let spec = |name, kind, default: &dyn std::fmt::Display, help| Spec {
            default: default.to_string().into(),
            ..Spec::new(name, kind, "", help)
        };
        let Outputs { minutes, hours, days, sessions, funnels, pipelines, retention, top } = &default.outputs;
        Declarations::library(&default.application_id).with(events::settings::specs()).with([
            spec("engagement.zone", ZONE, &default.zone.name(), "The time zone whose days and hours are counted"),
            spec(
                "engagement.grace.ms",
                GRACE,
                &default.grace.0,
                "How late an event may come and still count, and how long repeated ones are known",
            ),
            spec("engagement.session.gap.ms", GAP, &default.gap.0, "A longer pause splits a session"),
            spec(
                "engagement.list.length",
                ValueKind::Integer { min: 1, max: 1_000 },
                &default.list_length,
                "Names on a list",
            ),
            spec("engagement.keep.ms", KEEP, &default.keep.0, "For how long results can be asked for"),
            spec(DEFINITIONS_FILE, ValueKind::Path, &"", "TOML file of funnels, pipelines, active kinds and programs"),
            spec("outputs.minutes.topic", TOPIC, minutes, "Topic of scopes' minutes"),
            spec("outputs.hours.topic", TOPIC, hours, "Topic of scopes' hours"),
            spec("outputs.days.topic", TOPIC, days, "Topic of scopes' days"),
            spec("outputs.sessions.topic", TOPIC, sessions, "Topic of sessions"),
            spec("outputs.funnels.topic", TOPIC, funnels, "Topic of funnels by the hour"),
            spec("outputs.pipelines.topic", TOPIC, pipelines, "Topic of pipelines by the hour"),
            spec("outputs.retention.topic", TOPIC, retention, "Topic of cohorts by the day"),
            spec("outputs.top.topic", TOPIC, top, "Topic of names by the day"),
            spec("run.id", RUN_ID, &default.run_id, "Tells runs apart in the results"),
        ])
    }

    /// The settings in force, and what the company says of itself.
    ///
    /// # Errors
    /// A file of definitions that cannot be used; a setting that is not what its declaration says.
    pub fn read(settings: &Settings) -> Result<(Self, Definitions), CoreError> {
        let read = Self { contracts: Contracts::read(settings)?, ..Self::values(settings)? };
        let definitions = match settings.get::<Option<PathBuf>>(DEFINITIONS_FILE)? {
            None => Definitions::shipped().map_err(|error| CoreError::config(error.to_string()))?,
            Some(file) => {
                let refused = |error: &dyn std::fmt::Display| {
                    let origin = settings.origin(DEFINITIONS_FILE);
                    CoreError::config(format!("{origin}: `{DEFINITIONS_FILE}`: {}: {error}", file.display()))
                };
                let text = std::fs::read_to_string(&file).map_err(|error| refused(&error))?;
                Definitions::from_toml(&text).map_err(|error| refused(&error))?
            }
        };
        Ok((read, definitions))
    }

    fn values(settings: &Settings) -> Result<Self, SettingsError> {
        let zone: String = settings.get("engagement.zone")?;
        Ok(Self {
            application_id: settings.application.id.clone(),
            contracts: Contracts::shipped(),
            outputs: Outputs {
                minutes: settings.get("outputs.minutes.topic")?,
                hours: settings.get("outputs.hours.topic")?,
                days: settings.get("outputs.days.topic")?,
                sessions: settings.get("outputs.sessions.topic")?,
                funnels: settings.get("outputs.funnels.topic")?,
                pipelines: settings.get("outputs.pipelines.topic")?,
                retention: settings.get("outputs.retention.topic")?,
                top: settings.get("outputs.top.topic")?,
            },
            // The declaration lets nothing else pass.
            zone: zone.parse().unwrap_or(Tz::UTC),
            grace: settings.get("engagement.grace.ms")?,
            gap: settings.get("engagement.session.gap.ms")?,
            list_length: settings.get("engagement.list.length")?,
            keep: settings.get("engagement.keep.ms")?,
            run_id: settings.get("run.id")?,
        })
    }
}
