//! `notification.send`: a notification is to be sent.
//!
//! Published by the API, and by `POST /kafka/test/notification`, whose example has `title` and `body`. Not here:
//! what it says. Invariant: names the notification, as the event that tells of its delivery does.
//!
//! What it leaves open has the names that Knock, a service for notifications, gives it: channel, template.

use crate::text::{IdText, Text};

crate::contract! {
    /// A notification is to be sent.
    pub struct NotificationSend<'a> = Paka "notification.send" by_topic {
        /// The notification; its event's own name where it has none.
        required notification: IdText<'a> = "notification_id" | "id" | "event_id",
        /// The way that it takes: `telegram`, `email`.
        optional channel: Text<'a> = "channel",
        /// What it was made of.
        optional template: Text<'a> = "template" | "template_id" | "template_name" | "notification_type",
    }
}
