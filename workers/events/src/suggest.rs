//! A mapping for events that nobody has mapped yet, proposed from examples.
//!
//! Not here: reading events by it. Invariant: what is proposed is a whole file of settings; a person reads it before
//! it is used, so everything doubtful stands in it as a comment, and no example's text does, which may be private.
//!
//! Fields are found by name: a place suits a field if its last name is the field's or one of those that the contract
//! knows it by, whatever its case and underscores. The contract is the one most of whose fields are found, required ones
//! counting three times; a type that the contract knows counts more than all names.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use serde_json::Value;

use crate::event::ContractName;
use crate::field::Kind;
use crate::mapping::{Envelope, HeadField};

/// How many distinct texts of one place are looked at: a type has few.
const WORDS_MAX: usize = 16;
/// How many places of an event are looked at.
const PLACES_MAX: usize = 1_000;

/// What stands at one place of the examples.
#[derive(Default)]
struct Seen {
    times: usize,
    texts: bool,
    numbers: bool,
    flags: bool,
    most: f64,
    words: BTreeSet<String>,
}

/// Places by their JSON Pointer.
type Places = BTreeMap<String, Seen>;

/// A file that maps events like these to the contract that suits them best, or to this one; `None` where none of them is
/// an object or no contract has a field of theirs.
pub fn suggest(examples: &[Value], topic: &str, only: Option<ContractName>) -> Option<String> {
    let mut places = Places::new();
    let objects = examples.iter().filter(|example| example.is_object());
    let count = objects.clone().count();
    objects.for_each(|example| look("", example, &mut places));
    let candidates = only.map_or_else(|| ContractName::ALL.to_vec(), |only| vec![only]);
    let envelope = envelope(&places);
    let best = candidates.into_iter().map(|contract| (score(contract, &places), contract));
    let (found, contract) = best.max_by(|(a, first), (b, second)| a.cmp(b).then(second.cmp(first)))?;
    (found > 0 || only.is_some()).then(|| write(contract, topic, envelope, &places, count))
}

fn look(at: &str, value: &Value, places: &mut Places) {
    match value {
        Value::Object(fields) => {
            for (name, value) in fields {
                look(&format!("{at}/{}", name.replace('~', "~0").replace('/', "~1")), value, places);
            }
        }
        // A pointer leads through one array.
        Value::Array(_) if at.contains("/*") => {}
        Value::Array(items) => {
            items.iter().take(8).for_each(|item| look(&format!("{at}/*"), item, places));
        }
        Value::Null => {}
        scalar if places.len() < PLACES_MAX || places.contains_key(at) => {
            let seen = places.entry(at.to_owned()).or_default();
            seen.times += 1;
            match scalar {
                Value::String(text) => {
                    seen.texts = true;
                    if seen.words.len() < WORDS_MAX {
                        seen.words.insert(text.clone());
                    }
                }
                Value::Number(number) => {
                    seen.numbers = true;
                    seen.most = seen.most.max(number.as_f64().unwrap_or(0.0));
                }
                _ => seen.flags = true,
            }
        }
        _ => {}
    }
}

/// The way of wrapping most of whose head is found.
fn envelope(places: &Places) -> Envelope {
    let found = |envelope: &Envelope| {
        let there = |place: &str| find(places, place).is_some();
        let head =
            HeadField::ALL.iter().filter(|field| envelope.places(**field).iter().any(|place| there(place))).count();
        let within = |name: &str| places.keys().any(|place| place.starts_with(&format!("/{name}/")));
        match envelope.payload() {
            Some(name) if within(name) => (true, head),
            Some(_) => (false, 0),
            None => (false, head.max(1)),
        }
    };
    Envelope::ALL.into_iter().rev().max_by_key(found).unwrap_or(Envelope::Flat)
}

/// A place, in either spelling.
fn find<'p>(places: &'p Places, pointer: &str) -> Option<(&'p String, &'p Seen)> {
    let plain = |text: &str| text.replace('_', "").to_lowercase();
    places.iter().find(|(place, _)| place.as_str() == pointer).or_else(|| {
        let wanted = plain(pointer);
        places.iter().find(|(place, _)| plain(place) == wanted)
    })
}

