//! Topic `system-events`: users register, come and go, and errors occur.
//!
//! Published by the server. Not here: what an error says, which may be private. Invariant: who registered, came or
//! went is the head's user.
//!
//! JobQuest's page leaves the fields open; an error's code and service are OpenTelemetry's `error.type` and
//! `service.name`.

use crate::text::{IdText, Text};

crate::contract! {
    /// A user registered.
    pub struct UserRegistered<'a> = JobQuest "user.registered" on "system-events" {}
}

crate::contract! {
    /// A user logged in.
    pub struct UserLogin<'a> = JobQuest "user.login" on "system-events" {}
}

crate::contract! {
    /// A user logged out.
    pub struct UserLogout<'a> = JobQuest "user.logout" on "system-events" {}
}

crate::contract! {
    /// An error occurred; not something that a user did.
    pub struct SystemError<'a> = JobQuest "system.error" on "system-events" {
        /// Of which kind it is.
        optional code: IdText<'a> = "error_code" | "code" | "error/code" | "error_type" | "error/type" | "error.type",
        /// Where it occurred.
        optional service: Text<'a> = "service" | "service_name" | "service.name" | "component",
    }
}
