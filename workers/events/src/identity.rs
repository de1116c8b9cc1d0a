//! Identifiers as 64 bits: users, items and events are told apart, never shown.
//!
//! Invariant: the same identifier gives the same bits in every version, on every machine, because
//! the bits live in state and changelogs. Hence XXH3-64 (seed 0 for identifiers, 1 for sessions), a
//! frozen specification, over the UTF-8 bytes; a number stands for its decimal digits, so `42` and
//! `"42"` are one user. Two of a hundred million identifiers coincide with a chance of 1 in 3 700.

use std::num::NonZeroU64;

use serde::{Deserialize, Serialize};
use twox_hash::XxHash3_64;

use crate::poison::Poison;
use crate::text::whole;
use crate::wire::{Field, Scalar};

/// A session is not a user, even where their identifiers are spelt alike.
const SESSION_SEED: u64 = 1;

/// An identifier's 64 bits; never zero, so that an absent one costs no space.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct IdHash(NonZeroU64);

impl IdHash {
    /// The bits of the identifier `id`.
    pub fn of(id: &str) -> Self {
        Self::of_hash(XxHash3_64::oneshot(id.as_bytes()))
    }

    /// The bits that stand for the user of session `id` where the user is not known.
    pub fn of_session(id: &str) -> Self {
        Self::of_hash(XxHash3_64::oneshot_with_seed(SESSION_SEED, id.as_bytes()))
    }

    /// The bits.
    pub fn get(self) -> u64 {
        self.0.get()
    }

    /// The identifier that [`Self::get`] gave these bits of; `None` for 0, which none has.
    pub fn from_bits(bits: u64) -> Option<Self> {
        NonZeroU64::new(bits).map(Self)
    }

    fn of_hash(hash: u64) -> Self {
        Self(NonZeroU64::new(hash).unwrap_or(NonZeroU64::MIN))
    }
}

impl<'de> Scalar<'de> for IdHash {
    /// An empty identifier is none: applications send it for visitors who are not logged in.
    fn from_text(text: &str) -> Field<Self> {
        if text.is_empty() { Field::Absent } else { Field::Given(Self::of(text)) }
    }
    fn from_unsigned(number: u64) -> Field<Self> {
        Field::Given(Self::of(&number.to_string()))
    }
    fn from_signed(number: i64) -> Field<Self> {
        Field::Given(Self::of(&number.to_string()))
    }
    fn from_float(number: f64) -> Field<Self> {
        match whole(number) {
            Some(digits) => Field::Given(Self::of(&digits)),
            None => Field::Wrong("a number that is not whole"),
        }
    }
}

/// A session's identifier, standing for a user who is not known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SessionHash(pub IdHash);

impl<'de> Scalar<'de> for SessionHash {
    fn from_text(text: &str) -> Field<Self> {
        if text.is_empty() { Field::Absent } else { Field::Given(Self(IdHash::of_session(text))) }
    }
    fn from_unsigned(number: u64) -> Field<Self> {
        Field::Given(Self(IdHash::of_session(&number.to_string())))
    }
    fn from_signed(number: i64) -> Field<Self> {
        Field::Given(Self(IdHash::of_session(&number.to_string())))
    }
    fn from_float(number: f64) -> Field<Self> {
        match whole(number) {
            Some(digits) => Field::Given(Self(IdHash::of_session(&digits))),
            None => Field::Wrong("a number that is not whole"),
        }
    }
}

/// Who did it: the user, else the session in the user's place, else nobody known.
///
/// # Errors
/// [`PoisonReason::WrongValue`](crate::PoisonReason::WrongValue) for a user or session that is neither
/// text nor a whole number.
pub fn user(user: Field<IdHash>, session: Field<SessionHash>) -> Result<Option<IdHash>, Poison> {
    let session = session.optional("payload.session_id")?;
    Ok(user.optional("payload.user_id")?.or(session.map(|session| session.0)))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The bits are in stored state: values of the reference implementation, which must never change.
    #[test]
    fn bits_are_those_of_the_specification() {
        assert_eq!(IdHash::of("").get(), 0x2d06_8005_38d3_94c2);
        assert_eq!(IdHash::of("a").get(), 0xe6c6_32b6_1e96_4e1f);
        assert_eq!(IdHash::of("abc").get(), 0x78af_5f94_892f_3950);
    }

    #[test]
    fn a_session_is_not_the_user_of_the_same_name() {
        assert_ne!(IdHash::of("42"), IdHash::of_session("42"));
    }

    #[test]
    fn a_number_is_the_user_of_its_digits() {
        assert_eq!(<IdHash as Scalar>::from_unsigned(42), Field::Given(IdHash::of("42")));
        assert_eq!(<IdHash as Scalar>::from_signed(-7), Field::Given(IdHash::of("-7")));
    }
}
