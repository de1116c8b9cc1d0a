//! BizNavigate: leads, and the AI that answers them.
//!
//! They come as `{event_id, event_type, timestamp, payload}`, whose business it is in the payload. By BizNavigate's page
//! every event has a `business_id`, and `lead.created` has a `tenant_id` beside it. The tenant is the `business_id`, so that
//! all events about a lead are one tenant's; where only a `tenant_id` stands it is that. Who has a `tenant_id` in all events
//! and means that maps `tenant = "/payload/tenant_id"`.
//!
//! Not here: the other systems. Invariant: one file for each topic.

pub mod ai_error;
pub mod ai_process_request;
pub mod ai_process_result;
pub mod lead_created;
pub mod lead_message;
pub mod lead_updated;
