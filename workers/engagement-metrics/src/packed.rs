//! Numbers, times and identifiers in as few bytes as they need: most of what the worker costs is what it writes of each
//! event.
//!
//! Not here: what is written ([`crate::minute`], [`crate::life`]). Invariant: reading gives what was written; bytes that
//! nobody wrote are an error.
//!
//! ```text
//! number   base 128, the lowest digit first; signed ones by zigzag: 0, -1, 1, -2 ...
//! time     the difference to the time before it in the same value, signed
//! span     signed minutes times two; one more where it is not in whole minutes, and the milliseconds beyond them
//! minute   a time as the span since the beginning of the minute of the time before it
//! event    8 bytes, little-endian
//! text     its length, its bytes
//! ```

use compact_str::CompactString;
use events::identity::IdHash;
use processing_core::prelude::{DurationMs, EventTime};
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serializer};
use smallvec::SmallVec;

use crate::calendar::MINUTE_MS;

/// A value that is written down in this way.
pub trait Packed: Sized {
    /// Writes it.
    fn write(&self, into: &mut Writer);
    /// Reads it; `None` of bytes that nobody wrote.
    fn read(from: &mut Reader<'_>) -> Option<Self>;
}

/// So many bits are in nine digits, which a `u64` holds.
const LOW_BITS: u32 = 63;

/// Nearly every value fits without an allocation.
type Bytes = SmallVec<[u8; 128]>;

/// Writes one value.
#[derive(Debug)]
pub struct Writer {
    bytes: Bytes,
    before: i64,
}

/// Reads one value.
#[derive(Debug)]
pub struct Reader<'b> {
    rest: &'b [u8],
    before: i64,
}

/// A packed value where serde wants one.
///
/// # Errors
/// The serializer's.
pub fn serialize<T: Packed, S: Serializer>(value: &T, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_bytes(&bytes_of(value))
}

/// Reads what [`serialize`] has written.
///
/// # Errors
/// Bytes that it has not.
pub fn deserialize<'de, T: Packed, D: Deserializer<'de>>(deserializer: D) -> Result<T, D::Error> {
    let value = read(<&[u8]>::deserialize(deserializer)?);
    value.ok_or_else(|| D::Error::custom(format_args!("no {} is packed like this", std::any::type_name::<T>())))
}

/// The bytes of a value.
pub(crate) fn bytes_of(value: &impl Packed) -> Bytes {
    let mut writer = Writer { bytes: Bytes::new(), before: 0 };
    value.write(&mut writer);
    writer.bytes
}

/// The value of all the bytes.
pub(crate) fn read<T: Packed>(bytes: &[u8]) -> Option<T> {
    let mut reader = Reader { rest: bytes, before: 0 };
    T::read(&mut reader).filter(|_| reader.is_at_end())
}

impl Writer {
    /// One byte.
    pub fn byte(&mut self, byte: u8) {
        self.bytes.push(byte);
    }

    /// A number from 0 on.
    pub fn number(&mut self, number: u64) {
        let mut number = number;
        while number >= 0x80 {
            self.bytes.push(number as u8 | 0x80);
            number >>= 7;
        }
        self.bytes.push(number as u8);
    }

    /// Any number.
    pub fn signed(&mut self, number: i128) {
        let mut number = ((number << 1) ^ (number >> 127)).cast_unsigned();
        // Nearly every number has 64 bits, with which processors are quicker.
        while number > u128::from(u64::MAX) {
            self.bytes.push(number as u8 | 0x80);
            number >>= 7;
        }
        self.number(number as u64);
    }

    /// A time; small where it lies near the one before.
    pub fn time(&mut self, time: EventTime) {
        let since = time.0.wrapping_sub(std::mem::replace(&mut self.before, time.0));
        self.number(zigzag(since));
    }

    /// A length of time that is one of whole minutes as a rule.
    pub fn span(&mut self, span: DurationMs) {
        let (minutes, beyond) = (span.0.div_euclid(MINUTE_MS), span.0.rem_euclid(MINUTE_MS));
        self.number((zigzag(minutes) << 1) | u64::from(beyond != 0));
        if beyond != 0 {
            self.number(beyond.cast_unsigned());
        }
    }

