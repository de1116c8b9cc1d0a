//! LENS: recommendations of films, and what users make of them.
//!
//! Not here: the other systems. Invariant: one file for each topic. All their fields stand at the top. The topic
//! says of which type they are; they have no names of their own.

pub mod ab_test_events;
pub mod model_metrics;
pub mod recommendation_requests;
pub mod recommendation_responses;
pub mod user_interactions;
