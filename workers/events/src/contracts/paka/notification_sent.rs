//! `notification.sent`: a notification was delivered, or could not be.
//!
//! Published by the notification processor. Not here: what it says. Invariant: names the notification by the name
//! that [`super::notification_send`] gave it.
//!
//! Paka's page leaves the fields open; the status is one of Knock's (`queued`, `sent`, `delivered`, `undelivered`,
//! `bounced`) or the application's own, the error OpenTelemetry's `error.type`.

use crate::text::{IdText, Text};

crate::contract! {
    /// A notification was delivered, or could not be.
    pub struct PakaNotificationSent<'a> = Paka "notification.sent" by_topic {
        /// The notification; its event's own name where it has none.
        required notification: IdText<'a> = "notification_id" | "id" | "event_id",
        /// The way that it takes: `telegram`, `email`.
        optional channel: Text<'a> = "channel",
        /// What became of it: `sent`, `delivered`, `failed`.
        optional status: Text<'a> = "status" | "delivery_status",
        /// Of which kind the error was, where there was one.
        optional error: Text<'a> = "error/type" | "error.type" | "error_type" | "error",
    }
}
