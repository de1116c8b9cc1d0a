//! `chat.itinerary.saved`: a user saved an itinerary that the chat proposed.
//!
//! Published by the handler of the chat. Not here: which city is meant ([`crate::place`]). Invariant: names an
//! itinerary.

use crate::place::Coordinate;
use crate::text::{IdText, Text};

crate::contract! {
    /// A user saved an itinerary that the chat proposed.
    pub struct ChatItinerarySaved<'a> = Loci "chat.itinerary.saved" {
        /// The itinerary.
        required itinerary: IdText<'a> = "itinerary_id",
        /// The city.
        optional city: Text<'a> = "city" | "city_name",
        /// The city's country, two letters.
        optional country: Text<'a> = "country" | "country_code",
        /// Where in the city, degrees north.
        optional latitude: Coordinate = "latitude" | "lat",
        /// Where in the city, degrees east.
        optional longitude: Coordinate = "longitude" | "lon" | "lng",
    }
}
