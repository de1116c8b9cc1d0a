//! What of an hour somebody should know: drift, and that it is time to train anew.
//!
//! | rule | when | to |
//! |---|---|---|
//! | `drift` | numbers of an hour have moved that had not in the hour before with enough numbers | alerts (`drifting`), retrain |
//! | | they are back | alerts (`recovered`) |
//! | `ratings` | an hour brought at least so many new ratings | retrain |
//!
//! A drift of numbers that have not come for seven days is forgotten.
//!
//! Not here: how far is too far ([`crate::drift`]). Invariant: a rule speaks once about what it is about: of an hour, of a
//! drift from its beginning to its end.

use std::collections::BTreeMap;
use std::sync::Arc;

use compact_str::CompactString;
use processing_core::decode::Poison;
use processing_core::prelude::{Context, KeyValueStore, Output, Processor, Timer};
use processing_core::record::EventTime;
use serde::{Deserialize, Serialize};

use crate::drift::{self, History, REFERENCE};
use crate::performance::Performance;
use crate::results::performance::PerformanceRecord;
use crate::results::signal::{Alert, Retrain};
use crate::settings::ModelSettings;
use crate::span::Span;
use crate::subject::Subject;

/// An hour and what lies before it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Hour {
    /// The hour.
    pub performance: Performance,
    /// The seven days before it.
    pub reference: History,
}

/// The names that drift, each since the end of which hour.
pub type Drifting = BTreeMap<CompactString, i64>;

/// Handles models' hours; keyed by model.
#[derive(Clone)]
pub struct Signalling {
    /// The rules, and what results carry.
    pub settings: Arc<ModelSettings>,
    /// What drifts.
    pub drifting: KeyValueStore<Subject, Drifting>,
    /// When a model that has fallen silent is forgotten.
    pub forget: Timer,
    /// Alerts.
    pub alerts: Output<Alert>,
    /// Signals to train anew.
    pub retrain: Output<Retrain>,
}

impl Processor for Signalling {
    type Key = Subject;
    type In = Span<Hour>;
    type Out = PerformanceRecord;

    fn process(&self, ctx: &mut Context<'_, '_, Self>, model: &Subject, hour: Span<Hour>) -> Result<(), Poison> {
        let (settings, window) = (&self.settings, (hour.start, hour.end));
        let Hour { performance, reference } = &hour.value;
        let moved = drift::compare(&History::of(performance), reference, &settings.drift);
        let before = ctx.store(&self.drifting).get(model).cloned().unwrap_or_default();
        let mut drifting = before.clone();
        // What has not come for as long as that is compared with nothing, and its drift is over unsaid.
        drifting.retain(|series, _| reference.sketches.contains_key(series));
        for moved in &moved {
            let began = drifting.remove(&moved.series);
            if moved.is_drift {
                drifting.insert(moved.series.clone(), began.unwrap_or(hour.end));
            }
            if moved.is_drift != began.is_some() {
                ctx.forward_to(&self.alerts, model.clone(), Alert::of(settings, model, moved, window));
            }
            if moved.is_drift && began.is_none() {
                let signal = Retrain::for_drift(settings, model, &moved.series, window);
                ctx.forward_to(&self.retrain, model.clone(), signal);
            }
        }
        if performance.ratings.count() >= settings.retrain_ratings {
            let signal = Retrain::for_ratings(settings, model, performance.ratings.count(), window);
            ctx.forward_to(&self.retrain, model.clone(), signal);
        }
        if !drifting.is_empty() {
            // Set anew by each hour, or a drift that lasts would be forgotten and told again.
            ctx.set_timer(self.forget, EventTime(hour.end).plus(REFERENCE).plus(REFERENCE));
        }
        match (drifting.is_empty(), drifting == before) {
            (_, true) => {}
            (true, false) => {
                ctx.cancel_timer(self.forget);
                ctx.store(&self.drifting).delete(model);
            }
            (false, false) => ctx.store(&self.drifting).put(model, drifting),
        }
        ctx.forward(model.clone(), PerformanceRecord::hour(settings, model, &hour, moved));
        Ok(())
    }

    fn on_timer(&self, ctx: &mut Context<'_, '_, Self>, model: &Subject, _: Timer) -> Result<(), Poison> {
        ctx.store(&self.drifting).delete(model);
        Ok(())
    }
}
