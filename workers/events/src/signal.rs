//! What trending-cities reads out of an event: who showed interest in which city, how and when.
//!
//! Not here: what each kind weighs (a setting of the worker). Invariant: of bounded size, and free of
//! identifiers in clear but for that of a place whose city is sought; only the query keeps text of the user's.

use std::sync::LazyLock;

use compact_str::CompactString;
use processing_core::record::EventTime;
use serde::{Deserialize, Serialize};

use crate::event::{ContractName, Event};
use crate::gazetteer::{CityRef, Gazetteer};
use crate::head::Head;
use crate::identity::IdHash;
use crate::place::{self, Coordinate};
use crate::poison::Poison;
use crate::query;
use crate::text::{IdText, Text};
use crate::topics::{Contracts, TopicReader};

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
    /// Something else, of which nothing is counted.
    Other,
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
    /// [`search_executed`](crate::contracts::loci::search_executed).
    SearchExecuted,
    /// [`poi_favorited`](crate::contracts::loci::poi_favorited).
    PoiFavorited,
    /// [`poi_unfavorited`](crate::contracts::loci::poi_unfavorited).
    PoiUnfavorited,
    /// [`itinerary_saved`](crate::contracts::loci::itinerary_saved).
    ItinerarySaved,
    /// [`itinerary_updated`](crate::contracts::loci::itinerary_updated).
    ItineraryUpdated,
    /// [`chat_itinerary_saved`](crate::contracts::loci::chat_itinerary_saved).
    ChatItinerarySaved,
}

/// How Loci publishes them.
static SHIPPED: LazyLock<Vec<TopicReader>> = LazyLock::new(|| {
    let contracts = Contracts::shipped();
    SignalContract::ALL.map(|contract| contracts.alone(contract.name(), contract.event_type())).into()
});

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

    /// The contract itself.
    pub fn name(self) -> ContractName {
        match self {
            Self::SearchExecuted => ContractName::SearchExecuted,
            Self::PoiFavorited => ContractName::PoiFavorited,
            Self::PoiUnfavorited => ContractName::PoiUnfavorited,
            Self::ItinerarySaved => ContractName::ItinerarySaved,
            Self::ItineraryUpdated => ContractName::ItineraryUpdated,
            Self::ChatItinerarySaved => ContractName::ChatItinerarySaved,
        }
    }

    /// The events' type, which is also the topic's name unless the settings say otherwise.
    pub fn event_type(self) -> &'static str {
        self.name().spec().event_type
    }

    /// The contract whose events have the type `event_type`.
    pub fn from_event_type(event_type: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|contract| contract.event_type() == event_type)
    }

    /// Reads a record's `value` as an event of this contract as Loci publishes it, its city by `cities`.
    ///
    /// # Errors
    /// The verdict on a value that is no such event.
    pub fn decode(self, value: Option<&[u8]>, cities: &Gazetteer) -> Result<Signal, Poison> {
        Ok(Signal::of(SHIPPED[self.index()].decode(value)?, cities))
    }
}

impl Signal {
    /// What an event says of interest in a city.
    pub fn of(event: Event<'_>, cities: &Gazetteer) -> Self {
        match event {
            Event::SearchExecuted(head, search) => {
                let kind = SignalKind::Search {
                    source: search.source.map_or(SearchSource::Other, |source| SearchSource::of(source.as_str())),
                    results: search.results.map(|count| count.0),
                    query: search.query.and_then(|query| query::normalised(query.as_str())),
                };
                let place = (search.city, search.country, search.latitude, search.longitude);
                Self::new(&head, kind, None, city(cities, place))
            }
            Event::PoiFavorited(head, poi) => {
                let place = (poi.city, poi.country, poi.latitude, poi.longitude);
                Self::of_poi(&head, SignalKind::Favourite, &poi.poi, city(cities, place))
            }
            Event::PoiUnfavorited(head, poi) => {
                let place = (poi.city, poi.country, poi.latitude, poi.longitude);
                Self::of_poi(&head, SignalKind::Unfavourite, &poi.poi, city(cities, place))
            }
            Event::ItinerarySaved(head, saved) => {
                let place = (saved.city, saved.country, saved.latitude, saved.longitude);
                Self::new(&head, SignalKind::ItinerarySaved, Some(&saved.itinerary), city(cities, place))
            }
            Event::ItineraryUpdated(head, updated) => {
                let place = (updated.city, updated.country, updated.latitude, updated.longitude);
                Self::new(&head, SignalKind::ItineraryUpdated, Some(&updated.itinerary), city(cities, place))
            }
            Event::ChatItinerarySaved(head, saved) => {
                let place = (saved.city, saved.country, saved.latitude, saved.longitude);
                Self::new(&head, SignalKind::ChatItinerarySaved, Some(&saved.itinerary), city(cities, place))
            }
            other => Self::new(other.head(), SignalKind::Other, None, None),
        }
    }

    fn new(head: &Head<'_>, kind: SignalKind, item: Option<&IdText<'_>>, city: Option<CityRef>) -> Self {
        let item = item.map(|item| IdHash::of(item.as_str()));
        Self { time: head.time, event_id: head.id, user: head.who(), kind, item, city, poi: None }
    }

    /// By its place the city of one that names none is found elsewhere.
    fn of_poi(head: &Head<'_>, kind: SignalKind, poi: &IdText<'_>, city: Option<CityRef>) -> Self {
        let sought = city.is_none().then(|| poi.as_str().into());
        Self { poi: sought, ..Self::new(head, kind, Some(poi), city) }
    }
}

/// What an event says of a city: its name, its country, where it is.
type Named<'a> = (Option<Text<'a>>, Option<Text<'a>>, Option<Coordinate>, Option<Coordinate>);

fn city(cities: &Gazetteer, (name, country, latitude, longitude): Named<'_>) -> Option<CityRef> {
    place::city(cities, name, country, latitude, longitude)
}
