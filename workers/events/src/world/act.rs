//! What an event says, whichever application tells it.
//!
//! Not here: what each application's acts are. Invariant: an act knows its contract, its topic and its key without being
//! written.

use super::page::Page;
use super::{documents, films, jobs, leads, travel};
use crate::event::ContractName;

/// What an event says.
#[derive(Clone, Copy, Debug)]
pub(super) enum Act {
    Travel(travel::Act),
    Documents(documents::Act),
    Films(films::Act),
    Jobs(jobs::Act),
    Leads(leads::Act),
}

macro_rules! of_application {
    ($($application:ident $module:ident)+) => {
        $(
            impl From<$module::Act> for Act {
                fn from(act: $module::Act) -> Self {
                    Self::$application(act)
                }
            }
        )+

        impl Act {
            /// Whose event it is.
            pub(super) fn contract(self) -> ContractName {
                match self {
                    $(Self::$application(act) => act.contract(),)+
                }
            }

            /// Writes the event of `user`.
            pub(super) fn write(self, user: u32, page: &mut Page<'_>) {
                match self {
                    $(Self::$application(act) => act.write(user, page),)+
                }
            }

            /// Writes the record's key.
            pub(super) fn push_key(self, user: u32, out: &mut Vec<u8>) {
                match self {
                    $(Self::$application(act) => act.push_key(user, out),)+
                }
            }
        }
    };
}

of_application! {
    Travel travel
    Documents documents
    Films films
    Jobs jobs
    Leads leads
}

impl Act {
    /// Where it is published: on the contract's first topic, or on the older of two names by those who still use it.
    pub(super) fn topic(self) -> &'static str {
        let topics = self.contract().spec().topics;
        let which = match self {
            Self::Leads(act) => usize::from(act.by_older_name()),
            _ => 0,
        };
        topics.get(which).or(topics.first()).copied().unwrap_or_default()
    }

    /// Whether its events say their type themselves, and another type on its topic is nobody's.
    pub(super) fn says_type(self) -> bool {
        match self {
            Self::Travel(_) | Self::Leads(_) => true,
            Self::Jobs(act) => !matches!(act, jobs::Act::Did { .. }),
            Self::Documents(_) | Self::Films(_) => false,
        }
    }
}
