//! `lead.message`: a lead wrote, or was written to.
//!
//! Published by the backend. BizNavigate's page gives its fields. Not here: the message, which is private.
//! Invariant: names the lead.

use crate::text::{IdText, Text};

crate::contract! {
    /// A lead wrote, or was written to.
    pub struct LeadMessage<'a> = BizNavigate "lead.message" {
        /// The lead.
        required lead: IdText<'a> = "lead_id",
        /// The message.
        optional message: IdText<'a> = "message_id",
        /// `inbound` from the lead, `outbound` to it.
        optional direction: Text<'a> = "direction",
    }
}
