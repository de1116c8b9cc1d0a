//! The arms of an experiment, counted: what a minute brought, and what all minutes did.
//!
//! Not here: what the counts say ([`crate::verdict`]). Invariant: sums of whole numbers, the same in any order.

use std::collections::BTreeMap;

use compact_str::CompactString;
use processing_core::aggregate::{Aggregate, Exactness, Mergeable};
use serde::{Deserialize, Serialize};

use crate::experiments::GUARDRAILS_MAX;
use crate::statistics::msprt::Arm;
use crate::trials::Finding;

/// So many arms of an experiment are kept, the first by their names; the users of others are counted.
pub const ARMS_MAX: usize = 32;

/// Counts of an experiment.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Arms {
    /// By variant.
    pub arms: BTreeMap<CompactString, ArmCount>,
    /// Assignments of users to another variant than their first.
    pub conflicts: u64,
    /// Events of users who were not assigned, or too long ago, or after the end.
    pub outside: u64,
    /// Events that were too many for a user's minute.
    pub cut: u64,
    /// Users of arms that are too many.
    pub cut_users: u64,
}

/// Counts of one arm.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ArmCount {
    /// Distinct users.
    pub users: u64,
    /// Distinct users who hit each measure.
    pub hits: [u64; GUARDRAILS_MAX + 1],
}

impl ArmCount {
    /// The arm as far as this measure goes.
    pub fn by(&self, measure: usize) -> Arm {
        let hits = self.hits.get(measure).copied().unwrap_or(0);
        Arm { users: self.users, conversions: hits.min(self.users) }
    }
}

impl Aggregate<Finding> for Arms {
    fn add(&mut self, finding: &Finding) {
        match finding {
            Finding::Enrolled(variant) => self.arms.entry(variant.clone()).or_default().users += 1,
            Finding::Hit(variant, measure) => {
                let arm = self.arms.entry(variant.clone()).or_default();
                if let Some(hits) = arm.hits.get_mut(usize::from(*measure)) {
                    *hits += 1;
                }
            }
            Finding::Conflict => self.conflicts += 1,
            Finding::Outside => self.outside += 1,
            Finding::Cut(events) => self.cut += events,
        }
        self.bound();
    }
}

impl Arms {
    /// What is cut in one part is cut in the whole: there are as many names before it.
    fn bound(&mut self) {
        while self.arms.len() > ARMS_MAX {
            self.cut_users += self.arms.pop_last().map_or(0, |(_, arm)| arm.users);
        }
    }
}

impl Mergeable for Arms {
    const EXACTNESS: Exactness = Exactness::Exact;

    fn merge(&mut self, other: &Self) {
        for (variant, more) in &other.arms {
            let arm = self.arms.entry(variant.clone()).or_default();
            arm.users += more.users;
            for (hits, more) in arm.hits.iter_mut().zip(&more.hits) {
                *hits += more;
            }
        }
        self.conflicts += other.conflicts;
        self.outside += other.outside;
        self.cut += other.cut;
        self.cut_users += other.cut_users;
        self.bound();
    }

    fn heap_bytes(&self) -> usize {
        self.arms.len() * size_of::<(CompactString, ArmCount)>()
    }
}

#[cfg(test)]
mod tests {
    use processing_core::aggregate::{fold_of, laws};
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn counts_and_cuts_are_the_same_in_any_order(
            draws in prop::collection::vec((0_u8..5, 0_u8..50, 0_u8..9), 0..200), seed: u64,
        ) {
            let finding = |(what, variant, measure): (u8, u8, u8)| {
                let variant = CompactString::from(format!("v{variant}"));
                match what {
                    0 | 1 => Finding::Enrolled(variant),
                    2 => Finding::Hit(variant, measure),
                    3 => Finding::Conflict,
                    _ => Finding::Cut(u64::from(measure)),
                }
            };
            let findings: Vec<Finding> = draws.into_iter().map(finding).collect();
            laws::exact(&fold_of::<Arms>(), &findings, seed, Arms::clone);
        }
    }
}
