//! Topic `notifications`: notifications are sent to users, who read them.
//!
//! Published by `show()` of the notification service and by whoever marks one as read. Not here: what they say.
//! Invariant: names the notification, the same way in both.
//!
//! JobQuest's page leaves the fields open. A notification without a name of its own is named by the event that sent
//! it.

use crate::text::{IdText, Text};

crate::contract! {
    /// A notification was sent; not something that the user did.
    pub struct JobquestNotificationSent<'a> = JobQuest "notification.sent" on "notifications" {
        /// The notification.
        required notification: IdText<'a> = "notification_id" | "id" | "/id",
        /// The way that it took: `in_app`, `push`, `email`.
        optional channel: Text<'a> = "channel",
        /// Of which kind it is.
        optional notification_type: Text<'a> = "notification_type" | "type",
    }
}

crate::contract! {
    /// A user read a notification.
    pub struct NotificationRead<'a> = JobQuest "notification.read" on "notifications" {
        /// The notification.
        required notification: IdText<'a> = "notification_id" | "id",
    }
}
