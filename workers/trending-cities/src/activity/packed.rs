//! How a city's minute is written down: it lies in the changelog and in the repartition topic once per
//! commit, so its bytes are what the worker mostly costs.
//!
//! Not here: what a minute means. Invariant: reading gives what was written; bytes that nobody wrote are
//! an error.
//!
//! ```text
//! queries   the texts, in the order of their first search
//! searches  ┌───────────┬──────────┬────┬─────────────────────────────────┐  each, by event
//!           │ event u64 │ user u64 │ u8 │ its query's place + 1; 0 = none │
//!           └───────────┴──────────┴────┴─────────────────────────────────┘
//! signals   as they are
//! ```
//! A user is 0 where nobody is known. Little-endian, the place in base 128. The byte holds the source in its lower two bits and, as 4, that
//! nothing was found.

use std::collections::BTreeMap;

use compact_str::CompactString;
use events::identity::IdHash;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::{CityMinute, Search, SignalKey, Source};

/// So many texts back an equal one is looked for: searching for all would cost a large minute the square
/// of its queries, and a text that stands twice costs only its bytes.
const LOOK_BACK: usize = 16;

const WITHOUT_RESULT: u8 = 4;

#[derive(Serialize)]
struct Written<'m> {
    queries: Vec<&'m str>,
    searches: Bytes<'m>,
    signals: &'m BTreeMap<SignalKey, ()>,
}

#[derive(Deserialize)]
struct Read<'b> {
    queries: Vec<CompactString>,
    #[serde(borrow)]
    searches: &'b [u8],
    signals: BTreeMap<SignalKey, ()>,
}

impl Serialize for CityMinute {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut queries: Vec<&str> = Vec::new();
        let in_order = self.searches.in_order();
        let mut searches = Vec::with_capacity(in_order.len() * 18);
        for (event, search) in in_order.iter() {
            searches.extend_from_slice(&event.to_le_bytes());
            searches.extend_from_slice(&search.user.map_or(0, IdHash::get).to_le_bytes());
            searches.push(search.source as u8 | if search.without_result { WITHOUT_RESULT } else { 0 });
            let place = search.query.as_deref().map_or(0, |query| {
                let recent = queries.len().saturating_sub(LOOK_BACK);
                let known = queries[recent..].iter().position(|known| *known == query);
                known.map_or_else(
                    || {
                        queries.push(query);
                        queries.len()
                    },
                    |at| recent + at + 1,
                )
            });
            put_base_128(&mut searches, place);
        }
        Written { queries, searches: Bytes(&searches), signals: &self.signals }.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for CityMinute {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let Read { queries, searches: mut rest, signals } = Read::deserialize(deserializer)?;
        let searches = std::iter::from_fn(|| (!rest.is_empty()).then(|| take_search(&mut rest, &queries)));
        let searches =
            searches.collect::<Option<_>>().ok_or_else(|| D::Error::custom("a search of a minute is cut"))?;
        Ok(Self { searches, signals })
    }
}

fn take_search(rest: &mut &[u8], queries: &[CompactString]) -> Option<(u64, Search)> {
    let event = u64::from_le_bytes(*rest.split_off(..8)?.first_chunk()?);
    let user = IdHash::from_bits(u64::from_le_bytes(*rest.split_off(..8)?.first_chunk()?));
    let [what] = *rest.split_off(..1)?.first_chunk()?;
    let source = match what & 3 {
        0 => Source::Chat,
        1 => Source::Manual,
        2 => Source::Other,
        _ => return None,
    };
    let query = match take_base_128(rest)? {
        0 => None,
        place => Some(queries.get(place - 1)?.clone()),
    };
    Some((event, Search { user, source, without_result: what & WITHOUT_RESULT != 0, query }))
}

fn put_base_128(out: &mut Vec<u8>, mut number: usize) {
    while number >= 128 {
        out.push(number as u8 | 128);
        number >>= 7;
    }
    out.push(number as u8);
}

fn take_base_128(rest: &mut &[u8]) -> Option<usize> {
    let mut number = 0;
    for shift in (0..35).step_by(7) {
        let [byte] = *rest.split_off(..1)?.first_chunk()?;
        number |= usize::from(byte & 127) << shift;
        if byte < 128 {
            return Some(number);
        }
    }
    None
}

/// Bytes as one value instead of a sequence of numbers.
struct Bytes<'b>(&'b [u8]);

impl Serialize for Bytes<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(self.0)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::Kind;
    use super::*;

    prop_compose! {
        fn search()(user in 0_u64..9, source in 0..3, without_result: bool, query in 0..40) -> Search {
            let source = [Source::Chat, Source::Manual, Source::Other][source as usize];
            let query = (query > 0).then(|| CompactString::new(format!("q{query}")));
            Search { user: IdHash::from_bits(user), source, without_result, query }
        }
    }

    proptest! {
        #[test]
        fn a_minute_is_read_as_it_was_written(
            searches in prop::collection::btree_map(any::<u64>(), search(), 0..300),
            signals in prop::collection::btree_map(
                ((0_u64..9).prop_map(IdHash::from_bits), Just(Kind::Favourite), any::<u64>()), Just(()), 0..9,
            ),
        ) {
            let minute = CityMinute { searches: searches.into_iter().collect(), signals };
            let mut bytes = Vec::new();
            state::codec::encode_into(&mut bytes, &minute).unwrap();
            prop_assert_eq!(&state::codec::decode::<CityMinute>(&bytes).unwrap(), &minute);
            if minute.searches() > 0 {
                // A search that lacks its last byte, in bytes of the right length.
                let cut = Written { queries: Vec::new(), searches: Bytes(&[0; 17]), signals: &minute.signals };
                bytes.clear();
                state::codec::encode_into(&mut bytes, &cut).unwrap();
                prop_assert!(state::codec::decode::<CityMinute>(&bytes).is_err());
            }
        }
    }
}
