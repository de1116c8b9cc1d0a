//! Topic `achievements`: users unlock achievements, reach levels and earn XP.
//!
//! Published by `logAchievementUnlocked()` and its sisters. Not here: the XP within other events, which are told
//! here again. Invariant: XP and levels are whole numbers.
//!
//! JobQuest's page leaves the fields open; they are named as those that it gives (`missionId`, `xpEarned`).

use crate::number::Whole;
use crate::text::{IdText, Text};

crate::contract! {
    /// A user unlocked an achievement.
    pub struct AchievementUnlocked<'a> = JobQuest "achievement.unlocked" on "achievements" {
        /// The achievement.
        required achievement: IdText<'a> = "achievement_id",
    }
}

crate::contract! {
    /// A user reached a level.
    pub struct LevelUp<'a> = JobQuest "level.up" on "achievements" {
        /// The level reached.
        required level: Whole = "new_level" | "level",
        /// The level before.
        optional previous: Whole = "previous_level" | "old_level",
    }
}

crate::contract! {
    /// A user earned XP.
    pub struct XpEarned<'a> = JobQuest "xp.earned" on "achievements" {
        /// How many.
        required amount: Whole = "amount" | "xp_earned" | "xp_amount" | "xp",
        /// By what.
        optional source: Text<'a> = "source" | "reason",
    }
}
