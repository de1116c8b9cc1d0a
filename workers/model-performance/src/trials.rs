//! A user in an experiment: the first assignment wins, and each measure is hit once.
//!
//! What a user does is gathered minute by minute in the order of event time, so that of several assignments the earliest
//! stands, whatever the order in which they came: of one moment an assignment comes before what the user did, and of two
//! assignments that of the lesser name.
//!
//! Not here: what follows for the experiment ([`crate::verdict`]). Invariant: of a user and experiment at most one
//! enrolment leaves, and each measure at most once, after it and within the experiment's window.

use std::sync::Arc;

use compact_str::CompactString;
use processing_core::decode::Poison;
use processing_core::prelude::{Context, KeyValueStore, Processor, Timer};
use processing_core::record::{DurationMs, EventTime};
use serde::{Deserialize, Serialize};

use crate::earliest::{Act, Earliest};
use crate::experiments::{Ends, Experiments};
use crate::subject::Member;

/// An event of a user in an experiment, in the order in which they count.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Trial {
    /// When.
    pub time: i64,
    /// What.
    pub step: Step,
    /// Which event.
    pub id: u64,
}

/// What happened to the user.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Step {
    /// Assigned to this variant.
    Assigned(CompactString),
    /// Hit this measure.
    Hit(u8),
}

impl Act for Trial {}

/// A user's minute.
pub type TrialMinute = Earliest<Trial>;

/// What an experiment learns of a user.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Finding {
    /// One more user of this variant.
    Enrolled(CompactString),
    /// A user of this variant hit a measure, for the first time.
    Hit(CompactString, u8),
    /// A user was assigned to another variant than before.
    Conflict,
    /// Something of a user who was not assigned, or was too long ago.
    Outside,
    /// So many events were not looked at.
    Cut(u64),
}

/// What is remembered of a user.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Enrolled {
    variant: CompactString,
    at: i64,
    /// One bit for each measure.
    hits: u8,
}

/// Handles users' minutes; keyed by experiment and user.
#[derive(Clone)]
pub struct Enrolling {
    /// The definitions.
    pub experiments: Arc<Experiments>,
    /// Who is enrolled.
    pub users: KeyValueStore<Member, Enrolled>,
    /// When a user is forgotten.
    pub forget: Timer,
}

impl Processor for Enrolling {
    type Key = Member;
    type In = TrialMinute;
    type Out = Finding;

    fn process(&self, ctx: &mut Context<'_, '_, Self>, key: &Member, minute: TrialMinute) -> Result<(), Poison> {
        let experiment = self.experiments.of(&key.scope.part(2));
        let before = ctx.store(&self.users).get(key).cloned();
        let (enrolled, findings) = follow(experiment.window, experiment.ends, before.clone(), &minute);
        if let Some(now) = enrolled.filter(|now| before.as_ref() != Some(now)) {
            if before.is_none() {
                let keep = match experiment.ends {
                    Ends::At(end) => end.plus(DurationMs::hours(24)),
                    Ends::After(span) => EventTime(now.at).plus(span).plus(experiment.window),
                };
                ctx.set_timer(self.forget, keep);
            }
            ctx.store(&self.users).put(key, now);
        }
        for finding in findings {
            ctx.forward(key.clone(), finding);
        }
        Ok(())
    }

    fn on_timer(&self, ctx: &mut Context<'_, '_, Self>, key: &Member, _: Timer) -> Result<(), Poison> {
        ctx.store(&self.users).delete(key);
        Ok(())
    }
}

