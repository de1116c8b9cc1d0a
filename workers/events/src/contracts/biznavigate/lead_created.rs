//! `lead.created`: a lead has come.
//!
//! Published by the backend. BizNavigate's page gives its fields. It alone names a `tenant_id` too; its tenant is the
//! `business_id`, as in all events about a lead ([`super`]). Not here: the platform's identifier of the person, which is
//! private. Invariant: names the lead; a lead that begins with a message is one that waits for a
//! reply.

use crate::text::{IdText, Text};

crate::contract! {
    /// A lead has come.
    pub struct LeadCreated<'a> = BizNavigate "lead.created" {
        /// The lead.
        required lead: IdText<'a> = "lead_id",
        /// Where it came from: `whatsapp`.
        optional source: Text<'a> = "source" | "platform",
        /// What the lead wrote at first.
        optional initial_message: Text<'a> = "initial_message",
    }
}
