//! A contract as a JSON Schema (draft 2020-12), for whoever publishes such events.
//!
//! Not here: reading events. Invariant: made of the same data as the reader, so that an event which is valid by the
//! schema is never a verdict. The schema is the stricter of the two: it looks at every spelling of a field, the reader
//! at the first that holds a value.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use crate::contract::System;
use crate::event::ContractName;
use crate::field::{Kind, LIST_MAX};
use crate::mapping::{HeadField, Mapping, Pointer, Said, Step, Unit, spellings};

/// The schema of a contract's events as its own system publishes them.
pub fn schema(contract: ContractName) -> Value {
    of(&Mapping::shipped(contract))
}

/// Where values stand, as objects and arrays.
#[derive(Default)]
struct Node {
    fields: BTreeMap<String, Node>,
    items: Option<Box<Node>>,
    /// What may stand here, each with its description.
    kinds: Vec<(Held, String)>,
    only: Option<Vec<String>>,
}

/// What stands somewhere: a kind, as it is or in seconds.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Held {
    kind: Kind,
    in_seconds: bool,
}

impl Held {
    /// What an item of it is.
    fn item(self) -> Self {
        Self { kind: item_of(self.kind), ..self }
    }

    fn name(self) -> &'static str {
        if self.in_seconds { "seconds" } else { name(self.kind) }
    }

    fn definition(self) -> Value {
        if !self.in_seconds {
            return definition(self.kind);
        }
        json!({
            "description": "Seconds, as a number or text of one; rounded to whole milliseconds.",
            "anyOf": [
                {"type": ["number", "null"], "minimum": 0, "maximum": 315_360_000},
                {"type": "string", "pattern": "^[0-9]{1,8}(\\.[0-9]{1,9})?$"},
            ],
        })
    }
}

fn of(mapping: &Mapping) -> Value {
    let spec = mapping.spec();
    let mut event = Node::default();
    let mut demands = Vec::new();
    let places = mapping.all_places();
    let head = HeadField::ALL.len();
    let docs = HeadField::ALL.iter().map(|field| field.doc()).chain(spec.fields().map(|field| field.doc));
    let needed = HeadField::ALL.iter().map(|field| match field {
        HeadField::Timestamp => true,
        HeadField::Id => mapping.envelope.needs_id(),
        HeadField::Type => matches!(mapping.typed, Said::Words(_)),
        _ => false,
    });
    let needed = needed.chain(spec.fields().map(|field| field.required));
    for (at, (((_, kind, places), doc), needed)) in places.iter().zip(docs).zip(needed).enumerate() {
        let words = match &mapping.typed {
            Said::Words(words) if at < head && HeadField::ALL[at] == HeadField::Type => Some(words.clone()),
            _ => None,
        };
        for (pointer, unit) in places.all() {
            let held = Held { kind: *kind, in_seconds: *unit == Unit::SECONDS };
            for end in event.ends(pointer) {
                end.kinds.push((held, one_line(doc)));
                end.only.clone_from(&words);
            }
        }
        if needed && places.constant.is_none() {
            let pointers: Vec<&Pointer> = places.all().map(|(pointer, _)| pointer).collect();
            demands.push(demand(*kind, &pointers));
        }
    }
    if let Some(payload) = mapping.envelope.payload() {
        demands.push(json!({"required": [payload], "properties": {payload: {"type": "object"}}}));
    }
    let mut schema = Map::new();
    schema.insert("$schema".into(), json!("https://json-schema.org/draft/2020-12/schema"));
    schema.insert("$id".into(), json!(format!("urn:streamfleet:event:{}:v1", spec.name())));
    schema.insert("title".into(), json!(spec.name()));
    schema.insert("description".into(), json!(one_line(spec.doc)));
    schema.insert("type".into(), json!("object"));
    schema.insert("allOf".into(), Value::Array(demands));
    schema.insert("properties".into(), event.properties());
    schema.insert("additionalProperties".into(), json!(true));
    let mut kinds = Vec::new();
    event.kinds_below(&mut kinds);
    let defs = kinds.into_iter().map(|held| (held.name().to_owned(), held.definition())).collect();
    schema.insert("$defs".into(), Value::Object(defs));
    Value::Object(schema)
}

