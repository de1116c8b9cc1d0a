//! JobQuest: users play at hunting for a job: missions, challenges, learning, applications.
//!
//! Not here: what a mission is about. Invariant: XP that a mission or a challenge was worth are earned once, by their own
//! event.

use super::page::{Page, push_hashed};
use super::story::{DAY, HOUR, MINUTE, SECOND, Story};
use crate::event::ContractName;
use crate::feed::event::push_user;

const MISSIONS: [(&str, &str); 4] =
    [("Focus Session", "FOCUS"), ("Deep Work", "FOCUS"), ("Polish the CV", "RESUME"), ("Mock Interview", "PRACTICE")];
const REASONS: [&str; 3] = ["left_early", "paused_too_long", "distracted"];
const ACHIEVEMENTS: [&str; 6] =
    ["first_mission", "early_bird", "five_applications", "week_streak", "night_owl", "bookworm"];
const CHALLENGES: [&str; 5] = ["three_missions", "apply_twice", "read_one_guide", "update_profile", "ask_a_friend"];
const ACTIVITIES: [&str; 4] = ["page.viewed", "resume.updated", "profile.viewed", "job.bookmarked"];
const COMPANIES: [&str; 5] = ["Initech", "Globex", "Hooli", "Umbrella", "Stark"];
const CHANNELS: [&str; 3] = ["in_app", "push", "email"];
const NOTES: [&str; 4] = ["achievement", "level_up", "daily_challenge", "application"];
const ERRORS: [(&str, &str); 4] =
    [("DB_TIMEOUT", "api"), ("PRODUCER_QUEUE_FULL", "kafka-producer"), ("HTTP_502", "gateway"), ("OOM", "worker")];
const STATES: [&str; 5] = ["viewed", "screening", "interview", "offer", "rejected"];
const APPLIED: &str = "applied";

/// What happens.
#[derive(Clone, Copy, Debug)]
pub(super) enum Act {
    Registered,
    LoggedIn { session: u64 },
    LoggedOut { session: u64 },
    Did { activity: u8 },
    Started { mission: u64, which: u8 },
    Completed { mission: u64, which: u8, minutes: u8, xp: u16 },
    Failed { mission: u64, which: u8, reason: u8 },
    Earned { xp: u16, by_mission: bool },
    Unlocked { achievement: u8 },
    Rose { level: u16 },
    Offered { challenge: u8 },
    Mastered { challenge: u8 },
    Noted { note: u64, channel: u8, which: u8 },
    Read { note: u64 },
    Applied { application: u64, company: u8 },
    Moved { application: u64, from: Option<u8>, to: u8 },
    Began { resource: u16 },
    Learnt { resource: u16, minutes: u16 },
    Broke { which: u8 },
}

/// A user registers, by a number that nobody else has registered by, and logs in.
pub(super) fn register(story: &mut Story<'_>) {
    story.tell(0, Act::Registered);
    let session = story.name();
    let login = story.soon(SECOND, MINUTE);
    story.tell(login, Act::LoggedIn { session });
    if story.percent(60) {
        mission(story, login + 30 * SECOND);
    }
}

/// A user comes, takes missions and the challenge of the day, is told of it, and goes.
pub(super) fn play(story: &mut Story<'_>) {
    let session = story.name();
    story.tell(0, Act::LoggedIn { session });
    let mut at = story.soon(SECOND, 30 * SECOND);
    for _ in 0..1 + story.draws.skewed_below(3) {
        let activity = story.draws.skewed_below(ACTIVITIES.len() as u64) as u8;
        story.tell(at, Act::Did { activity });
        at += story.soon(2 * SECOND, 2 * MINUTE);
    }
    let challenge = story.draws.below(CHALLENGES.len() as u64) as u8;
    let is_offered = story.percent(50);
    if is_offered {
        story.tell(3 * SECOND, Act::Offered { challenge });
    }
    if story.percent(70) {
        at = mission(story, at);
    }
    if is_offered && story.percent(55) {
        at += story.soon(MINUTE, 20 * MINUTE);
        story.tell(at, Act::Mastered { challenge });
        story.tell(at + 120, Act::Earned { xp: 30, by_mission: false });
    }
    if story.percent(55) {
        at += SECOND;
        story.tell(at, Act::LoggedOut { session });
    }
}

