//! Which topics the fleet reads, and how the records of each become events.
//!
//! Not here: what a worker makes of an event. Invariant: a record of a known topic is an event of the contract that its
//! type names, an event of another type ([`Event::Other`]), or a verdict; which of them depends on its bytes and the
//! settings alone.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::contract::System;
use crate::event::{ContractName, Event};
use crate::mapping::{Leaf, Mapping, MappingError, Pointer, Reader, Said, TYPE, Tree, mappings};
use crate::poison::{Poison, PoisonReason};
use crate::token::Token;
use crate::tokens::Tokens;

/// What the settings say of contracts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Contracts {
    mappings: Vec<Mapping>,
}

impl Default for Contracts {
    fn default() -> Self {
        Self::shipped()
    }
}

impl Contracts {
    /// Every contract as its own system publishes it.
    pub fn shipped() -> Self {
        Self::of_systems(&System::ALL)
    }

    /// Those of these systems.
    pub fn of_systems(systems: &[System]) -> Self {
        let theirs = ContractName::ALL.iter().filter(|contract| systems.contains(&contract.spec().system));
        Self { mappings: theirs.map(|contract| Mapping::shipped(*contract)).collect() }
    }

    /// With the mappings of a file's `text` beside them, or in place of them where they are about the same contract on
    /// the same topic. `origin` names the file.
    ///
    /// # Errors
    /// Every mistake of the file.
    pub fn with(mut self, text: &str, origin: &str) -> Result<Self, MappingError> {
        for mapping in mappings(text, origin)? {
            for other in self.mappings.iter_mut().filter(|other| other.contract == mapping.contract) {
                other.topics.retain(|topic| !mapping.topics.contains(topic));
            }
            self.mappings.push(mapping);
        }
        self.mappings.retain(|mapping| !mapping.topics.is_empty());
        Ok(self)
    }

    /// The topics on which events of the `wanted` contracts come, by name, each with what reads it.
    pub fn topics(&self, wanted: &[ContractName]) -> Vec<TopicReader> {
        let mut on: BTreeMap<&str, Vec<&Mapping>> = BTreeMap::new();
        for mapping in &self.mappings {
            for topic in &mapping.topics {
                on.entry(topic).or_default().push(mapping);
            }
        }
        on.retain(|_, mappings| mappings.iter().any(|mapping| wanted.contains(&mapping.contract)));
        on.into_iter().map(|(topic, mappings)| TopicReader::new(topic, &mappings, wanted)).collect()
    }

    /// The topics on which events of a contract come.
    pub fn topics_of(&self, contract: ContractName) -> impl Iterator<Item = &str> {
        let its = self.mappings.iter().filter(move |mapping| mapping.contract == contract);
        its.flat_map(|mapping| mapping.topics.iter().map(String::as_str))
    }

    /// The reader of one contract on a topic that holds nothing else: as a mapping says that names the topic, else as
    /// the contract's own system publishes it.
    pub fn alone(&self, contract: ContractName, topic: &str) -> TopicReader {
        let named =
            |mapping: &&Mapping| mapping.contract == contract && mapping.topics.iter().any(|name| name == topic);
        let mapping = self.mappings.iter().find(named).cloned().unwrap_or_else(|| Mapping::shipped(contract));
        TopicReader::new(topic, &[&mapping], &[contract])
    }
}

/// Reads the records of one topic.
#[derive(Clone, Debug)]
pub struct TopicReader(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    topic: String,
    /// What comes on the topic, and whether it is asked for.
    readers: Vec<(Reader, bool)>,
    /// Finds an event's type, where several come.
    types: Option<Tree>,
    /// As many as the type needs; no verdict names them.
    labels: Box<[Box<str>]>,
}

