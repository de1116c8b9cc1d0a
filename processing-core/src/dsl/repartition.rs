//! The step that sends whole records to the partition of their new key.
//!
//! Not here: how they travel ([`crate::repartition::records`]). Invariant: what comes out begins a sub-topology of
//! its own, whose tasks are as many as the topic has partitions.

use std::rc::Rc;

use serde::Serialize;
use serde::de::DeserializeOwned;
use state::StateKey;

use super::stream::{Conclude, Ended, Grouped, Stream};
use crate::process::Pipe;
use crate::record::DurationMs;
use crate::repartition::records::{Repartitioned, SendRecords};
use crate::word::Settled;

/// What goes through a repartition topic, and what it leaves in the hand.
pub(super) type ThroughTopic<P, O> = Stream<
    Repartitioned<<P as Pipe>::Key, <P as Pipe>::Value>,
    Ended<P, SendRecords<<P as Pipe>::Key, <P as Pipe>::Value>, O>,
>;

impl<P, O> Grouped<P, O>
where
    P: Pipe<Key: StateKey, Value: Serialize + DeserializeOwned>,
    P::Head: Conclude<Word: Settled>,
{
    /// Sends every record through the topic `<app>-<name>-repartition`, so that records of one key come to one task:
    /// for what is not aggregated on the way, as a window's `fold` behind `key_by` is. Event times go along, and so
    /// does what makes a record late: behind the topic it is judged as it would have been at its source. Where it is
    /// late then, it is set aside as it travelled, with the key's bytes and its value in the state's codec.
    ///
    /// Records of one partition keep their order. Those of several come as they are read, which a replay may do in
    /// another order: windows, and tables folded by a recipe, do not hang on it. Behind a join with a table it is left
    /// for records of one time.
    pub fn repartition(self, name: &str) -> ThroughTopic<P, O> {
        self.through(name, None)
    }

    /// `judge` names a store whose records are late by more than this: they are set aside before the topic.
    pub(super) fn through(self, name: &str, judge: Option<(&'static str, DurationMs)>) -> ThroughTopic<P, O> {
        let stream = self.0;
        let draft = Rc::clone(&stream.draft);
        let upstream = stream.sub as u16;
        let ((sub, at), output) = draft.borrow_mut().through((stream.sub, stream.at), name);
        let owed = stream.conclude(SendRecords::new(output, upstream, judge));
        Stream { draft, sub, at, pipe: Repartitioned::new(), owed }
    }
}
