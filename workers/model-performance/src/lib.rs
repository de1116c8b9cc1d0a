//! How well the models do: recommendations, drift, intents and A/B tests.

pub mod statistics;
