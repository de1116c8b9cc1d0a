//! What an event says to this worker, whichever contract it came by.
//!
//! Not here: contracts ([`crate::reading`]). Invariant: an action is small, owned, and holds nothing that is not counted.

use compact_str::CompactString;
use events::identity::IdHash;
use processing_core::prelude::EventTime;
use serde::{Deserialize, Serialize};

use crate::kind::{Kind, Kinds};
use crate::scope::{NOBODYS, Person, Scope, Who};

/// Somebody or something did something.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Action {
    /// When.
    pub time: EventTime,
    /// The application.
    pub app: CompactString,
    /// Its tenant.
    pub tenant: CompactString,
    /// Who; `None` where nobody is known.
    pub user: Option<IdHash>,
    /// What.
    #[serde(flatten)]
    pub deed: Deed,
}

/// What was done, without when, whose and who.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Deed {
    /// The event: the same bits however often it is delivered.
    pub event: IdHash,
    /// Its kind.
    pub kind: Kind,
    /// Whose doing it was.
    #[serde(default)]
    pub traffic: Traffic,
    /// A rating in thousandths, experience points, a level; 0 for the others.
    #[serde(default)]
    pub amount: i64,
    /// A place, a source, a status, an error, by its own name.
    #[serde(default)]
    pub label: Option<CompactString>,
    /// What it was done to: a document, a mission, a notification, a lead. The last one: of two forms of one event, nobody's
    /// choice hangs on it unless they are alike in all that is counted.
    #[serde(default)]
    pub subject: Option<IdHash>,
}

/// What a record says to this worker.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Reading {
    /// Something that is counted.
    Action(Action),
    /// An event of a type that nobody asked for: it moves time on and nothing else.
    Other {
        /// When.
        time: EventTime,
    },
}

impl Reading {
    /// When it happened.
    pub fn time(&self) -> EventTime {
        match self {
            Self::Action(action) => action.time,
            Self::Other { time } => *time,
        }
    }

    /// Whether it is counted.
    pub fn is_action(&self) -> bool {
        matches!(self, Self::Action(_))
    }

    /// What is counted.
    pub fn action(self) -> Option<Action> {
        match self {
            Self::Action(action) => Some(action),
            Self::Other { .. } => None,
        }
    }
}

/// Whose doing something was, by the rule of the definitions.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Traffic {
    /// People's.
    #[default]
    People,
    /// A program's.
    Bot,
    /// The company's own.
    Internal,
}

impl Traffic {
    /// What stands for it in stored state.
    pub const fn number(self) -> u8 {
        match self {
            Self::People => 0,
            Self::Bot => 1,
            Self::Internal => 2,
        }
    }

    /// Whose number this is.
    pub const fn of_number(number: u8) -> Option<Self> {
        match number {
            0 => Some(Self::People),
            1 => Some(Self::Bot),
            2 => Some(Self::Internal),
            _ => None,
        }
    }
}

impl Action {
    /// Without the subject that nobody asks for.
    pub fn about_what_is_followed(mut self, followed: Kinds) -> Self {
        self.deed.subject = self.deed.subject.filter(|_| followed.contains(self.deed.kind));
        self
    }

    /// Who it is counted for.
    pub fn person(&self) -> Person {
        let who = match self.user {
            Some(user) => Who::Known(user),
            None => Who::Nobody((self.deed.event.get() % u64::from(NOBODYS)) as u8),
        };
        Person { scope: Scope::new(&self.app, &self.tenant), who }
    }
}
