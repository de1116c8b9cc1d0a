//! The city of an event, from the fields that say where it was.
//!
//! Not here: how a name finds its city ([`crate::gazetteer`]). Invariant: an event without a city's
//! name has no city, whatever coordinates it carries: they may be the user's, far from the city.

use crate::gazetteer::{CityRef, Coordinates, Gazetteer};
use crate::identity::IdHash;
use crate::poison::Poison;
use crate::text::{IdText, Text};
use crate::wire::{Field, Scalar};

/// A latitude or a longitude in degrees, as a number or a string of one.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Coordinate(pub f64);

/// A place's identifier: as bits, by which places are told apart, and as text, by which others know it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PoiId<'a> {
    hash: IdHash,
    text: IdText<'a>,
}

impl PoiId<'_> {
    /// Its bits.
    pub fn hash(&self) -> IdHash {
        self.hash
    }

    /// As text, at most [`TEXT_BYTES_MAX`](crate::text::TEXT_BYTES_MAX) bytes of it; a number by its digits.
    pub fn as_str(&self) -> &str {
        self.text.as_str()
    }

    fn both<'a>(hash: Field<IdHash>, text: Field<IdText<'a>>) -> Field<PoiId<'a>> {
        match (hash, text) {
            (Field::Given(hash), Field::Given(text)) => Field::Given(PoiId { hash, text }),
            (Field::Wrong(found), _) | (_, Field::Wrong(found)) => Field::Wrong(found),
            (Field::Absent, _) | (_, Field::Absent) => Field::Absent,
        }
    }
}

/// The city named, in the country given or near the coordinates given.
///
/// # Errors
/// [`PoisonReason::WrongValue`](crate::PoisonReason::WrongValue) for a field of another type.
pub fn city(
    cities: &Gazetteer,
    city: Field<Text<'_>>,
    country: Field<Text<'_>>,
    latitude: Field<Coordinate>,
    longitude: Field<Coordinate>,
) -> Result<Option<CityRef>, Poison> {
    let city = city.optional("payload.city")?;
    let country = country.optional("payload.country")?;
    let latitude = latitude.optional("payload.latitude")?;
    let longitude = longitude.optional("payload.longitude")?;
    let Some(city) = city else { return Ok(None) };
    let coordinates = match (latitude, longitude) {
        (Some(Coordinate(latitude)), Some(Coordinate(longitude))) => Coordinates::new(latitude, longitude),
        _ => None,
    };
    Ok(cities.resolve(city.as_str(), country.as_ref().map(Text::as_str), coordinates))
}

impl<'de> Scalar<'de> for Coordinate {
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

impl<'de> Scalar<'de> for PoiId<'de> {
    fn from_borrowed(text: &'de str) -> Field<Self> {
        Self::both(IdHash::from_text(text), IdText::from_borrowed(text))
    }
    fn from_text(text: &str) -> Field<Self> {
        Self::both(IdHash::from_text(text), IdText::from_text(text))
    }
    fn from_unsigned(number: u64) -> Field<Self> {
        Self::both(IdHash::from_unsigned(number), IdText::from_unsigned(number))
    }
    fn from_signed(number: i64) -> Field<Self> {
        Self::both(IdHash::from_signed(number), IdText::from_signed(number))
    }
    fn from_float(number: f64) -> Field<Self> {
        Self::both(IdHash::from_float(number), IdText::from_float(number))
    }
}
