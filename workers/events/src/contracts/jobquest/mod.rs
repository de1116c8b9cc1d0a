//! JobQuest: hunting for a job as a game.
//!
//! They come as `{id, type, userId, timestamp, metadata, data}`, several types on one topic. Not here: the other
//! systems. Invariant: one file for each topic.

pub mod achievements;
pub mod daily_challenges;
pub mod job_applications;
pub mod learning_progress;
pub mod mission_events;
pub mod notifications;
pub mod system_events;
pub mod user_activities;
