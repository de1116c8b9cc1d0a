//! Values as bytes: one format byte, then the value.
//!
//! ```text
//!   ┌────────┬──────────────────────────────────────────────┐
//!   │ format │ value                                        │
//!   │ u8 = 1 │ bincode 2, standard configuration (varints)  │
//!   └────────┴──────────────────────────────────────────────┘
//! ```
//!
//! Not here: keys, which must sort and have encodings of their own ([`crate::keys`]). The order of a
//! type's fields is its schema: a changed type is a changed store fingerprint ([`crate::format`]).
//! Invariant: a format byte once given out is never used for anything else.

use bincode::config::{Configuration, Limit, LittleEndian, Varint};
use bincode::enc::write::Writer;
use bincode::error::EncodeError;
use serde::Serialize;
use serde::de::DeserializeOwned;

/// The largest value that is read, in bytes: what a damaged length may make us allocate at most.
pub const VALUE_BYTES_MAX: usize = 16 << 20;

const BINCODE_2: u8 = 1;

const CONFIG: Configuration<LittleEndian, Varint, Limit<VALUE_BYTES_MAX>> =
    bincode::config::standard().with_limit::<VALUE_BYTES_MAX>();

/// A value that cannot be written as bytes or read from them.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CodecError {
    /// There is not even a format byte.
    #[error("stored value is empty; the store is damaged or holds something else")]
    Empty,
    /// The format byte is none that this program knows.
    #[error(
        "stored value has format {0}, this program knows format {BINCODE_2}; use the program that wrote it, or rebuild the store"
    )]
    UnknownFormat(u8),
    /// The bytes are not a value of the wanted type.
    #[error("stored value is not a {wanted}: {detail}")]
    Malformed {
        /// The Rust type that was to be read.
        wanted: &'static str,
        /// What bincode found.
        detail: String,
    },
    /// The value ends before the bytes do.
    #[error("stored value is not a {wanted}: {surplus} bytes too many")]
    Surplus {
        /// The Rust type that was to be read.
        wanted: &'static str,
        /// The number of bytes behind the value.
        surplus: usize,
    },
    /// The type cannot be written, such as a sequence of unknown length.
    #[error("a {0} cannot be encoded: {1}")]
    Unencodable(&'static str, String),
}

/// Appends `value` to `out`.
pub fn encode_into<T: Serialize + ?Sized>(out: &mut Vec<u8>, value: &T) -> Result<(), CodecError> {
    let start = out.len();
    out.push(BINCODE_2);
    bincode::serde::encode_into_writer(value, Appending(out), CONFIG).map_err(|error| {
        out.truncate(start);
        CodecError::Unencodable(std::any::type_name::<T>(), error.to_string())
    })?;
    // What cannot be read again must not be written.
    let bytes = out.len() - start;
    if bytes > VALUE_BYTES_MAX {
        out.truncate(start);
        let detail = format!("it takes {bytes} bytes, and a stored value has at most {VALUE_BYTES_MAX}");
        return Err(CodecError::Unencodable(std::any::type_name::<T>(), detail));
    }
    Ok(())
}

/// Reads the value that `bytes` hold, all of them.
pub fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, CodecError> {
    let wanted = std::any::type_name::<T>();
    let (format, body) = bytes.split_first().ok_or(CodecError::Empty)?;
    if *format != BINCODE_2 {
        return Err(CodecError::UnknownFormat(*format));
    }
    let (value, used) = bincode::serde::borrow_decode_from_slice(body, CONFIG)
        .map_err(|error| CodecError::Malformed { wanted, detail: error.to_string() })?;
    match body.len() - used {
        0 => Ok(value),
        surplus => Err(CodecError::Surplus { wanted, surplus }),
    }
}

/// bincode's own writers want a slice of known length or go through `std::io`.
struct Appending<'a>(&'a mut Vec<u8>);

impl Writer for Appending<'_> {
    fn write(&mut self, bytes: &[u8]) -> Result<(), EncodeError> {
        self.0.extend_from_slice(bytes);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde::{Deserialize, Serialize};

    use super::*;

    #[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
    struct Pulse {
        trips: u64,
        delta: i64,
        city: String,
        score: f64,
        shares: Vec<Option<u32>>,
    }

    #[test]
    fn a_value_that_could_not_be_read_again_is_not_written() {
        let mut bytes = b"before".to_vec();
        let error = encode_into(&mut bytes, &"x".repeat(VALUE_BYTES_MAX)).unwrap_err().to_string();
        assert!(error.contains("at most 16777216"), "{error}");
        assert_eq!(bytes, b"before");
        let most = "x".repeat(VALUE_BYTES_MAX - 10);
        encode_into(&mut bytes, &most).unwrap();
        assert_eq!(decode::<String>(&bytes[6..]).unwrap(), most);
    }

    proptest! {
        #[test]
        fn what_was_written_is_read(
            trips in any::<u64>(), delta in any::<i64>(), city in ".{0,20}", score in -1e9..1e9,
            shares in proptest::collection::vec(any::<Option<u32>>(), 0..5), before in any::<[u8; 3]>(),
        ) {
            let pulse = Pulse { trips, delta, city, score, shares };
            let mut bytes = before.to_vec();
            encode_into(&mut bytes, &pulse).unwrap();
            prop_assert_eq!(&bytes[..3], before);
            prop_assert_eq!(decode::<Pulse>(&bytes[3..]).unwrap(), pulse);
            // Nothing shorter or longer is taken for it.
            for cut in 3..bytes.len() {
                prop_assert!(decode::<Pulse>(&bytes[3..cut]).is_err());
            }
            bytes.push(0);
            let surplus = matches!(decode::<Pulse>(&bytes[3..]), Err(CodecError::Surplus { surplus: 1, .. }));
            prop_assert!(surplus);
        }

        #[test]
        fn any_bytes_are_a_value_or_an_error(bytes in proptest::collection::vec(any::<u8>(), 0..64)) {
            if let Ok(pulse) = decode::<Pulse>(&bytes) {
                encode_into(&mut Vec::new(), &pulse).unwrap();
            }
        }
    }

    #[test]
    fn golden_bytes() {
        let mut bytes = Vec::new();
        let pulse = Pulse { trips: 300, delta: -2, city: "Évora".into(), score: 0.5, shares: vec![None, Some(7)] };
        encode_into(&mut bytes, &pulse).unwrap();
        let body =
            [&[0xFB, 0x2C, 0x01, 3, 6][..], "Évora".as_bytes(), &[0, 0, 0, 0, 0, 0, 0xE0, 0x3F, 2, 0, 1, 7]].concat();
        assert_eq!(bytes, [&[1][..], &body].concat());
        assert_eq!(decode::<u8>(&[2, 0]), Err(CodecError::UnknownFormat(2)));
        assert_eq!(decode::<u8>(&[]), Err(CodecError::Empty));
    }

    #[test]
    fn a_damaged_length_does_not_allocate_without_bound() {
        let mut bytes = vec![BINCODE_2, 0xFD];
        bytes.extend_from_slice(&u64::MAX.to_le_bytes());
        assert!(matches!(decode::<Vec<u64>>(&bytes), Err(CodecError::Malformed { .. })));
    }
}
