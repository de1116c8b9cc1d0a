//! What is published of experiments.
//!
//! Not here: how an experiment stands ([`crate::verdict`]). Invariant: a decision's key is its variant's, so that there is
//! one, whatever run says it.

use compact_str::CompactString;
use serde::{Deserialize, Serialize};

use super::Stamp;
use crate::experiments::Experiment;
use crate::settings::ModelSettings;
use crate::subject::Subject;
use crate::verdict::{Comparison, Standing};

/// `ab.results.v1`: an experiment after a minute in which something happened, and at its end.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AbResults {
    /// Whose minute; at the end, the whole experiment.
    #[serde(flatten)]
    pub stamp: Stamp,
    /// The application.
    pub app: CompactString,
    /// The tenant.
    pub tenant: CompactString,
    /// The experiment.
    pub experiment: CompactString,
    /// The variant that the others are compared with.
    pub control: CompactString,
    /// Where its first minute began.
    pub started_ms: i64,
    /// When it ends undecided.
    pub planned_end_ms: i64,
    /// Whether that has come.
    pub is_over: bool,
    /// How often a difference that is none may be found, over all variants.
    pub alpha: f64,
    /// The level at which each variant is tested.
    pub level: f64,
    /// Whether users were split as they should have been; null where nobody stated it and fewer than two arms have users.
    pub sample_ratio: Option<SampleRatio>,
    /// Assignments of users to another variant than their first.
    pub conflicts: u64,
    /// Events of users who were not assigned, or too long ago, or after the end.
    pub outside: u64,
    /// Events and users that were too many.
    pub cut: u64,
    /// The control and the variants, by name.
    pub arms: Vec<AbArm>,
}

/// The split of users.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SampleRatio {
    /// The natural logarithm of the Bayes factor of a wrong split.
    pub log_bayes_factor: f64,
    /// Whether the factor is 1000 or more.
    pub is_mismatch: bool,
    /// Nobody stated the shares: equal ones are assumed, and a mismatch decides nothing.
    #[serde(default)]
    pub is_assumed: bool,
}

/// One arm.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AbArm {
    /// Its name.
    pub variant: CompactString,
    /// Whether it is the control.
    pub is_control: bool,
    /// Conversions.
    #[serde(flatten)]
    pub conversions: AbMeasure,
    /// The least p so far; null for the control and while there are too few users.
    pub p_value: Option<f64>,
    /// Guardrails in the order of their definition.
    pub guardrails: Vec<AbGuardrail>,
    /// What was decided of it.
    pub decision: Option<String>,
}

/// A guardrail of an arm.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AbGuardrail {
    /// Its events.
    pub event: CompactString,
    /// By so much it may be more.
    pub margin: f64,
    /// How often it was hit.
    #[serde(flatten)]
    pub measure: AbMeasure,
}

/// How many users hit a measure.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AbMeasure {
    /// Distinct users of the arm.
    pub users: u64,
    /// Those who hit it.
    pub conversions: u64,
    /// Their share; null without users.
    pub rate: Option<f64>,
    /// Wilson's interval of 95 % of the rate.
    pub rate_lower: Option<f64>,
    /// Its upper end.
    pub rate_upper: Option<f64>,
    /// D: the rate less the control's.
    pub difference: Option<f64>,
    /// Where the true difference lies, at the level of the test, however often one looks.
    pub difference_lower: Option<f64>,
    /// The upper end.
    pub difference_upper: Option<f64>,
    /// D over the control's rate.
    pub lift: Option<f64>,
}

impl AbMeasure {
    fn of(comparison: &Comparison) -> Self {
        let Comparison { arm, interval, difference } = comparison;
        Self {
            users: arm.users,
            conversions: arm.conversions,
            rate: interval.map(|_| arm.rate()),
            rate_lower: interval.map(|it| it.lower),
            rate_upper: interval.map(|it| it.upper),
            difference: difference.map(|it| it.value),
            difference_lower: difference.map(|it| it.lower),
            difference_upper: difference.map(|it| it.upper),
            lift: difference.map(|it| it.lift),
        }
    }
}

