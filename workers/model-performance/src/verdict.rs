//! How an experiment stands after each look at it, and what is decided.
//!
//! At each minute in which something happened, every variant is compared with the control ([`crate::statistics::msprt`]).
//! With m variants beside the control each is tested at the level alpha / m (Bonferroni), a variant's g guardrails at
//! alpha / (m g). In this order, for each variant that is not decided:
//!
//! 1. the split of all users is not the one that was stated ([`crate::statistics::sample_ratio`]): `invalid_srm`
//! 2. a guardrail's whole interval lies above its margin: `stopped_guardrail`
//! 3. the least p so far is at most the level: `better` or `worse`, by the sign of D at this look
//! 4. the planned end has come: `no_decision`
//!
//! Where no split was stated, equal shares of the arms that have users are assumed; what is wrong by an assumption is shown
//! and decides nothing.
//!
//! Not here: how users came to be counted ([`crate::trials`]). Invariant: a variant is decided at most once; what is known
//! is a function of the minutes in their order.

use std::collections::BTreeMap;

use compact_str::CompactString;
use processing_core::aggregate::Mergeable;
use serde::{Deserialize, Serialize};

use crate::arms::Arms;
use crate::experiments::Experiment;
use crate::statistics::msprt::{self, Arm, Look};
use crate::statistics::{sample_ratio, wilson};

/// What is known of an experiment.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Standing {
    /// Where its first minute began, in milliseconds since 1970.
    pub since: i64,
    /// Everything that was counted.
    pub total: Arms,
    /// The least p of each variant so far: a running minimum, never a sum.
    pub least_p: BTreeMap<CompactString, f64>,
    /// What was decided, and at which minute's end.
    pub decided: BTreeMap<CompactString, (Decision, i64)>,
    /// Whether the planned end has come.
    pub is_over: bool,
}

/// What is decided of a variant.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Decision {
    /// It converts more than the control.
    Better,
    /// It converts less.
    Worse,
    /// A guardrail, by the name of its events, was broken.
    StoppedGuardrail(CompactString),
    /// Users were not split as they should have been: nothing can be said.
    InvalidSrm,
    /// The planned end came first.
    NoDecision,
}

impl Decision {
    /// Its name in results.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Better => "better",
            Self::Worse => "worse",
            Self::StoppedGuardrail(_) => "stopped_guardrail",
            Self::InvalidSrm => "invalid_srm",
            Self::NoDecision => "no_decision",
        }
    }

    /// The guardrail that was broken.
    pub fn guardrail(&self) -> Option<&str> {
        match self {
            Self::StoppedGuardrail(name) => Some(name),
            _ => None,
        }
    }
}

/// A variant beside the control, in one measure.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Comparison {
    /// The variant's users and those who hit the measure.
    pub arm: Arm,
    /// Its rate, with Wilson's interval of 95 %; `None` without users.
    pub interval: Option<wilson::Interval>,
    /// The difference from the control with its interval at the level of the test; `None` while there are too few.
    pub difference: Option<Difference>,
}

/// Users beside how they should have been split.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Split {
    /// ln of the Bayes factor of a wrong split.
    pub log_bayes_factor: f64,
    /// Nobody stated the shares: they are taken to be equal.
    pub is_assumed: bool,
}

impl Split {
    /// Whether the split is wrong.
    pub fn is_mismatch(self) -> bool {
        sample_ratio::is_decisive(self.log_bayes_factor)
    }
}

/// D and where the true difference lies.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Difference {
    /// D.
    pub value: f64,
    /// D over the control's rate.
    pub lift: f64,
    /// From here on.
    pub lower: f64,
    /// Up to here.
    pub upper: f64,
}

impl Standing {
    /// Nothing is known.
    pub fn new(since: i64) -> Self {
        Self { since, total: Arms::default(), least_p: BTreeMap::new(), decided: BTreeMap::new(), is_over: false }
    }

    /// A minute that ends at `end` has come: what is decided by it, in the order of the variants' names.
    pub fn take_in(&mut self, experiment: &Experiment, minute: &Arms, end: i64) -> Vec<CompactString> {
        self.total.merge(minute);
        let level = self.level(experiment);
        let mut decided = Vec::new();
        for variant in self.variants(experiment) {
            let Some(look) = self.look(experiment, &variant, 0) else { continue };
            let least = self.least_p.entry(variant).or_insert(1.0);
            *least = least.min(look.p_value());
        }
        // What nobody stated cannot make an experiment invalid.
        let is_invalid = self.split(experiment).is_some_and(|split| !split.is_assumed && split.is_mismatch());
        for variant in self
            .variants(experiment)
            .into_iter()
            .filter(|variant| !self.decided.contains_key(variant))
            .collect::<Vec<_>>()
        {
            let p = self.least_p.get(&variant).copied().unwrap_or(1.0);
            let decision = if is_invalid {
                Some(Decision::InvalidSrm)
            } else if let Some(broken) = self.broken_guardrail(experiment, &variant) {
                Some(Decision::StoppedGuardrail(broken))
            } else if p <= level {
                let is_better = self.look(experiment, &variant, 0).is_some_and(|look| look.difference > 0.0);
                Some(if is_better { Decision::Better } else { Decision::Worse })
            } else {
                None
            };
            if let Some(decision) = decision {
                self.decided.insert(variant.clone(), (decision, end));
                decided.push(variant);
            }
        }
        decided
    }

