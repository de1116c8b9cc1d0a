//! The user's key as bytes, alone or as a part of a longer key.
//!
//! ```text
//!   ()               nothing
//!   bool             00 or 01
//!   u8 … u128        big endian
//!   i8 … i128        big endian, sign bit flipped
//!   text, bytes      alone or last: as they are
//!                    before another part: 00 becomes 00 FF, and 00 00 ends it
//!   (A, B), (A, B, C)  each part but the last in the form that tells its own end
//! ```
//!
//! Not here: floating point numbers, which are no keys: they have no total order.
//! Invariant: for any two keys of one type, the order of their bytes is [`Ord`]'s, in both forms, so a
//! shorter text sorts before a longer one that it begins.

use std::hash::Hash;

use compact_str::CompactString;

use super::KeyError;

/// A key of a keyed stream, which the state can keep in order.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is no key",
    label = "a stream needs a key here",
    note = "`key_by` names the key of an `Unkeyed` stream; keys are integers, booleans, text, bytes and tuples of them; \
            floating point numbers have no total order"
)]
pub trait StateKey: Clone + Eq + Ord + Hash + Send + 'static {
    /// Appends the key's bytes to `out`. For any two keys, the order of the bytes must be [`Ord`]'s.
    fn encode(&self, out: &mut Vec<u8>);

    /// Reads what [`Self::encode`] wrote, all of it.
    fn decode(bytes: &[u8]) -> Result<Self, KeyError>;

    /// Appends the key in a form that tells its own end, for a place before other parts.
    fn encode_part(&self, out: &mut Vec<u8>) {
        let begin = out.len();
        self.encode(out);
        escape_from(out, begin);
    }

    /// Takes what [`Self::encode_part`] wrote from the front of `bytes`.
    fn decode_part(bytes: &mut &[u8]) -> Result<Self, KeyError> {
        Self::decode(&take_escaped(bytes, std::any::type_name::<Self>())?)
    }
}

/// Appends `bytes` so that their end can be told and their order stays.
pub(super) fn escape(out: &mut Vec<u8>, bytes: &[u8]) {
    out.reserve(bytes.len() + 2);
    for byte in bytes {
        out.push(*byte);
        if *byte == 0 {
            out.push(0xFF);
        }
    }
    out.extend_from_slice(&[0, 0]);
}

/// Does with the bytes of `out` from `begin` on what [`escape`] would: in their place, since keys of several parts are made
/// for every row that is looked for.
fn escape_from(out: &mut Vec<u8>, begin: usize) {
    let end = out.len();
    let zeros = out.iter().skip(begin).filter(|byte| **byte == 0).count();
    out.resize(end + zeros, 0);
    let (mut from, mut to) = (end, end + zeros);
    // From the end on, so that no byte is written over before it has moved; in front of the first zero all are in place.
    while from < to {
        from -= 1;
        let byte = out[from];
        if byte == 0 {
            to -= 1;
            out[to] = 0xFF;
        }
        to -= 1;
        out[to] = byte;
    }
    out.extend_from_slice(&[0, 0]);
}

/// Takes what [`escape`] wrote from the front of `bytes`.
pub(super) fn take_escaped(bytes: &mut &[u8], what: &'static str) -> Result<Vec<u8>, KeyError> {
    let mut whole = Vec::new();
    let mut rest = *bytes;
    loop {
        let zero = rest.iter().position(|byte| *byte == 0).ok_or(KeyError::Short { what })?;
        let (plain, from_zero) = rest.split_at(zero);
        whole.extend_from_slice(plain);
        match from_zero {
            [_, 0xFF, after @ ..] => {
                whole.push(0);
                rest = after;
            }
            [_, 0, after @ ..] => {
                *bytes = after;
                return Ok(whole);
            }
            [_, other, ..] => {
                return Err(KeyError::Malformed { what, detail: format!("byte {other} follows a zero") });
            }
            _ => return Err(KeyError::Short { what }),
        }
    }
}

/// Reads a key that has a form of known length through [`StateKey::decode_part`].
fn whole<K: StateKey>(mut bytes: &[u8]) -> Result<K, KeyError> {
    let key = K::decode_part(&mut bytes)?;
    if bytes.is_empty() { Ok(key) } else { Err(KeyError::Surplus { what: std::any::type_name::<K>() }) }
}

impl StateKey for () {
    fn encode(&self, _out: &mut Vec<u8>) {}

    fn decode(bytes: &[u8]) -> Result<Self, KeyError> {
        whole(bytes)
    }

    fn encode_part(&self, _out: &mut Vec<u8>) {}

    fn decode_part(_bytes: &mut &[u8]) -> Result<Self, KeyError> {
        Ok(())
    }
}

