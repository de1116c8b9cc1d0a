//! Strings of 10 MB in every place of an event: a verdict or a bounded signal, and no more memory than
//! the record and one copy of it.
//!
//! Alone in its file, because the peak that it reads is the whole process's.

use events::{Gazetteer, SignalContract, SignalKind};

const GIANT_BYTES: usize = 10_000_000;
/// The record itself, what the JSON reader copies of a string with escapes (growing by doubling), and
/// slack for the allocator.
const PEAK_GROWTH_BYTES_MAX: usize = 80_000_000;

/// The process's peak resident memory; `None` where the system does not tell.
fn peak_bytes() -> Option<usize> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find(|line| line.starts_with("VmHWM:"))?;
    line.split_whitespace().nth(1)?.parse::<usize>().ok().map(|kib| kib * 1_024)
}

#[test]
fn giant_strings_cost_no_more_than_their_record() {
    let cities = Gazetteer::shipped();
    let before = peak_bytes();
    let templates = [
        r#"{"event_id":"@","event_type":"#,
        r#"{"event_id":"e","trace_id":"@","unknown":"@","event_type":"#,
        r#"{"event_id":"e","@":1,"event_type":"#,
    ];
    let payloads = [
        r#"{"poi_id":"p","itinerary_id":"i","query":"@"}"#,
        r#"{"poi_id":"p","itinerary_id":"i","city":"@","user_id":"@"}"#,
        r#"{"poi_id":"@","itinerary_id":"@","session_id":"@","source":"@","country":"@"}"#,
        r#"{"poi_id":"p","itinerary_id":"i","lat":"@"}"#,
        r#""@""#,
    ];
    for contract in SignalContract::ALL {
        for (n, unit) in ["a", "\\u00e9", "é", "\\n"].into_iter().enumerate() {
            let small = format!(
                r#"{}"{}","timestamp":1,"payload":{}}}"#,
                templates[n % templates.len()],
                contract.event_type(),
                payloads[(n + contract.index()) % payloads.len()],
            );
            let places = small.matches('@').count();
            let record = small.replace('@', &unit.repeat(GIANT_BYTES / places / unit.len()));
            drop(small);
            match contract.decode(Some(record.as_bytes()), &cities) {
                Ok(signal) => {
                    assert!(signal.city.is_none_or(|city| city.name.len() <= 128));
                    if let SignalKind::Search { query: Some(query), .. } = signal.kind {
                        assert!(query.len() <= 1_024);
                    }
                }
                Err(poison) => assert!(poison.detail.len() < 200),
            }
        }
        let timestamp = format!(
            r#"{{"event_id":"e","event_type":"{}","timestamp":"{}","payload":{{}}}}"#,
            contract.event_type(),
            "1".repeat(GIANT_BYTES)
        );
        assert!(contract.decode(Some(timestamp.as_bytes()), &cities).is_err());
    }
    if let (Some(before), Some(after)) = (before, peak_bytes()) {
        let growth = after - before;
        assert!(growth <= PEAK_GROWTH_BYTES_MAX, "{growth} bytes");
    }
}
