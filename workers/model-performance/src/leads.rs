//! Whether a message was understood rightly: what models took it for beside what the lead's intent proved to be.
//!
//! The first true intent that becomes known after a message, within a set time, judges all of a lead's messages that wait
//! for one. Intents are compared by their letters, in either case.
//!
//! Not here: what follows from many judgements ([`crate::statistics::calibration`]). Invariant: a message is judged at most
//! once, and by what came after it.

use compact_str::CompactString;
use processing_core::decode::Poison;
use processing_core::prelude::{Context, KeyValueStore, Processor, Timer};
use processing_core::record::{DurationMs, EventTime};
use serde::{Deserialize, Serialize};

use crate::earliest::{Act, Earliest};
use crate::performance::Fact;
use crate::serving::tenant;
use crate::subject::Subject;

/// So many messages of a lead wait to be judged; the oldest gives way, and is counted.
const WAITING_MAX: usize = 16;

/// Something about a lead, in the order in which it counts.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct LeadStep {
    /// When.
    pub time: i64,
    /// What.
    pub kind: LeadKind,
    /// Which event.
    pub id: u64,
}

/// What it was.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum LeadKind {
    /// A model took a message for this.
    Understood {
        /// Which model.
        model: Subject,
        /// The intent.
        intent: CompactString,
        /// In millionths.
        confidence: u64,
    },
    /// The lead's intent is this.
    Known(CompactString),
}

impl Act for LeadStep {}

/// A lead's minute.
pub type LeadMinute = Earliest<LeadStep>;

/// A message that waits to be judged.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Waiting {
    time: i64,
    model: Subject,
    intent: CompactString,
    confidence: u64,
}

/// Handles leads' minutes; keyed by application, tenant and lead.
#[derive(Clone)]
pub struct Judging {
    /// For how long a message waits.
    pub within: DurationMs,
    /// Messages that wait, by time.
    pub waiting: KeyValueStore<Subject, Vec<Waiting>>,
    /// When those that wait are given up.
    pub gives_up: Timer,
}

/// What a minute makes of the messages that wait.
fn follow(within: DurationMs, waiting: &mut Vec<Waiting>, minute: LeadMinute) -> (Vec<(Subject, Fact)>, u64) {
    let mut cut = minute.cut();
    let mut facts = Vec::new();
    for LeadStep { time, kind, .. } in minute.into_kept() {
        match kind {
            LeadKind::Understood { model, intent, confidence } => {
                waiting.push(Waiting { time, model, intent, confidence });
                if waiting.len() > WAITING_MAX {
                    waiting.remove(0);
                    cut += 1;
                }
            }
            LeadKind::Known(intent) => {
                for message in waiting.drain(..).filter(|message| time <= message.time.saturating_add(within.0)) {
                    let is_right = message.intent.to_lowercase() == intent.to_lowercase();
                    facts.push((message.model, Fact::Judged { confidence: message.confidence, is_right }));
                }
            }
        }
    }
    (facts, cut)
}

impl Processor for Judging {
    type Key = Subject;
    type In = LeadMinute;
    type Out = (Subject, Fact);

    fn process(&self, ctx: &mut Context<'_, '_, Self>, lead: &Subject, minute: LeadMinute) -> Result<(), Poison> {
        let before = ctx.store(&self.waiting).get(lead).cloned().unwrap_or_default();
        let mut waiting = before.clone();
        let (facts, cut) = follow(self.within, &mut waiting, minute);
        for fact in facts {
            ctx.forward(lead.clone(), fact);
        }
        if cut > 0 {
            ctx.forward(lead.clone(), (tenant(&lead.parent()), Fact::Cut(cut)));
        }
        if waiting == before {
            return Ok(());
        }
        match waiting.last().map(|last| EventTime(last.time).plus(self.within).plus(DurationMs::minutes(1))) {
            Some(last) => {
                ctx.set_timer(self.gives_up, last);
                ctx.store(&self.waiting).put(lead, waiting);
            }
            None => {
                ctx.cancel_timer(self.gives_up);
                ctx.store(&self.waiting).delete(lead);
            }
        }
        Ok(())
    }

    fn on_timer(&self, ctx: &mut Context<'_, '_, Self>, lead: &Subject, _: Timer) -> Result<(), Poison> {
        ctx.store(&self.waiting).delete(lead);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn understood(time: i64, intent: &str) -> LeadStep {
        let kind = LeadKind::Understood { model: Subject::of(["m"]), intent: intent.into(), confidence: 900_000 };
        LeadStep { time, kind, id: time as u64 }
    }

    fn known(time: i64, intent: &str) -> LeadStep {
        LeadStep { time, kind: LeadKind::Known(intent.into()), id: time as u64 }
    }

    #[test]
    fn the_first_true_intent_after_a_message_judges_it() {
        let mut minute = LeadMinute::default();
        let steps =
            [known(1, "BUY"), understood(5, "buy"), understood(105, "ask"), known(106, "Buy"), known(107, "ask")];
        steps.into_iter().for_each(|step| minute.take_in(step));
        let mut waiting = Vec::new();
        let (facts, cut) = follow(DurationMs(100), &mut waiting, minute);
        // The first message is too old by then.
        let judged = |is_right| (Subject::of(["m"]), Fact::Judged { confidence: 900_000, is_right });
        assert_eq!(facts, [judged(false)]);
        assert_eq!((cut, waiting.len()), (0, 0));
        // 205 is the last moment that judges.
        let mut minute = LeadMinute::default();
        [understood(105, "buy"), known(205, "buy")].into_iter().for_each(|step| minute.take_in(step));
        assert_eq!(follow(DurationMs(100), &mut waiting, minute).0, [judged(true)]);
    }
}
