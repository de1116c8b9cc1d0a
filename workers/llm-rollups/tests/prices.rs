//! What calls cost by the shipped card, beside an oracle and beside the package that the card was made of.
//!
//! The oracle reads the card's text on its own and adds up fractions of whole numbers. It shares with the worker the TOML
//! parser and nothing else. `tests/agree.py` says how the package is asked.

#![allow(clippy::unwrap_used, reason = "a test stops where its helper finds nothing")]

use std::cmp::Reverse;
use std::sync::LazyLock;

use chrono::{DateTime, Timelike as _};
use llm_rollups::card::Card;
use llm_rollups::event::{Call, Quality};
use llm_rollups::money::{Currency, Nanos};
use llm_rollups::pricing::{Basis, Cost, Pricing};
use llm_rollups::tokens::{Reported, Tokens};
use proptest::prelude::*;
use serde_json::Value;
use toml::Table;

static PRICING: LazyLock<Pricing> =
    LazyLock::new(|| Pricing { cards: vec![Card::shipped().unwrap()], ..Pricing::default() });

static CARD: LazyLock<Table> = LazyLock::new(|| include_str!("../data/prices.toml").parse().unwrap());

/// A call of a model of the card.
#[derive(Debug, Clone)]
struct Asked {
    provider: String,
    model: String,
    time_ms: i64,
    is_batch: bool,
    reported: Reported,
}

impl Asked {
    fn cost(&self) -> Cost {
        let call = Call {
            provider: Some(self.provider.as_str().into()),
            model: Some(self.model.as_str().into()),
            operation: "chat".into(),
            latency_ms: None,
            first_token_ms: None,
            tokens: Tokens::of(&self.reported),
            reported: None,
            is_cost_unreadable: false,
            is_batch: self.is_batch,
            error: None,
            quality: Quality::default(),
        };
        PRICING.cost(&call, self.time_ms, None)
    }

    /// What it costs by the definition, in billionths of a dollar; `None` where nobody knows.
    fn expected(&self) -> Option<i128> {
        let named = |table: &&toml::Value, name: &str| table["name"].as_str() == Some(name);
        let provider = CARD["provider"].as_array().unwrap().iter().find(|table| named(table, &self.provider)).unwrap();
        let model = provider["model"].as_array().unwrap().iter().find(|table| named(table, &self.model)).unwrap();
        let input = self.reported.input.unwrap_or(0);
        let time = DateTime::from_timestamp_millis(self.time_ms).unwrap();
        let clock = format!("{:02}:{:02}", time.hour(), time.minute());
        let text = |row: &toml::Value, name: &str| row.get(name).map(|value| value.as_str().unwrap().to_owned());
        let mut rows: Vec<&toml::Value> = model["price"].as_array().unwrap().iter().collect();
        rows.retain(|row| {
            let from = text(row, "effective_from");
            let is_in_force =
                from.is_none_or(|from| DateTime::parse_from_rfc3339(&from).unwrap().timestamp_millis() <= self.time_ms);
            let is_of_this_hour = match (text(row, "from"), text(row, "until")) {
                (Some(from), Some(until)) if from <= until => from <= clock && clock < until,
                (Some(from), Some(until)) => from <= clock || clock < until,
                _ => true,
            };
            let batch = row.get("batch").map(|batch| batch.as_bool().unwrap());
            let above = row.get("above_input_tokens").map_or(-1, |above| above.as_integer().unwrap());
            is_in_force
                && is_of_this_hour
                && batch.is_none_or(|batch| batch == self.is_batch)
                && i128::from(above) < i128::from(input)
        });
        rows.sort_by_key(|row| {
            let above = row.get("above_input_tokens").map_or(-1, |above| above.as_integer().unwrap());
            Reverse((text(row, "effective_from"), row.get("from").is_some(), row.get("batch").is_some(), above))
        });
        let row = rows.first()?;
        // Dollars for a million tokens, in millionths: whole, as the card's reader has it.
        let price = |names: &[&str]| {
            let text = names.iter().find_map(|name| text(row, name))?;
            let (whole, fraction) = text.split_once('.').unwrap_or((&text, ""));
            Some(format!("{whole}{fraction:0<6}").parse::<i128>().unwrap())
        };
        let part = |count: Option<u64>| i128::from(count.unwrap_or(0));
        let r = &self.reported;
        let inputs = [
            (part(r.cached_input), price(&["cached_input", "input"])),
            (part(r.cache_write_5m), price(&["cache_write_5m", "input"])),
            (part(r.cache_write_1h), price(&["cache_write_1h", "cache_write_5m", "input"])),
            (part(r.audio_input), price(&["audio_input", "input"])),
            (part(r.image_input), price(&["image_input", "input"])),
        ];
        let outputs = [
            (part(r.reasoning), price(&["reasoning", "output"])),
            (part(r.audio_output), price(&["audio_output", "output"])),
        ];
        let rest_of = |total: Option<u64>, parts: &[(i128, Option<i128>)]| {
            part(total) - parts.iter().map(|(count, _)| count).sum::<i128>()
        };
        let plain = [(rest_of(r.input, &inputs), price(&["input"])), (rest_of(r.output, &outputs), price(&["output"]))];
        let mut millionths_of_millionths = 0;
        for (count, price) in inputs.into_iter().chain(outputs).chain(plain) {
            assert!(count >= 0);
            if count > 0 {
                millionths_of_millionths += count * price?;
            }
        }
        // A billionth is a thousand of them: to the nearest, ties to the even one.
        let (nanos, rest) = (millionths_of_millionths / 1_000, millionths_of_millionths % 1_000);
        Some(if rest > 500 || (rest == 500 && nanos % 2 == 1) { nanos + 1 } else { nanos })
    }
}

