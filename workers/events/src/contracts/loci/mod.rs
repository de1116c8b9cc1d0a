//! Loci: searches, chats, places and itineraries of travellers.
//!
//! They come as `{event_id, event_type, timestamp, trace_id, payload}`, who did it in the payload. Not here: the
//! other systems. Invariant: one file for each topic.

pub mod chat_itinerary_saved;
pub mod chat_response_generated;
pub mod chat_session_started;
pub mod itinerary_saved;
pub mod itinerary_updated;
pub mod poi_dedup_requested;
pub mod poi_embedding_completed;
pub mod poi_embedding_requested;
pub mod poi_favorited;
pub mod poi_ingested;
pub mod poi_unfavorited;
pub mod search_executed;
