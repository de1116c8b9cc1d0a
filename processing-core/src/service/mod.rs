//! The shell around the record path.
pub mod settings;
