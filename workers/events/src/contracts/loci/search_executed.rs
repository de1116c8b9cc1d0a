//! `search.executed`: a user searched, by hand or through the chat.
//!
//! Published by the handlers of searches and of the chat. Not here: which city is meant ([`crate::place`]).
//! Invariant: no field is required: a search without a user, a city or a query is still a search.

use crate::place::Coordinate;
use crate::text::{Count, Text};

crate::contract! {
    /// A user searched, by hand or through the chat.
    pub struct SearchExecuted<'a> = Loci "search.executed" {
        /// What was searched for.
        optional query: Text<'a> = "query",
        /// The city.
        optional city: Text<'a> = "city" | "city_name",
        /// The city's country, two letters.
        optional country: Text<'a> = "country" | "country_code",
        /// Where in the city, degrees north.
        optional latitude: Coordinate = "latitude" | "lat",
        /// Where in the city, degrees east.
        optional longitude: Coordinate = "longitude" | "lon" | "lng",
        /// `chat` or `manual`; anything else counts as other.
        optional source: Text<'a> = "source",
        /// How many results the user saw.
        optional results: Count = "result_count",
    }
}
