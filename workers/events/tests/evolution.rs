//! How contracts may change: by what readers of yesterday's events and publishers of tomorrow's can both live with.
//!
//! `schemas/` holds the released contracts. A contract may gain fields that are not required, further places and
//! spellings of a field, and further words for its type. It never loses a field or a place, no field becomes another kind,
//! none becomes required, and no contract goes.
//!
//! ```text
//! UPDATE_SCHEMAS=1 cargo test -p events --test evolution     # releases what may be released
//! ```

#![allow(clippy::unwrap_used, reason = "a test stops where its helper finds nothing")]
#![allow(clippy::disallowed_methods, reason = "a test is the outside")]

use std::path::PathBuf;

use events::ContractName;
use events::schema::schema;
use serde_json::{Value, json};

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("schemas")
}

/// What publishers or readers by `released` could not live with in `current`.
fn broken(released: &Value, current: &Value) -> Vec<String> {
    let mut told = Vec::new();
    if released["$id"] != current["$id"] {
        told.push("the contract is called otherwise".to_owned());
    }
    below("", &released["properties"], &current["properties"], &mut told);
    let demands = |schema: &Value| schema["allOf"].as_array().cloned().unwrap_or_default();
    let (before, after) = (demands(released), demands(current));
    for demand in &after {
        // An old demand is met wherever it was met before; more ways to meet it harm nobody.
        if !before.iter().any(|old| alternatives(old).iter().all(|way| alternatives(demand).contains(way))) {
            told.push(format!("something is required that was not: {demand}"));
        }
    }
    for (kind, definition) in released["$defs"].as_object().unwrap() {
        if current["$defs"].get(kind) != Some(definition) {
            told.push(format!("what `{kind}` takes has changed"));
        }
    }
    told
}

fn below(at: &str, released: &Value, current: &Value, told: &mut Vec<String>) {
    for (name, before) in released.as_object().into_iter().flatten() {
        let at = format!("{at}/{name}");
        let Some(after) = current.get(name) else {
            told.push(format!("{at} is gone"));
            continue;
        };
        for way in alternatives(before) {
            let told_here = told.len();
            if !alternatives(after).iter().any(|other| includes(&at, other, &way, told)) {
                told.truncate(told_here);
                told.push(format!("{at} takes no {} any more", shape(&way)));
            }
        }
    }
}

/// Whether whatever is said `before` is said still.
fn includes(at: &str, after: &Value, before: &Value, told: &mut Vec<String>) -> bool {
    if let (Some(after), Some(before)) = (after.get("enum"), before.get("enum")) {
        let words = after.as_array().unwrap();
        return before.as_array().unwrap().iter().all(|word| words.contains(word));
    }
    if shape(after) != shape(before) {
        return false;
    }
    below(at, &before["properties"], &after["properties"], told);
    if let (Some(items), Some(others)) = (before.get("items"), after.get("items")) {
        below(at, &json!({"*": items["allOf"][1]}), &json!({"*": others["allOf"][1]}), told);
    }
    true
}

fn alternatives(schema: &Value) -> Vec<Value> {
    schema.get("anyOf").map_or_else(|| vec![schema.clone()], |any| any.as_array().unwrap().clone())
}

fn shape(schema: &Value) -> String {
    match (schema.get("$ref"), schema.get("type"), schema.get("enum")) {
        (Some(reference), ..) => reference.to_string(),
        (_, Some(kind), _) => kind.to_string(),
        (_, _, Some(_)) => "word".to_owned(),
        _ => schema.to_string(),
    }
}

#[test]
fn every_contract_is_released_and_none_breaks_what_was() {
    let update = std::env::var_os("UPDATE_SCHEMAS").is_some();
    let mut files: Vec<String> = Vec::new();
    for contract in ContractName::ALL {
        let name = contract.spec().name();
        let path = folder().join(format!("{name}.json"));
        files.push(format!("{name}.json"));
        let current = schema(*contract);
        let released: Option<Value> =
            std::fs::read_to_string(&path).ok().map(|text| serde_json::from_str(&text).unwrap());
        if let Some(released) = &released {
            let told = broken(released, &current);
            assert!(told.is_empty(), "{name} breaks its released schema:\n{}", told.join("\n"));
        }
        if released.as_ref() != Some(&current) {
            assert!(update, "{name} differs from its released schema; UPDATE_SCHEMAS=1 releases it");
            std::fs::write(&path, serde_json::to_string_pretty(&current).unwrap() + "\n").unwrap();
        }
    }
    let there = std::fs::read_dir(folder()).unwrap().map(|file| file.unwrap().file_name().into_string().unwrap());
    let gone: Vec<String> = there.filter(|file| !files.contains(file)).collect();
    assert!(gone.is_empty(), "released and not declared any more: {gone:?}");
}

#[test]
fn every_kind_of_break_is_seen() {
    let released = schema(ContractName::ChatResponseGenerated);
    let with = |change: &dyn Fn(&mut Value)| {
        let mut current = released.clone();
        change(&mut current);
        broken(&released, &current)
    };
    assert_eq!(with(&|_| {}), [""; 0]);
    let gone = with(&|schema| {
        schema["properties"]["payload"]["properties"].as_object_mut().unwrap().remove("model");
    });
    assert_eq!(gone, ["/payload/model is gone"]);
    let other =
        with(&|schema| schema["properties"]["payload"]["properties"]["model"]["$ref"] = json!("#/$defs/number"));
    assert_eq!(other, ["/payload/model takes no \"#/$defs/text\" any more"]);
    let required = with(&|schema| schema["allOf"].as_array_mut().unwrap().push(json!({"required": ["model"]})));
    assert!(required[0].starts_with("something is required that was not"), "{required:?}");
    let stricter = with(&|schema| schema["$defs"]["text"] = json!({"type": "string"}));
    assert_eq!(stricter, ["what `text` takes has changed"]);
    let added = with(&|schema| schema["properties"]["payload"]["properties"]["mood"] = json!({"$ref": "#/$defs/text"}));
    assert_eq!(added, [""; 0]);
    let word = with(&|schema| schema["properties"]["event_type"]["enum"] = json!(["answer"]));
    assert_eq!(word, ["/event_type takes no word any more"]);
}
