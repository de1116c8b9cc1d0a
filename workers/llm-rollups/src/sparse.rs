//! Arrays of which most places hold nothing, written as what is there and where.
//!
//! Not here: what they hold. Invariant: what was written is read, whatever is empty.
//!
//! ```text
//! stored   ┌──────────┬─────────────────────┐
//!          │ mask u32 │ value for each bit … │   bit n is set where place n is not the type's default
//!          └──────────┴─────────────────────┘
//! ```
//! For `#[serde(with = "crate::sparse")]`. A minute of a series has some thirty counts, and two or three of them are not 0.

use std::fmt;
use std::marker::PhantomData;

use serde::de::{Error, SeqAccess, Visitor};
use serde::ser::SerializeTuple as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

pub(crate) fn serialize<T, S, const N: usize>(array: &[T; N], serializer: S) -> Result<S::Ok, S::Error>
where
    T: Serialize + Default + PartialEq,
    S: Serializer,
{
    const { assert!(N <= 32, "the mask has 32 bits") };
    let nothing = T::default();
    let mask = array.iter().rev().fold(0_u32, |mask, value| mask << 1 | u32::from(*value != nothing));
    let mut tuple = serializer.serialize_tuple(1 + mask.count_ones() as usize)?;
    tuple.serialize_element(&mask)?;
    for value in array.iter().filter(|value| **value != nothing) {
        tuple.serialize_element(value)?;
    }
    tuple.end()
}

pub(crate) fn deserialize<'de, T, D, const N: usize>(deserializer: D) -> Result<[T; N], D::Error>
where
    T: Deserialize<'de> + Default,
    D: Deserializer<'de>,
{
    // At most so many: a format that does not know where a tuple ends reads as many as are asked for.
    deserializer.deserialize_tuple(1 + N, Sparse(PhantomData))
}

struct Sparse<T, const N: usize>(PhantomData<T>);

impl<'de, T: Deserialize<'de> + Default, const N: usize> Visitor<'de> for Sparse<T, N> {
    type Value = [T; N];

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a mask of {N} bits and a value for each that is set")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<[T; N], A::Error> {
        let missing = || A::Error::custom("a value is missing");
        let mut mask: u32 = seq.next_element()?.ok_or_else(missing)?;
        if u64::from(mask) >> N != 0 {
            return Err(A::Error::custom("a value has no place"));
        }
        let mut array = std::array::from_fn(|_| T::default());
        for value in &mut array {
            if mask & 1 == 1 {
                *value = seq.next_element()?.ok_or_else(missing)?;
            }
            mask >>= 1;
        }
        Ok(array)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test stops where its helper finds nothing")]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct Row {
        before: u8,
        #[serde(with = "crate::sparse")]
        counts: [u64; 32],
        #[serde(with = "crate::sparse")]
        words: [String; 3],
        behind: u8,
    }

    proptest! {
        #[test]
        fn what_was_written_is_read(
            counts in prop::array::uniform32(prop_oneof![Just(0), any::<u64>()]), words in prop::array::uniform3("a{0,2}"),
        ) {
            let row = Row { before: 1, counts, words, behind: 2 };
            let mut bytes = Vec::new();
            state::codec::encode_into(&mut bytes, &row).unwrap();
            prop_assert_eq!(&state::codec::decode::<Row>(&bytes).unwrap(), &row);
            prop_assert_eq!(serde_json::from_str::<Row>(&serde_json::to_string(&row).unwrap()).unwrap(), row);
        }
    }

    #[test]
    fn a_place_that_there_is_not_is_refused() {
        let read = |json: &str| {
            #[derive(Debug, Deserialize)]
            struct Two(#[serde(with = "crate::sparse")] [u64; 2]);
            serde_json::from_str::<Two>(json).map(|Two(counts)| counts)
        };
        assert_eq!(read("[2,7]").unwrap(), [0, 7]);
        assert!(read("[4,7]").is_err() && read("[3,7]").is_err() && read("[]").is_err());
    }
}