    /// A time that is the beginning of a minute as a rule.
    pub fn minute(&mut self, time: EventTime) {
        let before = std::mem::replace(&mut self.before, time.0);
        self.span(DurationMs(time.0.wrapping_sub(minute_of(before))));
    }

    /// An identifier's bits.
    pub fn id(&mut self, id: IdHash) {
        self.bytes.extend_from_slice(&id.get().to_le_bytes());
    }

    /// A text.
    pub fn text(&mut self, text: &str) {
        self.number(text.len() as u64);
        self.bytes.extend_from_slice(text.as_bytes());
    }
}

impl Reader<'_> {
    /// Whether all has been read.
    pub const fn is_at_end(&self) -> bool {
        self.rest.is_empty()
    }

    /// See [`Writer::byte`].
    pub fn byte(&mut self) -> Option<u8> {
        let (byte, rest) = self.rest.split_first()?;
        self.rest = rest;
        Some(*byte)
    }

    /// See [`Writer::number`].
    pub fn number(&mut self) -> Option<u64> {
        match self.low_digits()? {
            (number, false) => Some(number),
            // One bit is left.
            (number, true) => match self.byte()? {
                bit @ 0..=1 => Some(number | u64::from(bit) << LOW_BITS),
                _ => None,
            },
        }
    }

    /// The first digits, of which there is most often no more than one, and whether others follow.
    fn low_digits(&mut self) -> Option<(u64, bool)> {
        let mut number = 0_u64;
        for place in (0..LOW_BITS).step_by(7) {
            let byte = self.byte()?;
            number |= u64::from(byte & 0x7f) << place;
            if byte < 0x80 {
                return Some((number, false));
            }
        }
        Some((number, true))
    }

    /// See [`Writer::signed`].
    pub fn signed(&mut self) -> Option<i128> {
        let zigzag = self.wide()?;
        Some((zigzag >> 1).cast_signed() ^ -(zigzag & 1).cast_signed())
    }

    /// See [`Writer::time`].
    pub fn time(&mut self) -> Option<EventTime> {
        self.before = self.before.wrapping_add(unzigzag(self.number()?));
        Some(EventTime(self.before))
    }

    /// See [`Writer::span`].
    pub fn span(&mut self) -> Option<DurationMs> {
        let number = self.number()?;
        let beyond = match number & 1 {
            0 => 0,
            _ => i64::try_from(self.number()?).ok().filter(|beyond| (1..MINUTE_MS).contains(beyond))?,
        };
        // The minute before the least time there is begins beyond it.
        Some(DurationMs(unzigzag(number >> 1).wrapping_mul(MINUTE_MS).wrapping_add(beyond)))
    }

    /// See [`Writer::minute`].
    pub fn minute(&mut self) -> Option<EventTime> {
        self.before = minute_of(self.before).wrapping_add(self.span()?.0);
        Some(EventTime(self.before))
    }

    /// See [`Writer::id`].
    pub fn id(&mut self) -> Option<IdHash> {
        let (bits, rest) = self.rest.split_first_chunk()?;
        self.rest = rest;
        IdHash::from_bits(u64::from_le_bytes(*bits))
    }

    /// See [`Writer::text`].
    pub fn text(&mut self) -> Option<CompactString> {
        let length = usize::try_from(self.number()?).ok()?;
        let (text, rest) = self.rest.split_at_checked(length)?;
        self.rest = rest;
        CompactString::from_utf8(text).ok()
    }

    fn wide(&mut self) -> Option<u128> {
        let (low, mut more) = self.low_digits()?;
        let mut number = u128::from(low);
        let mut place = LOW_BITS;
        while more {
            let byte = self.byte()?;
            let digit = u128::from(byte & 0x7f);
            // Digits beyond the last bit are nobody's.
            if place >= u128::BITS || (digit << place) >> place != digit {
                return None;
            }
            number |= digit << place;
            place += 7;
            more = byte >= 0x80;
        }
        Some(number)
    }
}

