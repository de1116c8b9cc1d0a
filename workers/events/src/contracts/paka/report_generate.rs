//! `report.generate`: a report is to be made.
//!
//! Published by the API, and by `POST /kafka/test/report`, whose example has `reportType`. Not here: the report.
//! Invariant: names the report, as the event that it is ready does.
//!
//! Paka's page gives the report no name of its own; `request_id` is the correlation identifier of asynchronous
//! messaging (Hohpe and Woolf, Enterprise Integration Patterns, "Correlation Identifier").

use crate::text::{IdText, Text};

crate::contract! {
    /// A report is to be made.
    pub struct ReportGenerate<'a> = Paka "report.generate" by_topic {
        /// The report: named by itself, else by its request or its job, else by its event.
        required report: IdText<'a> = "report_id" | "request_id" | "job_id" | "id" | "event_id",
        /// Of which kind it is: `daily`, `weekly`.
        optional report_type: Text<'a> = "report_type",
    }
}
