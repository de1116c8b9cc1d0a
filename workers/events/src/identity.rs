//! Identifiers as 64 bits: users, items and events are told apart, never shown.
//!
//! Invariant: the same identifier gives the same bits in every version, on every machine, because
//! the bits live in state and changelogs. Hence XXH3-64, a frozen specification, over the UTF-8 bytes; a number stands
//! for its decimal digits, so `42` and `"42"` are one user. Two of a hundred million identifiers coincide with a chance
//! of 1 in 3 700.

use std::num::NonZeroU64;

use serde::{Deserialize, Serialize};
use twox_hash::XxHash3_64;

/// A session is not a user, even where their identifiers are spelt alike.
const SESSION: u64 = 1;

/// An identifier's 64 bits; never zero, so that an absent one costs no space.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct IdHash(NonZeroU64);

impl IdHash {
    /// The bits of the identifier `id`.
    pub fn of(id: &str) -> Self {
        Self::of_bytes(id.as_bytes())
    }

    /// The bits of an event that has no identifier but its bytes.
    pub fn of_bytes(bytes: &[u8]) -> Self {
        Self::of_hash(XxHash3_64::oneshot(bytes))
    }

    /// The bits of the user `id` of a tenant of an application.
    pub fn of_user(app: &str, tenant: &str, id: &str) -> Self {
        Self::of_hash(XxHash3_64::oneshot_with_seed(house(app, tenant), id.as_bytes()))
    }

    /// The bits that stand for the user of the session `id` where the user is not known.
    pub fn of_session(app: &str, tenant: &str, id: &str) -> Self {
        Self::of_hash(XxHash3_64::oneshot_with_seed(house(app, tenant) ^ SESSION, id.as_bytes()))
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

/// Within which users are told apart: two tenants may each have a user 42.
fn house(app: &str, tenant: &str) -> u64 {
    XxHash3_64::oneshot_with_seed(XxHash3_64::oneshot(app.as_bytes()), tenant.as_bytes())
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
    fn users_are_told_apart_by_application_tenant_and_name_and_from_sessions() {
        let all = [
            IdHash::of_user("a", "t", "42"),
            IdHash::of_user("b", "t", "42"),
            IdHash::of_user("a", "u", "42"),
            IdHash::of_user("a", "t", "43"),
            IdHash::of_session("a", "t", "42"),
        ];
        for (at, one) in all.iter().enumerate() {
            assert!(all[at + 1..].iter().all(|other| other != one), "{at}");
        }
    }
}
