//! BizNavigate: leads, and the AI that answers them.
//!
//! They come as `{event_id, event_type, timestamp, payload}`, whose business it is in the payload. Not here: the
//! other systems. Invariant: one file for each topic.

pub mod ai_error;
pub mod ai_process_request;
pub mod ai_process_result;
pub mod lead_created;
pub mod lead_message;
pub mod lead_updated;