    /// The planned end has come: what is decided by it.
    pub fn finish(&mut self, experiment: &Experiment, end: i64) -> Vec<CompactString> {
        self.is_over = true;
        let open = self.variants(experiment).into_iter().filter(|variant| !self.decided.contains_key(variant));
        let open: Vec<CompactString> = open.collect();
        for variant in &open {
            self.decided.insert(variant.clone(), (Decision::NoDecision, end));
        }
        open
    }

    /// The variants beside the control: those that should be, and those that were seen.
    pub fn variants(&self, experiment: &Experiment) -> Vec<CompactString> {
        let mut all: Vec<CompactString> = self.total.arms.keys().chain(experiment.shares.keys()).cloned().collect();
        all.sort_unstable();
        all.dedup();
        all.retain(|variant| *variant != experiment.control);
        all
    }

    /// The level at which each variant is tested.
    pub fn level(&self, experiment: &Experiment) -> f64 {
        experiment.alpha / self.variants(experiment).len().max(1) as f64
    }

    /// Users beside how they should have been split; `None` where nobody stated it and fewer than two arms have users.
    pub fn split(&self, experiment: &Experiment) -> Option<Split> {
        let is_assumed = experiment.shares.is_empty();
        let mut names: Vec<&CompactString> = experiment.shares.keys().collect();
        names.extend(self.total.arms.iter().filter(|(_, arm)| arm.users > 0).map(|(name, _)| name));
        names.sort_unstable();
        names.dedup();
        if is_assumed && names.len() < 2 {
            return None;
        }
        let share = |name: &CompactString| match is_assumed {
            true => 1.0,
            false => experiment.shares.get(name).copied().unwrap_or(0.0),
        };
        let users: Vec<u64> = names.iter().map(|name| self.arm(name, 0).users).collect();
        let shares: Vec<f64> = names.into_iter().map(share).collect();
        Some(Split { log_bayes_factor: sample_ratio::log_bayes_factor(&users, &shares), is_assumed })
    }

    /// How a variant, or the control itself, compares with the control in a measure.
    pub fn compare(&self, experiment: &Experiment, variant: &str, measure: usize) -> Comparison {
        let arm = self.arm(variant, measure);
        let guardrails = if measure == 0 { 1 } else { experiment.guardrails.len().max(1) };
        let level = self.level(experiment) / guardrails as f64;
        let difference = self.look(experiment, variant, measure).map(|look| {
            let width = look.half_width(level);
            let rate = self.arm(&experiment.control, measure).rate();
            Difference {
                value: look.difference,
                lift: look.difference / rate,
                lower: look.difference - width,
                upper: look.difference + width,
            }
        });
        Comparison { arm, interval: wilson::wilson(arm.conversions, arm.users), difference }
    }

    fn broken_guardrail(&self, experiment: &Experiment, variant: &str) -> Option<CompactString> {
        let broken = |(measure, guardrail): (usize, &crate::experiments::Guardrail)| {
            let difference = self.compare(experiment, variant, measure).difference?;
            (difference.lower > guardrail.margin).then(|| guardrail.event.clone())
        };
        (1..).zip(&experiment.guardrails).find_map(broken)
    }

    fn look(&self, experiment: &Experiment, variant: &str, measure: usize) -> Option<Look> {
        if variant == experiment.control {
            return None;
        }
        msprt::look(self.arm(&experiment.control, measure), self.arm(variant, measure))
    }

