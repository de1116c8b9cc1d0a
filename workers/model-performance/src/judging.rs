//! Looks at each experiment whenever a minute of it has closed, and says what is decided.
//!
//! Not here: what a look says ([`crate::verdict`]). Invariant: each decision leaves once, in the transaction that keeps it. Of an
//! experiment of which nothing came before its set end there is no standing.

use std::sync::Arc;

use processing_core::decode::Poison;
use processing_core::prelude::{Context, KeyValueStore, Output, Processor, Timer};
use processing_core::record::{DurationMs, EventTime};

use crate::arms::Arms;
use crate::experiments::Ends;
use crate::results::experiment::{AbDecision, AbResults};
use crate::settings::ModelSettings;
use crate::span::Span;
use crate::subject::Subject;
use crate::verdict::Standing;

/// So long after its end and its last event an experiment is remembered.
const KEPT: DurationMs = DurationMs::hours(28 * 24);

/// Handles experiments' minutes; keyed by experiment.
#[derive(Clone)]
pub struct Judging {
    /// The definitions, and what results carry.
    pub settings: Arc<ModelSettings>,
    /// How experiments stand.
    pub standings: KeyValueStore<Subject, Standing>,
    /// The planned end.
    pub ends: Timer,
    /// When an experiment is forgotten.
    pub forget: Timer,
    /// Decisions.
    pub decisions: Output<AbDecision>,
}

impl Judging {
    fn tell(
        &self,
        ctx: &mut Context<'_, '_, Self>,
        key: &Subject,
        standing: Standing,
        at: (i64, i64),
        decided: &[compact_str::CompactString],
    ) {
        let experiment = self.settings.experiments.of(&key.part(2));
        for variant in decided {
            let decision = AbDecision::of(&self.settings, key, experiment, &standing, variant);
            ctx.forward_to(&self.decisions, key.with(variant), decision);
        }
        let results = AbResults::of(&self.settings, key, experiment, &standing, at);
        ctx.forward(key.clone(), results);
        ctx.store(&self.standings).put(key, standing);
    }
}

impl Processor for Judging {
    type Key = Subject;
    type In = Span<Arms>;
    type Out = AbResults;

    fn process(&self, ctx: &mut Context<'_, '_, Self>, key: &Subject, minute: Span<Arms>) -> Result<(), Poison> {
        let experiment = self.settings.experiments.of(&key.part(2));
        let known = ctx.store(&self.standings).get(key).cloned();
        // It is over, and perhaps it has been decided and forgotten: what comes after decides nothing again.
        if known.is_none() && matches!(experiment.ends, Ends::At(end) if minute.start >= end.0) {
            return Ok(());
        }
        let is_new = known.is_none();
        let mut standing = known.unwrap_or_else(|| Standing::new(minute.start));
        let end = experiment.end(EventTime(standing.since));
        ctx.set_timer(self.forget, EventTime(end.0.max(minute.end)).plus(KEPT));
        if standing.is_over {
            return Ok(());
        }
        if is_new {
            ctx.set_timer(self.ends, end);
        }
        let decided = standing.take_in(experiment, &minute.value, minute.end);
        self.tell(ctx, key, standing, (minute.start, minute.end), &decided);
        Ok(())
    }

    fn on_timer(&self, ctx: &mut Context<'_, '_, Self>, key: &Subject, timer: Timer) -> Result<(), Poison> {
        if timer == self.forget {
            ctx.store(&self.standings).delete(key);
            return Ok(());
        }
        let Some(mut standing) = ctx.store(&self.standings).get(key).cloned() else { return Ok(()) };
        let experiment = self.settings.experiments.of(&key.part(2));
        let end = experiment.end(EventTime(standing.since)).0.max(standing.since);
        let decided = standing.finish(experiment, end);
        let start = standing.since;
        self.tell(ctx, key, standing, (start, end), &decided);
        Ok(())
    }
}
