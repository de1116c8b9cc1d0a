//! Where the fields of a contract stand in a company's events: settings, compiled once.
//!
//! Not here: what a contract is ([`mod@crate::contract`]) and which topics there are ([`crate::topics`]). Invariant: a
//! [`Reader`] is made of checked settings only, and reading by it costs a record one pass and one look-up per key.

mod envelope;
mod places;
mod pointer;
mod settings;
mod tree;
mod unit;

use crate::contract::{ContractSpec, Typed};
use crate::event::ContractName;
use crate::field::Kind;
use crate::head::Head;
use crate::poison::Poison;
use crate::tokens::Tokens;

pub use envelope::Envelope;
pub(crate) use envelope::HeadField;
pub(crate) use places::Places;
pub(crate) use pointer::{Pointer, Step, spellings};
pub use settings::MappingError;
pub(crate) use settings::mappings;
pub(crate) use tree::{Leaf, Tree};
pub(crate) use unit::Unit;

/// The event itself, which has to be an object.
pub(crate) const EVENT: usize = 0;
/// The object that holds the payload.
pub(crate) const PAYLOAD: usize = 1;
/// The first field of the head.
pub(crate) const HEAD: usize = 2;
/// Where the type of an event is kept.
pub(crate) const TYPE: usize = HEAD + HeadField::Type as usize;

/// How one company publishes the events of one contract.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Mapping {
    pub(crate) contract: ContractName,
    pub(crate) topics: Vec<String>,
    pub(crate) envelope: Envelope,
    /// How its events say their type.
    pub(crate) typed: Said,
    /// Fields of the head that stand elsewhere than the envelope says.
    pub(crate) head: Vec<(HeadField, Places)>,
    /// Fields of the payload that stand elsewhere than the contract says, by their place in it.
    pub(crate) fields: Vec<(usize, Places)>,
}

/// How events say of which type they are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Said {
    /// By the topic.
    ByTopic,
    /// In one of these words.
    Words(Vec<String>),
    /// In any word that no other contract of the topic has.
    Rest,
}

impl Mapping {
    /// As the contract's own system publishes them.
    pub(crate) fn shipped(contract: ContractName) -> Self {
        let spec = contract.spec();
        Self {
            contract,
            topics: spec.topics.iter().map(|topic| (*topic).to_owned()).collect(),
            envelope: spec.system.envelope(),
            typed: match spec.typed {
                Typed::ByTopic => Said::ByTopic,
                Typed::ByEnvelope(words) => Said::Words(words.iter().map(|word| (*word).to_owned()).collect()),
                Typed::ByRest => Said::Rest,
            },
            head: Vec::new(),
            fields: Vec::new(),
        }
    }

    fn head_places(&self, field: HeadField) -> Places {
        if let Some((_, places)) = self.head.iter().find(|(overridden, _)| *overridden == field) {
            return places.clone();
        }
        let pointers = self.envelope.places(field).iter().filter_map(|place| Pointer::parse(place).ok()).collect();
        Places { pointers, ..Places::default() }
    }

    /// Where each field stands: name, kind, places.
    pub(crate) fn all_places(&self) -> Vec<(&'static str, Kind, Places)> {
        let spec = self.contract.spec();
        let head = HeadField::ALL.into_iter().map(|field| (field.name(), field.kind(), self.head_places(field)));
        let body = spec.fields().enumerate().map(|(at, field)| {
            let places = match self.fields.iter().find(|(overridden, _)| *overridden == at) {
                Some((_, places)) => places.clone(),
                None => {
                    let [pointers, seconds] = [field.paths, field.seconds].map(|paths| self.pointers(paths));
                    Places { pointers, seconds, ..Places::default() }
                }
            };
            (field.name, field.kind, places)
        });
        head.chain(body).collect()
    }

    /// The contract's own paths in this envelope.
    fn pointers(&self, paths: &[&str]) -> Vec<Pointer> {
        let absolute = |path: &&str| match (path.starts_with('/'), self.envelope.payload()) {
            (true, _) => (*path).to_owned(),
            (false, Some(payload)) => format!("/{payload}/{path}"),
            (false, None) => format!("/{path}"),
        };
        paths.iter().filter_map(|path| Pointer::parse(&absolute(path)).ok()).collect()
    }

    /// Compiles it.
    pub(crate) fn reader(&self) -> Reader {
        let mut tree = Tree::new();
        let mut labels: Vec<Box<str>> = vec!["the event".into(), "payload".into()];
        let mut constants = Vec::new();
        let object = |field| Leaf { field, rank: 0, kind: Kind::Object, unit: Unit::AsItIs };
        tree.whole(object(EVENT));
        if let Some(payload) = self.envelope.payload() {
            labels[PAYLOAD] = payload.into();
            if let Ok(pointer) = Pointer::parse(&format!("/{payload}")) {
                tree.add(&pointer, &object(PAYLOAD));
            }
        }
        for (field, (name, kind, places)) in (HEAD..).zip(self.all_places()) {
            labels.push(places.pointers.first().map_or_else(|| name.into(), |pointer| pointer.dotted().into()));
            for (rank, (pointer, unit)) in (0u8..).zip(places.all()) {
                tree.add(pointer, &Leaf { field, rank, kind, unit: unit.clone() });
            }
            if let Some(constant) = places.constant {
                constants.push((field, constant));
            }
        }
        Reader {
            contract: self.contract,
            typed: self.typed.clone(),
            tree,
            labels: labels.into(),
            constants,
            payload: self.envelope.payload().is_some(),
            needs_id: self.envelope.needs_id(),
        }
    }

    /// Where the type of its events stands.
    pub(crate) fn type_pointers(&self) -> Vec<Pointer> {
        self.head_places(HeadField::Type).pointers
    }

    /// The contract as data.
    pub(crate) fn spec(&self) -> &'static ContractSpec {
        self.contract.spec()
    }
}

/// Reads the events of one contract as one company publishes them.
#[derive(Clone, Debug)]
pub(crate) struct Reader {
    pub(crate) contract: ContractName,
    pub(crate) typed: Said,
    tree: Tree,
    /// What verdicts call the fields.
    labels: Box<[Box<str>]>,
    constants: Vec<(usize, Box<str>)>,
    /// Whether the payload is an object of its own.
    payload: bool,
    needs_id: bool,
}

impl Reader {
    /// Takes the values of a record.
    ///
    /// # Errors
    /// Bytes that are not JSON, or not an object.
    pub(crate) fn tokens<'a>(&'a self, bytes: &'a [u8]) -> Result<Tokens<'a>, Poison> {
        let mut tokens = Tokens::new(&self.labels);
        self.tree.read(bytes, &mut tokens).map_err(|error| Poison::from_json(&error))?;
        for (field, constant) in &self.constants {
            tokens.put(*field, u8::MAX, crate::token::Token::Borrowed(constant));
        }
        Ok(tokens)
    }

    /// The head, which comes before everything else.
    ///
    /// # Errors
    /// The verdict on a head that is none.
    pub(crate) fn head<'a>(&self, tokens: &mut Tokens<'a>, bytes: &[u8], whole: bool) -> Result<Head<'a>, Poison> {
        let app = self.contract.spec().system.name();
        Head::read(tokens, bytes, crate::head::Wanted { app, payload: self.payload && whole, id: self.needs_id })
    }
}
