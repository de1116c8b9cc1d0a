//! What every event is wrapped in: its identity, its type, its time, and its payload.
//!
//! Not here: what a payload holds (the contracts' files). Invariant: the envelope is read in the same
//! single pass as the payload, whatever the order of its fields; what it does not name is skipped.
//!
//! ```json
//! {"event_id": "…", "event_type": "search.executed", "timestamp": "2025-10-25T10:30:00Z",
//!  "trace_id": "…", "payload": {…}}
//! ```

use processing_core::record::EventTime;

use crate::poison::{Poison, PoisonReason};
use crate::text::{IdText, Text};
use crate::timestamp::Timestamp;
use crate::wire::{Field, Object, ReadInto, Wire};

crate::wire! {
    /// The envelope's fields as they are sent.
    pub struct EnvelopeWire<'a, P> {
        /// Names the event; two events with one id are one event.
        event_id: IdText<'a> = "event_id" | "eventId",
        /// Names the contract.
        event_type: Text<'a> = "event_type" | "eventType",
        /// When it happened.
        timestamp: Timestamp = "timestamp",
        /// Joins the event to the request that caused it, across services.
        trace_id: IdText<'a> = "trace_id" | "traceId",
        /// What happened.
        payload: Object<P> = "payload",
    }
}

/// An event's envelope, checked.
#[derive(Clone, Debug)]
pub struct Envelope<'a, P> {
    /// Names the event; two events with one id are one event.
    pub event_id: IdText<'a>,
    /// When it happened.
    pub time: EventTime,
    /// Joins the event to the request that caused it.
    pub trace_id: Option<IdText<'a>>,
    /// What happened.
    pub payload: P,
}

impl<'a, P: Wire<'a>> Envelope<'a, P> {
    /// Reads the record's `value` as an event of type `event_type`.
    ///
    /// # Errors
    /// The verdict on a value that is not one.
    pub fn read(value: Option<&'a [u8]>, event_type: &str) -> Result<Self, Poison> {
        let bytes = value.ok_or_else(Poison::tombstone)?;
        let mut reader = serde_json::Deserializer::from_slice(bytes);
        let mut document = Field::<Object<EnvelopeWire<'a, P>>>::Absent;
        document.read_into(&mut reader).and_then(|()| reader.end()).map_err(|error| Poison::from_json(&error))?;
        let Object(wire) = document.required("the event")?;

        let named = wire.event_type.required("event_type")?;
        if named.as_str() != event_type {
            return Err(Poison::new(
                PoisonReason::EventType,
                format!("`event_type` is not `{event_type}`, which this topic holds"),
            ));
        }
        let event_id = wire.event_id.required("event_id")?;
        let Timestamp(time) = wire.timestamp.required_or("timestamp", PoisonReason::Timestamp)?;
        let trace_id = wire.trace_id.optional("trace_id")?;
        let Object(payload) = wire.payload.required("payload")?;
        Ok(Self { event_id, time, trace_id, payload })
    }
}
