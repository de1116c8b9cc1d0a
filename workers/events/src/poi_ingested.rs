//! `poi.ingested`: a place was taken in or changed, and where it is.
//!
//! Published by ingestion jobs, with the place's identifier as the record's key: the last record of a key is what is known
//! of the place, and one without a value takes it away. Becomes a [`Place`]. Invariant: a place without a city's name
//! has no city, as an event without one has none ([`place`]).

use processing_core::record::EventTime;
use serde::{Deserialize, Serialize};

use crate::envelope::Envelope;
use crate::gazetteer::{CityRef, Gazetteer};
use crate::place::{self, Coordinate};
use crate::poison::Poison;
use crate::text::Text;

/// The contract's name, which is also its topic's unless the settings say otherwise.
pub const EVENT_TYPE: &str = "poi.ingested";

/// The contract's JSON Schema (draft 2020-12), for whoever publishes such events.
pub const SCHEMA: &str = include_str!("../schemas/poi.ingested.json");

crate::wire! {
    /// The payload's fields as they are sent. The place's identifier is the record's key.
    pub struct PoiIngested<'a> {
        /// The city of the place.
        city: Text<'a> = "city" | "city_name" | "cityName",
        /// The city's country, two letters.
        country: Text<'a> = "country" | "country_code" | "countryCode",
        /// Where in the city, degrees north.
        latitude: Coordinate = "latitude" | "lat",
        /// Where in the city, degrees east.
        longitude: Coordinate = "longitude" | "lon" | "lng",
    }
}

/// What is known of a place.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Place {
    /// Since when.
    pub time: EventTime,
    /// Its city; `None` where the event names none.
    pub city: Option<CityRef>,
}

/// Reads the record's `value`.
///
/// # Errors
/// The verdict on a value that is not of this contract.
pub fn decode(value: Option<&[u8]>, cities: &Gazetteer) -> Result<Place, Poison> {
    let Envelope { time, payload, .. } = Envelope::<PoiIngested<'_>>::read(value, EVENT_TYPE)?;
    let PoiIngested { city, country, latitude, longitude, .. } = payload;
    Ok(Place { time, city: place::city(cities, city, country, latitude, longitude)? })
}
