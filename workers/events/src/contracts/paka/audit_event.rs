//! `audit.event`: a user did something that is kept on record.
//!
//! Published by the API, and by `POST /kafka/test/audit`, whose example has `action`, `resource`, `resourceId` and
//! `details`. Not here: the details. Invariant: names the action.
//!
//! What it leaves open is named as in the Elastic Common Schema: `event.outcome` is `success`, `failure` or
//! `unknown`; who acted may be a user, a service or a system.

use crate::text::{IdText, Text};

crate::contract! {
    /// A user did something that is kept on record.
    pub struct AuditEvent<'a> = Paka "audit.event" by_topic {
        /// What was done.
        required action: Text<'a> = "action" | "event/action",
        /// What kind of thing it was done to.
        optional resource: Text<'a> = "resource" | "resource_type",
        /// Which thing it was done to.
        optional resource_id: IdText<'a> = "resource_id",
        /// `success`, `failure` or `unknown`.
        optional outcome: Text<'a> = "outcome" | "event/outcome" | "result" | "status",
        /// Who did it: `user`, `service`, `system`.
        optional actor_type: Text<'a> = "actor_type" | "actor/type",
    }
}
