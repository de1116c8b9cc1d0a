//! What something is about: the parts of its name, as one readable key.
//!
//! Not here: which parts a key has; whoever makes one says so. Invariant: two subjects are equal only if all their parts
//! are. The bytes are those of the text, so they are in order and can be the keys of output records. Those who are known by
//! a hash alone are the text of where they belong and its eight bytes.

use compact_str::CompactString;
use events::path;
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
            path::push_part(&mut path, part);
        }
        Self(path)
    }

    /// The path with one part more.
    pub fn with(&self, part: &str) -> Self {
        let mut path = self.0.clone();
        path.push('/');
        path::push_part(&mut path, part);
        Self(path)
    }

    /// Someone or something here that is known by a hash.
    pub fn member(&self, id: u64) -> Member {
        Member { scope: self.clone(), id }
    }

    /// The path that goes on from here as `rest` does.
    pub fn join(&self, rest: &Self) -> Self {
        let mut path = self.0.clone();
        path.push('/');
        path.push_str(&rest.0);
        Self(path)
    }

    /// The path without its last part; itself, if it has but one.
    pub fn parent(&self) -> Self {
        Self(self.0.rsplit_once('/').map_or_else(|| self.0.clone(), |(parent, _)| parent.into()))
    }

    /// The part at this place, counted from 0; empty where there is none.
    pub fn part(&self, at: usize) -> CompactString {
        path::text_of(self.0.split('/').nth(at).unwrap_or_default())
    }

    /// The path as it stands in keys.
    pub fn as_str(&self) -> &str {
        &self.0
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

/// Someone or something within a scope, by a hash: a user, a request.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Member {
    /// Where it belongs.
    pub scope: Subject,
    /// The hash.
    pub id: u64,
}

impl StateKey for Member {
    fn encode(&self, out: &mut Vec<u8>) {
        self.scope.encode_part(out);
        self.id.encode(out);
    }

    fn decode(mut bytes: &[u8]) -> Result<Self, KeyError> {
        let scope = Subject::decode_part(&mut bytes)?;
        Ok(Self { scope, id: u64::decode(bytes)? })
    }

    fn encode_part(&self, out: &mut Vec<u8>) {
        self.encode(out);
    }

    fn decode_part(bytes: &mut &[u8]) -> Result<Self, KeyError> {
        let scope = Subject::decode_part(bytes)?;
        Ok(Self { scope, id: u64::decode_part(bytes)? })
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
            prop_assert_eq!(Subject::decode(&bytes).unwrap(), subject.clone());
            prop_assert_eq!(Subject::of(["a/", "b"]).join(&subject).part(parts.len() + 1), parts[parts.len() - 1].as_str());
        }

        #[test]
        fn members_are_in_order_as_they_are_as_bytes(ids in prop::collection::vec((any::<u64>(), "[a\0b]{0,3}"), 2)) {
            let members: Vec<Member> = ids.iter().map(|(id, scope)| Subject::of([scope.as_str()]).member(*id)).collect();
            let bytes = |member: &Member, part: bool| {
                let mut bytes = Vec::new();
                if part { member.encode_part(&mut bytes) } else { member.encode(&mut bytes) };
                bytes
            };
            for part in [false, true] {
                let order = bytes(&members[0], part).cmp(&bytes(&members[1], part));
                prop_assert_eq!(order, members[0].cmp(&members[1]));
            }
            prop_assert_eq!(&Member::decode(&bytes(&members[0], false)).unwrap(), &members[0]);
            let whole = [bytes(&members[0], true), vec![7]].concat();
            let mut rest = whole.as_slice();
            prop_assert_eq!(&Member::decode_part(&mut rest).unwrap(), &members[0]);
            prop_assert_eq!(rest, [7]);
        }
    }
}
