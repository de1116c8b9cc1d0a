//! A field of an event: what a JSON value can become.
//!
//! Not here: where in an event the value stands ([`crate::mapping`]). Invariant: a value of the wrong type is kept as
//! [`Field::Wrong`] and judged by whoever needs the field, so that the verdict names the field and never quotes its
//! value.

use crate::poison::{Poison, PoisonReason};
use crate::token::Token;

/// What an event holds for one of its fields.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub enum Field<T> {
    /// Nothing, or null.
    #[default]
    Absent,
    /// Something that the field cannot hold; the words say what, for the verdict.
    Wrong(&'static str),
    /// A list with an item that cannot be one of its items.
    WrongItem {
        /// Which, from 0.
        at: usize,
        /// What it is; `None` where there is nothing.
        found: Option<&'static str>,
    },
    /// A value.
    Given(T),
}

impl<T> Field<T> {
    /// The same of what `change` makes of the value.
    fn map<U>(self, change: impl FnOnce(T) -> U) -> Field<U> {
        match self {
            Self::Absent => Field::Absent,
            Self::Given(value) => Field::Given(change(value)),
            Self::Wrong(found) => Field::Wrong(found),
            Self::WrongItem { at, found } => Field::WrongItem { at, found },
        }
    }

    /// The value, or `None` where there is none.
    ///
    /// # Errors
    /// [`PoisonReason::WrongValue`] for a value that the field cannot hold.
    pub fn optional(self, name: &str) -> Result<Option<T>, Poison> {
        match self {
            Self::Absent => Ok(None),
            Self::Given(value) => Ok(Some(value)),
            Self::Wrong(found) => Err(wrong(PoisonReason::WrongValue, name, found)),
            Self::WrongItem { at, found } => Err(wrong_item(PoisonReason::WrongValue, name, at, found)),
        }
    }

    /// The value.
    ///
    /// # Errors
    /// [`PoisonReason::MissingField`] where there is none, [`PoisonReason::WrongValue`] for one that
    /// the field cannot hold.
    pub fn required(self, name: &str) -> Result<T, Poison> {
        self.required_or(name, PoisonReason::WrongValue)
    }

    /// As [`Self::required`], with another reason for a value that the field cannot hold.
    ///
    /// # Errors
    /// [`PoisonReason::MissingField`] or `reason`.
    pub fn required_or(self, name: &str, reason: PoisonReason) -> Result<T, Poison> {
        match self {
            Self::Given(value) => Ok(value),
            Self::Absent => Err(Poison::new(PoisonReason::MissingField, format!("`{name}` is missing"))),
            Self::Wrong(found) => Err(wrong(reason, name, found)),
            Self::WrongItem { at, found } => Err(wrong_item(reason, name, at, found)),
        }
    }
}

#[cold]
fn wrong(reason: PoisonReason, name: &str, found: &str) -> Poison {
    Poison::new(reason, format!("`{name}` cannot be {found}"))
}

#[cold]
fn wrong_item(reason: PoisonReason, name: &str, at: usize, found: Option<&str>) -> Poison {
    let which = format!("item {at} of `{name}`, counted from 0,");
    match found {
        Some(found) => Poison::new(reason, format!("{which} cannot be {found}")),
        None => Poison::new(PoisonReason::MissingField, format!("{which} is missing")),
    }
}

/// What a field holds, for those who write mappings and schemas.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Text; beyond 1 024 bytes it is cut.
    Text,
    /// An identifier: text that is not empty, or a whole number, which stands for its digits.
    Id,
    /// A whole number from 0 to 4 294 967 295.
    Count,
    /// A whole number from 0 to 2^63 - 1.
    Whole,
    /// A finite number, or text of one.
    Number,
    /// A duration in milliseconds, from 0 on; rounded to whole ones.
    Millis,
    /// An amount of money: a decimal number, exactly as it is written, or text of one.
    Amount,
    /// True or false.
    Flag,
    /// When something happened.
    Time,
    /// Degrees, or text of them.
    Degrees,
    /// At most [`LIST_MAX`] identifiers.
    Ids,
    /// At most [`LIST_MAX`] finite numbers.
    Numbers,
    /// An object, of which other fields are parts.
    Object,
}

/// How many items of a list are taken; an event with more of them is poison.
pub const LIST_MAX: usize = 256;

impl Kind {
    /// What the field takes, in words.
    pub fn wants(self) -> &'static str {
        match self {
            Self::Text => "text",
            Self::Id => "an identifier",
            Self::Count | Self::Whole => "a whole number",
            Self::Number => "a number",
            Self::Millis => "a duration",
            Self::Amount => "an amount of money",
            Self::Flag => "true or false",
            Self::Time => "a time",
            Self::Degrees => "degrees",
            Self::Ids => "a list of identifiers",
            Self::Numbers => "a list of numbers",
            Self::Object => "an object",
        }
    }

    /// Whether it is a list.
    pub fn is_list(self) -> bool {
        matches!(self, Self::Ids | Self::Numbers)
    }
}

