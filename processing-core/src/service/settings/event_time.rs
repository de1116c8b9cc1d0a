//! Idle inputs and times from the future.
//!
//! Invariant: neither is judged by a wall clock: an idle raise is logged, and the future is measured
//! against the record's own log timestamp.

use super::{SettingsError, Spec, ValueKind, Values};
use crate::record::DurationMs;

pub(super) const SPECS: &[Spec] = &[
    Spec::new(
        "idle.after.ms",
        ValueKind::Millis { min: DurationMs(10), max: DurationMs::hours(24), off: true },
        "10s",
        "A partition that is read to its end and silent for this long follows the time of the others; off: never",
    ),
    Spec::new(
        "future.bound.ms",
        ValueKind::Millis { min: DurationMs::seconds(1), max: DurationMs::hours(24 * 365), off: true },
        "1h",
        "A record whose event time is this far ahead of its log timestamp goes to the dead letters; off: never",
    ),
];

/// Idle inputs and times from the future.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EventTimeSettings {
    /// `idle.after.ms`; `None`: partitions never count as idle.
    pub idle_after: Option<DurationMs>,
    /// `future.bound.ms`; `None`: any future is believed.
    pub future_bound: Option<DurationMs>,
}

impl EventTimeSettings {
    pub(super) fn read(values: &Values) -> Result<Self, SettingsError> {
        Ok(Self { idle_after: values.get("idle.after.ms")?, future_bound: values.get("future.bound.ms")? })
    }
}
