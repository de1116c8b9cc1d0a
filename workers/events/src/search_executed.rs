//! `search.executed`: a user searched, by hand or through the chat.
//!
//! Published by the handlers of searches and of the chat. Becomes a [`Signal`] of kind
//! [`SignalKind::Search`]. Invariant: needs no field of its payload but a readable one: a search
//! without a user, a city or a query is still a search.

use compact_str::CompactString;

use crate::envelope::Envelope;
use crate::gazetteer::Gazetteer;
use crate::identity::{self, IdHash, SessionHash};
use crate::place::{self, Coordinate};
use crate::poison::Poison;
use crate::query;
use crate::signal::{SearchSource, Signal, SignalKind};
use crate::text::{Count, Text};

/// The contract's name, which is also its topic's unless the settings say otherwise.
pub const EVENT_TYPE: &str = "search.executed";

crate::wire! {
    /// The payload's fields as they are sent.
    pub struct SearchExecuted<'a> {
        /// Who searched; absent for a visitor who is not logged in.
        user: IdHash = "user_id" | "userId",
        /// The session, which stands for the user where there is none.
        session: SessionHash = "session_id" | "sessionId",
        /// What was searched for.
        query: Text<'a> = "query",
        /// The city searched in.
        city: Text<'a> = "city" | "city_name" | "cityName",
        /// The city's country, two letters.
        country: Text<'a> = "country" | "country_code" | "countryCode",
        /// Where in the city, degrees north.
        latitude: Coordinate = "latitude" | "lat",
        /// Where in the city, degrees east.
        longitude: Coordinate = "longitude" | "lon" | "lng",
        /// `chat` or `manual`; anything else counts as other.
        source: Text<'a> = "source",
        /// How many results the user saw.
        results: Count = "result_count" | "resultCount",
    }
}

/// Reads the record's `value`.
///
/// # Errors
/// The verdict on a value that is not of this contract.
pub fn decode(value: Option<&[u8]>, cities: &Gazetteer) -> Result<Signal, Poison> {
    let Envelope { event_id, time, payload, .. } = Envelope::<SearchExecuted<'_>>::read(value, EVENT_TYPE)?;
    let source = payload.source.optional("payload.source")?;
    let query: Option<CompactString> =
        payload.query.optional("payload.query")?.and_then(|query| query::normalised(query.as_str()));
    Ok(Signal {
        time,
        event_id: IdHash::of(event_id.as_str()),
        user: identity::user(payload.user, payload.session)?,
        kind: SignalKind::Search {
            source: source.map_or(SearchSource::Other, |s| SearchSource::of(s.as_str())),
            results: payload.results.optional("payload.result_count")?.map(|count| count.0),
            query,
        },
        item: None,
        city: place::city(cities, payload.city, payload.country, payload.latitude, payload.longitude)?,
        poi: None,
    })
}