fn plain(name: &str) -> String {
    name.chars().filter(char::is_ascii_alphanumeric).map(|c| c.to_ascii_lowercase()).collect()
}

fn last_name(pointer: &str) -> &str {
    pointer.rsplit('/').find(|name| *name != "*").unwrap_or_default()
}

/// Units that a name ends with.
const UNITS: [(&str, &str, Kind); 9] = [
    ("seconds", "s", Kind::Millis),
    ("secs", "s", Kind::Millis),
    ("sec", "s", Kind::Millis),
    ("minutes", "min", Kind::Millis),
    ("millis", "ms", Kind::Millis),
    ("ms", "ms", Kind::Millis),
    ("us", "us", Kind::Millis),
    ("cents", "cents", Kind::Amount),
    ("micros", "micros", Kind::Amount),
];

/// The place that suits a field called one of `names`, and the unit that its own name says.
fn suits<'p>(places: &'p Places, names: &[String], kind: Kind) -> Option<(&'p String, &'p Seen, Option<&'static str>)> {
    let fits = |place: &str, seen: &Seen| {
        place.contains("/*") == kind.is_list()
            && match kind {
                Kind::Text | Kind::Id | Kind::Ids => seen.texts || seen.numbers,
                Kind::Flag => seen.flags,
                Kind::Object => false,
                _ => seen.numbers || seen.texts,
            }
    };
    let usable = || places.iter().filter(|(place, seen)| fits(place, seen));
    names.iter().find_map(|name| {
        let named =
            usable().find(|(place, _)| plain(last_name(place)) == *name).map(|(place, seen)| (place, seen, None));
        named.or_else(|| {
            usable().find_map(|(place, seen)| {
                let last = plain(last_name(place));
                let units = UNITS.iter().filter(|(.., of)| *of == kind);
                let said = units.filter(|(end, ..)| last.strip_suffix(end).is_some_and(|rest| rest == name));
                said.map(|(_, unit, _)| (place, seen, Some(*unit))).next()
            })
        })
    })
}

/// What a field may be called, its own name first.
fn names(name: &str, paths: &[&str]) -> Vec<String> {
    let mut names = vec![plain(name)];
    for path in paths {
        let last = last_name(path);
        let short = UNITS.iter().find_map(|(end, ..)| last.strip_suffix(end)?.strip_suffix('_'));
        for name in [Some(last), short].into_iter().flatten().map(plain) {
            if !name.is_empty() && !names.contains(&name) {
                names.push(name);
            }
        }
    }
    names
}

fn score(contract: ContractName, places: &Places) -> usize {
    let spec = contract.spec();
    let fields =
        spec.fields.iter().filter(|field| suits(places, &names(field.name, field.paths), field.kind).is_some());
    let names_found: usize = fields.map(|field| if field.required { 30 } else { 10 }).sum();
    let group = spec.group.iter().filter(|field| suits(places, &names(field.name, field.paths), field.kind).is_some());
    let knows = |word: &String| plain(word).contains(&plain(spec.event_type));
    let typed = places.values().any(|seen| seen.words.iter().any(knows));
    // Of contracts that have the same, the one with fewer fields lacks less.
    let lacking = spec.fields.iter().filter(|field| field.required).count() * 3;
    (names_found + group.count() * 5 + usize::from(typed) * 10_000).saturating_sub(lacking)
}

fn head_names(field: HeadField) -> &'static [&'static str] {
    match field {
        HeadField::Id => &["eventid", "id", "uuid", "messageid"],
        HeadField::Type => &["eventtype", "type", "event", "eventname", "kind"],
        HeadField::Timestamp => &["timestamp", "time", "ts", "at", "occurredat", "createdat", "eventtime", "date"],
        HeadField::Trace => &["traceid", "traceparent", "trace"],
        HeadField::App => &["app", "application", "service"],
        HeadField::Tenant => {
            &["tenantid", "tenant", "businessid", "orgid", "organizationid", "org", "workspaceid", "accountid"]
        }
        HeadField::User => &["userid", "user", "uid", "customerid", "memberid", "personid"],
        HeadField::Session => &["sessionid", "session", "visitid"],
    }
}

