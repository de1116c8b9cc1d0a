//! The five fields of an event that the benches parse, borrowed from its bytes.
//!
//! Not here: how events are made (`input`). Invariant: both floors do this and nothing else with an event, so that they
//! can be compared.

use serde::Deserialize;

#[derive(Deserialize)]
pub(crate) struct Wire<'a> {
    pub(crate) event_id: &'a str,
    pub(crate) timestamp: i64,
    #[serde(borrow)]
    pub(crate) payload: Payload<'a>,
}

#[derive(Deserialize)]
pub(crate) struct Payload<'a> {
    pub(crate) user_id: &'a str,
    pub(crate) city: &'a str,
    pub(crate) result_count: u32,
}

/// Parses an event and drops it.
pub(crate) fn parse(bytes: &[u8]) {
    let wire: Wire<'_> = serde_json::from_slice(bytes).expect("an event");
    std::hint::black_box((wire.event_id, wire.timestamp, wire.payload.user_id, wire.payload.city));
    std::hint::black_box(wire.payload.result_count);
}
