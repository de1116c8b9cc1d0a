//! The worker told as stories: what models and users do, what comes out, and what fails in between.
//!
//! Each story is run as it is written, with a crash and with a rebalance before each of its lines, and with a crash at each
//! stage of the commit after it. Short lines stand for a line `in` with the event; see [`told::told`].

mod experiments;
mod models;
mod recommendations;
mod told;

use model_performance::ModelSettings;
use processing_core::record::DurationMs;
use processing_core::testing::script;

/// The defaults, but that nothing may come late, so that a minute closes when the next one begins.
fn prompt() -> ModelSettings {
    ModelSettings { grace: DurationMs(0), ..ModelSettings::default() }
}

#[track_caller]
fn check(settings: &ModelSettings, story: &str) {
    let story = told::written_out(story);
    script::check(|| told::topology(settings, &story).unwrap_or_else(|error| panic!("{error}")), &story);
}