/// What a minute makes of what is known of a user.
fn follow(
    window: DurationMs,
    ends: Ends,
    before: Option<Enrolled>,
    minute: &TrialMinute,
) -> (Option<Enrolled>, Vec<Finding>) {
    let (mut known, mut findings) = (before, Vec::new());
    for trial in minute.kept() {
        if matches!(ends, Ends::At(end) if trial.time >= end.0) {
            findings.push(Finding::Outside);
            continue;
        }
        match (&mut known, &trial.step) {
            (None, Step::Assigned(variant)) => {
                findings.push(Finding::Enrolled(variant.clone()));
                known = Some(Enrolled { variant: variant.clone(), at: trial.time, hits: 0 });
            }
            (Some(known), Step::Assigned(variant)) => {
                if known.variant != *variant {
                    findings.push(Finding::Conflict);
                }
            }
            (Some(known), Step::Hit(measure)) if trial.time <= known.at.saturating_add(window.0) => {
                let bit = 1 << (measure & 7);
                if known.hits & bit == 0 {
                    known.hits |= bit;
                    findings.push(Finding::Hit(known.variant.clone(), *measure));
                }
            }
            (_, Step::Hit(_)) => findings.push(Finding::Outside),
        }
    }
    let cut = minute.cut();
    if cut > 0 {
        findings.push(Finding::Cut(cut));
    }
    (known, findings)
}

#[cfg(test)]
mod tests {
    use processing_core::aggregate::{fold_of, laws};
    use proptest::prelude::*;

    use super::*;

    fn assigned(time: i64, variant: &str) -> Trial {
        Trial { time, step: Step::Assigned(variant.into()), id: time as u64 }
    }

    fn hit(time: i64, measure: u8) -> Trial {
        Trial { time, step: Step::Hit(measure), id: time as u64 }
    }

    fn minute(trials: &[Trial]) -> TrialMinute {
        let mut minute = TrialMinute::default();
        trials.iter().for_each(|trial| minute.take_in(trial.clone()));
        minute
    }

    const WINDOW: DurationMs = DurationMs(100);
    const OPEN: Ends = Ends::After(DurationMs(1));

    #[test]
    fn the_first_assignment_wins_and_each_measure_counts_once() {
        let trials = [hit(1, 0), assigned(9, "b"), assigned(5, "a"), hit(5, 0), hit(6, 0), hit(7, 2), assigned(8, "a")];
        let (known, findings) = follow(WINDOW, OPEN, None, &minute(&trials));
        let a = || CompactString::from("a");
        let expected =
            [Finding::Outside, Finding::Enrolled(a()), Finding::Hit(a(), 0), Finding::Hit(a(), 2), Finding::Conflict];
        assert_eq!(findings, expected);
        // 105 is the last moment that counts.
        let (known, findings) = follow(WINDOW, OPEN, known, &minute(&[hit(105, 1), hit(106, 3)]));
        assert_eq!(findings, [Finding::Hit(a(), 1), Finding::Outside]);
        assert_eq!(known.unwrap().hits, 0b111);
    }

    #[test]
    fn what_comes_at_the_end_or_later_counts_nowhere() {
        let ends = Ends::At(EventTime(50));
        let (known, findings) = follow(WINDOW, ends, None, &minute(&[assigned(49, "a"), hit(50, 0)]));
        assert_eq!((known.unwrap().hits, findings.len()), (0, 2));
        assert_eq!(follow(WINDOW, ends, None, &minute(&[assigned(50, "a")])).0, None);
    }

    #[test]
    fn what_is_too_much_for_a_minute_is_counted() {
        let many: Vec<Trial> = (0..100).map(|time| hit(time, 0)).collect();
        let (_, findings) = follow(WINDOW, OPEN, None, &minute(&many));
        assert_eq!(findings.last(), Some(&Finding::Cut(36)));
    }

    proptest! {
        #[test]
        fn a_users_minute(times in prop::collection::vec((0_i64..90, 0_u8..3), 0..160), seed: u64) {
            let trial = |(time, what)| if what == 0 { assigned(time, "a") } else { hit(time, what) };
            let trials: Vec<Trial> = times.into_iter().map(trial).collect();
            laws::exact(&fold_of::<TrialMinute>(), &trials, seed, TrialMinute::clone);
        }
    }
}
