//! The updates of a table on their way to every task of another sub-topology.
//!
//! Not here: the rows that they make there ([`crate::table_join`]). Invariant: every partition of the topic holds the
//! updates of all of the table's partitions, each with the time at which it took effect where it was read, and before
//! the time record that passes it.
//!
//! They travel as whole records do ([`super::records`]), an update once for each partition.

use std::marker::PhantomData;

use serde::Serialize;
use state::StateKey;

use super::records::write;
use super::{Bundles, RECORDS, send_time};
use crate::batch::Headers;
use crate::process::{Terminal, Timed};
use crate::record::{EventTime, Partition};
use crate::sink::Lane;
use crate::step::Step;

/// The end of the chain that reads the table's topic.
pub struct Broadcast<K, R> {
    output: usize,
    /// Whose time the time records tell.
    sub_topology: u16,
    bundles: Bundles,
    key: Vec<u8>,
    record: Vec<u8>,
    reached: EventTime,
    /// The last time that was sent downstream.
    sent: EventTime,
    updates: PhantomData<fn(K, R)>,
}

impl<K, R> Broadcast<K, R> {
    pub(crate) fn new(output: usize, sub_topology: u16) -> Self {
        Self {
            output,
            sub_topology,
            bundles: Bundles::of(RECORDS),
            key: Vec::new(),
            record: Vec::new(),
            reached: EventTime::MIN,
            sent: EventTime::MIN,
            updates: PhantomData,
        }
    }
}

/// A clone has seen nothing: what a transaction holds belongs to one task.
impl<K, R> Clone for Broadcast<K, R> {
    fn clone(&self) -> Self {
        Self::new(self.output, self.sub_topology)
    }
}

impl<K, R> Terminal<K, Option<R>> for Broadcast<K, R>
where
    K: StateKey,
    R: Serialize + 'static,
{
    fn accept(&mut self, step: &mut Step<'_>, update: &Timed<K, Option<R>>) {
        self.key.clear();
        update.key.encode(&mut self.key);
        self.record.clear();
        let written = write(&mut self.record, update.time, EventTime::MIN, Headers::NONE, &update.value);
        step.ok(written);
        let lane = Lane::Output(self.output);
        for partition in 0..step.out.partitions(lane) {
            let grown = self.bundles.add_to(step, lane, Partition(partition), &self.key, |into| {
                into.extend_from_slice(&self.record);
                Ok(())
            });
            step.held_bytes = step.held_bytes.saturating_add_signed(grown);
        }
    }

    fn advance(&mut self, _: &mut Step<'_>, time: EventTime) {
        self.reached = time.max(self.reached);
    }

    fn drain(&mut self, step: &mut Step<'_>) {
        let lane = Lane::Output(self.output);
        self.bundles.finish(step, lane);
        if self.reached > self.sent {
            // A table's history is no part of what its streams have seen.
            send_time(step, lane, self.sub_topology, self.reached, EventTime::MAX);
            self.sent = self.reached;
        }
    }

    fn abandon(&mut self) {
        *self = self.clone();
    }
}
