//! Numbers and lengths in bundles, in as few bytes as they need: there are some of them for each few bytes of an
//! aggregate.
//!
//! Not here: what is in a bundle ([`super`]). Invariant: what is read is what was written; bytes that end too soon are
//! told.
//!
//! ```text
//! number   base 128, the lowest digit first, each but the last with 0x80; signed ones by zigzag: 0, -1, 1, -2 ...
//! part     its length, a number; its bytes
//! ```

pub(super) use crate::varint::{push_varint as put_number, take_varint as take_number};
use crate::varint::{unzigzag, zigzag};

/// Appends a number that may be below 0.
pub(super) fn put_signed(into: &mut Vec<u8>, number: i64) {
    put_number(into, zigzag(number));
}

/// Takes one off.
pub(super) fn take_signed(from: &mut &[u8]) -> Option<i64> {
    take_number(from).map(unzigzag)
}

/// Appends a part.
pub(super) fn put(into: &mut Vec<u8>, part: &[u8]) {
    put_number(into, part.len() as u64);
    into.extend_from_slice(part);
}

/// Takes a part off.
pub(super) fn take<'a>(from: &mut &'a [u8]) -> Option<&'a [u8]> {
    let length = usize::try_from(take_number(from)?).ok()?;
    let (part, rest) = from.split_at_checked(length)?;
    *from = rest;
    Some(part)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn what_was_written_is_read_and_nothing_shorter(number: u64, signed: i64, part: Vec<u8>) {
            let mut bytes = Vec::new();
            put_number(&mut bytes, number);
            put_signed(&mut bytes, signed);
            put(&mut bytes, &part);
            let read = |mut bytes: &[u8]| {
                let from = &mut bytes;
                let read = (take_number(from)?, take_signed(from)?, take(from)?.to_vec());
                from.is_empty().then_some(read)
            };
            prop_assert_eq!(read(&bytes), Some((number, signed, part)));
            for cut in 0..bytes.len() {
                prop_assert_eq!(read(&bytes[..cut]), None);
            }
        }
    }

    #[test]
    fn the_layout_never_changes() {
        let mut bytes = Vec::new();
        [0, 127, 128, 300].into_iter().for_each(|number| put_number(&mut bytes, number));
        [-1, 1, -64, i64::MIN].into_iter().for_each(|number| put_signed(&mut bytes, number));
        put(&mut bytes, b"ab");
        let least = [0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1];
        assert_eq!(bytes, [&[0, 127, 0x80, 1, 0xac, 2, 1, 2, 127][..], &least, &[2, b'a', b'b']].concat());
    }
}
