//! All pointers of a mapping as one tree, and the single pass over a record that follows it.
//!
//! Not here: what the values mean. Invariant: each byte of a record is read once; what no pointer leads to is passed
//! over without a copy and, however deep, without recursion.

use std::fmt;

use rustc_hash::FxHashMap;
use serde::de::{DeserializeSeed, Deserializer, Error as _, IgnoredAny, MapAccess, SeqAccess, Visitor};

use super::pointer::{Pointer, Step, spellings};
use super::unit::Unit;
use crate::field::Kind;
use crate::token::{ScalarVisitor, Token};
use crate::tokens::{Item, Tokens};

/// Where pointers lead.
#[derive(Clone, Debug, Default)]
pub(crate) struct Tree {
    /// The first is the event itself.
    nodes: Vec<Node>,
}

#[derive(Clone, Debug, Default)]
struct Node {
    names: FxHashMap<Box<str>, usize>,
    items: Option<usize>,
    leaves: Vec<Leaf>,
    /// Whose items stand below, by their best path.
    lists: Vec<(usize, u8)>,
}

/// A field whose value stands here.
#[derive(Clone, Debug)]
pub(crate) struct Leaf {
    pub(crate) field: usize,
    pub(crate) rank: u8,
    pub(crate) kind: Kind,
    pub(crate) unit: Unit,
}

impl Tree {
    /// Only the event.
    pub(crate) fn new() -> Self {
        Self { nodes: vec![Node::default()] }
    }

    /// The event itself is a field.
    pub(crate) fn whole(&mut self, leaf: Leaf) {
        self.nodes[0].leaves.push(leaf);
    }

    /// A field stands where `pointer` leads.
    pub(crate) fn add(&mut self, pointer: &Pointer, leaf: &Leaf) {
        let mut ends = vec![0];
        for step in pointer.steps() {
            ends = match step {
                Step::Name(name) => {
                    let all = spellings(name);
                    ends.iter()
                        .flat_map(|end| all.iter().map(move |name| (*end, name)))
                        .map(|(end, name)| self.below(end, name))
                        .collect()
                }
                Step::Items => ends.into_iter().map(|end| self.items_below(end, leaf)).collect(),
            };
        }
        for end in ends {
            self.nodes[end].leaves.push(leaf.clone());
        }
    }

    fn below(&mut self, node: usize, name: &str) -> usize {
        if let Some(below) = self.nodes[node].names.get(name) {
            return *below;
        }
        self.nodes.push(Node::default());
        let below = self.nodes.len() - 1;
        self.nodes[node].names.insert(name.into(), below);
        below
    }

    fn items_below(&mut self, node: usize, leaf: &Leaf) -> usize {
        let lists = &mut self.nodes[node].lists;
        match lists.iter_mut().find(|(field, _)| *field == leaf.field) {
            Some((_, rank)) => *rank = leaf.rank.min(*rank),
            None => lists.push((leaf.field, leaf.rank)),
        }
        if let Some(items) = self.nodes[node].items {
            return items;
        }
        self.nodes.push(Node::default());
        let items = self.nodes.len() - 1;
        self.nodes[node].items = Some(items);
        items
    }

    /// Takes the values of a record.
    ///
    /// # Errors
    /// Bytes that are not JSON.
    pub(crate) fn read<'a>(&self, bytes: &'a [u8], into: &mut Tokens<'a>) -> serde_json::Result<()> {
        // Looked at in one go where all of it is text; else each string for itself, since one that is none may stand where
        // nothing is taken.
        match std::str::from_utf8(bytes) {
            Ok(text) => self.walk(serde_json::Deserializer::from_str(text), into),
            Err(_) => self.walk(serde_json::Deserializer::from_slice(bytes), into),
        }
    }

    fn walk<'a, R: serde_json::de::Read<'a>>(
        &self,
        mut reader: serde_json::Deserializer<R>,
        into: &mut Tokens<'a>,
    ) -> serde_json::Result<()> {
        let mut arrays = 0;
        Walk { tree: self, node: 0, item: None, arrays: &mut arrays, stop_at: None, tokens: into }
            .deserialize(&mut reader)?;
        reader.end()
    }

    /// Takes the value of one field alone, and reads no further than that.
    pub(crate) fn seek<'a>(&self, bytes: &'a [u8], field: usize, into: &mut Tokens<'a>) {
        let mut reader = serde_json::Deserializer::from_slice(bytes);
        let mut arrays = 0;
        // Either it is found, or whoever reads all of the record meets the same error and tells it.
        let walk = Walk { tree: self, node: 0, item: None, arrays: &mut arrays, stop_at: Some(field), tokens: into };
        drop(walk.deserialize(&mut reader));
    }
}

/// The way through one value.
struct Walk<'t, 'w, 'a> {
    tree: &'t Tree,
    node: usize,
    item: Option<Item>,
    arrays: &'w mut u32,
    stop_at: Option<usize>,
    tokens: &'w mut Tokens<'a>,
}