/// One mission; answers when it is over.
fn mission(story: &mut Story<'_>, at: i64) -> i64 {
    let (mission, which) = (story.name(), story.draws.skewed_below(MISSIONS.len() as u64) as u8);
    story.tell(at, Act::Started { mission, which });
    let fate = story.draws.below(100);
    let minutes = 10 + story.draws.skewed_below(45);
    let over = at + minutes as i64 * MINUTE + story.soon(0, 20 * SECOND);
    match fate {
        0..76 => {
            let xp = 2 * minutes as u16;
            story.tell(over, Act::Completed { mission, which, minutes: minutes as u8, xp });
            story.tell(over + 80, Act::Earned { xp, by_mission: true });
            if story.percent(12) {
                let achievement = story.draws.skewed_below(ACHIEVEMENTS.len() as u64) as u8;
                story.tell(over + 200, Act::Unlocked { achievement });
                note(story, over + 400, 0);
            }
            if story.percent(6) {
                let level = 2 + story.draws.skewed_below(40) as u16;
                story.tell(over + 300, Act::Rose { level });
                note(story, over + 500, 1);
            }
            over
        }
        76..90 => {
            let left = at + (over - at) / 2;
            let reason = story.draws.below(REASONS.len() as u64) as u8;
            story.tell(left, Act::Failed { mission, which, reason });
            left
        }
        // Left alone.
        _ => at + 5 * MINUTE,
    }
}

/// A notification, which most read, some of them hours later.
fn note(story: &mut Story<'_>, at: i64, which: u8) {
    let (note, channel) = (story.name(), story.draws.skewed_below(CHANNELS.len() as u64) as u8);
    story.tell(at, Act::Noted { note, channel, which });
    if story.percent(58) {
        let read = story.soon(2 * SECOND, 10 * HOUR);
        story.tell(at + read, Act::Read { note });
    }
}

/// The user is reminded of the day's challenge.
pub(super) fn remind(story: &mut Story<'_>) {
    note(story, 0, 2);
}

/// An application for a job, and what comes of it within two weeks.
pub(super) fn apply(story: &mut Story<'_>) {
    let (application, company) = (story.name(), story.draws.below(COMPANIES.len() as u64) as u8);
    story.tell(0, Act::Applied { application, company });
    let (mut at, mut from) = (0, None);
    for to in 0..STATES.len() as u8 {
        // Offered or rejected: the last two, of which one comes.
        let goes_on = match to {
            0..3 => story.percent(60),
            3 => story.percent(25),
            _ => story.percent(80),
        };
        if !goes_on {
            // Who is not invited is turned down, or hears nothing.
            if to < 3 && story.percent(50) {
                break;
            }
            continue;
        }
        at += story.soon(3 * HOUR, 4 * DAY);
        story.tell(at, Act::Moved { application, from, to });
        if to >= 2 {
            note(story, at + SECOND, 3);
        }
        from = Some(to);
        if to == 3 {
            break;
        }
    }
}

/// A guide is begun, and mostly read to its end.
pub(super) fn learn(story: &mut Story<'_>) {
    let resource = story.draws.skewed_below(400) as u16;
    story.tell(0, Act::Began { resource });
    if story.percent(65) {
        let minutes = 5 + story.draws.skewed_below(90);
        let over = if story.percent(70) { minutes as i64 * MINUTE } else { story.soon(3 * HOUR, 5 * DAY) };
        story.tell(over, Act::Learnt { resource, minutes: minutes as u16 });
        story.tell(over + 90, Act::Earned { xp: 15, by_mission: false });
    }
}

/// Something breaks, and often again at once.
pub(super) fn break_down(story: &mut Story<'_>) {
    let which = story.draws.skewed_below(ERRORS.len() as u64) as u8;
    for time in 0..1 + story.draws.skewed_below(6) as i64 {
        story.tell(time * 4 * SECOND, Act::Broke { which });
    }
}

impl Act {
    pub(super) fn contract(self) -> ContractName {
        match self {
            Self::Registered => ContractName::UserRegistered,
            Self::LoggedIn { .. } => ContractName::UserLogin,
            Self::LoggedOut { .. } => ContractName::UserLogout,
            Self::Did { .. } => ContractName::UserActivity,
            Self::Started { .. } => ContractName::MissionStarted,
            Self::Completed { .. } => ContractName::MissionCompleted,
            Self::Failed { .. } => ContractName::MissionFailed,
            Self::Earned { .. } => ContractName::XpEarned,
            Self::Unlocked { .. } => ContractName::AchievementUnlocked,
            Self::Rose { .. } => ContractName::LevelUp,
            Self::Offered { .. } => ContractName::DailyChallengeAvailable,
            Self::Mastered { .. } => ContractName::DailyChallengeCompleted,
            Self::Noted { .. } => ContractName::JobquestNotificationSent,
            Self::Read { .. } => ContractName::NotificationRead,
            Self::Applied { .. } => ContractName::JobApplied,
            Self::Moved { .. } => ContractName::JobStatusUpdated,
            Self::Began { .. } => ContractName::LearningStarted,
            Self::Learnt { .. } => ContractName::LearningCompleted,
            Self::Broke { .. } => ContractName::SystemError,
        }
    }

