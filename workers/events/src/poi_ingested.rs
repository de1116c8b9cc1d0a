//! `poi.ingested`: a place was taken in or changed, and where it is.
//!
//! Published by ingestion jobs, with the place's identifier as the record's key: the last record of a key is what is known
//! of the place, and one without a value takes it away. Becomes a [`Place`]. Invariant: a place without a city's name
//! has no city, as an event without one has none ([`place`]).

use std::sync::LazyLock;

use processing_core::record::EventTime;
use serde::{Deserialize, Serialize};

use crate::event::{ContractName, Event};
use crate::gazetteer::{CityRef, Gazetteer};
use crate::place;
use crate::poison::Poison;
use crate::topics::{Contracts, TopicReader};

/// The contract's name, which is also its topic's unless the settings say otherwise.
pub const EVENT_TYPE: &str = "poi.ingested";

/// What is known of a place.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Place {
    /// Since when.
    pub time: EventTime,
    /// Its city; `None` where the event names none.
    pub city: Option<CityRef>,
}

/// How Loci publishes it.
static SHIPPED: LazyLock<TopicReader> =
    LazyLock::new(|| Contracts::shipped().alone(ContractName::PoiIngested, EVENT_TYPE));

/// Reads the record's `value`.
///
/// # Errors
/// The verdict on a value that is not of this contract.
pub fn decode(value: Option<&[u8]>, cities: &Gazetteer) -> Result<Place, Poison> {
    Ok(match SHIPPED.decode(value)? {
        Event::PoiIngested(head, place) => {
            let city = place::city(cities, place.city, place.country, place.latitude, place.longitude);
            Place { time: head.time, city }
        }
        other => Place { time: other.head().time, city: None },
    })
}
