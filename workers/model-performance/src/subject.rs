//! What something is about: the parts of its name, as one readable key.
//!
//! Not here: which parts a key has; whoever makes one says so. Invariant: two subjects are equal only if all their parts
//! are. The bytes are those of the text, so they are in order and can be the keys of output records.
//!
//! ```text
//! ┌──────┬─────┬──────┬─────┬─────┐
//! │ part │ '/' │ part │ '/' │ ... │   in each part '%' is written %25 and '/' is written %2F
//! └──────┴─────┴──────┴─────┴─────┘
//! ```

use compact_str::CompactString;
use processing_core::prelude::{KeyError, StateKey};
use serde::{Deserialize, Serialize};

/// A path of names.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Subject(CompactString);

impl Subject {
    /// The path of these parts.
    pub fn of<'p>(parts: impl IntoIterator<Item = &'p str>) -> Self {
        let mut path = CompactString::default();
        for (at, part) in parts.into_iter().enumerate() {
            if at > 0 {
                path.push('/');
            }
            push_escaped(&mut path, part);
        }
        Self(path)
    }

    /// The path with one part more.
    pub fn with(&self, part: &str) -> Self {
        let mut path = self.0.clone();
        path.push('/');
        push_escaped(&mut path, part);
        Self(path)
    }

    /// The path of someone who is known by a hash.
    pub fn with_hash(&self, who: u64) -> Self {
        self.with(&format!("{who:016x}"))
    }

    /// The path without its last part; itself, if it has but one.
    pub fn parent(&self) -> Self {
        Self(self.0.rsplit_once('/').map_or_else(|| self.0.clone(), |(parent, _)| parent.into()))
    }

    /// The part at this place, counted from 0; empty where there is none.
    pub fn part(&self, at: usize) -> CompactString {
        let part = self.0.split('/').nth(at).unwrap_or_default();
        if part.contains('%') { part.replace("%2F", "/").replace("%25", "%").into() } else { part.into() }
    }

    /// The path as it stands in keys.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

fn push_escaped(path: &mut CompactString, part: &str) {
    for c in part.chars() {
        match c {
            '%' => path.push_str("%25"),
            '/' => path.push_str("%2F"),
            c => path.push(c),
        }
    }
}

impl StateKey for Subject {
    fn encode(&self, out: &mut Vec<u8>) {
        self.0.encode(out);
    }

    fn decode(bytes: &[u8]) -> Result<Self, KeyError> {
        CompactString::decode(bytes).map(Self)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn the_parts_of_a_path_are_those_it_was_made_of(parts in prop::collection::vec("[a/%25F2]{0,6}", 1..5)) {
            let subject = Subject::of(parts.iter().map(String::as_str));
            for (at, part) in parts.iter().enumerate() {
                prop_assert_eq!(subject.part(at), part.as_str());
            }
            prop_assert_eq!(&subject.with("x/y").parent(), &subject);
            prop_assert_eq!(subject.with("x/y").part(parts.len()), "x/y");
            let mut bytes = Vec::new();
            subject.encode(&mut bytes);
            prop_assert_eq!(Subject::decode(&bytes).unwrap(), subject);
        }
    }
}
