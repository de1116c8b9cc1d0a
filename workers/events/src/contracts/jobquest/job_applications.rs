//! Topic `job-applications`: users apply for jobs, and their applications move on.
//!
//! Published by `logJobApplied()`. Not here: how long each state lasts. Invariant: names the application, the same
//! way in all its events.
//!
//! JobQuest's page leaves the fields open. An application without a name of its own is named by its job, to which a
//! user applies once.

use crate::text::{IdText, Text};

crate::contract! {
    /// A user applied for a job.
    pub struct JobApplied<'a> = JobQuest "job.applied" on "job-applications" {
        /// The application: named by itself, else by its job.
        required application: IdText<'a> = "application_id" | "job_application_id" | "job_id",
        /// The job.
        optional job: IdText<'a> = "job_id",
        /// Who offers it.
        optional company: Text<'a> = "company" | "company_name",
        /// Its first state.
        optional status: Text<'a> = "status",
    }
}

crate::contract! {
    /// An application moved on.
    pub struct JobStatusUpdated<'a> = JobQuest "job.status.updated" on "job-applications" {
        /// The application: named by itself, else by its job.
        required application: IdText<'a> = "application_id" | "job_application_id" | "job_id",
        /// Its state from then on.
        required status: Text<'a> = "new_status" | "status",
        /// Its state until then.
        optional previous: Text<'a> = "previous_status" | "old_status",
    }
}
