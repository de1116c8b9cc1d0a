//! model-performance, written down.
//!
//! Not here: what a minute holds and what is made of it. Invariant: this page says what the worker does, in the order in
//! which a record meets it.

use std::sync::Arc;

use events::Contracts;
use processing_core::decode::{Decoder, Json};
use processing_core::dsl::Stream;
use processing_core::prelude::*;
use processing_core::process::{Pipe, Sources};

use crate::arms::Arms;
use crate::attribution::{self, Attributing, Touch, TouchMinute};
use crate::coverage::{self, Counted, Coverage, Items, ModelMinute};
use crate::drift::{History, REFERENCE};
use crate::event::{ItemList, ModelEvent, What};
use crate::judging::Judging;
use crate::leads::{self, LeadMinute, LeadStep};
use crate::performance::{Fact, Performance};
use crate::popular::{Asks, Popular};
use crate::reading::{CONTRACTS, ModelDecoder};
use crate::results::coverage::CoverageRecord;
use crate::results::experiment::{AbDecision, AbResults};
use crate::results::performance::PerformanceRecord;
use crate::results::popular::PopularRecord;
use crate::results::signal::{Alert, Retrain};
use crate::routing::{Routed, routes};
use crate::serving::{Asked, Ended, Given, ended};
use crate::settings::ModelSettings;
use crate::signals::{Hour, Signalling};
use crate::span::Span;
use crate::subject::{Member, Subject};
use crate::trials::{Enrolling, Trial, TrialMinute};

const DAY: DurationMs = DurationMs::hours(24);
/// For how long closed minutes can be asked for.
pub(crate) const SHOWN: DurationMs = DurationMs::hours(1);

/// The whole worker, over the topics of these contracts.
pub fn topology_of(settings: &ModelSettings, contracts: &Contracts) -> Result<Plan, TopologyError> {
    let topics = contracts.topics(CONTRACTS).into_iter();
    let inputs = topics.map(|topic| Topic::with(topic.topic(), ModelDecoder::new(topic.clone())));
    topology(settings, inputs.collect())
}

/// The whole worker, over topics that are read by `D`.
pub fn topology<D>(settings: &ModelSettings, inputs: Vec<Topic<D>>) -> Result<Plan, TopologyError>
where
    D: Decoder<Event = ModelEvent>,
{
    let settings = Arc::new(settings.clone());
    let with = || Arc::clone(&settings);
    let minutes = Tumbling::minutes(1).grace(settings.grace);
    let hours = Tumbling::hours(1).grace(settings.grace);
    let month = Hopping::new(coverage::WINDOW, DAY).grace(settings.grace);
    let app = Topology::named(settings.application_id.clone());
    let rules = with();
    let routed = app
        .streams(inputs)
        .event_time(|event: &ModelEvent| event.time)
        .filter_counted("other", |event| event.what != What::Other)
        .distinct_by("seen", |event| event.id, settings.duplicates)
        .flat_map(move |event| routes(&rules, event));

    let (routed, asked) = without_trials(routed, &settings).split().branch_off(
        |routed| matches!(routed, Routed::Asked(..)),
        |it| it.flat_map(asked).key_by_first().repartition("asked"),
    );
    let (routed, given) = routed.branch_off(
        |routed| matches!(routed, Routed::Given(..)),
        |it| it.flat_map(given).key_by_first().repartition("given"),
    );
    let (routed, reported) = routed.branch_off(
        |routed| matches!(routed, Routed::Fact(..)),
        |it| it.flat_map(fact).key_by_first().repartition("reported"),
    );
    let (routed, leads) = routed.branch_off(
        |routed| matches!(routed, Routed::Lead(..)),
        |it| it.flat_map(lead).key_by_first().repartition("leads"),
    );
    let (routed, touched) = routed.branch_off(
        |routed| matches!(routed, Routed::Item(..)),
        |it| it.flat_map(item).key_by_first().window(hours).aggregate::<Items>("touched-1h").on_close(),
    );

    // Requests and their answers: facts about the model, lists that users were shown, and their items.
    let waits = JoinWindow::within(settings.skew, settings.timeout).grace(settings.grace);
    let (ended, served) =
        asked.answered_by(given, waits, "serving").map_keyed(ended).flat_map(|ended| ended).split().branch_off(
            |ended| matches!(ended, Ended::Fact(..)),
            |it| it.flat_map(served).key_by_first().repartition("served"),
        );
    let (ended, items) = ended.branch_off(
        |ended| matches!(ended, Ended::Items(..)),
        |it| it.flat_map(items).key_by_first().window(hours).aggregate::<Items>("items-1h").on_close(),
    );

    // What users did with the lists.
    let outcomes = routed
        .rest()
        .flat_map(acted)
        .key_by_first()
        .window(minutes)
        .merge(ended.rest().flat_map(shown).key_by_first().window(minutes))
        .aggregate::<TouchMinute>("touches")
        .on_close()
        .map_keyed(|user: &Member, minute| (user.clone(), Span::from(minute)))
        .already_keyed_by(|(user, minute): &(Member, Span<TouchMinute>)| attribution::crowd_minute(user, minute.start))
        .process("attributing", |setup| Attributing {
            window: settings.attribution,
            lists: setup.windowed_store("lists", Attributing::kept(settings.attribution)),
            waiting: setup.key_value_store("waiting"),
            matures: setup.timer("matures"),
        })
        .key_by_first()
        .repartition("outcomes");

    // Whether messages were understood rightly.
    let judged = leads
        .window(minutes)
        .aggregate::<LeadMinute>("lead-minutes")
        .on_close()
        .map(|minute| minute.value)
        .process("lead-judging", |setup| leads::Judging {
            within: settings.outcome,
            waiting: setup.key_value_store("messages"),
            gives_up: setup.timer("give-up"),
        })
        .key_by_first()
        .repartition("judged");

    // Items of 28 days, at each day's end. A day's items take some kilobytes: they are written once an hour, when all its
    // minutes come out together.
    let covering = with();
    touched
        .merge(items)
        .map_keyed(|(model, _): &ModelMinute, minute| (model.clone(), minute.value))
        .key_by_first()
        .window(month)
        .aggregate::<Items>("items-28d")
        .on_close()
        .map_keyed(|model: &Subject, month| Counted { model: model.clone(), items: month.value })
        .key_by(|counted: &Counted| Subject::of([counted.model.part(0).as_str(), &counted.model.part(1)]))
        .window(Tumbling::new(DAY))
        .aggregate::<Coverage>("coverage")
        .on_close()
        .flat_map(move |day| CoverageRecord::all(&covering, &day.into()))
        .key_by(|coverage: &CoverageRecord| coverage.subject())
        .to(Topic::with(&settings.outputs.coverage, Json::<CoverageRecord>::new()));

    let (names, popular, signals) = (with(), with(), with());
    reported
        .merge(served)
        .merge(outcomes)
        .merge(judged)
        .window(minutes)
        .keep(SHOWN)
        .aggregate::<Performance>("performance-1m")
        .on_close()
        .tee(|minutes| {
            minutes
                .map_keyed(move |model: &Subject, minute| PerformanceRecord::minute(&names, model, &minute.into()))
                .to(Topic::with(&settings.outputs.minutes, Json::<PerformanceRecord>::new()))
        })
        .roll_up(Tumbling::hours(1), "performance-1h")
        .on_close_with("history", &[Frame::before(REFERENCE)], History::of)
        .tee(|hours| {
            hours
                .map_keyed(|model: &Subject, hour| Asks {
                    model: model.clone(),
                    requests: hour.value.0.serving.requests(),
                })
                .filter(|asks| asks.requests > 0)
                .key_by(|asks: &Asks| Subject::of([asks.model.part(0).as_str(), &asks.model.part(1)]))
                .window(Tumbling::hours(1))
                .aggregate::<Popular>("popular")
                .on_close()
                .map_keyed(move |scope: &Subject, hour| PopularRecord::of(&popular, scope, &hour.into()))
                .to(Topic::with(&settings.outputs.popular, Json::<PopularRecord>::new()))
        })
        .map(|closed| {
            let (performance, earlier) = closed.value;
            let reference = earlier.frames.into_iter().next().unwrap_or_default();
            Span { start: closed.window.start.0, end: closed.window.end.0, value: Hour { performance, reference } }
        })
        .process("signalling", |setup| Signalling {
            settings: signals,
            drifting: setup.key_value_store("drifting"),
            forget: setup.timer("forget"),
            alerts: setup.output(|alerts| alerts.to(Topic::with(&settings.outputs.alerts, Json::<Alert>::new()))),
            retrain: setup.output(|retrain| retrain.to(Topic::with(&settings.outputs.retrain, Json::<Retrain>::new()))),
        })
        .to(Topic::with(&settings.outputs.hours, Json::<PerformanceRecord>::new()));
    app.build()
}

