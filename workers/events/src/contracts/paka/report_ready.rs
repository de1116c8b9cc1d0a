//! `report.ready`: a report is ready, or could not be made.
//!
//! Published by the report generator. Not here: the report. Invariant: names the report by the name that
//! [`super::report_generate`] gave it.
//!
//! Paka's page leaves the fields open; durations say their unit in their name.

use crate::number::Millis;
use crate::text::{IdText, Text};

crate::contract! {
    /// A report is ready, or could not be made.
    pub struct ReportReady<'a> = Paka "report.ready" by_topic {
        /// The report: named by itself, else by its request or its job, else by its event.
        required report: IdText<'a> = "report_id" | "request_id" | "job_id" | "id" | "event_id",
        /// Of which kind it is: `daily`, `weekly`.
        optional report_type: Text<'a> = "report_type",
        /// How long it took.
        optional duration: Millis = "duration_ms" | "processing_time_ms" | "generation_time_ms",
        /// What became of it: `ready`, `failed`.
        optional status: Text<'a> = "status" | "outcome",
    }
}
