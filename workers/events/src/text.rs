//! Short text of an event: borrowed from the record, and of bounded length.
//!
//! Not here: what the text means. Invariant: never longer than [`TEXT_BYTES_MAX`], cut at a
//! character, whether it was borrowed or copied, so that equal strings give equal texts.

use std::borrow::Cow;

use crate::field::{Field, Kind, Listed, Scalar};

/// The longest text kept of a field, in bytes; what is longer is cut.
pub const TEXT_BYTES_MAX: usize = 1_024;

/// The text of a field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Text<'a>(Cow<'a, str>);

impl<'a> Text<'a> {
    /// A text that is known to be short.
    pub(crate) fn borrowed(text: &'a str) -> Self {
        Self(Cow::Borrowed(text))
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl<'de> Scalar<'de> for Text<'de> {
    const KIND: Kind = Kind::Text;

    fn from_borrowed(text: &'de str) -> Field<Self> {
        Field::Given(Self(Cow::Borrowed(cut(text, TEXT_BYTES_MAX))))
    }
    fn from_text(text: &str) -> Field<Self> {
        Field::Given(Self(Cow::Owned(cut(text, TEXT_BYTES_MAX).to_owned())))
    }
}

/// The beginning of `text` of at most `max` bytes, cut at a character.
fn cut(text: &str, max: usize) -> &str {
    &text[..text.floor_char_boundary(max)]
}

/// An identifier that is kept as text, not empty. A whole number stands for its digits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IdText<'a>(Cow<'a, str>);

impl IdText<'_> {
    /// The identifier.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl<'de> Scalar<'de> for IdText<'de> {
    const KIND: Kind = Kind::Id;

    fn from_borrowed(text: &'de str) -> Field<Self> {
        if text.is_empty() {
            return Field::Absent;
        }
        Field::Given(Self(Cow::Borrowed(cut(text, TEXT_BYTES_MAX))))
    }
    fn from_text(text: &str) -> Field<Self> {
        if text.is_empty() {
            return Field::Absent;
        }
        Field::Given(Self(Cow::Owned(cut(text, TEXT_BYTES_MAX).to_owned())))
    }
    fn from_unsigned(number: u64) -> Field<Self> {
        Field::Given(Self(Cow::Owned(number.to_string())))
    }
    fn from_signed(number: i64) -> Field<Self> {
        Field::Given(Self(Cow::Owned(number.to_string())))
    }
    fn from_float(number: f64) -> Field<Self> {
        match whole(number) {
            Some(digits) => Field::Given(Self(Cow::Owned(digits))),
            None => Field::Wrong("a number that is not whole"),
        }
    }
}

impl<'a> From<IdText<'a>> for Text<'a> {
    fn from(id: IdText<'a>) -> Self {
        Self(id.0)
    }
}

impl<'de> Listed<'de> for IdText<'de> {
    const LIST: Kind = Kind::Ids;
}

/// The digits of a float that is a whole number of at most 64 bits: some tools turn every number into
/// a float on its way, and `42.0` is still user 42.
pub(crate) fn whole(number: f64) -> Option<String> {
    let bound = u64::MAX as f64;
    (number.fract() == 0.0 && number.abs() <= bound).then(|| (number as i128).to_string())
}

/// A whole number from 0 to 4 294 967 295, such as a number of results; `3.0` is one too.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Count(pub u32);

const NOT_A_COUNT: &str = "a number that is not whole or not from 0 to 4294967295";

impl<'de> Scalar<'de> for Count {
    const KIND: Kind = Kind::Count;

    fn from_unsigned(number: u64) -> Field<Self> {
        u32::try_from(number).map_or(Field::Wrong(NOT_A_COUNT), |n| Field::Given(Self(n)))
    }
    fn from_signed(_: i64) -> Field<Self> {
        Field::Wrong(NOT_A_COUNT)
    }
    fn from_float(number: f64) -> Field<Self> {
        if number.fract() == 0.0 && (0.0..=f64::from(u32::MAX)).contains(&number) {
            Field::Given(Self(number as u32))
        } else {
            Field::Wrong(NOT_A_COUNT)
        }
    }
}
