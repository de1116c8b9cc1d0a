//! `user-interactions`: a user did something: viewed, clicked, rated, bookmarked, searched.
//!
//! Published by `track_interaction`, whose example has `userId`, `movieId`, `interactionType` and `timestamp` in
//! seconds. Not here: who did it, which the head has. Invariant: names what was done.
//!
//! LENS's page leaves open which recommendations it answers to (`request_id`, with the model and the variant that
//! made them), so that a click finds its impression.

use crate::number::Number;
use crate::text::{IdText, Text};

crate::contract! {
    /// A user did something: viewed, clicked, rated, bookmarked, searched.
    pub struct UserInteraction<'a> = Lens "user-interactions" by_topic {
        /// What was done: `view`, `click`, `rate`, `bookmark`, `search`.
        required kind: Text<'a> = "interaction_type" | "event_type" | "action" | "type",
        /// The film.
        optional item: IdText<'a> = "item_id" | "movie_id",
        /// How the user rated it, in stars.
        optional rating: Number = "rating" | "stars",
        /// What was searched for.
        optional query: Text<'a> = "query" | "search_query",
        /// The request whose recommendations the user saw.
        optional request: IdText<'a> = "request_id" | "recommendation_id",
        /// The model that recommended it.
        optional model: Text<'a> = "model" | "model_name" | "model_id" | "algorithm",
        /// The experiment's variant that the user sees.
        optional variant: IdText<'a> = "variant" | "variant_id" | "variation_id" | "variation_name",
    }
}
