//! Where an event goes: it may be several things at once.
//!
//! Not here: what is made of them. Invariant: pure; an event whose identifiers are missing goes nowhere that needs them.

use serde::{Deserialize, Serialize};

use crate::attribution::{Touch, TouchKind};
use crate::event::{Interaction, Item, ModelEvent, Understanding, What};
use crate::experiments::Role;
use crate::leads::{LeadKind, LeadStep};
use crate::performance::Fact;
use crate::serving::{Asked, Given, tenant};
use crate::settings::ModelSettings;
use crate::subject::Subject;
use crate::trials::{Step, Trial};

/// One thing that an event is, with the key that it goes under.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Routed {
    /// A request, by its id.
    Asked(Subject, Asked),
    /// An answer, by its request's id.
    Given(Subject, Given),
    /// What a user did, by the user.
    Touch(Subject, Touch),
    /// Something about a model, by the model.
    Fact(Subject, Fact),
    /// An item that somebody touched, by the tenant.
    Item(Subject, Vec<Item>),
    /// Something about a lead, by the lead.
    Lead(Subject, LeadStep),
    /// Something in an experiment, by experiment and user.
    Trial(Subject, Trial),
}

/// Everything that an event is.
pub fn routes(settings: &ModelSettings, event: ModelEvent) -> Vec<Routed> {
    let scope = event.scope();
    let ModelEvent { id, time, who, .. } = event;
    let lead = |name: &str, kind| Routed::Lead(scope.with(name), LeadStep { time: time.0, kind, id });
    match event.what {
        What::Requested(request) => {
            let key = scope.with(&request.request);
            vec![Routed::Asked(key, Asked { time, scope, who, name: request.name })]
        }
        What::Responded(response) => {
            let key = scope.with(&response.request);
            let request = hash(&response.request);
            vec![Routed::Given(key, Given { id, time, scope, who, request, response })]
        }
        What::Interacted(interaction) => interacted(settings, &scope, (id, time.0, who), interaction),
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
            let user = who.map(|who| scope.with(&test.experiment).with_hash(who));
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
    (id, time, who): (u64, i64, Option<u64>),
    interaction: Interaction,
) -> Vec<Routed> {
    let mut all = Vec::new();
    if let Some(rating) = interaction.rating {
        all.push(Routed::Fact(tenant(scope), Fact::Rated(rating)));
    }
    let Some(item) = interaction.item else { return all };
    all.push(Routed::Item(tenant(scope), vec![item]));
    let is_click = settings.clicks.iter().any(|name| name.eq_ignore_ascii_case(&interaction.action));
    if let Some(who) = who.filter(|_| is_click || interaction.rating.is_some()) {
        let request = interaction.request.as_deref().map(hash);
        let kind = TouchKind::Acted { item, is_click, rating: interaction.rating, request };
        all.push(Routed::Touch(scope.with_hash(who), Touch { time, kind, id }));
    }
    all
}

fn hash(id: &str) -> u64 {
    events::identity::IdHash::of(id).get()
}
