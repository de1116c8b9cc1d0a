//! Topic `user-activities`: whatever else users do.
//!
//! Published by the activity logger. Not here: activities that have a contract of their own. Invariant: an event
//! whose type no other contract of the topic has is an activity; where the payload names none, the type is its
//! name.
//!
//! JobQuest's page names no type of this topic ("general user activities and interactions").

use crate::text::Text;

crate::contract! {
    /// A user did something that has no contract of its own.
    pub struct UserActivity<'a> = JobQuest "user.activity" on "user-activities" rest {
        /// What was done.
        optional activity: Text<'a> = "activity" | "activity_type" | "action" | "/type",
    }
}
