//! `poi.unfavorited`: a user took a mark back.
//!
//! Published by the handler of places. Becomes a [`Signal`] of kind [`SignalKind::Unfavourite`].
//! Invariant: names a place.

use crate::envelope::Envelope;
use crate::gazetteer::Gazetteer;
use crate::identity::{self, IdHash, SessionHash};
use crate::place::{self, Coordinate, PoiId};
use crate::poison::Poison;
use crate::signal::{Signal, SignalKind};
use crate::text::Text;

/// The contract's name, which is also its topic's unless the settings say otherwise.
pub const EVENT_TYPE: &str = "poi.unfavorited";

crate::wire! {
    /// The payload's fields as they are sent.
    pub struct PoiUnfavorited<'a> {
        /// Who did it; absent for a visitor who is not logged in.
        user: IdHash = "user_id" | "userId",
        /// The session, which stands for the user where there is none.
        session: SessionHash = "session_id" | "sessionId",
        /// The place.
        item: PoiId<'a> = "poi_id" | "poiId",
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

/// Reads the record's `value`.
///
/// # Errors
/// The verdict on a value that is not of this contract.
pub fn decode(value: Option<&[u8]>, cities: &Gazetteer) -> Result<Signal, Poison> {
    let Envelope { event_id, time, payload, .. } = Envelope::<PoiUnfavorited<'_>>::read(value, EVENT_TYPE)?;
    let item = payload.item.required("payload.poi_id")?;
    let city = place::city(cities, payload.city, payload.country, payload.latitude, payload.longitude)?;
    Ok(Signal {
        time,
        event_id: IdHash::of(event_id.as_str()),
        user: identity::user(payload.user, payload.session)?,
        kind: SignalKind::Unfavourite,
        item: Some(item.hash()),
        poi: city.is_none().then(|| item.as_str().into()),
        city,
    })
}
