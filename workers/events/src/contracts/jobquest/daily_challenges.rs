//! Topic `daily-challenges`: challenges of the day become available and are completed.
//!
//! Published by the challenges. Not here: streaks. Invariant: names the challenge, the same way in both.
//!
//! JobQuest's page leaves the fields open; they are named as those that it gives (`missionId`).

use crate::text::IdText;

crate::contract! {
    /// A user completed the challenge of a day.
    pub struct DailyChallengeCompleted<'a> = JobQuest "daily.challenge.completed" on "daily-challenges" {
        /// The challenge.
        required challenge: IdText<'a> = "challenge_id" | "daily_challenge_id",
    }
}

crate::contract! {
    /// A challenge is there for the day; not something that the user did.
    pub struct DailyChallengeAvailable<'a> = JobQuest "daily.challenge.available" on "daily-challenges" {
        /// The challenge.
        required challenge: IdText<'a> = "challenge_id" | "daily_challenge_id",
    }
}
