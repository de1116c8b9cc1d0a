//! Every contract by name, and an event of any of them.
//!
//! Not here: the contracts ([`crate::contracts`]). Invariant: a contract is named once, in the list at the end of this
//! file; its name, its data, its struct and its variant cannot disagree.

use crate::contract::{ContractSpec, FromTokens as _};
use crate::contracts::{biznavigate, jobquest, lens, loci, paka};
use crate::head::Head;
use crate::poison::Poison;
use crate::tokens::Tokens;

macro_rules! contracts {
    ($($name:ident in $system:ident::$topic:ident,)+) => {
        /// A contract's name.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum ContractName {
            $(
                #[doc = concat!("[`", stringify!($name), "`](", stringify!($system), "::", stringify!($topic), "::", stringify!($name), ").")]
                $name,
            )+
        }

        /// An event.
        #[derive(Clone, Debug)]
        pub enum Event<'a> {
            $(
                #[doc = concat!("Of [`", stringify!($name), "`](", stringify!($system), "::", stringify!($topic), "::", stringify!($name), ").")]
                $name(Head<'a>, $system::$topic::$name<'a>),
            )+
            /// Of a type that is not asked for, on a topic that is read.
            Other(Head<'a>),
        }

        impl ContractName {
            /// All of them.
            pub const ALL: &'static [Self] = &[$(Self::$name),+];

            /// The contract as data.
            pub fn spec(self) -> &'static ContractSpec {
                match self {
                    $(Self::$name => const { &$system::$topic::$name::SPEC },)+
                }
            }

            pub(crate) fn read<'a>(self, head: Head<'a>, tokens: &mut Tokens<'a>) -> Result<Event<'a>, Poison> {
                match self {
                    $(Self::$name => Ok(Event::$name(head, $system::$topic::$name::from_tokens(tokens)?)),)+
                }
            }
        }

        impl<'a> Event<'a> {
            /// Its head.
            pub fn head(&self) -> &Head<'a> {
                match self {
                    $(Self::$name(head, _) => head,)+
                    Self::Other(head) => head,
                }
            }

            /// Its contract; `None` for one that is of none that is asked for.
            pub fn contract(&self) -> Option<ContractName> {
                match self {
                    $(Self::$name(..) => Some(ContractName::$name),)+
                    Self::Other(_) => None,
                }
            }
        }
    };
}

impl ContractName {
    /// The contract that settings call `name`, as in `loci.search.executed`.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|contract| contract.spec().name() == name)
    }
}

contracts! {
    SearchExecuted in loci::search_executed,
    ChatSessionStarted in loci::chat_session_started,
    ChatResponseGenerated in loci::chat_response_generated,
    ChatItinerarySaved in loci::chat_itinerary_saved,
    PoiFavorited in loci::poi_favorited,
    PoiUnfavorited in loci::poi_unfavorited,
    ItinerarySaved in loci::itinerary_saved,
    ItineraryUpdated in loci::itinerary_updated,
    PoiEmbeddingRequested in loci::poi_embedding_requested,
    PoiEmbeddingCompleted in loci::poi_embedding_completed,
    PoiIngested in loci::poi_ingested,
    PoiDedupRequested in loci::poi_dedup_requested,
    DocumentUploaded in paka::document_uploaded,
    DocumentParsed in paka::document_parsed,
    DocumentEmbedded in paka::document_embedded,
    NotificationSend in paka::notification_send,
    PakaNotificationSent in paka::notification_sent,
    AuditEvent in paka::audit_event,
    ReportGenerate in paka::report_generate,
    ReportReady in paka::report_ready,
    UserInteraction in lens::user_interactions,
    RecommendationRequest in lens::recommendation_requests,
    RecommendationResponse in lens::recommendation_responses,
    ModelMetric in lens::model_metrics,
    AbTestEvent in lens::ab_test_events,
    UserActivity in jobquest::user_activities,
    JobquestNotificationSent in jobquest::notifications,
    NotificationRead in jobquest::notifications,
    AchievementUnlocked in jobquest::achievements,
    LevelUp in jobquest::achievements,
    XpEarned in jobquest::achievements,
    DailyChallengeCompleted in jobquest::daily_challenges,
    DailyChallengeAvailable in jobquest::daily_challenges,
    JobApplied in jobquest::job_applications,
    JobStatusUpdated in jobquest::job_applications,
    LearningStarted in jobquest::learning_progress,
    LearningCompleted in jobquest::learning_progress,
    MissionStarted in jobquest::mission_events,
    MissionCompleted in jobquest::mission_events,
    MissionFailed in jobquest::mission_events,
    UserRegistered in jobquest::system_events,
    UserLogin in jobquest::system_events,
    UserLogout in jobquest::system_events,
    SystemError in jobquest::system_events,
    LeadCreated in biznavigate::lead_created,
    LeadUpdated in biznavigate::lead_updated,
    LeadMessage in biznavigate::lead_message,
    AiProcessRequest in biznavigate::ai_process_request,
    AiProcessResult in biznavigate::ai_process_result,
    AiError in biznavigate::ai_error,
}
