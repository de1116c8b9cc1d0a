//! What is known of experiments beforehand, and what is taken for granted of the others.
//!
//! ```toml
//! [experiments.checkout]
//! control = "control"                       # the variant that the others are compared with
//! ends = 2026-03-01T00:00:00Z               # when it ends undecided
//! alpha = 0.05                              # how often a difference that is none may be found, over all variants
//! window_hours = 168                        # for how long after the assignment a conversion counts
//! conversions = ["converted"]               # which events are conversions
//! shares = { control = 0.5, large = 0.5 }   # how users should be split; a split that is not so decides (`invalid_srm`)
//! guardrails = [{ event = "error", margin = 0.01 }]
//! ```
//!
//! Without `shares`, and of an experiment that is not listed, nobody has said how users should be split. Equal shares of the
//! arms that were seen are assumed then: a mismatch is shown as that of an assumption (`sample_ratio.is_assumed`), and decides
//! nothing. A platform that assigns the users itself knows the split that it compares with (Statsig's "SRM checks"); here an
//! experiment of 90 to 10 whose shares nobody wrote down would be called invalid for good.
//!
//! Not here: what is made of events ([`crate::trials`], [`crate::verdict`]). Invariant: a definition that is here can be
//! judged by: every number is within its range.

use std::collections::BTreeMap;
use std::path::Path;

use compact_str::CompactString;
use processing_core::record::{DurationMs, EventTime};
use serde::Deserialize;

/// So many guardrails an experiment has at most: what a user did is kept in one byte.
pub const GUARDRAILS_MAX: usize = 7;

/// What counts as an assignment to a variant.
const ASSIGNED: [&str; 6] = ["assigned", "assignment", "assign", "exposed", "exposure", "enrolled"];
/// What counts as a conversion unless the file says otherwise.
const CONVERTED: [&str; 6] = ["converted", "conversion", "click", "clicked", "rate", "rated"];

/// All definitions.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Experiments {
    listed: BTreeMap<String, Experiment>,
    unlisted: Experiment,
}

/// One experiment.
#[derive(Debug, Clone, PartialEq)]
pub struct Experiment {
    /// The variant that the others are compared with.
    pub control: CompactString,
    /// When it ends undecided.
    pub ends: Ends,
    /// How often a difference that is none may be found, over all variants together.
    pub alpha: f64,
    /// For how long after the assignment what a user does counts.
    pub window: DurationMs,
    /// Names of the events that are conversions.
    pub conversions: Vec<CompactString>,
    /// What must not become worse.
    pub guardrails: Vec<Guardrail>,
    /// How users should be split; empty where nobody said so.
    pub shares: BTreeMap<CompactString, f64>,
}

/// When an experiment ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ends {
    /// At this moment.
    At(EventTime),
    /// So long after its first event.
    After(DurationMs),
}

/// Something that must not happen to more users than in the control.
#[derive(Debug, Clone, PartialEq)]
pub struct Guardrail {
    /// Name of the events.
    pub event: CompactString,
    /// By so much, as a share of users, it may be more.
    pub margin: f64,
}

/// What an event means in its experiment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// A user was assigned to a variant.
    Assignment,
    /// A measure was hit: 0 is the conversion, from 1 on the guardrails.
    Hit(u8),
}

impl Default for Experiment {
    fn default() -> Self {
        Self {
            control: "control".into(),
            ends: Ends::After(DurationMs::hours(28 * 24)),
            alpha: 0.05,
            window: DurationMs::hours(7 * 24),
            conversions: CONVERTED.map(CompactString::from).to_vec(),
            guardrails: Vec::new(),
            shares: BTreeMap::new(),
        }
    }
}

impl Experiments {
    /// The definition of this experiment.
    pub fn of(&self, id: &str) -> &Experiment {
        self.listed.get(id).unwrap_or(&self.unlisted)
    }

    /// Reads a file of definitions.
    ///
    /// # Errors
    /// What is wrong, where, and what would be right.
    pub fn read(file: &Path) -> Result<Self, String> {
        let text = std::fs::read_to_string(file).map_err(|error| format!("{}: {error}", file.display()))?;
        Self::from_toml(&text).map_err(|error| format!("{}: {error}", file.display()))
    }

    /// Definitions as text.
    ///
    /// # Errors
    /// What is wrong, where, and what would be right.
    pub fn from_toml(text: &str) -> Result<Self, String> {
        let written: Written = toml::from_str(text).map_err(|error| error.to_string())?;
        let listed = written.experiments.into_iter().map(|(id, written)| {
            let experiment = written.checked().map_err(|error| format!("experiments.{id}: {error}"))?;
            Ok((id, experiment))
        });
        Ok(Self { listed: listed.collect::<Result<_, String>>()?, ..Self::default() })
    }
}

impl Experiment {
    /// What an event of this name means; `None` for nothing.
    pub fn role(&self, action: &str) -> Option<Role> {
        let is = |name: &CompactString| name.eq_ignore_ascii_case(action);
        if self.conversions.iter().any(is) {
            return Some(Role::Hit(0));
        }
        if let Some(at) = self.guardrails.iter().position(|guardrail| is(&guardrail.event)) {
            return Some(Role::Hit(at as u8 + 1));
        }
        ASSIGNED.iter().any(|name| name.eq_ignore_ascii_case(action)).then_some(Role::Assignment)
    }

