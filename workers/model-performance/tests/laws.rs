//! The worker's aggregates against the laws that make a result the same in any order and grouping: the repartition, the
//! rollups and every restore lean on them.

use model_performance::attribution::{Touch, TouchKind, TouchMinute};
use model_performance::coverage::{Counted, Coverage, Items};
use model_performance::event::{Item, ItemList, Understanding};
use model_performance::leads::{LeadKind, LeadMinute, LeadStep};
use model_performance::outcomes::{Outcome, Outcomes};
use model_performance::performance::{Fact, Performance};
use model_performance::subject::Subject;
use processing_core::aggregate::{Aggregate as _, fold_of, laws};
use processing_core::record::EventTime;
use proptest::prelude::*;

fn subject(number: u8) -> Subject {
    Subject::of(["lens", "lens", &format!("m{number}"), "", ""])
}

/// More names than are kept, so that some are cut.
fn fact() -> impl Strategy<Value = Fact> {
    prop_oneof![
        (0_u64..900, any::<bool>(), 0_u8..24).prop_map(|(latency_ms, is_success, hour)| Fact::Answered {
            latency_ms,
            is_success,
            hour
        }),
        (0_u8..24).prop_map(|hour| Fact::TimedOut { hour }),
        Just(Fact::Unasked),
        Just(Fact::Repeated),
        Just(Fact::ShownToNobody),
        prop::collection::vec(-9_000_000_i64..9_000_000, 0..4).prop_map(Fact::Scores),
        prop::collection::vec((0_u64..5, 0_u64..5), 0..3).prop_map(|lists| {
            let mut outcomes = Outcomes { early: lists.len() as u64, ..Outcomes::default() };
            for (impressions, clicks) in lists {
                let ndcg_micros = (clicks > 0).then_some(7);
                outcomes.add(&Outcome { impressions, clicks, ndcg_micros, ..Outcome::default() });
            }
            Fact::Lists(outcomes)
        }),
        (0_u64..5).prop_map(Fact::Unattributed),
        (0_u64..5).prop_map(Fact::Cut),
        (0_u8..60, 0_i64..9, 0_u64..9, -99_i64..99).prop_map(|(metric, time, id, value)| Fact::Measured {
            metric: format!("metric {metric:02}").into(),
            time,
            id,
            value,
        }),
        (0_u16..300, prop::option::of(0_u64..=1_000_000)).prop_map(|(intent, confidence)| Fact::Understood(
            Understanding {
                name: Default::default(),
                lead: None,
                intent: Some(format!("intent {intent:03}").into()),
                tier: None,
                confidence,
                actions: vec!["call".into()],
            }
        )),
        (0_u8..120).prop_map(|error| Fact::Failed(format!("error {error:03}").into())),
        (0_u64..=1_000_000, any::<bool>()).prop_map(|(confidence, is_right)| Fact::Judged { confidence, is_right }),
        (0_i64..5_000_000).prop_map(Fact::Rated),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn a_models_window(facts in prop::collection::vec(fact(), 0..400), seed: u64) {
        laws::exact(&fold_of::<Performance>(), &facts, seed, Performance::clone);
    }

    #[test]
    fn a_users_minute(touches in prop::collection::vec((0_i64..90, 0_u32..5, any::<bool>()), 0..160), seed: u64) {
        let touch = |(number, (time, item, is_click)): (usize, (i64, u32, bool))| {
            let kind = match number % 3 {
                0 => TouchKind::Shown { model: subject(1), request: item.into(), items: [Item(item)].into_iter().collect() },
                _ => TouchKind::Acted { item: Item(item), is_click, rating: None, request: None, id: number as u64 },
            };
            Touch::at(EventTime(time), kind)
        };
        let touches: Vec<Touch> = touches.into_iter().enumerate().map(touch).collect();
        laws::exact(&fold_of::<TouchMinute>(), &touches, seed, TouchMinute::clone);
    }

    #[test]
    fn a_leads_minute(steps in prop::collection::vec((0_i64..90, 0_u64..900), 0..160), seed: u64) {
        let step = |(time, id): (i64, u64)| LeadStep { time, kind: LeadKind::Known("ASK".into()), id };
        let steps: Vec<LeadStep> = steps.into_iter().map(step).collect();
        laws::exact(&fold_of::<LeadMinute>(), &steps, seed, LeadMinute::clone);
    }

    #[test]
    fn the_items_of_28_days(items in prop::collection::vec(prop::collection::vec(0_u32..2_000, 0..20), 0..60), seed: u64) {
        let of = |items: Vec<u32>| items.into_iter().map(Item).collect();
        let items: Vec<ItemList> = items.into_iter().map(of).collect();
        laws::exact(&fold_of::<Items>(), &items, seed, Items::count);
    }

    /// A model is counted once a day.
    #[test]
    fn a_tenants_coverage(items in prop::collection::btree_map(0_u8..60, 0_u32..99, 0..60), seed: u64) {
        let shown = |items: u32| {
            let mut shown = Items::default();
            shown.add(&(0..items).map(Item).collect::<ItemList>());
            shown
        };
        let of = |(model, items)| Counted { model: subject(model), items: shown(items) };
        let counted: Vec<Counted> = items.into_iter().map(of).collect();
        laws::exact(&fold_of::<Coverage>(), &counted, seed, Coverage::clone);
    }
}