impl TopicReader {
    fn new(topic: &str, mappings: &[&Mapping], wanted: &[ContractName]) -> Self {
        let readers: Vec<(Reader, bool)> =
            mappings.iter().map(|mapping| (mapping.reader(), wanted.contains(&mapping.contract))).collect();
        let types = (readers.len() > 1).then(|| {
            let mut tree = Tree::new();
            let mut known: Vec<Pointer> = Vec::new();
            for pointer in mappings.iter().flat_map(|mapping| mapping.type_pointers()) {
                if !known.contains(&pointer) {
                    let rank = u8::try_from(known.len()).unwrap_or(u8::MAX);
                    let leaf = Leaf { field: TYPE, rank, kind: crate::field::Kind::Text, unit: Default::default() };
                    tree.add(&pointer, &leaf);
                    known.push(pointer);
                }
            }
            tree
        });
        let labels = vec![Box::<str>::default(); TYPE + 1].into();
        Self(Arc::new(Inner { topic: topic.to_owned(), readers, types, labels }))
    }

    /// The topic's name.
    pub fn topic(&self) -> &str {
        &self.0.topic
    }

    /// The contracts whose events are read here.
    pub fn contracts(&self) -> impl Iterator<Item = ContractName> {
        self.0.readers.iter().filter(|(_, wanted)| *wanted).map(|(reader, _)| reader.contract)
    }

    /// Reads a record's value.
    ///
    /// # Errors
    /// The verdict on a value that is no event of this topic.
    pub fn decode<'a>(&'a self, value: Option<&'a [u8]>) -> Result<Event<'a>, Poison> {
        let bytes = value.ok_or_else(Poison::tombstone)?;
        let (reader, told) = match &self.0.types {
            None => (self.0.readers.first(), false),
            Some(types) => {
                let mut found = Tokens::new(&self.0.labels);
                types.seek(bytes, TYPE, &mut found);
                match found.peek(TYPE).text() {
                    Some(word) => (self.of_type(word), true),
                    None => (self.untyped(), false),
                }
            }
        };
        match (reader, self.0.readers.first()) {
            (Some((reader, wanted)), _) => read(reader, bytes, *wanted, told),
            (None, Some((first, _))) => other(first, bytes),
            (None, None) => Err(Poison::new(PoisonReason::WrongValue, "nothing is read from this topic")),
        }
    }

    /// Whose type this is.
    fn of_type(&self, word: &str) -> Option<&(Reader, bool)> {
        let named = |said: &Said| matches!(said, Said::Words(words) if words.iter().any(|known| known == word));
        let readers = &self.0.readers;
        let any = |said: &Said| matches!(said, Said::ByTopic | Said::Rest);
        let by = |is: &dyn Fn(&Said) -> bool| readers.iter().find(|(reader, _)| is(&reader.typed));
        by(&named).or_else(|| by(&any))
    }

    /// Whose events say no type; where none do, the first will tell what is missing.
    fn untyped(&self) -> Option<&(Reader, bool)> {
        let readers = &self.0.readers;
        readers.iter().find(|(reader, _)| reader.typed == Said::ByTopic).or_else(|| readers.first())
    }
}

/// `told` says that the type has been looked at and is this contract's.
fn read<'a>(reader: &'a Reader, bytes: &'a [u8], wanted: bool, told: bool) -> Result<Event<'a>, Poison> {
    let mut tokens = reader.tokens(bytes)?;
    if let (Said::Words(words), false) = (&reader.typed, told) {
        match tokens.peek(TYPE) {
            Token::Absent => {
                // What is wrong with the event as a whole comes first.
                tokens.is_an_object()?;
                let label = tokens.label(TYPE);
                return Err(Poison::new(PoisonReason::MissingField, format!("`{label}` is missing")));
            }
            value => {
                if let Some(word) = value.text()
                    && !words.iter().any(|known| known == word)
                {
                    return reader.head(&mut tokens, bytes, false).map(Event::Other);
                }
            }
        }
    }
    let head = reader.head(&mut tokens, bytes, wanted)?;
    if wanted { reader.contract.read(head, &mut tokens) } else { Ok(Event::Other(head)) }
}

fn other<'a>(first: &'a Reader, bytes: &'a [u8]) -> Result<Event<'a>, Poison> {
    let mut tokens = first.tokens(bytes)?;
    first.head(&mut tokens, bytes, false).map(Event::Other)
}
