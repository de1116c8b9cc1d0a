//! What somebody or something did: one word for each kind of event that the worker reads.
//!
//! Not here: which events are of which kind ([`crate::reading`]). Invariant: a kind's number is state and a kind's name
//! is output; neither is ever used for another kind.

use std::fmt;

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

macro_rules! kinds {
    ($($(#[$doc:meta])* $number:literal $kind:ident $name:literal $active:literal)+) => {
        /// A kind of event.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[repr(u8)]
        pub enum Kind {
            $($(#[$doc])* $kind = $number,)+
        }

        impl Kind {
            /// Every kind, by number.
            pub const ALL: &[Self] = &[$(Self::$kind),+];

            /// Its name in results and definitions.
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$kind => $name,)+
                }
            }

            /// Whether it is user-initiated: somebody did it, and it did not merely happen to them. Definitions may
            /// name other ones.
            pub const fn is_user_initiated(self) -> bool {
                match self {
                    $(Self::$kind => $active,)+
                }
            }

            /// The kind of this number.
            pub const fn of_number(number: u8) -> Option<Self> {
                match number {
                    $($number => Some(Self::$kind),)+
                    _ => None,
                }
            }
        }
    };
}

kinds! {
    /// LENS: somebody looked at an item.
    1 View "view" true
    /// LENS: somebody clicked on an item.
    2 Click "click" true
    /// LENS: somebody rated an item.
    3 Rate "rate" true
    /// LENS: somebody bookmarked an item.
    4 Bookmark "bookmark" true
    /// LENS: somebody searched.
    5 Search "search" true
    /// LENS: any other interaction.
    6 Interaction "interaction" true
    /// JobQuest: a mission was begun.
    10 MissionStarted "mission.started" true
    /// JobQuest: a mission was completed.
    11 MissionCompleted "mission.completed" true
    /// JobQuest: a mission was not completed.
    12 MissionFailed "mission.failed" false
    /// JobQuest: somebody applied for a job.
    13 JobApplied "job.applied" true
    /// JobQuest: an application has another status.
    14 JobStatusUpdated "job.status.updated" false
    /// JobQuest: an achievement.
    15 AchievementUnlocked "achievement.unlocked" false
    /// JobQuest: another level.
    16 LevelUp "level.up" false
    /// JobQuest: experience points.
    17 XpEarned "xp.earned" false
    /// JobQuest: the day's challenge was completed.
    18 ChallengeCompleted "daily.challenge.completed" true
    /// JobQuest: the day's challenge can be taken.
    19 ChallengeAvailable "daily.challenge.available" false
    /// JobQuest: learning was begun.
    20 LearningStarted "learning.started" true
    /// JobQuest: learning was completed.
    21 LearningCompleted "learning.completed" true
    /// JobQuest: a notification went out.
    22 NotificationSent "notification.sent" false
    /// JobQuest: a notification was read.
    23 NotificationRead "notification.read" true
    /// JobQuest: somebody registered.
    24 UserRegistered "user.registered" true
    /// JobQuest: somebody logged in.
    25 UserLogin "user.login" true
    /// JobQuest: somebody logged out.
    26 UserLogout "user.logout" true
    /// JobQuest: an error of the system.
    27 SystemError "system.error" false
    /// JobQuest: any other activity.
    28 UserActivity "user.activity" true
    /// Loci: a place became a favourite.
    40 PoiFavorited "poi.favorited" true
    /// Loci: a place is no favourite any more.
    41 PoiUnfavorited "poi.unfavorited" true
    /// Loci: an itinerary was saved.
    42 ItinerarySaved "itinerary.saved" true
    /// Loci: an itinerary was changed.
    43 ItineraryUpdated "itinerary.updated" true
    /// Loci: an itinerary was saved from the chat.
    44 ChatItinerarySaved "chat.itinerary.saved" true
    /// Loci: an embedding was asked for.
    45 EmbeddingRequested "poi.embedding.requested" false
    /// Loci: an embedding is there.
    46 EmbeddingCompleted "poi.embedding.completed" false
    /// Loci: an embedding could not be made.
    47 EmbeddingFailed "poi.embedding.failed" false
    /// Loci: places are to be compared.
    48 DedupRequested "poi.dedup.requested" false
    /// Paka: a document was uploaded.
    60 DocumentUploaded "document.uploaded" true
    /// Paka: a document was parsed.
    61 DocumentParsed "document.parsed" false
    /// Paka: a document was embedded.
    62 DocumentEmbedded "document.embedded" false
    /// Paka: a document could not be parsed or embedded.
    63 DocumentFailed "document.failed" false
    /// Paka: a notification is to be sent.
    64 NotificationRequested "notification.send" false
    /// Paka: it was delivered (`notification.sent` of Paka).
    65 NotificationDelivered "notification.delivered" false
    /// Paka: it could not be delivered.
    66 NotificationFailed "notification.failed" false
    /// Paka: an action that is on record.
    67 Audit "audit.event" true
    /// Paka: a report was asked for.
    68 ReportRequested "report.generate" true
    /// Paka: a report is there.
    69 ReportReady "report.ready" false
    /// Paka: a report could not be made.
    70 ReportFailed "report.failed" false
    /// BizNavigate: a lead came without a word.
    80 LeadCreated "lead.created" true
    /// BizNavigate: a lead came with a first message.
    81 LeadCreatedAsking "lead.created.asking" true
    /// BizNavigate: a lead's data changed.
    82 LeadUpdated "lead.updated" false
    /// BizNavigate: a lead wrote.
    83 LeadInbound "lead.message.inbound" true
    /// BizNavigate: somebody wrote to a lead.
    84 LeadOutbound "lead.message.outbound" false
}

impl Kind {
    /// The kind of this name.
    pub fn of_name(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|kind| kind.name() == name)
    }

    /// What stands for it in stored state.
    pub const fn number(self) -> u8 {
        self as u8
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Its name where people read it, its number in state.
impl Serialize for Kind {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if serializer.is_human_readable() {
            serializer.serialize_str(self.name())
        } else {
            serializer.serialize_u8(self.number())
        }
    }
}

impl<'de> Deserialize<'de> for Kind {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        if deserializer.is_human_readable() {
            let name = String::deserialize(deserializer)?;
            return Self::of_name(&name).ok_or_else(|| D::Error::custom(format_args!("there is no kind `{name}`")));
        }
        let number = u8::deserialize(deserializer)?;
        Self::of_number(number).ok_or_else(|| D::Error::custom(format_args!("no kind has the number {number}")))
    }
}