    /// The end of an experiment whose first minute began at `since`.
    pub fn end(&self, since: EventTime) -> EventTime {
        match self.ends {
            Ends::At(end) => end,
            Ends::After(span) => since.plus(span),
        }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    #[serde(default)]
    experiments: BTreeMap<String, WrittenExperiment>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenExperiment {
    control: Option<CompactString>,
    ends: Option<toml::value::Datetime>,
    alpha: Option<f64>,
    window_hours: Option<i64>,
    conversions: Option<Vec<CompactString>>,
    shares: Option<BTreeMap<CompactString, f64>>,
    #[serde(default)]
    guardrails: Vec<WrittenGuardrail>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenGuardrail {
    event: CompactString,
    #[serde(default)]
    margin: f64,
}

impl WrittenExperiment {
    fn checked(self) -> Result<Experiment, String> {
        let default = Experiment::default();
        let ends = match self.ends {
            None => default.ends,
            Some(ends) => {
                let parsed = chrono::DateTime::parse_from_rfc3339(&ends.to_string());
                let wants = "a moment with its offset, as 2026-03-01T00:00:00Z";
                let parsed = parsed.map_err(|_| format!("`ends` ({ends}) must be {wants}"))?;
                Ends::At(EventTime(parsed.timestamp_millis()))
            }
        };
        let control = self.control.unwrap_or(default.control);
        let alpha = self.alpha.unwrap_or(default.alpha);
        if !(alpha > 0.0 && alpha < 0.5) {
            return Err(format!("`alpha` ({alpha}) must lie between 0 and 0.5"));
        }
        let window = match self.window_hours {
            None => default.window,
            Some(hours) if (1..=24 * 366).contains(&hours) => DurationMs::hours(hours),
            Some(hours) => return Err(format!("`window_hours` ({hours}) must be from 1 to 8784")),
        };
        if self.guardrails.len() > GUARDRAILS_MAX {
            return Err(format!("{} guardrails: at most {GUARDRAILS_MAX} are possible", self.guardrails.len()));
        }
        if let Some(wrong) = self.guardrails.iter().find(|guardrail| !(0.0..1.0).contains(&guardrail.margin)) {
            return Err(format!("`margin` of guardrail {} ({}) must be from 0 to below 1", wrong.event, wrong.margin));
        }
        let shares = self.shares.unwrap_or_default();
        if let Some((variant, share)) = shares.iter().find(|(_, share)| !(share.is_finite() && **share > 0.0)) {
            return Err(format!("the share of {variant} ({share}) must be above 0"));
        }
        if !shares.is_empty() && !shares.contains_key(&control) {
            return Err(format!("`shares` does not name the control, {control}"));
        }
        if shares.len() == 1 {
            return Err("`shares` names no variant beside the control".to_owned());
        }
        let guardrails = self.guardrails.into_iter();
        Ok(Experiment {
            control,
            ends,
            alpha,
            window,
            conversions: self.conversions.unwrap_or(default.conversions),
            guardrails: guardrails.map(|it| Guardrail { event: it.event, margin: it.margin }).collect(),
            shares,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_read_and_what_it_does_not_say_is_the_default() {
        let experiments = Experiments::from_toml(
            r#"
            [experiments.checkout]
            ends = 2026-03-01T00:00:00Z
            shares = { control = 1, large = 3 }
            guardrails = [{ event = "error", margin = 0.01 }, { event = "refund" }]
            [experiments."a b"]
            control = "A"
            "#,
        )
        .unwrap();
        let checkout = experiments.of("checkout");
        assert_eq!(checkout.ends, Ends::At(EventTime(1_772_323_200_000)));
        assert_eq!((checkout.alpha, checkout.guardrails.len()), (0.05, 2));
        assert_eq!(checkout.role("Refund"), Some(Role::Hit(2)));
        assert_eq!(checkout.role("converted"), Some(Role::Hit(0)));
        assert_eq!(checkout.role("exposed"), Some(Role::Assignment));
        assert_eq!(checkout.role("viewed"), None);
        assert_eq!(experiments.of("a b").control, "A");
        assert_eq!(experiments.of("other"), &Experiment::default());
    }

    #[test]
    fn what_is_wrong_is_told_with_its_place() {
        for (text, part) in [
            ("[experiments.x]\nalpha = 0.7", "experiments.x: `alpha` (0.7) must lie between 0 and 0.5"),
            ("[experiments.x]\nends = 2026-03-01", "`ends` (2026-03-01) must be a moment with its offset"),
            ("[experiments.x]\nwindow_hours = 0", "`window_hours` (0) must be from 1 to 8784"),
            ("[experiments.x]\nshares = { a = 1.0, b = 1.0 }", "`shares` does not name the control, control"),
            ("[experiments.x]\nshares = { control = 1.0 }", "names no variant beside the control"),
            ("[experiments.x]\nshares = { control = 1.0, b = -1 }", "the share of b (-1) must be above 0"),
            ("[experiments.x]\nguardrails = [{ event = \"e\", margin = 2.0 }]", "`margin` of guardrail e (2)"),
            ("[experiments.x]\nlevel = 0.7", "unknown field `level`"),
        ] {
            let error = Experiments::from_toml(text).unwrap_err();
            assert!(error.contains(part), "{text}: {error}");
        }
    }
}
