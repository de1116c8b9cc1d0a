//! Paka: documents, notifications, audit, reports.
//!
//! All their fields stand at the top. The topic says of which type they are. Not here: the other systems.
//! Invariant: one file for each topic.

pub mod audit_event;
pub mod document_embedded;
pub mod document_parsed;
pub mod document_uploaded;
pub mod notification_send;
pub mod notification_sent;
pub mod report_generate;
pub mod report_ready;