/// A type that one JSON value can become. Each method answers for one kind of value; by default a kind is wrong.
pub trait Scalar<'de>: Sized {
    /// What it is.
    const KIND: Kind;

    /// From a string that stands in the record as it is.
    fn from_borrowed(text: &'de str) -> Field<Self> {
        Self::from_text(text)
    }
    /// From a string that had escapes, and so had to be copied.
    fn from_text(_text: &str) -> Field<Self> {
        Field::Wrong("a string")
    }
    /// From a number without sign, point or exponent.
    fn from_unsigned(_number: u64) -> Field<Self> {
        Field::Wrong("a number")
    }
    /// From a number with a sign.
    fn from_signed(_number: i64) -> Field<Self> {
        Field::Wrong("a number")
    }
    /// From a number with a point or an exponent, or too large for 64 bits.
    fn from_float(_number: f64) -> Field<Self> {
        Field::Wrong("a number")
    }
    /// From a number as it is written.
    fn from_decimal(_digits: &'de str) -> Field<Self> {
        Field::Wrong("a number")
    }
    /// From true or false.
    fn from_flag(_flag: bool) -> Field<Self> {
        Field::Wrong("a boolean")
    }
    /// From milliseconds since 1970 that a mapping's format has read.
    fn from_moment(_ms: i64) -> Field<Self> {
        Field::Wrong("a time")
    }
    /// From the items of an array.
    fn from_list(_items: Vec<Token<'de>>) -> Field<Self> {
        Field::Wrong("an array")
    }
}

impl<'de, T: Scalar<'de>> Field<T> {
    /// What the field makes of a value.
    pub fn of(token: Token<'de>) -> Self {
        match token {
            Token::Absent => Self::Absent,
            Token::Borrowed(text) => T::from_borrowed(text),
            Token::Copied(text) => T::from_text(&text),
            Token::Unsigned(number) => T::from_unsigned(number),
            Token::Signed(number) => T::from_signed(number),
            Token::Float(number) => T::from_float(number),
            Token::Decimal(digits) => T::from_decimal(digits),
            Token::Flag(flag) => T::from_flag(flag),
            Token::Moment(ms) => T::from_moment(ms),
            Token::List(items) => T::from_list(items),
            Token::Array => Self::Wrong("an array"),
            Token::Object => Self::Wrong("an object"),
            Token::Wrong(found) => Self::Wrong(found),
        }
    }
}

/// A list of scalars, at most [`LIST_MAX`], none of which may be missing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct List<T>(pub Vec<T>);

impl<T> Default for List<T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<T> List<T> {
    /// Its items.
    pub fn iter(&self) -> std::slice::Iter<'_, T> {
        self.0.iter()
    }
}

impl<'de, T: Listed<'de>> Scalar<'de> for List<T> {
    const KIND: Kind = T::LIST;

    fn from_list(items: Vec<Token<'de>>) -> Field<Self> {
        listed(items, given).map(Self)
    }
}

/// A list of scalars, at most [`LIST_MAX`], where an item may have none: what it is then is told by its place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Gaps<T>(pub Vec<Option<T>>);

impl<T> Default for Gaps<T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<T> Gaps<T> {
    /// Those that there are, in their order.
    pub fn given(self) -> List<T> {
        List(self.0.into_iter().flatten().collect())
    }
}

impl<'de, T: Listed<'de>> Scalar<'de> for Gaps<T> {
    const KIND: Kind = T::LIST;

    fn from_list(items: Vec<Token<'de>>) -> Field<Self> {
        listed(items, |item| match item {
            Field::Absent => Ok(None),
            item => given(item).map(Some),
        })
        .map(Self)
    }
}

/// An item's value, or what it is instead.
fn given<T>(item: Field<T>) -> Result<T, Option<&'static str>> {
    match item {
        Field::Given(item) => Ok(item),
        Field::Absent => Err(None),
        Field::Wrong(found) => Err(Some(found)),
        Field::WrongItem { .. } => Err(Some("an array")),
    }
}

fn listed<'de, T: Listed<'de>, I>(
    items: Vec<Token<'de>>,
    each: impl Fn(Field<T>) -> Result<I, Option<&'static str>>,
) -> Field<Vec<I>> {
    if items.len() > LIST_MAX {
        return Field::Wrong("a list of more than 256 items");
    }
    // None of the items has what the field is made of: the array is another field's.
    if !items.is_empty() && items.iter().all(|item| *item == Token::Absent) {
        return Field::Absent;
    }
    let mut list = Vec::with_capacity(items.len());
    for (at, item) in items.into_iter().enumerate() {
        match each(Field::of(item)) {
            Ok(item) => list.push(item),
            Err(found) => return Field::WrongItem { at, found },
        }
    }
    Field::Given(list)
}

/// A scalar that comes in lists.
pub trait Listed<'de>: Scalar<'de> {
    /// What a list of it is.
    const LIST: Kind;
}