fn one_line(doc: &str) -> String {
    doc.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// That the field holds a value at one of its places, in one of their spellings.
fn demand(kind: Kind, pointers: &[&Pointer]) -> Value {
    let some = match kind {
        Kind::Id => json!({"not": {"enum": [null, ""]}}),
        _ => json!({"not": {"type": "null"}}),
    };
    let all = pointers.iter().flat_map(|pointer| {
        let names = pointer.steps().iter().filter_map(|step| match step {
            Step::Name(name) => Some(spellings(name)),
            Step::Items => None,
        });
        let mut ways = vec![Vec::new()];
        for spelt in names {
            ways = ways
                .iter()
                .flat_map(|way: &Vec<String>| {
                    spelt.iter().map(move |name| [way.as_slice(), std::slice::from_ref(name)].concat())
                })
                .collect();
        }
        ways
    });
    let nested = all.map(|way| {
        // Without the type, something that is no object would meet any demand on its fields.
        let within = |inner, name: &String| json!({"type": "object", "required": [name], "properties": {name: inner}});
        way.iter().rev().fold(some.clone(), within)
    });
    let mut nested: Vec<Value> = nested.collect();
    match nested.pop() {
        Some(only) if nested.is_empty() => only,
        Some(last) => {
            nested.push(last);
            json!({"anyOf": nested})
        }
        None => json!(true),
    }
}

impl Node {
    fn ends(&mut self, pointer: &Pointer) -> Vec<&mut Self> {
        let mut ends = vec![self];
        for step in pointer.steps() {
            let mut below = Vec::new();
            for end in ends {
                match step {
                    Step::Items => below.push(&mut **end.items.get_or_insert_default()),
                    Step::Name(name) => {
                        let all = spellings(name);
                        for name in &all {
                            end.fields.entry(name.clone()).or_default();
                        }
                        below
                            .extend(end.fields.iter_mut().filter(|(name, _)| all.contains(name)).map(|(_, node)| node));
                    }
                }
            }
            ends = below;
        }
        ends
    }

    fn kinds_below(&self, into: &mut Vec<Held>) {
        for held in self.kinds.iter().map(|(held, _)| held.item()) {
            if !into.contains(&held) {
                into.push(held);
            }
        }
        self.fields.values().chain(self.items.as_deref()).for_each(|node| node.kinds_below(into));
    }

    fn properties(&self) -> Value {
        Value::Object(self.fields.iter().map(|(name, node)| (name.clone(), node.schema())).collect())
    }

    fn schema(&self) -> Value {
        if let Some(words) = &self.only {
            let description = self.kinds.first().map(|(_, doc)| doc.as_str()).unwrap_or_default();
            return json!({"description": description, "enum": words});
        }
        let mut alternatives: Vec<Value> = Vec::new();
        for (held, doc) in &self.kinds {
            let reference = format!("#/$defs/{}", held.item().name());
            if alternatives.iter().all(|known| known["$ref"] != json!(reference)) {
                alternatives.push(json!({"description": doc, "$ref": reference}));
            }
        }
        if !self.fields.is_empty() {
            alternatives.push(json!({"type": ["object", "null"], "properties": self.properties()}));
        }
        if let Some(items) = &self.items {
            let each = json!({"allOf": [{"not": {"enum": [null, ""]}}, items.schema()]});
            alternatives.push(json!({"type": ["array", "null"], "maxItems": LIST_MAX, "items": each}));
        }
        match alternatives.len() {
            1 => alternatives.remove(0),
            _ => json!({"anyOf": alternatives}),
        }
    }
}

fn item_of(kind: Kind) -> Kind {
    match kind {
        Kind::Ids => Kind::Id,
        Kind::Numbers => Kind::Number,
        kind => kind,
    }
}

fn name(kind: Kind) -> &'static str {
    match kind {
        Kind::Text => "text",
        Kind::Id | Kind::Ids => "id",
        Kind::Count => "count",
        Kind::Whole => "whole",
        Kind::Number | Kind::Numbers => "number",
        Kind::Millis => "millis",
        Kind::Amount => "amount",
        Kind::Flag => "flag",
        Kind::Time => "timestamp",
        Kind::Degrees => "degrees",
        Kind::Object => "object",
    }
}

