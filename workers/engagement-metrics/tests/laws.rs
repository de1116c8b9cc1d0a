//! The worker's aggregates against the laws that make a result the same in any order and grouping: the repartition, the
//! slices of windows and every restore lean on them.

use compact_str::CompactString;
use engagement_metrics::action::{Action, Deed, Traffic};
use engagement_metrics::kind::Kind;
use engagement_metrics::labels::{First, Named};
use engagement_metrics::minute::PersonMinute;
use engagement_metrics::pipelines::Fact;
use engagement_metrics::pipelines::hours::{PipelineFact, PipelineHour};
use engagement_metrics::scope::Scope;
use engagement_metrics::tally::{Measure, Tally};
use events::identity::IdHash;
use processing_core::aggregate::{fold_of, laws};
use processing_core::record::EventTime;
use proptest::prelude::*;

prop_compose! {
    /// Events come again, and sometimes another comes under the same id.
    fn action()(event in 0..40u16, time in 0..3i64, amount in 0..2i64) -> Action {
        let deed = Deed {
            event: IdHash::of(&event.to_string()),
            kind: Kind::View,
            traffic: Traffic::People,
            subject: None,
            amount,
            label: None,
        };
        Action { time: EventTime(time), app: "lens".into(), tenant: "acme".into(), user: None, deed }
    }
}

prop_compose! {
    fn added()(sums in prop::collection::vec((0..4usize, -5..5i64), 0..4)) -> Tally {
        let measures = [Measure::Sessions, Measure::Requests(Kind::View), Measure::Xp, Measure::StreakUsers(7)];
        let mut tally = Tally::default();
        sums.into_iter().for_each(|(measure, amount)| tally.add(measures[measure], i128::from(amount)));
        tally
    }
}

fn fact() -> impl Strategy<Value = PipelineFact> {
    let fact = prop_oneof![
        Just(Fact::Started),
        Just(Fact::TimedOut),
        (0..9_000i64).prop_map(|millis| Fact::Completed { millis }),
        (0..3u8, 0..9_000i64)
            .prop_map(|(stage, millis)| Fact::Reached { stage: format!("stage {stage}").into(), millis }),
    ];
    fact.prop_map(|fact| (Scope::new("paka", "paka"), ("documents".into(), fact)))
}

prop_compose! {
    fn named()(name in 0..30u8, number in 1..4i64) -> Named {
        let name = CompactString::from(format!("name {name}"));
        Named { scope: Scope::new("lens", "acme"), dimension: 1, name, number, list_length: 5 }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn a_persons_minute(actions in prop::collection::vec(action(), 0..120), seed: u64) {
        laws::exact(&fold_of::<PersonMinute>(), &actions, seed, PersonMinute::clone);
    }

    #[test]
    fn a_scopes_sums(added in prop::collection::vec(added(), 0..60), seed: u64) {
        laws::exact(&fold_of::<Tally>(), &added, seed, Tally::clone);
    }

    #[test]
    fn a_pipelines_hour(facts in prop::collection::vec(fact(), 0..80), seed: u64) {
        laws::exact(&fold_of::<PipelineHour>(), &facts, seed, PipelineHour::clone);
    }

    /// Each name comes once, as it does from the store that counts it.
    #[test]
    fn the_first_names(names in prop::collection::vec(named(), 0..60), seed: u64) {
        laws::exact(&fold_of::<First>(), &names, seed, First::clone);
    }
}

/// More than are kept: the same ones, whatever came first, and it is told.
#[test]
fn a_minute_of_too_many_keeps_the_same_ones() {
    use processing_core::aggregate::{Aggregate as _, Mergeable as _};

    let action = |number: u32| Action {
        time: EventTime(0),
        app: "lens".into(),
        tenant: "acme".into(),
        user: None,
        deed: Deed {
            event: IdHash::of(&number.to_string()),
            kind: Kind::View,
            traffic: Traffic::People,
            subject: None,
            amount: 0,
            label: None,
        },
    };
    let fold = |numbers: &mut dyn Iterator<Item = u32>| {
        let mut minute = PersonMinute::default();
        numbers.for_each(|number| minute.add(&action(number)));
        minute
    };
    let whole = fold(&mut (0..5_000));
    let backwards = fold(&mut (0..5_000).rev());
    let mut parts = fold(&mut (2_000..5_000));
    parts.merge(&fold(&mut (0..2_500)));
    assert!(whole == backwards && whole == parts);
    assert!(whole.is_cut() && !fold(&mut (0..4_096)).is_cut());
    assert_eq!(whole.into_steps().len(), 4_096);
}
