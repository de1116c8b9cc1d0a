//! Topic `learning-progress`: users start and complete learning resources.
//!
//! Published by the learning pages. Not here: how far a user is between the two. Invariant: names the resource, the
//! same way in both.
//!
//! JobQuest's page leaves the fields open; a `duration` is in minutes, as that of its missions is.

use crate::number::Number;
use crate::text::IdText;

crate::contract! {
    /// A user started a learning resource.
    pub struct LearningStarted<'a> = JobQuest "learning.started" on "learning-progress" {
        /// The resource.
        required resource: IdText<'a> = "resource_id" | "learning_resource_id",
    }
}

crate::contract! {
    /// A user completed a learning resource.
    pub struct LearningCompleted<'a> = JobQuest "learning.completed" on "learning-progress" {
        /// The resource.
        required resource: IdText<'a> = "resource_id" | "learning_resource_id",
        /// How long it took, in minutes.
        optional duration_minutes: Number = "duration_minutes" | "duration",
    }
}
