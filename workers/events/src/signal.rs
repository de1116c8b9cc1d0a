//! What trending-cities reads out of an event: who showed interest in which city, how and when.
//!
//! Not here: what each kind weighs (a setting of the worker). Invariant: of bounded size, and free of
//! identifiers in clear but for that of a place whose city is sought; only the query keeps text of the user's.

use compact_str::CompactString;
use processing_core::record::EventTime;
use serde::{Deserialize, Serialize};

use crate::gazetteer::{CityRef, Gazetteer};
use crate::identity::IdHash;
use crate::poison::Poison;
use crate::{
    chat_itinerary_saved, itinerary_saved, itinerary_updated, poi_favorited, poi_unfavorited, search_executed,
};

/// One sign of interest.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Signal {
    /// When it happened.
    pub time: EventTime,
    /// The event.
    pub event_id: IdHash,
    /// The user, or the session of one who is not known; `None` where both are absent.
    pub user: Option<IdHash>,
    /// What happened.
    pub kind: SignalKind,
    /// The place or the itinerary; `None` for a search.
    pub item: Option<IdHash>,
    /// The city; `None` where the event names none.
    pub city: Option<CityRef>,
    /// The place's identifier, where the event names a place and no city: by it the city may be found elsewhere.
    pub poi: Option<CompactString>,
}

/// What the user did.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum SignalKind {
    /// Searched.
    Search {
        /// By hand or through the chat.
        source: SearchSource,
        /// How many results there were; `None` where the event does not say.
        results: Option<u32>,
        /// What for, normalised; `None` where the event does not say.
        query: Option<CompactString>,
    },
    /// Marked a place as a favourite.
    Favourite,
    /// Took the mark back.
    Unfavourite,
    /// Saved an itinerary.
    ItinerarySaved,
    /// Changed a saved itinerary.
    ItineraryUpdated,
    /// Saved an itinerary that the chat proposed.
    ChatItinerarySaved,
}

/// Where a search came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum SearchSource {
    /// The chat.
    Chat,
    /// The search field.
    Manual,
    /// Elsewhere, or the event does not say.
    Other,
}

impl SearchSource {
    /// The source called `name`, in any case.
    pub fn of(name: &str) -> Self {
        if name.eq_ignore_ascii_case("chat") {
            Self::Chat
        } else if name.eq_ignore_ascii_case("manual") {
            Self::Manual
        } else {
            Self::Other
        }
    }

    /// The source's name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Chat => "chat",
            Self::Manual => "manual",
            Self::Other => "other",
        }
    }
}

/// The contracts whose events are signals.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum SignalContract {
    /// [`search_executed`].
    SearchExecuted,
    /// [`poi_favorited`].
    PoiFavorited,
    /// [`poi_unfavorited`].
    PoiUnfavorited,
    /// [`itinerary_saved`].
    ItinerarySaved,
    /// [`itinerary_updated`].
    ItineraryUpdated,
    /// [`chat_itinerary_saved`].
    ChatItinerarySaved,
}

impl SignalContract {
    /// All of them, in the order of their numbers.
    pub const ALL: [Self; 6] = [
        Self::SearchExecuted,
        Self::PoiFavorited,
        Self::PoiUnfavorited,
        Self::ItinerarySaved,
        Self::ItineraryUpdated,
        Self::ChatItinerarySaved,
    ];

    /// The contract's place in [`Self::ALL`].
    pub fn index(self) -> usize {
        self as usize
    }

    /// The events' type, which is also the topic's name unless the settings say otherwise.
    pub fn event_type(self) -> &'static str {
        match self {
            Self::SearchExecuted => search_executed::EVENT_TYPE,
            Self::PoiFavorited => poi_favorited::EVENT_TYPE,
            Self::PoiUnfavorited => poi_unfavorited::EVENT_TYPE,
            Self::ItinerarySaved => itinerary_saved::EVENT_TYPE,
            Self::ItineraryUpdated => itinerary_updated::EVENT_TYPE,
            Self::ChatItinerarySaved => chat_itinerary_saved::EVENT_TYPE,
        }
    }

    /// The contract whose events have the type `event_type`.
    pub fn from_event_type(event_type: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|contract| contract.event_type() == event_type)
    }

    /// Reads a record's `value` as an event of this contract, its city by `cities`.
    ///
    /// # Errors
    /// The verdict on a value that is no such event.
    pub fn decode(self, value: Option<&[u8]>, cities: &Gazetteer) -> Result<Signal, Poison> {
        match self {
            Self::SearchExecuted => search_executed::decode(value, cities),
            Self::PoiFavorited => poi_favorited::decode(value, cities),
            Self::PoiUnfavorited => poi_unfavorited::decode(value, cities),
            Self::ItinerarySaved => itinerary_saved::decode(value, cities),
            Self::ItineraryUpdated => itinerary_updated::decode(value, cities),
            Self::ChatItinerarySaved => chat_itinerary_saved::decode(value, cities),
        }
    }

    /// The contract's JSON Schema (draft 2020-12), for whoever publishes such events.
    pub fn schema(self) -> &'static str {
        match self {
            Self::SearchExecuted => include_str!("../schemas/search.executed.json"),
            Self::PoiFavorited => include_str!("../schemas/poi.favorited.json"),
            Self::PoiUnfavorited => include_str!("../schemas/poi.unfavorited.json"),
            Self::ItinerarySaved => include_str!("../schemas/itinerary.saved.json"),
            Self::ItineraryUpdated => include_str!("../schemas/itinerary.updated.json"),
            Self::ChatItinerarySaved => include_str!("../schemas/chat.itinerary.saved.json"),
        }
    }
}
