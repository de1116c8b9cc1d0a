//! model-performance, written down.
//!
//! Not here: what a minute holds and what is made of it. Invariant: this page says what the worker does, in the order in
//! which a record meets it.

use std::sync::Arc;

use processing_core::decode::{Decoder, Json};
use processing_core::dsl::Stream;
use processing_core::prelude::*;
use processing_core::process::{Pipe, Sources};

use crate::arms::Arms;
use crate::event::{ModelEvent, What};
use crate::experiments::Role;
use crate::judging::Judging;
use crate::results::experiment::{AbDecision, AbResults};
use crate::settings::ModelSettings;
use crate::span::Span;
use crate::subject::Subject;
use crate::trials::{Enrolling, Finding, Step, Trial, TrialMinute};

/// The whole worker, over topics that are read by `D`.
pub fn topology<D>(settings: &ModelSettings, inputs: Vec<Topic<D>>) -> Result<Plan, TopologyError>
where
    D: Decoder<Event = ModelEvent>,
{
    let settings = Arc::new(settings.clone());
    let app = Topology::named(settings.application_id.clone());
    let events = app
        .streams(inputs)
        .event_time(|event: &ModelEvent| event.time)
        .filter_counted("other", |event| event.what != What::Other)
        .distinct_by("seen", |event| event.id, settings.duplicates);
    without_tests(events, &settings).end();
    app.build()
}

/// What is no event of an experiment. Those are taken out: each user's first assignment and conversions, then each
/// experiment's counts, then a look at each minute.
fn without_tests<P>(
    events: Stream<P, ()>,
    settings: &Arc<ModelSettings>,
) -> Stream<impl Pipe<Head = Sources, Key = P::Key, Value = ModelEvent>, ()>
where
    P: Pipe<Head = Sources, Key: Clone, Value = ModelEvent>,
{
    let roles = Arc::clone(settings);
    let is_test = |event: &ModelEvent| matches!(event.what, What::Tested(_));
    let split = events.split().branch(is_test, |tests| {
        tests
            .flat_map(move |event: ModelEvent| trial(&roles, &event))
            .key_by(|trial: &(Subject, Trial)| trial.0.clone())
            .window(Tumbling::minutes(1).grace(settings.grace))
            .aggregate::<TrialMinute>("trial-minutes")
            .on_close()
            .map(|minute| minute.value)
            .process("enrolling", |setup| Enrolling {
                experiments: Arc::clone(&settings.experiments),
                users: setup.key_value_store("enrolled"),
                forget: setup.timer("forget"),
            })
            .map_keyed(|user: &Subject, finding| (user.parent(), finding))
            .key_by(|(experiment, _): &(Subject, Finding)| experiment.clone())
            .window(Tumbling::minutes(1))
            .aggregate::<Arms>("experiment-minutes")
            .on_close()
            .map(Span::from)
            .process("judging", |setup| Judging {
                settings: Arc::clone(settings),
                standings: setup.key_value_store("experiments"),
                ends: setup.timer("end"),
                forget: setup.timer("forget"),
                decisions: setup.output(|decisions| {
                    decisions.to(Topic::with(&settings.outputs.decisions, Json::<AbDecision>::new()))
                }),
            })
            .to(Topic::with(&settings.outputs.results, Json::<AbResults>::new()))
    });
    split.rest()
}

/// What an event says of a user in an experiment, if anything.
fn trial(settings: &ModelSettings, event: &ModelEvent) -> Option<(Subject, Trial)> {
    let What::Tested(test) = &event.what else { return None };
    let step = match settings.experiments.of(&test.experiment).role(&test.action)? {
        Role::Assignment => Step::Assigned(test.variant.clone()?),
        Role::Hit(measure) => Step::Hit(measure),
    };
    let user = event.scope().with(&test.experiment).with(&format!("{:016x}", event.who?));
    Some((user, Trial { time: event.time.0, step, id: event.id }))
}