fn asked() -> impl Strategy<Value = Asked> {
    let models: Vec<(String, String)> = CARD["provider"]
        .as_array()
        .unwrap()
        .iter()
        .flat_map(|provider| {
            let name = provider["name"].as_str().unwrap();
            let models = provider["model"].as_array().unwrap().iter();
            models.map(move |model| (name.to_owned(), model["name"].as_str().unwrap().to_owned()))
        })
        .collect();
    let part = || prop::option::weighted(0.4, 0_u64..200_000);
    let time = 1_735_689_600_000_i64..1_798_761_600_000;
    let parts = [part(), part(), part(), part(), part(), part(), part()];
    (prop::sample::select(models), time, any::<bool>(), parts, [0_u64..400_000, 0_u64..10_000]).prop_map(
        |((provider, model), time_ms, is_batch, parts, [input, output])| {
            let [cached_input, cache_write_5m, cache_write_1h, audio_input, image_input, reasoning, audio_output] =
                parts;
            let sum = |parts: &[Option<u64>]| parts.iter().flatten().sum::<u64>();
            let of_input = sum(&[cached_input, cache_write_5m, cache_write_1h, audio_input, image_input]);
            let reported = Reported {
                input: Some(input + of_input),
                output: Some(output + sum(&[reasoning, audio_output])),
                cached_input,
                cache_write_5m,
                cache_write_1h,
                audio_input,
                image_input,
                reasoning,
                audio_output,
            };
            Asked { provider, model, time_ms, is_batch, reported }
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4_000))]

    #[test]
    fn calls_cost_what_the_definition_says(asked in asked()) {
        let expected = asked.expected().map(|nanos| Cost::Known {
            currency: Currency::USD,
            amount: Nanos(nanos),
            basis: Basis::Computed,
        });
        prop_assert_eq!(asked.cost(), expected.unwrap_or(Cost::Unknown));
    }
}

/// 1 000 random calls whose cost the package has computed; `tests/agree.py` makes them and runs this.
#[test]
#[ignore = "needs the calls that tests/agree.py writes, and their path in LLM_CALLS"]
fn calls_cost_what_the_package_says() {
    let file = std::env::var("LLM_CALLS").unwrap();
    let mut compared = 0;
    for line in std::fs::read_to_string(file).unwrap().lines() {
        let call: Value = serde_json::from_str(line).unwrap();
        let count = |name: &str| call["usage"][name].as_u64();
        let asked = Asked {
            provider: call["provider"].as_str().unwrap().to_owned(),
            model: call["model"].as_str().unwrap().to_owned(),
            time_ms: call["time_ms"].as_i64().unwrap(),
            is_batch: call["batch"].as_bool().unwrap(),
            reported: Reported {
                input: count("input_tokens"),
                output: count("output_tokens"),
                cached_input: count("cache_read_tokens"),
                cache_write_5m: count("cache_write_5m_tokens"),
                cache_write_1h: count("cache_write_1h_tokens"),
                audio_input: count("input_audio_tokens"),
                image_input: count("input_image_tokens"),
                reasoning: count("output_reasoning_tokens"),
                audio_output: count("output_audio_tokens"),
            },
        };
        let amount = Nanos::of_text(call["price"].as_str().unwrap()).unwrap();
        let expected = Cost::Known { currency: Currency::USD, amount, basis: Basis::Computed };
        assert_eq!(asked.cost(), expected, "{line}");
        compared += 1;
    }
    assert_eq!(compared, 1_000);
}
