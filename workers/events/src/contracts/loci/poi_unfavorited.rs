//! `poi.unfavorited`: a user took the mark of a favourite place back.
//!
//! Published by the handler of places. Not here: which city is meant ([`crate::place`]). Invariant: names a place.

use crate::place::Coordinate;
use crate::text::{IdText, Text};

crate::contract! {
    /// A user took the mark of a favourite place back.
    pub struct PoiUnfavorited<'a> = Loci "poi.unfavorited" {
        /// The place.
        required poi: IdText<'a> = "poi_id",
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