impl StateKey for bool {
    fn encode(&self, out: &mut Vec<u8>) {
        out.push(u8::from(*self));
    }

    fn decode(bytes: &[u8]) -> Result<Self, KeyError> {
        whole(bytes)
    }

    fn encode_part(&self, out: &mut Vec<u8>) {
        self.encode(out);
    }

    fn decode_part(bytes: &mut &[u8]) -> Result<Self, KeyError> {
        match u8::decode_part(bytes)? {
            0 => Ok(false),
            1 => Ok(true),
            other => Err(KeyError::Malformed { what: "bool", detail: format!("found {other}") }),
        }
    }
}

macro_rules! integer_keys {
    ($($integer:ty => $flip:expr),* $(,)?) => {$(
        impl StateKey for $integer {
            fn encode(&self, out: &mut Vec<u8>) {
                out.extend_from_slice(&(*self ^ $flip).to_be_bytes());
            }

            fn decode(bytes: &[u8]) -> Result<Self, KeyError> {
                whole(bytes)
            }

            fn encode_part(&self, out: &mut Vec<u8>) {
                self.encode(out);
            }

            fn decode_part(bytes: &mut &[u8]) -> Result<Self, KeyError> {
                let what = stringify!($integer);
                let (number, rest) = bytes.split_first_chunk().ok_or(KeyError::Short { what })?;
                *bytes = rest;
                Ok(<$integer>::from_be_bytes(*number) ^ $flip)
            }
        }
    )*};
}

integer_keys! {
    u8 => 0, u16 => 0, u32 => 0, u64 => 0, u128 => 0,
    i8 => i8::MIN, i16 => i16::MIN, i32 => i32::MIN, i64 => i64::MIN, i128 => i128::MIN,
}

fn text(bytes: &[u8]) -> Result<&str, KeyError> {
    std::str::from_utf8(bytes).map_err(|error| KeyError::Malformed { what: "text", detail: error.to_string() })
}

impl StateKey for String {
    fn encode(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(self.as_bytes());
    }

    fn decode(bytes: &[u8]) -> Result<Self, KeyError> {
        text(bytes).map(Self::from)
    }

    fn encode_part(&self, out: &mut Vec<u8>) {
        escape(out, self.as_bytes());
    }
}

impl StateKey for CompactString {
    fn encode(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(self.as_bytes());
    }

    fn decode(bytes: &[u8]) -> Result<Self, KeyError> {
        text(bytes).map(Self::from)
    }

    fn encode_part(&self, out: &mut Vec<u8>) {
        escape(out, self.as_bytes());
    }
}

impl StateKey for Vec<u8> {
    fn encode(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(self);
    }

    fn decode(bytes: &[u8]) -> Result<Self, KeyError> {
        Ok(bytes.to_vec())
    }

    fn encode_part(&self, out: &mut Vec<u8>) {
        escape(out, self);
    }
}

impl<A: StateKey, B: StateKey> StateKey for (A, B) {
    fn encode(&self, out: &mut Vec<u8>) {
        self.0.encode_part(out);
        self.1.encode(out);
    }

    fn decode(mut bytes: &[u8]) -> Result<Self, KeyError> {
        Ok((A::decode_part(&mut bytes)?, B::decode(bytes)?))
    }

    fn encode_part(&self, out: &mut Vec<u8>) {
        self.0.encode_part(out);
        self.1.encode_part(out);
    }

    fn decode_part(bytes: &mut &[u8]) -> Result<Self, KeyError> {
        Ok((A::decode_part(bytes)?, B::decode_part(bytes)?))
    }
}

impl<A: StateKey, B: StateKey, C: StateKey> StateKey for (A, B, C) {
    fn encode(&self, out: &mut Vec<u8>) {
        self.0.encode_part(out);
        self.1.encode_part(out);
        self.2.encode(out);
    }

    fn decode(mut bytes: &[u8]) -> Result<Self, KeyError> {
        Ok((A::decode_part(&mut bytes)?, B::decode_part(&mut bytes)?, C::decode(bytes)?))
    }

    fn encode_part(&self, out: &mut Vec<u8>) {
        self.0.encode_part(out);
        self.1.encode_part(out);
        self.2.encode_part(out);
    }

    fn decode_part(bytes: &mut &[u8]) -> Result<Self, KeyError> {
        Ok((A::decode_part(bytes)?, B::decode_part(bytes)?, C::decode_part(bytes)?))
    }
}

#[cfg(test)]
mod tests {
    use std::fmt::Debug;

    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    fn bytes<K: StateKey>(key: &K) -> Vec<u8> {
        let mut out = Vec::new();
        key.encode(&mut out);
        out
    }

