//! The key of everything that is counted: whose calls, of whom, of which model, for what.
//!
//! Not here: what is counted. Invariant: one series has one key, whose bytes are readable: they are the key of output
//! records too.
//!
//! ```text
//!   tenant|provider|model|operation      a series           * in a place: all of them
//!   tenant|*|*|*                         all of a tenant    | and % within a part are written %7C and %25,
//!   *|*|*|*                              everything         a part that is * itself %2A
//! ```

use std::fmt;

use compact_str::CompactString;
use processing_core::prelude::{KeyError, StateKey};
use serde::{Deserialize, Serialize};

/// What stands for a provider or model that nobody named.
pub const UNKNOWN: &str = "unknown";
/// All of a place.
const ALL: &str = "*";
/// So long may a part be; the rest is cut. Names of real models have fewer than a hundred letters.
const PART_MAX: usize = 160;

/// A series of calls, or several taken together.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Series(CompactString);

/// The four parts of a series; `None` stands for all.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Parts {
    /// Whose calls.
    pub tenant: Option<CompactString>,
    /// Of whom.
    pub provider: Option<CompactString>,
    /// Of which model.
    pub model: Option<CompactString>,
    /// For what.
    pub operation: Option<CompactString>,
}

impl Series {
    /// The series of calls of these names.
    pub fn new(tenant: &str, provider: &str, model: &str, operation: &str) -> Self {
        let parts = [tenant, provider, model, operation];
        let mut series = CompactString::with_capacity(parts.iter().map(|part| part.len() + 1).sum::<usize>() - 1);
        for (place, part) in parts.into_iter().enumerate() {
            if place > 0 {
                series.push('|');
            }
            write(part, &mut series);
        }
        Self(series)
    }

    /// All calls of everybody.
    pub fn total() -> Self {
        Self(CompactString::const_new("*|*|*|*"))
    }

    /// All calls of the tenant whose series this is.
    pub fn of_tenant(&self) -> Self {
        let tenant = self.0.split('|').next().unwrap_or(ALL);
        let mut all = CompactString::with_capacity(tenant.len() + 6);
        all.push_str(tenant);
        all.push_str("|*|*|*");
        Self(all)
    }

    /// Whether it stands for calls of one kind, and not for several taken together.
    pub fn is_single(&self) -> bool {
        !self.0.ends_with("|*")
    }

    /// The names.
    pub fn parts(&self) -> Parts {
        let mut parts = self.0.split('|').map(read);
        let mut next = || parts.next().unwrap_or(None);
        Parts { tenant: next(), provider: next(), model: next(), operation: next() }
    }

    /// As it is written.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Series {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

fn write(part: &str, into: &mut CompactString) {
    match &part[..part.floor_char_boundary(PART_MAX)] {
        ALL => into.push_str("%2A"),
        part if part.contains(['%', '|']) => into.push_str(&part.replace('%', "%25").replace('|', "%7C")),
        part => into.push_str(part),
    }
}

fn read(part: &str) -> Option<CompactString> {
    match part {
        ALL => None,
        "%2A" => Some(ALL.into()),
        part => Some(part.replace("%7C", "|").replace("%25", "%").into()),
    }
}

impl StateKey for Series {
    fn encode(&self, out: &mut Vec<u8>) {
        self.0.encode(out);
    }

    fn decode(bytes: &[u8]) -> Result<Self, KeyError> {
        CompactString::decode(bytes).map(Self)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn names_are_read_as_they_were_written(names in prop::array::uniform4("[a*|%é7C2A]{0,5}")) {
            let [tenant, provider, model, operation] = &names;
            let parts = Series::new(tenant, provider, model, operation).parts();
            let found = [parts.tenant, parts.provider, parts.model, parts.operation].map(|part| part.map(String::from));
            prop_assert_eq!(found, names.map(Some));
        }
    }

    #[test]
    fn several_series_together_are_not_taken_for_one() {
        let series = Series::new("*", "p", "m", "*");
        assert!(series.is_single());
        assert_eq!(series.of_tenant().as_str(), "%2A|*|*|*");
        assert!(!series.of_tenant().is_single() && !Series::total().is_single());
        assert_eq!(Series::total().parts(), Parts { tenant: None, provider: None, model: None, operation: None });
    }
}