impl<'t, 'a> Walk<'t, '_, 'a> {
    fn here(&self) -> &'t Node {
        &self.tree.nodes[self.node]
    }

    fn below(&mut self, node: usize) -> Walk<'t, '_, 'a> {
        Walk {
            tree: self.tree,
            node,
            item: self.item,
            arrays: &mut *self.arrays,
            stop_at: self.stop_at,
            tokens: &mut *self.tokens,
        }
    }

    fn take(self, value: Token<'a>) {
        let Some((last, others)) = self.here().leaves.split_last() else { return };
        let item = self.item;
        for leaf in others {
            put(self.tokens, leaf, item, value.clone());
        }
        put(self.tokens, last, item, value);
    }
}

fn put<'a>(tokens: &mut Tokens<'a>, leaf: &Leaf, item: Option<Item>, value: Token<'a>) {
    // Applications send an empty identifier for a visitor who is not logged in.
    if matches!(leaf.kind, Kind::Id | Kind::Ids) && value.text().is_some_and(str::is_empty) {
        return;
    }
    let value = leaf.unit.apply(value);
    match item {
        Some(item) if leaf.kind.is_list() => tokens.put_item(leaf.field, leaf.rank, item, value),
        _ => tokens.put(leaf.field, leaf.rank, value),
    }
}

impl<'a> DeserializeSeed<'a> for Walk<'_, '_, 'a> {
    type Value = ();

    fn deserialize<D: Deserializer<'a>>(self, document: D) -> Result<(), D::Error> {
        let node = self.here();
        // An amount is read as it is written; a float would not be.
        if node.names.is_empty() && node.leaves.iter().any(|leaf| leaf.kind == Kind::Amount) {
            let value = Token::read_raw(document)?;
            self.take(value);
            return Ok(());
        }
        document.deserialize_any(self)
    }
}

impl<'a> Visitor<'a> for Walk<'_, '_, 'a> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_map<A: MapAccess<'a>>(mut self, mut map: A) -> Result<(), A::Error> {
        let node = self.here();
        if node.names.is_empty() {
            let value = ScalarVisitor.visit_map(map)?;
            self.take(value);
            return Ok(());
        }
        while let Some(below) = map.next_key_seed(Name(node))? {
            let Some(below) = below else {
                map.next_value::<IgnoredAny>()?;
                continue;
            };
            map.next_value_seed(self.below(below))?;
            if self.stop_at.is_some_and(|field| *self.tokens.peek(field) != Token::Absent) {
                return Err(A::Error::custom("found"));
            }
        }
        // An object that is only the way to others is no value of a field that may stand here by itself.
        for leaf in node.leaves.iter().filter(|leaf| leaf.kind == Kind::Object) {
            put(self.tokens, leaf, None, Token::Object);
        }
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'a>>(mut self, mut seq: A) -> Result<(), A::Error> {
        let node = self.here();
        let Some(items) = node.items else {
            let value = ScalarVisitor.visit_seq(seq)?;
            self.take(value);
            return Ok(());
        };
        *self.arrays += 1;
        let array = *self.arrays;
        for (field, rank) in &node.lists {
            self.tokens.begin_list(*field, *rank, array);
        }
        for index in 0..u32::MAX {
            let item = Item { array, index };
            let mut below = self.below(items);
            below.item = Some(item);
            if seq.next_element_seed(below)?.is_none() {
                break;
            }
            for (field, _) in &node.lists {
                self.tokens.end_item(*field, item);
            }
        }
        Ok(())
    }

    fn visit_borrowed_str<E>(self, text: &'a str) -> Result<(), E> {
        self.take(Token::Borrowed(text));
        Ok(())
    }
    fn visit_str<E>(self, text: &str) -> Result<(), E> {
        if !self.here().leaves.is_empty() {
            self.take(Token::Copied(text.to_owned()));
        }
        Ok(())
    }
    fn visit_u64<E>(self, number: u64) -> Result<(), E> {
        self.take(Token::Unsigned(number));
        Ok(())
    }
    fn visit_i64<E>(self, number: i64) -> Result<(), E> {
        self.take(Token::Signed(number));
        Ok(())
    }
    fn visit_f64<E>(self, number: f64) -> Result<(), E> {
        self.take(Token::Float(number));
        Ok(())
    }
    fn visit_bool<E>(self, flag: bool) -> Result<(), E> {
        self.take(Token::Flag(flag));
        Ok(())
    }
    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }
}

/// Reads a key as the node that it leads to, without keeping the key.
struct Name<'t>(&'t Node);

impl<'de> DeserializeSeed<'de> for Name<'_> {
    type Value = Option<usize>;

    fn deserialize<D: Deserializer<'de>>(self, document: D) -> Result<Option<usize>, D::Error> {
        document.deserialize_str(self)
    }
}

impl Visitor<'_> for Name<'_> {
    type Value = Option<usize>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a key")
    }
    fn visit_str<E>(self, key: &str) -> Result<Option<usize>, E> {
        Ok(self.0.names.get(key).copied())
    }
}