/// Digits that every reader of a number takes.
const DECIMAL: &str = "^-?[0-9]{1,15}(\\.[0-9]{1,12})?$";

fn definition(kind: Kind) -> Value {
    match kind {
        Kind::Text => json!({"description": "Text; the first 1 024 bytes count.", "type": ["string", "null"]}),
        Kind::Id | Kind::Ids => json!({
            "description": "An identifier; a number stands for its digits.",
            "anyOf": [
                {"type": ["string", "null"]},
                {"type": "integer", "minimum": i64::MIN, "maximum": u64::MAX},
            ],
        }),
        Kind::Count => json!({"type": ["integer", "null"], "minimum": 0, "maximum": u32::MAX}),
        Kind::Whole => json!({"type": ["integer", "null"], "minimum": 0, "maximum": 9_007_199_254_740_991u64}),
        Kind::Number | Kind::Numbers => json!({
            "description": "A number, or text of one.",
            "anyOf": [{"type": ["number", "null"]}, {"type": "string", "pattern": DECIMAL}],
        }),
        Kind::Millis => json!({
            "description": "Milliseconds, as a number or text of one; rounded to whole ones.",
            "anyOf": [
                {"type": ["number", "null"], "minimum": 0, "maximum": 315_360_000_000u64},
                {"type": "string", "pattern": "^[0-9]{1,11}(\\.[0-9]{1,9})?$"},
            ],
        }),
        Kind::Amount => json!({
            "description": "An amount of money in whole units of its currency, exactly as it is written, with at most 12 decimal places.",
            "anyOf": [
                {"type": ["number", "null"], "minimum": -1_000_000_000_000i64, "maximum": 1_000_000_000_000i64},
                {"type": "string", "pattern": DECIMAL},
            ],
        }),
        Kind::Flag => json!({"type": ["boolean", "null"]}),
        Kind::Time => json!({
            "description": "When it happened, in the years 1970 to 9999: RFC 3339, or epoch seconds (below 253402300800, also fractional), or epoch milliseconds (from 253402300800 on), as a number or a string of one.",
            "anyOf": [
                {"type": "string", "pattern": "^(19[7-9][0-9]|[2-9][0-9]{3})-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])[Tt ]([01][0-9]|2[0-3]):[0-5][0-9]:([0-5][0-9]|60)(\\.[0-9]+)?([Zz]|[+-]([01][0-9]|2[0-3]):[0-5][0-9])$"},
                {"type": "string", "pattern": "^[0-9]{1,12}(\\.[0-9]{1,9})?$"},
                {"type": "string", "pattern": "^[1-9][0-9]{12,13}$"},
                {"type": "number", "minimum": 0, "exclusiveMaximum": 253_402_300_800_000u64},
            ],
        }),
        Kind::Degrees => json!({
            "description": "Degrees, as a number or a string of one.",
            "anyOf": [{"type": ["number", "null"]}, {"type": "string", "pattern": "^[+-]?[0-9]{1,3}(\\.[0-9]{1,20})?$"}],
        }),
        Kind::Object => json!({"type": "object"}),
    }
}

impl HeadField {
    fn doc(self) -> &'static str {
        match self {
            Self::Id => "Names the event; two events with one id are one event.",
            Self::Type => "Names the contract.",
            Self::Timestamp => "When it happened.",
            Self::Trace => "Joins the event to the request that caused it, across services.",
            Self::App => "The application.",
            Self::Tenant => "The tenant.",
            Self::User => "Who did it; absent or null for a visitor who is not logged in.",
            Self::Session => "The session, which stands for the user where there is none.",
        }
    }
}

/// The systems and their contracts, for those who list them.
pub fn by_system() -> impl Iterator<Item = (System, Vec<ContractName>)> {
    System::ALL.into_iter().map(|system| {
        (system, ContractName::ALL.iter().copied().filter(|contract| contract.spec().system == system).collect())
    })
}
