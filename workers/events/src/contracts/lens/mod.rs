//! LENS: recommendations of films, and what users make of them.
//!
//! All their fields stand at the top. The topic says of which type they are; they have no names of their own. Not
//! here: the other systems. Invariant: one file for each topic.

pub mod ab_test_events;
pub mod model_metrics;
pub mod recommendation_requests;
pub mod recommendation_responses;
pub mod user_interactions;
