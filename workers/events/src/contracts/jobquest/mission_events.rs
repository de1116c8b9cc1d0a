//! Topic `mission-events`: users start, complete and fail focus missions.
//!
//! Published by `logMissionStarted()` and `publishMissionCompleted()`. Not here: the XP that count
//! ([`super::achievements::XpEarned`]): those of a mission are told there again. Invariant: names the mission.
//!
//! JobQuest's page gives the fields of `mission.completed`; its example, a focus session with a `duration` of 25,
//! is in minutes, the 25 of a Pomodoro. The two others are named alike.

use crate::number::{Number, Whole};
use crate::text::{IdText, Text};

crate::contract! {
    /// A user started a mission.
    pub struct MissionStarted<'a> = JobQuest "mission.started" on "mission-events" {
        /// The mission.
        required mission: IdText<'a> = "mission_id",
        /// What it is called.
        optional mission_name: Text<'a> = "mission_name" | "name",
        /// Of which kind it is, such as `FOCUS`.
        optional mission_type: Text<'a> = "mission_type" | "type",
    }
}

crate::contract! {
    /// A user completed a mission.
    pub struct MissionCompleted<'a> = JobQuest "mission.completed" on "mission-events" {
        /// The mission.
        required mission: IdText<'a> = "mission_id",
        /// What it is called.
        optional mission_name: Text<'a> = "mission_name" | "name",
        /// Of which kind it is, such as `FOCUS`.
        optional mission_type: Text<'a> = "mission_type" | "type",
        /// How long it took, in minutes.
        optional duration_minutes: Number = "duration_minutes" | "duration",
        /// How many XP it was worth.
        optional xp_earned: Whole = "xp_earned" | "xp",
    }
}

crate::contract! {
    /// A user failed a mission.
    pub struct MissionFailed<'a> = JobQuest "mission.failed" on "mission-events" {
        /// The mission.
        required mission: IdText<'a> = "mission_id",
        /// What it is called.
        optional mission_name: Text<'a> = "mission_name" | "name",
        /// Of which kind it is, such as `FOCUS`.
        optional mission_type: Text<'a> = "mission_type" | "type",
        /// Why.
        optional reason: Text<'a> = "reason" | "failure_reason",
    }
}
