//! What the worker knows of an event of any of its inputs: small, owned, and in its own terms.
//!
//! Not here: the contracts that events come by (`events`) and how one is read ([`crate::reading`]). Invariant: numbers are
//! whole (millionths, milliseconds), so that whatever is summed of them is the same in any order.

use compact_str::CompactString;
use events::identity::IdHash;
use processing_core::record::EventTime;
use serde::{Deserialize, Serialize};
use smallvec::SmallVec;

use crate::subject::Subject;

/// An event.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ModelEvent {
    /// Tells events apart: the hash of its id.
    pub id: u64,
    /// When it happened.
    pub time: EventTime,
    /// The application that it comes from.
    pub app: CompactString,
    /// Whose customer's it is.
    pub tenant: CompactString,
    /// The user, else the session; `None` where nobody is known.
    pub who: Option<u64>,
    /// What happened.
    pub what: What,
}

/// What happened.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum What {
    /// Recommendations were asked for.
    Requested(Request),
    /// Recommendations were given.
    Responded(Response),
    /// A user did something with an item.
    Interacted(Interaction),
    /// A model reports on itself.
    Measured(Measurement),
    /// Something happened in an experiment.
    Tested(Test),
    /// A message's intent was found out.
    Understood(Understanding),
    /// The AI failed.
    Failed {
        /// The model.
        name: ModelName,
        /// Of which type the error was.
        error: CompactString,
    },
    /// A lead has changed, and perhaps says what its intent truly was.
    LeadUpdated {
        /// Which lead.
        lead: CompactString,
        /// Its intent.
        intent: Option<CompactString>,
    },
    /// None of these.
    Other,
}

/// Which model; what is not said is empty.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct ModelName {
    /// The model.
    pub model: CompactString,
    /// Its version.
    pub version: CompactString,
    /// The variant of an experiment that it serves.
    pub variant: CompactString,
}

impl ModelName {
    /// The model's name within an application's tenant.
    pub fn path(&self) -> Subject {
        Subject::of([self.model.as_str(), &self.version, &self.variant])
    }

    /// The model's key, of an application's tenant.
    pub fn within(&self, scope: &Subject) -> Subject {
        scope.join(&self.path())
    }

    /// This name, and where it says nothing what `other` says.
    pub fn or(self, other: &Self) -> Self {
        let or = |mine: CompactString, other: &CompactString| if mine.is_empty() { other.clone() } else { mine };
        Self {
            model: or(self.model, &other.model),
            version: or(self.version, &other.version),
            variant: or(self.variant, &other.variant),
        }
    }
}

/// An item, by half of the hash of its id: lists of them are most of what this worker keeps and sends. A click on an item
/// that a user was not shown meets one of a hundred that were by mistake once in forty million times.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Item(pub u32);

impl Item {
    /// The item that is called so.
    pub fn of(id: &str) -> Self {
        Self((IdHash::of(id).get() >> 32) as u32)
    }
}

/// Items side by side. Ten are what most lists have, and those take no allocation: a worker makes, keeps and sends them by the
/// hundred thousand.
pub type ItemList = SmallVec<[Item; 10]>;

/// A request for recommendations.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Request {
    /// Its id.
    pub request: CompactString,
    /// The model that is asked.
    pub name: ModelName,
}

/// Recommendations.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Response {
    /// The id of its request.
    pub request: CompactString,
    /// The model that answers.
    pub name: ModelName,
    /// The items, best first.
    pub items: ItemList,
    /// Their scores in millionths.
    pub scores: Vec<i64>,
    /// How long it took by its own word, in milliseconds.
    pub latency_ms: Option<u64>,
    /// Whether it went well.
    pub is_success: bool,
}

/// Something that a user did.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Interaction {
    /// What: `click`, `rate`.
    pub action: CompactString,
    /// Which item.
    pub item: Option<Item>,
    /// In millionths.
    pub rating: Option<i64>,
    /// The request by whose answer the user came to the item, if it is said.
    pub request: Option<CompactString>,
}

/// A number that a model reports.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Measurement {
    /// The model.
    pub name: ModelName,
    /// What is measured.
    pub metric: CompactString,
    /// In millionths.
    pub value: i64,
}

/// An event of an experiment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Test {
    /// Which experiment.
    pub experiment: CompactString,
    /// The variant, where it is said.
    pub variant: Option<CompactString>,
    /// What happened: `assigned`, `converted`.
    pub action: CompactString,
}

/// What a model took a message for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Understanding {
    /// The model.
    pub name: ModelName,
    /// Whose message it was.
    pub lead: Option<CompactString>,
    /// The intent.
    pub intent: Option<CompactString>,
    /// By which tier: rules, a small model, a large one.
    pub tier: Option<CompactString>,
    /// In millionths, from 0 to 1.
    pub confidence: Option<u64>,
    /// What was suggested to be done.
    pub actions: Vec<CompactString>,
}

impl ModelEvent {
    /// Application and tenant.
    pub fn scope(&self) -> Subject {
        Subject::of([self.app.as_str(), &self.tenant])
    }
}