fn zigzag(number: i64) -> u64 {
    ((number << 1) ^ (number >> 63)).cast_unsigned()
}

fn unzigzag(number: u64) -> i64 {
    (number >> 1).cast_signed() ^ -(number & 1).cast_signed()
}

/// The beginning of the minute in which a time lies.
fn minute_of(time: i64) -> i64 {
    time.wrapping_sub(time.rem_euclid(MINUTE_MS))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test stops where its helper finds nothing")]
mod tests {
    use proptest::prelude::*;

    use super::*;

    type Everything = (u8, Vec<u64>, Vec<i128>, Vec<i64>, Vec<i64>, u64, String);

    #[derive(Debug, Clone, PartialEq)]
    struct Any(Everything);

    impl Packed for Any {
        fn write(&self, into: &mut Writer) {
            let (byte, numbers, signed, times, minutes, id, text) = &self.0;
            into.byte(*byte);
            into.number(numbers.len() as u64);
            numbers.iter().for_each(|number| into.number(*number));
            into.number(signed.len() as u64);
            signed.iter().for_each(|number| into.signed(*number));
            into.number(times.len() as u64);
            times.iter().for_each(|time| into.time(EventTime(*time)));
            into.number(minutes.len() as u64);
            for minute in minutes {
                into.minute(EventTime(*minute));
                into.span(DurationMs(*minute));
            }
            into.id(IdHash::from_bits(*id).unwrap());
            into.text(text);
        }

        fn read(from: &mut Reader<'_>) -> Option<Self> {
            let byte = from.byte()?;
            let numbers = (0..from.number()?).map(|_| from.number()).collect::<Option<_>>()?;
            let signed = (0..from.number()?).map(|_| from.signed()).collect::<Option<_>>()?;
            let times = (0..from.number()?).map(|_| Some(from.time()?.0)).collect::<Option<_>>()?;
            let mut minutes = Vec::new();
            for _ in 0..from.number()? {
                let minute = from.minute()?.0;
                minutes.push((from.span()?.0 == minute).then_some(minute)?);
            }
            Some(Self((byte, numbers, signed, times, minutes, from.id()?.get(), from.text()?.into())))
        }
    }

    proptest! {
        #[test]
        fn what_was_written_is_read_and_nothing_shorter(
            byte: u8, numbers: Vec<u64>, signed: Vec<i128>, times: Vec<i64>, minutes: Vec<i64>, whole: Vec<i32>,
            id in 1..u64::MAX, text: String,
        ) {
            let minutes = minutes.into_iter().chain(whole.into_iter().map(|minute| i64::from(minute) * MINUTE_MS));
            let any = Any((byte, numbers, signed, times, minutes.collect(), id, text));
            let bytes = bytes_of(&any);
            prop_assert_eq!(read(&bytes), Some(any));
            for cut in 0..bytes.len() {
                prop_assert_eq!(read::<Any>(&bytes[..cut]), None);
            }
        }
    }

    #[test]
    fn the_layout_never_changes() {
        let any = Any((7, vec![300], vec![-2], vec![1_000, 999], vec![120_000, -1], 0x0102, "é".to_owned()));
        let minutes = &[2, 8, 8, 11, 0xdf, 0xd4, 3, 3, 0xdf, 0xd4, 3];
        let expected =
            [&[7, 1, 0xac, 2, 1, 3, 2, 0xd0, 0x0f, 1], &minutes[..], &[2, 1, 0, 0, 0, 0, 0, 0], &[2, 0xc3, 0xa9]]
                .concat();
        assert_eq!(*bytes_of(&any), *expected);
    }

    #[test]
    fn a_number_beyond_its_bits_is_nobodys() {
        let number = |bytes: &[u8]| Reader { rest: bytes, before: 0 }.number();
        assert_eq!(number(&[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1]), Some(u64::MAX));
        assert_eq!(number(&[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 2]), None);
        assert_eq!(Reader { rest: &[0xff; 40], before: 0 }.signed(), None);
    }
}
