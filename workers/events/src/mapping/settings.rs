//! A company's own events, as a file says them.
//!
//! ```toml
//! [[mapping]]
//! contract = "loci.chat.response.generated"     # `streamfleet contracts` lists them
//! topics = ["acme.answers"]
//! envelope = "cloudevents"                      # loci, biznavigate, jobquest, flat or cloudevents
//! type = "com.acme.answer.v2"                   # the word for it in the events, or several
//!
//! [mapping.head]                                # id, type, timestamp, trace, app, tenant, user, session
//! app = { constant = "acme" }
//! tenant = ["/data/org/id", "/data/org_id"]     # JSON Pointers, tried in order
//! timestamp = { pointers = ["/data/at"], format = "us" }
//!
//! [mapping.fields]                              # the contract's own; `streamfleet contracts` lists them
//! model = "/data/llm/model"
//! latency = { pointers = ["/data/took"], unit = "s" }
//! cost = { pointers = ["/data/price"], unit = "cents" }
//! ```
//!
//! Not here: what is made of it ([`super::Mapping`]). Invariant: every mistake of the file is told at once, each with its
//! mapping and its field; what a file does not say stands where the contract and the envelope have it.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::envelope::{Envelope, HeadField};
use super::places::PlacesText;
use super::{Mapping, Said};
use crate::contract::Typed;
use crate::event::ContractName;

/// What is wrong with a file of mappings, each mistake in a line of its own.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}", .0.join("\n"))]
pub struct MappingError(pub Vec<String>);

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct FileText {
    #[serde(default)]
    mapping: Vec<MappingText>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct MappingText {
    contract: String,
    topics: Vec<String>,
    envelope: Option<String>,
    #[serde(rename = "type")]
    words: Option<Words>,
    /// The events do not say their type.
    #[serde(default)]
    by_topic: bool,
    #[serde(default)]
    head: BTreeMap<String, PlacesText>,
    #[serde(default)]
    fields: BTreeMap<String, PlacesText>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Words {
    One(String),
    Several(Vec<String>),
}

/// The mappings of a file's `text`; `origin` names the file.
///
/// # Errors
/// Every mistake of it.
pub(crate) fn mappings(text: &str, origin: &str) -> Result<Vec<Mapping>, MappingError> {
    let file: FileText =
        toml::from_str(text).map_err(|error| MappingError(vec![format!("{origin}: {}", error.to_string().trim())]))?;
    let mut mistakes = Vec::new();
    let mut mappings: Vec<Mapping> = Vec::new();
    for (number, text) in (1..).zip(file.mapping) {
        let name = text.contract.clone();
        let mut told = Vec::new();
        match text.checked(&mut told) {
            Some(mapping) if told.is_empty() => {
                let same = |other: &&Mapping| {
                    other.contract == mapping.contract
                        && other.topics.iter().any(|topic| mapping.topics.contains(topic))
                };
                if mappings.iter().any(|other| same(&other)) {
                    told.push("another mapping of this file reads the same contract from the same topic".to_owned());
                }
                mappings.push(mapping);
            }
            _ => {}
        }
        mistakes.extend(told.into_iter().map(|mistake| format!("{origin}: mapping {number} ({name}): {mistake}")));
    }
    if mistakes.is_empty() { Ok(mappings) } else { Err(MappingError(mistakes)) }
}

impl MappingText {
    fn checked(self, told: &mut Vec<String>) -> Option<Mapping> {
        let Some(contract) = ContractName::named(&self.contract) else {
            told.push("there is no such contract; `streamfleet contracts` lists them".to_owned());
            return None;
        };
        let spec = contract.spec();
        let shipped = Mapping::shipped(contract);
        let envelope = match self.envelope.as_deref() {
            None => shipped.envelope,
            Some(name) => Envelope::named(name).unwrap_or_else(|| {
                let all = Envelope::ALL.map(Envelope::name).join(", ");
                told.push(format!("there is no envelope `{name}`; there are {all}"));
                shipped.envelope
            }),
        };
        if self.topics.is_empty() {
            told.push("`topics` is empty".to_owned());
        }
        for topic in &self.topics {
            let legal = |c: u8| c.is_ascii_alphanumeric() || matches!(c, b'.' | b'_' | b'-');
            if topic.is_empty() || topic.len() > 249 || !topic.bytes().all(legal) {
                told.push(format!("`{topic}` is no topic: 1 to 249 of the letters a-z A-Z 0-9 . _ -"));
            }
        }
        let typed = match (self.words, self.by_topic) {
            (Some(_), true) => {
                told.push("`type` and `by_topic` exclude each other".to_owned());
                shipped.typed
            }
            (Some(Words::One(word)), false) => Said::Words(vec![word]),
            (Some(Words::Several(words)), false) => Said::Words(words),
            (None, true) => Said::ByTopic,
            (None, false) => match spec.typed {
                Typed::ByTopic => Said::ByTopic,
                _ => shipped.typed,
            },
        };
        let mut head = Vec::new();
        for (name, places) in &self.head {
            let Some(field) = HeadField::ALL.into_iter().find(|field| field.name() == name) else {
                let all = HeadField::ALL.map(HeadField::name).join(", ");
                told.push(format!("there is no field `{name}` in a head; there are {all}"));
                continue;
            };
            match places.checked(field.kind()) {
                Ok(places) => head.push((field, places)),
                Err(mistake) => told.push(format!("head `{name}`: {mistake}")),
            }
        }
        let mut fields = Vec::new();
        for (name, places) in &self.fields {
            let found = spec.fields().enumerate().find(|(_, field)| field.name == name);
            let Some((at, field)) = found else {
                let all: Vec<&str> = spec.fields().map(|field| field.name).collect();
                told.push(format!("the contract has no field `{name}`; it has {}", all.join(", ")));
                continue;
            };
            match places.checked(field.kind) {
                Ok(places) => fields.push((at, places)),
                Err(mistake) => told.push(format!("field `{name}`: {mistake}")),
            }
        }
        Some(Mapping { contract, topics: self.topics, envelope, typed, head, fields })
    }
}
