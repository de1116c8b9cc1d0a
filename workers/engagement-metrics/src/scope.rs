//! Whom things are counted for: an application's tenant, or all of an application; and who did them.
//!
//! Not here: how an event tells its application and tenant (`events`). Invariant: two scopes have two texts, and a
//! scope's bytes are readable: they are the keys of output records.
//!
//! ```text
//! ┌────────────────────────────────┬─────┬──────────────────────────────┐
//! │ application: % / are %25 %2F   │ '/' │ tenant alike, or * for all   │
//! └────────────────────────────────┴─────┴──────────────────────────────┘
//! ```

use compact_str::CompactString;
use events::identity::IdHash;
use events::path;
use processing_core::prelude::{KeyError, StateKey};
use serde::{Deserialize, Serialize};

/// Stands in the tenant's place where all tenants of an application are meant.
const ALL_TENANTS: &str = "*";

/// Stands there for a tenant that is called so; the `%` of no text is written like this.
const TENANT_CALLED_ALL: &str = "%2A";

/// An application's tenant, or all of an application.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Scope(CompactString);

impl Scope {
    /// A tenant of an application.
    pub fn new(app: &str, tenant: &str) -> Self {
        let mut text = CompactString::with_capacity(app.len() + 1 + tenant.len());
        path::push_part(&mut text, app);
        text.push('/');
        match tenant {
            ALL_TENANTS => text.push_str(TENANT_CALLED_ALL),
            tenant => path::push_part(&mut text, tenant),
        }
        Self(text)
    }

    /// All tenants of the application.
    pub fn whole_app(&self) -> Self {
        let (app, _) = self.parts();
        let mut whole = CompactString::with_capacity(app.len() + 2);
        whole.push_str(app);
        whole.push('/');
        whole.push_str(ALL_TENANTS);
        Self(whole)
    }

    /// Something of a tenant, which is of its whole application too.
    pub fn and_whole_app<V: Clone>(&self, value: V) -> [(Self, V); 2] {
        [(self.clone(), value.clone()), (self.whole_app(), value)]
    }

    /// The application.
    pub fn app(&self) -> CompactString {
        path::text_of(self.parts().0)
    }

    /// The tenant; `None` where all of them are meant.
    pub fn tenant(&self) -> Option<CompactString> {
        let (_, tenant) = self.parts();
        match tenant {
            ALL_TENANTS => None,
            TENANT_CALLED_ALL => Some(ALL_TENANTS.into()),
            tenant => Some(path::text_of(tenant)),
        }
    }

    /// The whole of it as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    fn parts(&self) -> (&str, &str) {
        self.0.split_once('/').unwrap_or((&self.0, ""))
    }
}

impl StateKey for Scope {
    fn encode(&self, out: &mut Vec<u8>) {
        self.0.encode(out);
    }

    fn decode(bytes: &[u8]) -> Result<Self, KeyError> {
        CompactString::decode(bytes).map(Self)
    }

    fn encode_part(&self, out: &mut Vec<u8>) {
        self.0.encode_part(out);
    }

    fn decode_part(bytes: &mut &[u8]) -> Result<Self, KeyError> {
        CompactString::decode_part(bytes).map(Self)
    }
}

/// Who did something.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Who {
    /// Nobody known: the events of such are spread over [`NOBODYS`] rows, or one row would hold all of a tenant's.
    Nobody(u8),
    /// A user, or a session in a user's place.
    Known(IdHash),
}

/// Over how many rows events of nobody known are spread.
pub const NOBODYS: u8 = 64;

/// A person within a scope: identity is (application, tenant, user).
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Person {
    /// Whose user.
    pub scope: Scope,
    /// Which one.
    pub who: Who,
}

impl Who {
    /// Known or not, and the bits.
    fn parts(self) -> (bool, u64) {
        match self {
            Self::Nobody(row) => (false, u64::from(row)),
            Self::Known(user) => (true, user.get()),
        }
    }
}

impl StateKey for Person {
    fn encode(&self, out: &mut Vec<u8>) {
        let (known, bits) = self.who.parts();
        self.scope.encode_part(out);
        known.encode_part(out);
        bits.encode(out);
    }

    fn decode(bytes: &[u8]) -> Result<Self, KeyError> {
        let (scope, known, bits) = <(Scope, bool, u64)>::decode(bytes)?;
        let malformed = || KeyError::Malformed { what: "person", detail: format!("{known} {bits}") };
        let who = match known {
            false => Who::Nobody(u8::try_from(bits).map_err(|_| malformed())?),
            true => Who::Known(IdHash::from_bits(bits).ok_or_else(malformed)?),
        };
        Ok(Self { scope, who })
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test stops where its helper finds nothing")]
mod tests {
    use super::*;

    #[test]
    fn scopes_are_told_apart_and_lead_back() {
        let awkward = [("a", "b/c"), ("a/b", "c"), ("a%2Fb", "c"), ("a", "*"), ("a", "%2A"), ("", ""), ("%", "/")];
        let scopes: std::collections::BTreeSet<Scope> = awkward.iter().map(|(app, of)| Scope::new(app, of)).collect();
        assert_eq!(scopes.len(), awkward.len());
        for (app, tenant) in awkward {
            let scope = Scope::new(app, tenant);
            assert_eq!((&*scope.app(), scope.tenant().as_deref()), (app, Some(tenant)));
            assert_eq!(scope.whole_app().tenant(), None);
            assert_ne!(scope, scope.whole_app());
            assert_eq!(scope.whole_app().app(), app);
        }
    }

    #[test]
    fn a_person_is_read_as_it_was_written() {
        for who in [Who::Nobody(7), Who::Known(IdHash::of("ana"))] {
            let person = Person { scope: Scope::new("lens", "lens"), who };
            let mut bytes = Vec::new();
            person.encode(&mut bytes);
            assert_eq!(Person::decode(&bytes).unwrap(), person);
        }
    }
}