fn write(contract: ContractName, topic: &str, envelope: Envelope, places: &Places, count: usize) -> String {
    let spec = contract.spec();
    let mut file = String::new();
    let mut line = |text: String| {
        file.push_str(&text);
        file.push('\n');
    };
    line(format!("# Proposed from {count} events; read it before you use it."));
    line("[[mapping]]".to_owned());
    line(format!("contract = \"{}\"", spec.name()));
    line(format!("topics = [\"{topic}\"]"));
    line(format!("envelope = \"{}\"", envelope.name()));
    let place_of = |field: HeadField| {
        let known = envelope.places(field).iter().find_map(|place| find(places, place));
        known.map(|found| (found, true)).or_else(|| {
            let names: Vec<String> = head_names(field).iter().map(|name| (*name).to_owned()).collect();
            suits(places, &names, Kind::Text).map(|(place, seen, _)| ((place, seen), false))
        })
    };
    match place_of(HeadField::Type) {
        Some(((_, seen), _)) if seen.texts && !seen.words.is_empty() && seen.words.len() < WORDS_MAX => {
            let words: Vec<String> = seen.words.iter().map(|word| format!("{word:?}")).collect();
            line(format!(
                "type = [{}]    # those that mean this contract; the others are passed over",
                words.join(", ")
            ));
        }
        _ => line("by_topic = true    # no field was found that says the type".to_owned()),
    }
    let mut head = String::new();
    for field in HeadField::ALL {
        match place_of(field) {
            Some(((place, seen), known)) => {
                let format = match field {
                    HeadField::Timestamp if seen.most >= 1e17 => Some("ns"),
                    HeadField::Timestamp if seen.most >= 1e15 => Some("us"),
                    _ => None,
                };
                push(&mut head, field.name(), place, seen, count, known, format.map(|format| ("format", format)));
            }
            None if matches!(field, HeadField::Timestamp) => {
                head.push_str("# timestamp = \"/...\"    # not found, and needed\n");
            }
            None => {}
        }
    }
    let known = |paths: &[&str]| {
        let absolute = |path: &&str| match (path.starts_with('/'), envelope.payload()) {
            (true, _) => (*path).to_owned(),
            (false, Some(payload)) => format!("/{payload}/{path}"),
            (false, None) => format!("/{path}"),
        };
        paths.iter().find_map(|path| find(places, &absolute(path)))
    };
    // What a contract finds by itself is another field's already.
    let taken: BTreeSet<&String> = spec
        .fields()
        .flat_map(|field| [field.paths, field.seconds])
        .filter_map(known)
        .map(|(place, _)| place)
        .collect();
    let mut fields = String::new();
    for field in spec.fields() {
        if let Some((place, seen)) = known(field.paths).or_else(|| known(field.seconds)) {
            push(&mut fields, field.name, place, seen, count, true, None);
            continue;
        }
        let suited = suits(places, &names(field.name, field.paths), field.kind);
        match suited.filter(|(place, ..)| !taken.contains(place)) {
            Some((place, seen, unit)) => {
                push(&mut fields, field.name, place, seen, count, false, unit.map(|unit| ("unit", unit)));
            }
            None if field.required => {
                let _infallible = writeln!(fields, "# {} = \"/...\"    # not found, and needed", field.name);
            }
            None => {}
        }
    }
    for (title, body) in [("head", head), ("fields", fields)] {
        if !body.is_empty() {
            line(format!("\n[mapping.{title}]\n{}", body.trim_end()));
        }
    }
    file
}

/// One field's line; a comment where the contract finds it by itself.
fn push(
    into: &mut String,
    name: &str,
    place: &str,
    seen: &Seen,
    count: usize,
    known: bool,
    more: Option<(&str, &str)>,
) {
    let said = match more {
        Some((what, value)) => format!("{{ pointers = [{place:?}], {what} = \"{value}\" }}"),
        None => format!("{place:?}"),
    };
    let comment = if known && more.is_none() { "# " } else { "" };
    let _infallible = writeln!(into, "{comment}{name} = {said}    # in {} of {count}", seen.times.min(count));
}