    fn arm(&self, variant: &str, measure: usize) -> Arm {
        self.total.arms.get(variant).map_or_else(Arm::default, |arm| arm.by(measure))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::arms::ArmCount;
    use crate::experiments::Experiments;

    fn minute(arms: &[(&str, u64, &[u64])]) -> Arms {
        let arm = |(name, users, hits): &(&str, u64, &[u64])| {
            let mut count = ArmCount { users: *users, ..ArmCount::default() };
            count.hits[..hits.len()].copy_from_slice(hits);
            (CompactString::from(*name), count)
        };
        Arms { arms: arms.iter().map(arm).collect(), ..Arms::default() }
    }

    fn experiment(more: &str) -> Experiment {
        Experiments::from_toml(&format!("[experiments.x]\n{more}")).unwrap().of("x").clone()
    }

    fn decide(more: &str, minutes: &[Arms]) -> Vec<(String, &'static str)> {
        let (experiment, mut standing, mut all) = (experiment(more), Standing::new(0), Vec::new());
        let say = |standing: &Standing, variants: Vec<CompactString>| -> Vec<_> {
            variants.iter().map(|variant| (variant.to_string(), standing.decided[variant].0.name())).collect()
        };
        for (at, minute) in (1..).zip(minutes) {
            let variants = standing.take_in(&experiment, minute, at);
            all.extend(say(&standing, variants));
        }
        let variants = standing.finish(&experiment, 99);
        all.extend(say(&standing, variants));
        all
    }

    #[test]
    fn a_variant_is_decided_once_by_what_comes_first() {
        let of = |variant: &str, decision| vec![(variant.to_owned(), decision)];
        let (few, more) = (("control", 1_000, &[100][..]), ("b", 1_000, &[200][..]));
        assert_eq!(decide("", &[minute(&[few, more])]), of("b", "better"));
        assert_eq!(decide("", &[minute(&[few, more]), minute(&[few, ("b", 1_000, &[0])])]), of("b", "better"));
        assert_eq!(decide("", &[minute(&[more, ("control", 1_000, &[400])])]), of("b", "worse"));
        assert_eq!(decide("", &[minute(&[few, ("b", 1_000, &[110])])]), of("b", "no_decision"));
        // p is 0.049: little enough for one variant, and not for each of two.
        let nearly = ("b", 1_000, &[170][..]);
        assert_eq!(decide("", &[minute(&[few, nearly])]), of("b", "better"));
        let beside = [of("b", "no_decision"), of("c", "no_decision")].concat();
        assert_eq!(decide("", &[minute(&[few, nearly, ("c", 1_000, &[100])])]), beside);
        let split = "shares = { control = 1, b = 1 }";
        assert_eq!(decide(split, &[minute(&[few, ("b", 2_000, &[900])])]), of("b", "invalid_srm"));
        // Nobody stated that the arms should be equal.
        assert_eq!(decide("", &[minute(&[few, ("b", 2_000, &[900])])]), of("b", "better"));
        let guarded = "guardrails = [{ event = \"error\", margin = 0.1 }]";
        let worse = ("b", 1_000, &[200, 400][..]);
        assert_eq!(decide(guarded, &[minute(&[("control", 1_000, &[100, 50]), worse])]), of("b", "stopped_guardrail"),);
        // The margin is allowed: 0.25 less 0.05 is above 0 for certain, yet not above 0.1.
        assert_eq!(
            decide(guarded, &[minute(&[("control", 1_000, &[100, 50]), ("b", 1_000, &[200, 170])])]),
            of("b", "better"),
        );
    }

    #[test]
    fn equal_shares_of_the_arms_that_have_users_are_assumed_where_none_are_stated() {
        let of = |more: &str, arms: &[(&str, u64, &[u64])]| {
            let (experiment, mut standing) = (experiment(more), Standing::new(0));
            standing.take_in(&experiment, &minute(arms), 1);
            standing.split(&experiment).map(|split| (split.is_assumed, split.is_mismatch()))
        };
        let [control, fewer, as_many] = [("control", 2_000, &[][..]), ("b", 1_000, &[]), ("b", 2_000, &[])];
        assert_eq!(of("", &[control]), None);
        assert_eq!(of("", &[("a", 1_000, &[]), fewer]), Some((true, false)));
        assert_eq!(of("", &[control, as_many]), Some((true, false)));
        assert_eq!(of("", &[control, fewer]), Some((true, true)));
        assert_eq!(of("", &[control, as_many, ("c", 1, &[])]), Some((true, true)));
        assert_eq!(of("shares = { control = 2, b = 1 }", &[control, fewer]), Some((false, false)));
        assert_eq!(of("shares = { control = 1, b = 1 }", &[control]), Some((false, true)));
    }

    #[test]
    fn with_two_variants_each_is_tested_at_half_the_level() {
        let experiment = experiment("");
        let mut standing = Standing::new(0);
        standing.take_in(&experiment, &minute(&[("control", 500, &[50]), ("b", 500, &[60])]), 1);
        assert!((standing.level(&experiment) - 0.05).abs() < 1e-12);
        standing.take_in(&experiment, &minute(&[("c", 500, &[60])]), 2);
        assert!((standing.level(&experiment) - 0.025).abs() < 1e-12);
        let [b, control] = ["b", "control"].map(|name| standing.compare(&experiment, name, 0));
        assert!(b.difference.unwrap().lower < 0.02 && control.difference.is_none());
        assert!((b.difference.unwrap().lift - 0.2).abs() < 1e-9);
    }
}
