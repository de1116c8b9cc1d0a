//! Partial aggregates that were on their way when a topology changed.
//!
//! What waits in a repartition topic was sent by the topology of then. So a bundle says in a number what its aggregates
//! are (its shape: a hash of the fingerprint of the store that they go to), and one of another shape goes through the
//! same migration as that store's rows, before the chain sees it. Old and new bundles may come mixed, as upstream tasks
//! are upgraded one after the other. Bundles without a shape were sent before there was one, by a topology that has not
//! changed since: it refuses a store that has.
//!
//! Not here: the store's rows ([`crate::upgrade`]). Invariant: a chain meets no aggregate of another shape than its own.

use std::collections::BTreeMap;

use twox_hash::XxHash3_64;

use super::{Bundle, Frame, SHAPED, part, put_place, take_place};
use crate::batch::{RecordBatch, RecordRef};
use crate::error::CoreError;
use crate::migration::{Envelope, Path};
use crate::plan::Plan;
use crate::record::{TopicName, TopicPartition};
use crate::upgrade::Form;

/// Kind, epoch and shape of a bundle.
const HEAD: usize = 1 + 4 + 4;

/// What a bundle's aggregates are, in a number. Never 0, which stands for none.
pub(crate) fn shape(fingerprint: &str) -> u32 {
    (XxHash3_64::oneshot(fingerprint.as_bytes()) as u32).max(1)
}

/// What may come through a repartition topic.
pub(crate) struct InFlight {
    store: &'static str,
    present: u32,
    envelope: Envelope,
    /// What is not the store's any more, and how it becomes it.
    earlier: BTreeMap<u32, Path>,
}

impl InFlight {
    /// `None` for a topic that carries whole records.
    pub(crate) fn of(plan: &Plan, topic: &TopicName) -> Option<Self> {
        let (part, store) = plan.fed_by(topic)?;
        let Some(Form::Panes(envelope)) = Form::of(part, store) else { return None };
        let present = store.fingerprint();
        let earlier = plan.migrations_of(store.stored_as).filter_map(|migration| {
            Some((shape(&migration.from), plan.path(store.stored_as, &migration.from, &present)?))
        });
        let earlier = earlier.collect();
        Some(Self { store: store.name, present: shape(&present), envelope, earlier })
    }

    /// The records of `batch`, with the aggregates of this state epoch as they are now; `None` where they all are already.
    pub(crate) fn translated(
        &self,
        epoch: u32,
        place: &TopicPartition,
        batch: &RecordBatch,
    ) -> Result<Option<RecordBatch>, CoreError> {
        if batch.iter().all(|record| self.other_shape(epoch, record.value).is_none()) {
            return Ok(None);
        }
        let mut out = RecordBatch::new();
        for record in batch.iter() {
            let Some(shape) = self.other_shape(epoch, record.value) else {
                out.push(record);
                continue;
            };
            let path = self.earlier.get(&shape).ok_or_else(|| {
                CoreError::contradiction(format!(
                    "{place}: at offset {} are partial aggregates of store `{}` that an earlier topology has sent, and \
                     no migration says how they become what they are now: register one, or read them out with the \
                     topology that has sent them (`streamfleet pause`, and wait until nothing is under way), or run \
                     `streamfleet reprocess`",
                    record.offset, self.store
                ))
            })?;
            let told = |error: String| CoreError::record(place.clone(), record.offset, error);
            let value = self.migrated(epoch, path, record.value).map_err(told)?;
            out.push(RecordRef { value: Some(&value), ..record });
        }
        Ok(Some(out))
    }

    /// The shape of a bundle of another one.
    fn other_shape(&self, epoch: u32, value: Option<&[u8]>) -> Option<u32> {
        let [kind, e0, e1, e2, e3, s0, s1, s2, s3] = *value?.first_chunk::<HEAD>()?;
        let shape = u32::from_be_bytes([s0, s1, s2, s3]);
        (kind == SHAPED && u32::from_be_bytes([e0, e1, e2, e3]) == epoch && shape != self.present).then_some(shape)
    }

    fn migrated(&self, epoch: u32, path: &Path, value: Option<&[u8]>) -> Result<Vec<u8>, String> {
        let told = |poison: crate::decode::Poison| poison.message;
        let Some(Frame::Bundle(mut bundle)) = Frame::read(epoch, value).map_err(told)? else {
            return Err("a bundle is not in its format".to_owned());
        };
        let mut out = Vec::with_capacity(value.map_or(0, <[u8]>::len));
        out.push(SHAPED);
        out.extend_from_slice(&epoch.to_be_bytes());
        out.extend_from_slice(&self.present.to_be_bytes());
        let mut migrated = Vec::new();
        while let Some((key, mut partial)) = Bundle::next(&mut bundle).map_err(told)? {
            let place = take_place(&mut partial).ok_or("a partial aggregate is too short")?;
            migrated.clear();
            put_place(&mut migrated, place);
            migrated.extend_from_slice(&path.value(self.envelope, partial)?);
            part::put(&mut out, key);
            part::put(&mut out, &migrated);
        }
        Ok(out)
    }
}
