//! `lead.updated`: what is known of a lead has changed.
//!
//! Published by the backend. Not here: what it was before. Invariant: names the lead.
//!
//! BizNavigate's page leaves the fields open; the intent is that of `ai.process.result`, as a person has set or
//! confirmed it.

use crate::text::{IdText, Text};

crate::contract! {
    /// What is known of a lead has changed.
    pub struct LeadUpdated<'a> = BizNavigate "lead.updated" {
        /// The lead.
        required lead: IdText<'a> = "lead_id",
        /// Its state.
        optional status: Text<'a> = "new_status" | "status" | "lead_status",
        /// What the lead wants, as is known by then.
        optional intent: Text<'a> = "intent/intent" | "intent/name" | "intent_type" | "intent",
    }
}