/// What is no event of an experiment. Those are taken out: each user's first assignment and conversions, then each
/// experiment's counts, then a look at each minute.
fn without_trials<P>(
    routed: Stream<P, ()>,
    settings: &Arc<ModelSettings>,
) -> Stream<impl Pipe<Head = Sources, Key = P::Key, Value = Routed>, ()>
where
    P: Pipe<Head = Sources, Key: Clone, Value = Routed>,
{
    let split = routed.split().branch(
        |routed| matches!(routed, Routed::Trial(..)),
        |trials| {
            trials
                .flat_map(trial)
                .key_by_first()
                .window(Tumbling::minutes(1).grace(settings.grace))
                .aggregate::<TrialMinute>("trial-minutes")
                .on_close()
                .map(|minute| minute.value)
                .process("enrolling", |setup| Enrolling {
                    experiments: Arc::clone(&settings.experiments),
                    users: setup.key_value_store("enrolled"),
                    forget: setup.timer("forget"),
                })
                .map_keyed(|user: &Member, finding| (user.scope.clone(), finding))
                .key_by_first()
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
        },
    );
    split.rest()
}

/// One kind of what is routed, with the key that it goes under: each branch holds no other.
macro_rules! only {
    ($($name:ident: $from:ident::$variant:ident => ($key:ty, $to:ty);)+) => {
        $(fn $name(routed: $from) -> Option<($key, $to)> {
            match routed {
                $from::$variant(key, it) => Some((key, it)),
                _ => None,
            }
        })+
    };
}

only! {
    asked: Routed::Asked => (Member, Asked);
    given: Routed::Given => (Member, Given);
    acted: Routed::Touch => (Member, Touch);
    fact: Routed::Fact => (Subject, Fact);
    item: Routed::Item => (ModelMinute, ItemList);
    lead: Routed::Lead => (Subject, LeadStep);
    trial: Routed::Trial => (Member, Trial);
    served: Ended::Fact => (Subject, Fact);
    shown: Ended::Shown => (Member, Touch);
    items: Ended::Items => (ModelMinute, ItemList);
}
