//! `ab-test-events`: a user was assigned to a variant of an experiment, saw it, or converted.
//!
//! Published by the backend: "user assigned to test group, user converts". Not here: what a conversion is, which
//! the settings say. Invariant: names the experiment and what happened.
//!
//! LENS's page leaves the fields open; they are those of Segment's A/B testing events (`experiment_id`,
//! `experiment_name`, `variation_id`, `variation_name`).

use crate::number::Number;
use crate::text::{IdText, Text};

crate::contract! {
    /// A user was assigned to a variant of an experiment, saw it, or converted.
    pub struct AbTestEvent<'a> = Lens "ab-test-events" by_topic {
        /// The experiment.
        required experiment: IdText<'a> = "experiment_id" | "experiment" | "experiment_name" | "test_id",
        /// The user's variant.
        optional variant: IdText<'a> =
            "variant" | "variant_id" | "variation_id" | "variation_name" | "group" | "test_group",
        /// What happened: `assigned`, `exposed`, `converted`.
        required kind: Text<'a> = "event" | "event_type" | "event_name" | "action" | "type",
        /// What the conversion is worth.
        optional value: Number = "value",
    }
}