    fn part<K: StateKey>(key: &K) -> Vec<u8> {
        let mut out = Vec::new();
        key.encode_part(&mut out);
        out
    }

    /// Round trip and order of both forms, and the part's end with anything behind it.
    fn check<K: StateKey + Debug>(a: &K, b: &K, behind: &[u8]) {
        assert_eq!(&K::decode(&bytes(a)).unwrap(), a);
        assert_eq!(bytes(a).cmp(&bytes(b)), a.cmp(b), "{a:?} {b:?}");
        let with_more = [&part(a), behind].concat();
        let mut rest = with_more.as_slice();
        assert_eq!(&K::decode_part(&mut rest).unwrap(), a);
        assert_eq!(rest, behind);
        if a != b {
            assert_eq!([&part(a)[..], &[255]].concat().cmp(&[&part(b)[..], &[0]].concat()), a.cmp(b), "{a:?} {b:?}");
        }
    }

    /// A key type of a user's own, which brings only the two methods that it must.
    #[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
    struct Route(u16, String);

    impl StateKey for Route {
        fn encode(&self, out: &mut Vec<u8>) {
            (self.0, self.1.clone()).encode(out);
        }

        fn decode(bytes: &[u8]) -> Result<Self, KeyError> {
            <(u16, String)>::decode(bytes).map(|(line, stop)| Self(line, stop))
        }
    }

    fn awkward_text() -> impl Strategy<Value = String> {
        vec(prop::sample::select(vec!['\0', '\u{1}', 'a', 'é', '\u{10FFFF}']), 0..4).prop_map(String::from_iter)
    }

    fn awkward_bytes() -> impl Strategy<Value = Vec<u8>> {
        vec(prop::sample::select(vec![0u8, 1, 254, 255]), 0..4)
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(1000))]

        #[test]
        fn numbers(a in any::<(i64, u64, i128, u128)>(), b in any::<(i64, u64, i128, u128)>(), behind in awkward_bytes()) {
            check(&a.0, &b.0, &behind);
            check(&a.1, &b.1, &behind);
            check(&a.2, &b.2, &behind);
            check(&a.3, &b.3, &behind);
            check(&(a.0 as i8, a.1 as u16), &(b.0 as i8, b.1 as u16), &behind);
            check(&(a.0 as i32, a.1 as u32, a.0 > 0), &(b.0 as i32, b.1 as u32, b.0 > 0), &behind);
            check(&(a.0 as i16, a.1 as u8), &(b.0 as i16, b.1 as u8), &behind);
        }

        #[test]
        fn texts_and_tuples(
            a in (awkward_text(), awkward_bytes(), -2i8..2, awkward_text()),
            b in (awkward_text(), awkward_bytes(), -2i8..2, awkward_text()),
            behind in awkward_bytes(),
        ) {
            check(&a.0, &b.0, &behind);
            check(&a.1, &b.1, &behind);
            check(&CompactString::from(&a.0), &CompactString::from(&b.0), &behind);
            check(&(a.0.clone(), a.1.clone()), &(b.0.clone(), b.1.clone()), &behind);
            check(&(a.0.clone(), a.2, a.3.clone()), &(b.0.clone(), b.2, b.3.clone()), &behind);
            check(&(((), a.0.clone()), (a.3.clone(), a.1.clone())), &(((), b.0.clone()), (b.3.clone(), b.1.clone())), &behind);
            check(&(Route(a.2 as u16, a.0), a.3), &(Route(b.2 as u16, b.0), b.3), &behind);
        }

        #[test]
        fn any_bytes_are_a_key_or_an_error(bytes in vec(any::<u8>(), 0..20)) {
            if let Ok(key) = <(String, i16, Vec<u8>)>::decode(&bytes) {
                let mut again = Vec::new();
                key.encode(&mut again);
                prop_assert_eq!(&again, &bytes);
            }
            if let Ok(key) = <(bool, u32)>::decode(&bytes) {
                prop_assert_eq!(super::tests::bytes(&key), bytes);
            }
        }
    }

    #[test]
    fn golden_bytes() {
        assert_eq!(bytes(&()), []);
        assert_eq!(bytes(&(true, -1i32, 2u16)), [1, 0x7F, 255, 255, 255, 0, 2]);
        assert_eq!(bytes(&("a\0".to_owned(), "b\0".to_owned())), [b'a', 0, 255, 0, 0, b'b', 0]);
        assert_eq!(bytes(&CompactString::from("Évora")), "Évora".as_bytes());
        assert_eq!(part(&"x".to_owned()), [b'x', 0, 0]);
    }
}
