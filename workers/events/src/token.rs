//! A JSON value, as it is taken out of a record before its field is known to hold it.
//!
//! Not here: what a value means ([`crate::field`]) and which values are taken ([`crate::mapping`]). Invariant: nothing is
//! rounded and nothing is quoted; text is borrowed from the record where it stands there as it is.

use std::borrow::Cow;

use serde::Deserialize as _;
use serde::de::{Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

/// A value.
#[derive(Clone, Debug, PartialEq, Default)]
pub enum Token<'de> {
    /// Nothing, or null.
    #[default]
    Absent,
    /// A string that stands in the record as it is.
    Borrowed(&'de str),
    /// A string that had escapes.
    Copied(String),
    /// A number without sign, point or exponent.
    Unsigned(u64),
    /// A number with a sign.
    Signed(i64),
    /// A number with a point or an exponent, or too large for 64 bits.
    Float(f64),
    /// A number as it is written.
    Decimal(&'de str),
    /// True or false.
    Flag(bool),
    /// Milliseconds since 1970.
    Moment(i64),
    /// The items of an array.
    List(Vec<Token<'de>>),
    /// An array of which nothing is taken.
    Array,
    /// An object of which only parts are taken, or nothing.
    Object,
    /// A value that a mapping's unit or format cannot read.
    Wrong(&'static str),
}

impl<'de> Token<'de> {
    /// The text of a string.
    pub fn text(&self) -> Option<&str> {
        match self {
            Self::Borrowed(text) => Some(text),
            Self::Copied(text) => Some(text),
            _ => None,
        }
    }

    /// Reads a number or a string with the number's digits as they are written.
    pub(crate) fn read_raw<D: Deserializer<'de>>(document: D) -> Result<Self, D::Error> {
        let raw = <&'de RawValue>::deserialize(document)?.get();
        Ok(match raw.as_bytes().first() {
            Some(b'"') => match serde_json::from_str::<BorrowedText<'de>>(raw) {
                Ok(BorrowedText(Cow::Borrowed(text))) => Self::Borrowed(text),
                Ok(BorrowedText(Cow::Owned(text))) => Self::Copied(text),
                Err(_) => Self::Wrong("a string that is none"),
            },
            Some(b'[') => Self::Array,
            Some(b'{') => Self::Object,
            Some(b'n') | None => Self::Absent,
            Some(b't') => Self::Flag(true),
            Some(b'f') => Self::Flag(false),
            Some(_) => Self::Decimal(raw),
        })
    }
}

#[derive(serde::Deserialize)]
struct BorrowedText<'a>(#[serde(borrow)] Cow<'a, str>);

/// Takes one scalar; arrays and objects are passed over.
pub(crate) struct ScalarVisitor;

impl<'de> Visitor<'de> for ScalarVisitor {
    type Value = Token<'de>;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("a value")
    }
    fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Token<'de>, E> {
        Ok(Token::Borrowed(text))
    }
    fn visit_str<E>(self, text: &str) -> Result<Token<'de>, E> {
        Ok(Token::Copied(text.to_owned()))
    }
    fn visit_u64<E>(self, number: u64) -> Result<Token<'de>, E> {
        Ok(Token::Unsigned(number))
    }
    fn visit_i64<E>(self, number: i64) -> Result<Token<'de>, E> {
        Ok(Token::Signed(number))
    }
    fn visit_f64<E>(self, number: f64) -> Result<Token<'de>, E> {
        Ok(Token::Float(number))
    }
    fn visit_unit<E>(self) -> Result<Token<'de>, E> {
        Ok(Token::Absent)
    }
    fn visit_bool<E>(self, flag: bool) -> Result<Token<'de>, E> {
        Ok(Token::Flag(flag))
    }
    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Token<'de>, A::Error> {
        while seq.next_element::<IgnoredAny>()?.is_some() {}
        Ok(Token::Array)
    }
    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Token<'de>, A::Error> {
        while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(Token::Object)
    }
}
