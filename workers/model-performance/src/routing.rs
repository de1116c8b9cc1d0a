//! Where an event goes: it may be several things at once.
//!
//! Not here: what is made of them. Invariant: pure; an event whose identifiers are missing goes nowhere that needs them.

use processing_core::record::EventTime;
use serde::{Deserialize, Serialize};

use crate::attribution::{Touch, TouchKind};
use crate::coverage::{self, ModelMinute};
use crate::event::{Interaction, ItemList, ModelEvent, Response, Understanding, What};
use crate::experiments::Role;
use crate::leads::{LeadKind, LeadStep};
use crate::performance::Fact;
use crate::serving::{Asked, Given, tenant};
use crate::settings::ModelSettings;
use crate::subject::{Member, Subject};
use crate::trials::{Step, Trial};

/// One thing that an event is, with the key that it goes under.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Routed {
    /// A request, by itself.
    Asked(Member, Asked),
    /// An answer, by its request.
    Given(Member, Given),
    /// What a user did, by the user.
    Touch(Member, Touch),
    /// Something about a model, by the model.
    Fact(Subject, Fact),
    /// An item that somebody touched, by the tenant.
    Item(ModelMinute, ItemList),
    /// Something about a lead, by the lead.
    Lead(Subject, LeadStep),
    /// Something in an experiment, by experiment and user.
    Trial(Member, Trial),
}

/// Everything that an event is.
pub fn routes(settings: &ModelSettings, event: ModelEvent) -> Vec<Routed> {
    let scope = event.scope();
    let ModelEvent { id, time, who, .. } = event;
    let lead = |name: &str, kind| Routed::Lead(scope.with(name), LeadStep { time: time.0, kind, id });
    match event.what {
        What::Requested(request) => {
            let key = scope.member(hash(&request.request));
            vec![Routed::Asked(key, Asked { time, who, name: request.name })]
        }
        What::Responded(response) => {
            let key = scope.member(hash(&response.request));
            let Response { name, items, scores, latency_ms, is_success, .. } = response;
            vec![Routed::Given(key, Given { time, who, name, items, scores, latency_ms, is_success })]
        }
        What::Interacted(interaction) => interacted(settings, &scope, (id, time, who), interaction),
        What::Measured(measured) => {
            let key = measured.name.within(&scope);
            let fact = Fact::Measured { metric: measured.metric, time: time.0, id, value: measured.value };
            vec![Routed::Fact(key, fact)]
        }
        What::Tested(test) => {
            let role = settings.experiments.of(&test.experiment).role(&test.action);
            let step = match role {
                Some(Role::Assignment) => test.variant.map(Step::Assigned),
                Some(Role::Hit(measure)) => Some(Step::Hit(measure)),
                None => None,
            };
            let user = who.map(|who| scope.with(&test.experiment).member(who));
            let trial = user.zip(step);
            trial.map(|(user, step)| Routed::Trial(user, Trial { time: time.0, step, id })).into_iter().collect()
        }
        What::Understood(understood) => {
            let model = understood.name.within(&scope);
            let judged = match (&understood.lead, &understood.intent, understood.confidence) {
                (Some(of), Some(intent), Some(confidence)) => {
                    let kind = LeadKind::Understood { model: model.clone(), intent: intent.clone(), confidence };
                    Some(lead(of, kind))
                }
                _ => None,
            };
            let fact = Understanding { lead: None, name: Default::default(), ..understood };
            [Some(Routed::Fact(model, Fact::Understood(fact))), judged].into_iter().flatten().collect()
        }
        What::Failed { name, error } => {
            vec![Routed::Fact(name.within(&scope), Fact::Failed(error))]
        }
        What::LeadUpdated { lead: of, intent } => {
            intent.map(|intent| lead(&of, LeadKind::Known(intent))).into_iter().collect()
        }
        What::Other => Vec::new(),
    }
}

fn interacted(
    settings: &ModelSettings,
    scope: &Subject,
    (id, time, who): (u64, EventTime, Option<u64>),
    interaction: Interaction,
) -> Vec<Routed> {
    let mut all = Vec::new();
    if let Some(rating) = interaction.rating {
        all.push(Routed::Fact(tenant(scope), Fact::Rated(rating)));
    }
    let Some(item) = interaction.item else { return all };
    all.push(Routed::Item(coverage::minute(tenant(scope), time), [item].into_iter().collect()));
    let is_click = settings.clicks.iter().any(|name| name.eq_ignore_ascii_case(&interaction.action));
    if let Some(who) = who.filter(|_| is_click || interaction.rating.is_some()) {
        let request = interaction.request.as_deref().map(hash);
        let kind = TouchKind::Acted { item, is_click, rating: interaction.rating, request, id };
        all.push(Routed::Touch(scope.member(who), Touch::at(time, kind)));
    }
    all
}

fn hash(id: &str) -> u64 {
    events::identity::IdHash::of(id).get()
}
