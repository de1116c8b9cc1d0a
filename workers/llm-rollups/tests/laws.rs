//! The worker's aggregates against the laws that make a result the same in any order and grouping: the repartition, the
//! coarser windows and every restore lean on them.

use std::sync::Arc;

use events::identity::IdHash;
use llm_rollups::event::{Call, Exchange, Feedback, Quality};
use llm_rollups::money::{Currency, Nanos};
use llm_rollups::pricing::{Basis, Cost};
use llm_rollups::rollup::{DayCost, Measure, Measured, Rollup};
use llm_rollups::series::Series;
use llm_rollups::tokens::{Reported, Tokens};
use processing_core::aggregate::{Aggregate as _, fold_of, laws};
use processing_core::record::EventTime;
use processing_core::window::Window;
use processing_core::windowed::Closed;
use proptest::prelude::*;

/// More types of errors and more currencies than stand by name.
fn call() -> impl Strategy<Value = Measured> {
    let cost = prop_oneof![
        Just(Cost::NotBillable),
        Just(Cost::Unknown),
        (0..12_u8, any::<i64>(), any::<bool>()).prop_map(|(currency, amount, is_reported)| Cost::Known {
            currency: Currency::of(&char::from(b'A' + currency).to_string().repeat(3)).unwrap_or(Currency::USD),
            amount: Nanos(i128::from(amount)),
            basis: if is_reported { Basis::Reported } else { Basis::Computed },
        }),
    ];
    let times = [prop::option::of(0..40_000_u64), prop::option::of(0..40_000_u64)];
    let tokens = [prop::option::of(0..9_000_u64), prop::option::of(0..9_000_u64)];
    let error = prop::option::weighted(0.5, 0..60_u8);
    let session = prop::option::weighted(0.7, 0..900_u16);
    (cost, times, tokens, error, session, any::<[bool; 4]>()).prop_map(
        |(cost, [latency_ms, first_token_ms], [input, cached_input], error, session, flags)| {
            let [is_refused, is_flagged, is_regenerated, is_slow] = flags;
            let feedback =
                [None, Some(Feedback::Positive), Some(Feedback::Negative)][usize::from(error.unwrap_or(0) % 3)];
            let call = Call {
                provider: None,
                model: None,
                operation: "chat".into(),
                latency_ms,
                first_token_ms,
                tokens: Tokens::of(&Reported { input, cached_input, output: input, ..Reported::default() }),
                reported: None,
                is_cost_unreadable: false,
                is_batch: false,
                error: error.map(|error| format!("error {error}").into()),
                quality: Quality { is_refused, is_flagged, is_regenerated, feedback },
            };
            let session = session.map(|session| IdHash::of(&session.to_string()));
            Measured::Call { call: Box::new(call), cost, session, is_slow }
        },
    )
}

fn measure() -> impl Strategy<Value = Measure> {
    let exchange = prop::sample::select(Exchange::ALL.to_vec());
    let what = prop_oneof![
        6 => call(),
        1 => (exchange.clone(), 0..90_000_u64).prop_map(|(exchange, ms)| Measured::Answered(exchange, ms)),
        1 => exchange.prop_map(Measured::TimedOut),
        1 => Just(Measured::SessionStarted),
        1 => Just(Measured::ItinerarySaved),
    ];
    what.prop_map(|what| Measure { series: Series::total(), what: Arc::new(what) })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn a_rollup(measures in prop::collection::vec(measure(), 0..160), seed: u64) {
        let answer = |of: &Rollup| {
            let Rollup { counts, errors, tokens, cost, session_cost, sessions, latency, first_token, answered } = of.clone();
            (counts, errors, tokens, cost, session_cost, sessions.count(), latency, first_token, answered)
        };
        laws::exact(&fold_of::<Rollup>(), &measures, seed, answer);
    }

    #[test]
    fn what_a_day_costs(minutes in prop::collection::vec(prop::collection::vec(measure(), 0..6), 0..20), seed: u64) {
        let minutes: Vec<Closed<Rollup>> = minutes
            .iter()
            .map(|measures| {
                let mut value = Rollup::default();
                measures.iter().for_each(|measure| value.add(measure));
                Closed { window: Window { start: EventTime(0), end: EventTime(60_000) }, value }
            })
            .collect();
        laws::exact(&fold_of::<DayCost>(), &minutes, seed, DayCost::clone);
    }
}
