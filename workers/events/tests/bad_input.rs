//! Mutated events: 10 000 per contract, each a signal or a verdict, never a panic, and a verdict never
//! against the schema.

#![allow(clippy::unwrap_used, reason = "a test stops where its helper finds nothing")]

mod mutation;

use std::sync::Arc;

use events::{Gazetteer, Poison, Signal, SignalKind};
use serde_json::Value;

use crate::mutation::{Mutated, PRIVATE, mutated_events};

fn check(decoded: &Result<Signal, Poison>, bytes: &[u8]) {
    let shown = String::from_utf8_lossy(&bytes[..bytes.len().min(600)]);
    match decoded {
        Ok(signal) => {
            assert!((0..253_402_300_800_000).contains(&signal.time.0), "{shown}");
            if let Some(city) = &signal.city {
                assert!((1..=128).contains(&city.name.len()), "{shown}");
            }
            if let SignalKind::Search { query: Some(query), .. } = &signal.kind {
                assert!(query.chars().count() <= 256, "{shown}");
            }
        }
        Err(poison) => {
            assert!(poison.detail.len() < 200, "{poison}");
            assert!(!poison.detail.contains(PRIVATE), "{poison}");
        }
    }
}

#[test]
fn mutated_events_are_signals_or_poison() {
    let cities = Arc::new(Gazetteer::shipped());
    for Mutated { contract, whole, mutated } in mutated_events(&cities) {
        let schema = events::schema::schema(contract.name());
        let validator = jsonschema::draft202012::options().build(&schema).unwrap();
        // What they are made of is sound.
        assert!(whole.iter().all(|event| contract.decode(Some(event), &cities).is_ok()), "{contract:?}");
        let (mut signals, mut poisons) = (0, 0);
        for bytes in mutated {
            let decoded = contract.decode(Some(&bytes), &cities);
            check(&decoded, &bytes);
            match &decoded {
                Ok(_) => signals += 1,
                Err(_) => poisons += 1,
            }
            if let (Ok(value), Err(poison)) = (serde_json::from_slice::<Value>(&bytes), &decoded) {
                let text = String::from_utf8_lossy(&bytes);
                assert!(!validator.is_valid(&value), "{poison} against the schema: {text}");
            }
        }
        // Both happen often, or the mutations test nothing.
        assert!(signals > 1_000 && poisons > 1_000, "{contract:?}: {signals} {poisons}");
    }
}
