//! What one person did within one minute.
//!
//! Not here: sessions, funnels, days ([`crate::person`]). Invariant: a deed counts once however often it is delivered,
//! and of too many the same ones are kept in whatever order they came; so folding and merging are exact.
//!
//! This is also how repeats are dropped. A record that is delivered again has its event's id and time, and so belongs to
//! the same minute of the same person; once that minute has closed, it is late. The horizon within which repeats are seen
//! is therefore a minute and the grace, and what is remembered is bounded by what a minute may hold.
//!
//! A step is written down in the terms of [`crate::packed`], since each crosses the repartition topic and the changelog:
//!
//! ```text
//! what there is: SUBJECT, AMOUNT, LABEL, whose doing in the lowest bits   kind's number   time   event
//! SUBJECT: identifier   AMOUNT: signed   LABEL: text
//! ```

use events::identity::IdHash;
use processing_core::aggregate::{Aggregate, Exactness, Mergeable};
use processing_core::prelude::EventTime;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use smallvec::SmallVec;

use crate::action::{Action, Deed, Traffic};
use crate::kind::Kind;
use crate::packed::{self, Packed, Reader, Writer};

/// How many deeds of one person and minute are kept; what lies beyond is no person's doing.
pub const DEEDS_MAX: usize = 4_096;

const TRAFFIC: u8 = 3;
const SUBJECT: u8 = 4;
const AMOUNT: u8 = 8;
const LABEL: u8 = 16;

/// A deed and when it was done.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Step {
    /// When.
    pub time: EventTime,
    /// What.
    pub deed: Deed,
}

impl Packed for Step {
    fn write(&self, into: &mut Writer) {
        let Self { time, deed: Deed { event, kind, traffic, amount, label, subject } } = self;
        let flag = |is_there: bool, flag: u8| if is_there { flag } else { 0 };
        let there = flag(subject.is_some(), SUBJECT) | flag(*amount != 0, AMOUNT) | flag(label.is_some(), LABEL);
        into.byte(there | traffic.number());
        into.byte(kind.number());
        into.time(*time);
        into.id(*event);
        subject.iter().for_each(|subject| into.id(*subject));
        if *amount != 0 {
            into.signed(i128::from(*amount));
        }
        label.iter().for_each(|label| into.text(label));
    }

    fn read(from: &mut Reader<'_>) -> Option<Self> {
        let there = from.byte()?;
        let has = |flag: u8| there & flag != 0;
        let traffic = Traffic::of_number(there & TRAFFIC)?;
        let kind = Kind::of_number(from.byte()?)?;
        let (time, event) = (from.time()?, from.id()?);
        let subject = if has(SUBJECT) { Some(from.id()?) } else { None };
        let amount = if has(AMOUNT) { i64::try_from(from.signed()?).ok()? } else { 0 };
        let label = if has(LABEL) { Some(from.text()?) } else { None };
        Some(Self { time, deed: Deed { event, kind, traffic, amount, label, subject } })
    }
}

impl Serialize for Step {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        packed::serialize(self, serializer)
    }
}

impl<'de> Deserialize<'de> for Step {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        packed::deserialize(deserializer)
    }
}

/// Something that is done by one event.
pub trait OfEvent: Ord + Clone + Serialize + DeserializeOwned + Send + 'static {
    /// Which event.
    fn event(&self) -> IdHash;
    /// When.
    fn time(&self) -> EventTime;
}

impl OfEvent for Step {
    fn event(&self) -> IdHash {
        self.deed.event
    }

    fn time(&self) -> EventTime {
        self.time
    }
}

/// What one does within a minute, which is one thing as a rule: each row and copy of it is in one place then.
pub type Steps<S> = SmallVec<[S; 1]>;

/// What happened within a minute, each event once.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(bound = "")]
pub struct Once<S: OfEvent> {
    /// By event; of an event that comes in two forms the smaller one.
    steps: Steps<S>,
    /// Whether there were more than [`DEEDS_MAX`].
    is_cut: bool,
}

/// A person's minute.
pub type PersonMinute = Once<Step>;

impl<S: OfEvent> Default for Once<S> {
    fn default() -> Self {
        Self { steps: Steps::new(), is_cut: false }
    }
}

impl<S: OfEvent> Once<S> {
    /// What happened, by time, then event.
    pub fn into_steps(self) -> Steps<S> {
        let mut steps = self.steps;
        steps.sort_unstable_by_key(|step| (step.time(), step.event()));
        steps
    }

    /// Whether there was more than is kept.
    pub fn is_cut(&self) -> bool {
        self.is_cut
    }

    fn put(&mut self, step: S) {
        match self.steps.binary_search_by_key(&step.event(), S::event) {
            Ok(place) if step < self.steps[place] => self.steps[place] = step,
            Ok(_) => {}
            Err(place) => {
                self.steps.insert(place, step);
                self.is_cut |= self.steps.len() > DEEDS_MAX;
                self.steps.truncate(DEEDS_MAX);
            }
        }
    }
}

impl Aggregate<Action> for Once<Step> {
    fn add(&mut self, action: &Action) {
        self.put(Step { time: action.time, deed: action.deed.clone() });
    }
}

impl<S: OfEvent> Aggregate<S> for Once<S> {
    fn add(&mut self, step: &S) {
        self.put(step.clone());
    }
}

impl<S: OfEvent> Mergeable for Once<S> {
    const EXACTNESS: Exactness = Exactness::Exact;

    fn merge(&mut self, other: &Self) {
        self.absorb(other.clone());
    }

    fn absorb(&mut self, other: Self) {
        let Self { steps, is_cut } = other;
        self.is_cut |= is_cut;
        if self.steps.is_empty() {
            self.steps = steps;
            return;
        }
        steps.into_iter().for_each(|step| self.put(step));
    }

    fn heap_bytes(&self) -> usize {
        if self.steps.spilled() { self.steps.capacity() * size_of::<S>() } else { 0 }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test stops where its helper finds nothing")]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_step_is_read_as_it_was_written(
            event in 1..u64::MAX, subject: u64, amount: i64, has_amount: bool, label in prop::option::of(".{0,20}"),
            kind in prop::sample::select(Kind::ALL), traffic in 0..3_u8, time: i64,
        ) {
            let deed = Deed {
                event: IdHash::from_bits(event).unwrap(),
                kind,
                traffic: Traffic::of_number(traffic).unwrap(),
                amount: if has_amount { amount } else { 0 },
                label: label.map(Into::into),
                subject: IdHash::from_bits(if has_amount { subject } else { 0 }),
            };
            let step = Step { time: EventTime(time), deed };
            prop_assert_eq!(packed::read(&packed::bytes_of(&step)), Some(step));
        }
    }
}
