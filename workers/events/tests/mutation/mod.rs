//! Events, mutated: cut, mixed with bytes that are no text, nested too deep, with values of every wrong kind.
//!
//! Not here: what becomes of them. Invariant: the same bytes every time, so a test that fails can be had again.

use std::sync::Arc;

use events::feed::{Feed, FeedOptions, FeedRecordKind};
use events::{Gazetteer, SignalContract};
use processing_core::record::{DurationMs, EventTime};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{RngCore, SeedableRng};
use serde_json::{Value, json};

const WHOLE_PER_CONTRACT: usize = 100;
const MUTATED_PER_CONTRACT: usize = 10_000;
/// Planted in mutated text; a verdict that holds it quotes the event.
pub(crate) const PRIVATE: &str = "s3cret";

struct Dice(ChaCha8Rng);

impl Dice {
    fn below(&mut self, bound: usize) -> usize {
        (self.0.next_u64() % bound.max(1) as u64) as usize
    }
    fn one_of<T: Clone>(&mut self, choices: &[T]) -> T {
        choices[self.below(choices.len())].clone()
    }
}

/// Values of every type, shape and extreme.
fn odd_values() -> Vec<Value> {
    vec![
        Value::Null,
        json!(true),
        json!(0),
        json!(-1),
        json!(1.5),
        json!(3.0),
        json!(1e300),
        json!(u64::MAX),
        json!(i64::MIN),
        json!(253_402_300_799u64),
        json!(253_402_300_800_000u64),
        json!(""),
        json!(PRIVATE),
        json!("1970-01-01T00:00:00Z"),
        json!("1969-12-31T23:59:59.999Z"),
        json!("9999-12-31T23:59:59.999Z"),
        json!("9999-12-31T23:59:59.999999999Z"),
        json!("10000-01-01T00:00:00Z"),
        json!("\u{0}\u{1f}\"\\\u{10ffff}"),
        json!("e\u{301}".repeat(400)),
        json!(PRIVATE.repeat(100)),
        json!([PRIVATE, 1, [null]]),
        json!({PRIVATE: {"poi_id": "x"}, "city": 1}),
    ]
}

/// An event changed in one way; what stays JSON stays an object or becomes another value.
fn mutated(dice: &mut Dice, event: &[u8], odd: &[Value]) -> Vec<u8> {
    let mut bytes = event.to_vec();
    match dice.below(10) {
        0 => bytes.truncate(dice.below(event.len())),
        1 => bytes[dice.below(event.len())] = dice.below(256) as u8,
        2 => {
            let at = dice.below(event.len());
            bytes.splice(at..at, [0xc3, 0x28, 0xff][..1 + dice.below(3)].iter().copied());
        }
        3 => {
            let (open, close) = dice.one_of(&[("[", "]"), (r#"{"a":"#, "}")]);
            let depth = dice.one_of(&[10, 127, 128, 10_000]);
            let deep = format!("{}1{}", open.repeat(depth), close.repeat(depth));
            let place = dice.one_of(&[r#""payload":"#, r#""timestamp":"#, "{"]);
            let text = String::from_utf8_lossy(event);
            let unknown = format!(r#"{{"unknown":{deep},"#);
            let deeper = if place == "{" { unknown } else { format!("{place}{deep},\"x\":") };
            bytes = text.replacen(place, &deeper, 1).into_bytes();
        }
        4 => {
            let huge = dice.one_of(&["1e400", "-1e400", "1e-400", "0x10", "NaN", "--1", "01"]);
            let huge = if dice.below(2) == 0 { huge.to_owned() } else { "9".repeat(dice.below(400) + 1) };
            let text = String::from_utf8_lossy(event);
            let start = text.find(r#""timestamp":"#).unwrap() + 12;
            let end = start + text[start..].find(',').unwrap();
            bytes = format!("{}{huge}{}", &text[..start], &text[end..]).into_bytes();
        }
        _ => {
            let mut value: Value = serde_json::from_slice(event).unwrap();
            for _ in 0..=dice.below(3) {
                mutate_field(dice, &mut value, odd);
            }
            bytes = serde_json::to_vec(&value).unwrap();
        }
    }
    bytes
}

fn mutate_field(dice: &mut Dice, event: &mut Value, odd: &[Value]) {
    let payload = dice.below(3) > 0;
    let Some(object) = (if payload { event.get_mut("payload") } else { Some(event) }).and_then(Value::as_object_mut)
    else {
        return;
    };
    let spellings = ["userId", "cityName", "lat", "lng", "result_count", "country", "eventId", PRIVATE];
    let mut names: Vec<String> = object.keys().cloned().collect();
    names.extend(spellings.map(str::to_owned));
    let name = dice.one_of(&names);
    match dice.below(4) {
        0 => drop(object.remove(&name)),
        _ => drop(object.insert(name, dice.one_of(odd))),
    }
}

/// Events of one contract.
pub(crate) struct Mutated {
    pub(crate) contract: SignalContract,
    /// As they should be.
    pub(crate) whole: Vec<Vec<u8>>,
    /// Made of those, each changed in one way; some are events still.
    pub(crate) mutated: Vec<Vec<u8>>,
}

/// Of every contract 100 whole events and 10 000 mutated ones, the same every time.
pub(crate) fn mutated_events(cities: &Arc<Gazetteer>) -> Vec<Mutated> {
    let options = FeedOptions {
        events_per_minute: 3_000,
        history: DurationMs(0),
        ..FeedOptions::new(11, EventTime(1_760_004_000_000))
    };
    let mut feed = Feed::new(options, Arc::clone(cities));
    let mut events: [Vec<Vec<u8>>; 6] = Default::default();
    let mut bytes = Vec::new();
    while events.iter().any(|events| events.len() < WHOLE_PER_CONTRACT) {
        let record = feed.next_into(&mut bytes);
        if record.kind == FeedRecordKind::Event {
            events[record.contract.index()].push(bytes[record.value].to_vec());
        }
    }
    let odd = odd_values();
    let mut dice = Dice(ChaCha8Rng::seed_from_u64(5));
    let of = |(contract, mut whole): (SignalContract, Vec<Vec<u8>>)| {
        whole.truncate(WHOLE_PER_CONTRACT);
        let mut one = || {
            let event = dice.below(WHOLE_PER_CONTRACT);
            mutated(&mut dice, &whole[event], &odd)
        };
        let mutated = (0..MUTATED_PER_CONTRACT).map(|_| one()).collect();
        Mutated { contract, whole, mutated }
    };
    SignalContract::ALL.into_iter().zip(events).map(of).collect()
}
