//! The city of an event, from the fields that say where it was.
//!
//! Not here: how a name finds its city ([`crate::gazetteer`]). Invariant: an event without a city's
//! name has no city, whatever coordinates it carries: they may be the user's, far from the city.

use crate::field::{Field, Kind, Scalar};
use crate::gazetteer::{CityRef, Coordinates, Gazetteer};
use crate::text::Text;

/// A latitude or a longitude in degrees, as a number or a string of one.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Coordinate(pub f64);

/// The city named, in the country given or near the coordinates given.
pub(crate) fn city(
    cities: &Gazetteer,
    city: Option<Text<'_>>,
    country: Option<Text<'_>>,
    latitude: Option<Coordinate>,
    longitude: Option<Coordinate>,
) -> Option<CityRef> {
    let city = city?;
    let coordinates = match (latitude, longitude) {
        (Some(Coordinate(latitude)), Some(Coordinate(longitude))) => Coordinates::new(latitude, longitude),
        _ => None,
    };
    cities.resolve(city.as_str(), country.as_ref().map(Text::as_str), coordinates)
}

impl<'de> Scalar<'de> for Coordinate {
    const KIND: Kind = Kind::Degrees;

    fn from_text(text: &str) -> Field<Self> {
        match text.parse::<f64>() {
            Ok(degrees) if text.len() <= 40 => Field::Given(Self(degrees)),
            _ => Field::Wrong("a string that is not a number of degrees"),
        }
    }
    fn from_unsigned(number: u64) -> Field<Self> {
        Field::Given(Self(number as f64))
    }
    fn from_signed(number: i64) -> Field<Self> {
        Field::Given(Self(number as f64))
    }
    fn from_float(number: f64) -> Field<Self> {
        Field::Given(Self(number))
    }
}