    pub(super) fn push_key(self, user: u32, out: &mut Vec<u8>) {
        match self {
            Self::Broke { which } => out.extend_from_slice(ERRORS[usize::from(which)].1.as_bytes()),
            Self::Applied { application, .. } | Self::Moved { application, .. } => {
                push_hashed(out, "app-", application);
            }
            _ => push_user(out, user.into()),
        }
    }

    pub(super) fn write(self, user: u32, page: &mut Page<'_>) {
        page.begin();
        page.unique("id");
        match self {
            // An activity's type is its name.
            Self::Did { activity } => page.event_type("type", ACTIVITIES[usize::from(activity)]),
            _ => page.event_type("type", self.contract().spec().event_type),
        }
        if matches!(self, Self::Broke { .. }) {
            page.text("userId", "system");
        } else {
            page.user("userId", user);
        }
        page.at();
        page.open("metadata");
        page.text("source", if matches!(self, Self::Broke { .. }) { "server" } else { "web" });
        if let Self::LoggedIn { session } | Self::LoggedOut { session } = self {
            page.hashed("sessionId", "s-", session);
        }
        page.close();
        page.open("data");
        self.write_data(page);
        page.close();
        page.close();
    }

    fn write_data(self, page: &mut Page<'_>) {
        let mission = |page: &mut Page<'_>, mission: u64, which: u8| {
            let (name, kind) = MISSIONS[usize::from(which)];
            page.hashed("missionId", "mission-", mission);
            page.text("missionName", name);
            page.text("missionType", kind);
        };
        match self {
            Self::Registered | Self::LoggedIn { .. } => page.text("method", "password"),
            Self::LoggedOut { .. } => {}
            Self::Did { .. } => page.text("path", "/dashboard"),
            Self::Started { mission: id, which } => mission(page, id, which),
            Self::Completed { mission: id, which, minutes, xp } => {
                mission(page, id, which);
                page.whole("duration", minutes.into());
                page.whole("xpEarned", xp.into());
            }
            Self::Failed { mission: id, which, reason } => {
                mission(page, id, which);
                page.text("reason", REASONS[usize::from(reason)]);
            }
            Self::Earned { xp, by_mission } => {
                page.whole("amount", xp.into());
                page.text("source", if by_mission { "mission" } else { "challenge" });
            }
            Self::Unlocked { achievement } => page.text("achievementId", ACHIEVEMENTS[usize::from(achievement)]),
            Self::Rose { level } => {
                page.whole("newLevel", level.into());
                page.whole("previousLevel", u64::from(level) - 1);
            }
            Self::Offered { challenge } | Self::Mastered { challenge } => {
                page.text("challengeId", CHALLENGES[usize::from(challenge)]);
            }
            Self::Noted { note, channel, which } => {
                page.hashed("notificationId", "ntf-", note);
                page.text("channel", CHANNELS[usize::from(channel)]);
                page.text("notificationType", NOTES[usize::from(which)]);
            }
            Self::Read { note } => page.hashed("notificationId", "ntf-", note),
            Self::Applied { application, company } => {
                page.hashed("applicationId", "app-", application);
                page.text("company", COMPANIES[usize::from(company)]);
                page.text("status", APPLIED);
            }
            Self::Moved { application, from, to } => {
                page.hashed("applicationId", "app-", application);
                page.text("previousStatus", from.map_or(APPLIED, |from| STATES[usize::from(from)]));
                page.text("newStatus", STATES[usize::from(to)]);
            }
            Self::Began { resource } => page.numbered("resourceId", "guide-", resource.into()),
            Self::Learnt { resource, minutes } => {
                page.numbered("resourceId", "guide-", resource.into());
                page.whole("duration", minutes.into());
            }
            Self::Broke { which } => {
                let (code, service) = ERRORS[usize::from(which)];
                page.text("errorCode", code);
                page.text("service", service);
            }
        }
    }
}
