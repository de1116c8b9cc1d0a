//! Signed times as eight bytes that sort like the times.
//!
//! Not here: which time it is. Invariant: big endian with the sign bit flipped, so that times before
//! 1970 come first.

use super::KeyError;

pub(super) const TIME_BYTES: usize = 8;

const SIGN: u64 = 1 << 63;

pub(super) fn encode(time: i64) -> [u8; TIME_BYTES] {
    (time.cast_unsigned() ^ SIGN).to_be_bytes()
}

/// Takes a time from the front of `bytes`.
pub(super) fn take(bytes: &mut &[u8], what: &'static str) -> Result<i64, KeyError> {
    let (time, rest) = bytes.split_first_chunk::<TIME_BYTES>().ok_or(KeyError::Short { what })?;
    *bytes = rest;
    Ok((u64::from_be_bytes(*time) ^ SIGN).cast_signed())
}