/// A set of kinds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Kinds(u128);

impl Kinds {
    /// Those that are user-initiated unless somebody says otherwise.
    pub fn user_initiated() -> Self {
        Kind::ALL.iter().copied().filter(|kind| kind.is_user_initiated()).collect()
    }

    /// Whether `kind` is one of them.
    pub const fn contains(self, kind: Kind) -> bool {
        self.0 & (1 << kind.number()) != 0
    }

    /// Those of both sets.
    pub const fn and(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Whether there is none.
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }
}

impl FromIterator<Kind> for Kinds {
    fn from_iter<I: IntoIterator<Item = Kind>>(kinds: I) -> Self {
        Self(kinds.into_iter().fold(0, |set, kind| set | 1 << kind.number()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_numbers_lead_back() {
        for kind in Kind::ALL.iter().copied() {
            assert_eq!(Kind::of_name(kind.name()), Some(kind));
            assert_eq!(Kind::of_number(kind.number()), Some(kind));
            assert!(kind.number() < 128, "a set of kinds has 128 places");
        }
    }

    /// What the definition names: these never make a user active.
    #[test]
    fn what_merely_happens_to_users_makes_nobody_active() {
        for kind in [Kind::NotificationSent, Kind::ChallengeAvailable, Kind::SystemError] {
            assert!(!Kinds::user_initiated().contains(kind));
        }
        assert!(Kinds::user_initiated().contains(Kind::Search));
    }
}
