//! Idle inputs and times from the future.
//!
//! Invariant: no replay asks a clock: an idle raise is logged, and the future is measured against the record's own
//! log timestamp.

use super::{Problem, SettingsError, Spec, ValueKind, Values};
use crate::record::DurationMs;

pub(super) const SPECS: &[Spec] = &[
    Spec::new(
        "idle.after.ms",
        ValueKind::Millis { min: DurationMs(10), max: DurationMs::hours(24), off: true },
        "10s",
        "A partition that is read to its end and silent for this long follows the time of the others; off: never",
    ),
    Spec::new(
        "idle.close.ms",
        ValueKind::Millis { min: DurationMs::seconds(1), max: DurationMs::hours(24 * 365), off: true },
        "off",
        "When every partition of every input is idle, event time goes on with the clock, this far behind it, so that \
         windows close and timers fire; at least idle.after.ms; off: it stands still until a record comes",
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
    /// `idle.close.ms`; `None`: where everything is idle, time stands still.
    pub idle_close: Option<DurationMs>,
    /// `future.bound.ms`; `None`: any future is believed.
    pub future_bound: Option<DurationMs>,
}

impl EventTimeSettings {
    pub(super) fn read(values: &Values) -> Result<Self, SettingsError> {
        let idle_after: Option<DurationMs> = values.get("idle.after.ms")?;
        let idle_close: Option<DurationMs> = values.get("idle.close.ms")?;
        if let Some(close) = idle_close
            && idle_after.is_none_or(|after| close < after)
        {
            let text = "idle.close.ms is shorter than idle.after.ms, or that is off: time goes on with the clock where \
                        inputs are idle; make it at least as long";
            return Err(SettingsError { problems: vec![Problem::new(text.to_owned())] });
        }
        Ok(Self { idle_after, idle_close, future_bound: values.get("future.bound.ms")? })
    }
}