impl AbResults {
    /// How an experiment stands at the end of a window.
    pub fn of(
        settings: &ModelSettings,
        key: &Subject,
        experiment: &Experiment,
        standing: &Standing,
        window: (i64, i64),
    ) -> Self {
        let mut names = standing.variants(experiment);
        names.push(experiment.control.clone());
        names.sort_unstable();
        let arm = |variant: CompactString| {
            let guardrail = |(measure, guardrail): (usize, &crate::experiments::Guardrail)| AbGuardrail {
                event: guardrail.event.clone(),
                margin: guardrail.margin,
                measure: AbMeasure::of(&standing.compare(experiment, &variant, measure)),
            };
            AbArm {
                is_control: variant == experiment.control,
                conversions: AbMeasure::of(&standing.compare(experiment, &variant, 0)),
                p_value: standing.least_p.get(&variant).copied(),
                guardrails: (1..).zip(&experiment.guardrails).map(guardrail).collect(),
                decision: standing.decided.get(&variant).map(|(decision, _)| decision.name().to_owned()),
                variant,
            }
        };
        let sample_ratio = standing.split(experiment).map(|split| SampleRatio {
            // JSON has no infinity: who should have got nobody and got somebody is beyond doubt.
            log_bayes_factor: split.log_bayes_factor.min(1e9),
            is_mismatch: split.is_mismatch(),
            is_assumed: split.is_assumed,
        });
        Self {
            stamp: Stamp::new(settings, key.as_str(), window),
            app: key.part(0),
            tenant: key.part(1),
            experiment: key.part(2),
            control: experiment.control.clone(),
            started_ms: standing.since,
            planned_end_ms: experiment.end(processing_core::record::EventTime(standing.since)).0,
            is_over: standing.is_over,
            alpha: experiment.alpha,
            level: standing.level(experiment),
            sample_ratio,
            conflicts: standing.total.conflicts,
            outside: standing.total.outside,
            cut: standing.total.cut + standing.total.cut_users,
            arms: names.into_iter().map(arm).collect(),
        }
    }
}

/// `ab.decision.v1`: the one decision of a variant.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AbDecision {
    /// From the experiment's first minute to the moment of the decision.
    #[serde(flatten)]
    pub stamp: Stamp,
    /// The application.
    pub app: CompactString,
    /// The tenant.
    pub tenant: CompactString,
    /// The experiment.
    pub experiment: CompactString,
    /// The variant.
    pub variant: CompactString,
    /// What it was compared with.
    pub control: CompactString,
    /// `better`, `worse`, `stopped_guardrail`, `invalid_srm` or `no_decision`.
    pub decision: String,
    /// The guardrail that was broken.
    pub guardrail: Option<String>,
    /// The level at which the variant was tested.
    pub level: f64,
    /// The least p so far.
    pub p_value: Option<f64>,
    /// The variant's conversions.
    #[serde(flatten)]
    pub conversions: AbMeasure,
    /// The control's users.
    pub control_users: u64,
    /// Those of them who converted.
    pub control_conversions: u64,
}

impl AbDecision {
    /// What was decided of a variant.
    pub fn of(
        settings: &ModelSettings,
        key: &Subject,
        experiment: &Experiment,
        standing: &Standing,
        variant: &CompactString,
    ) -> Self {
        let decided = standing.decided.get(variant);
        let control = standing.compare(experiment, &experiment.control, 0).arm;
        let end = decided.map_or(standing.since, |(_, at)| *at);
        Self {
            stamp: Stamp::once(settings, key.with(variant).as_str(), (standing.since, end)),
            app: key.part(0),
            tenant: key.part(1),
            experiment: key.part(2),
            variant: variant.clone(),
            control: experiment.control.clone(),
            decision: decided.map_or("no_decision", |(decision, _)| decision.name()).to_owned(),
            guardrail: decided.and_then(|(decision, _)| decision.guardrail()).map(str::to_owned),
            level: standing.level(experiment),
            p_value: standing.least_p.get(variant).copied(),
            conversions: AbMeasure::of(&standing.compare(experiment, variant, 0)),
            control_users: control.users,
            control_conversions: control.conversions,
        }
    }
}
