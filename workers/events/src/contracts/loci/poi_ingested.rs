//! `poi.ingested`: a place was taken in or changed, and where it is.
//!
//! Published by ingestion jobs, with the place's identifier as the record's key: the last record of a key is what
//! is known of the place, and one without a value takes it away. Not here: which city is meant ([`crate::place`]).
//! Invariant: a place without a city's name has no city.

use crate::place::Coordinate;
use crate::text::{IdText, Text};

crate::contract! {
    /// A place was taken in or changed.
    pub struct PoiIngested<'a> = Loci "poi.ingested" {
        /// The place; the record's key names it too.
        optional poi: IdText<'a> = "poi_id",
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
