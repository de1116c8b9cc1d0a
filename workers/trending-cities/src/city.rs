//! The key of everything that is counted by city.
//!
//! Not here: how a name becomes a city (`events::gazetteer`). Invariant: one city has one key, and its
//! bytes are readable: they are the key of output records too.
//!
//! ```text
//! ┌────────────────────┬─────┬──────────────┐
//! │ country, 2 letters │ '/' │ name (UTF-8) │
//! └────────────────────┴─────┴──────────────┘
//! ```

use compact_str::CompactString;
use events::CityRef;
use processing_core::prelude::{KeyError, StateKey};
use serde::{Deserialize, Serialize};

/// A city, by country and name.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct City {
    /// ISO 3166-1 alpha-2; `ZZ` where it is not known.
    pub country: CompactString,
    /// The name that the gazetteer gives it.
    pub name: CompactString,
}

impl City {
    /// Where an event without a city would be counted; such events are filtered out before.
    pub fn unknown() -> Self {
        Self { country: "ZZ".into(), name: CompactString::default() }
    }
}

impl From<&CityRef> for City {
    fn from(city: &CityRef) -> Self {
        Self { country: CompactString::from(city.country.as_str()), name: city.name.clone() }
    }
}

impl StateKey for City {
    fn encode(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(self.country.as_bytes());
        out.push(b'/');
        out.extend_from_slice(self.name.as_bytes());
    }

    fn decode(bytes: &[u8]) -> Result<Self, KeyError> {
        let whole = CompactString::decode(bytes)?;
        let (country, name) = whole.split_once('/').unwrap_or(("ZZ", &whole));
        Ok(Self { country: country.into(), name: name.into() })
    }
}
