//! What has a name of its own: places, sources, statuses, errors, journeys; and the first of them by number.
//!
//! Not here: what numbers are made of ([`crate::person`]). Invariant: each name is counted exactly, in a row of its own,
//! before the first ones are chosen.

use compact_str::CompactString;
use processing_core::aggregate::{Aggregate, Exactness, Mergeable, Sum, TopK};
use serde::{Deserialize, Serialize};

use crate::action::Deed;
use crate::kind::Kind;
use crate::scope::Scope;
use crate::session::Session;

/// What a name is a name of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[repr(u8)]
pub enum Dimension {
    /// A place, by favourites less those taken back.
    FavouritePlaces = 1,
    /// Where leads come from.
    LeadSources = 2,
    /// What applications became.
    ApplicationStatuses = 3,
    /// Errors of the system.
    SystemErrors = 4,
    /// Levels that users reached.
    Levels = 5,
    /// What is on record.
    AuditActions = 6,
    /// What people did in a session, in order.
    Journeys = 7,
}

impl Dimension {
    /// Every one.
    pub const ALL: [Self; 7] = [
        Self::FavouritePlaces,
        Self::LeadSources,
        Self::ApplicationStatuses,
        Self::SystemErrors,
        Self::Levels,
        Self::AuditActions,
        Self::Journeys,
    ];

    /// What stands for it in keys.
    pub const fn number(self) -> u8 {
        self as u8
    }

    /// The dimension of this number.
    pub fn of_number(number: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|dimension| dimension.number() == number)
    }

    /// Its name in results.
    pub const fn name(self) -> &'static str {
        match self {
            Self::FavouritePlaces => "favourite_places",
            Self::LeadSources => "lead_sources",
            Self::ApplicationStatuses => "application_statuses",
            Self::SystemErrors => "system_errors",
            Self::Levels => "levels",
            Self::AuditActions => "audit_actions",
            Self::Journeys => "journeys",
        }
    }
}

/// A name that was given.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Label {
    /// Of what.
    pub dimension: Dimension,
    /// The name.
    pub name: CompactString,
    /// 1, or -1 where it is taken back.
    pub weight: i64,
}

impl Label {
    /// What a deed names.
    pub fn of(deed: &Deed) -> Option<Self> {
        let (dimension, weight) = match deed.kind {
            Kind::PoiFavorited => (Dimension::FavouritePlaces, 1),
            Kind::PoiUnfavorited => (Dimension::FavouritePlaces, -1),
            Kind::LeadCreated | Kind::LeadCreatedAsking => (Dimension::LeadSources, 1),
            Kind::JobApplied | Kind::JobStatusUpdated => (Dimension::ApplicationStatuses, 1),
            Kind::SystemError => (Dimension::SystemErrors, 1),
            Kind::LevelUp => (Dimension::Levels, 1),
            Kind::Audit => (Dimension::AuditActions, 1),
            _ => return None,
        };
        let name = match (&deed.label, deed.kind) {
            (Some(name), _) => name.clone(),
            (None, Kind::PoiFavorited | Kind::PoiUnfavorited) => return None,
            (None, Kind::LevelUp) => deed.amount.to_string().into(),
            (None, Kind::JobApplied) => "applied".into(),
            (None, _) => "unknown".into(),
        };
        Some(Self { dimension, name, weight })
    }

    /// What was done in a session.
    pub fn journey(session: &Session) -> Self {
        Self { dimension: Dimension::Journeys, name: session.journey().into(), weight: 1 }
    }
}

/// A scope, a dimension's number and a name.
pub type LabelKey = (Scope, u8, CompactString);

/// A name's number within a scope and a day.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Named {
    /// Whose.
    pub scope: Scope,
    /// Of what, by its number.
    pub dimension: u8,
    /// The name.
    pub name: CompactString,
    /// How often.
    pub number: i64,
    /// How long the lists are.
    pub list_length: u32,
}

impl Named {
    /// A name's day.
    pub fn of((scope, dimension, name): &LabelKey, number: &Sum, list_length: u32) -> Self {
        let number = i64::try_from(number.get()).unwrap_or(i64::MAX);
        Self { scope: scope.clone(), dimension: *dimension, name: name.clone(), number, list_length }
    }
}

/// The first names of one scope and dimension.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct First {
    /// By number, then name.
    pub names: TopK<i64, CompactString>,
    /// How many names there are.
    pub distinct: u64,
    /// The sum of all numbers.
    pub total: i64,
}

impl Aggregate<Named> for First {
    fn add(&mut self, named: &Named) {
        self.distinct += 1;
        self.total = self.total.wrapping_add(named.number);
        self.names.add(named.list_length, named.number, named.name.clone());
    }
}

impl Mergeable for First {
    const EXACTNESS: Exactness = Exactness::Exact;

    fn merge(&mut self, other: &Self) {
        self.names.merge(&other.names);
        self.distinct += other.distinct;
        self.total = self.total.wrapping_add(other.total);
    }
}
