//! engagement-metrics, written down.
//!
//! Not here: what a minute, a person and a pipeline do. Invariant: this page says what the worker does, in the order in
//! which a record meets it.

use std::sync::Arc;

use events::TopicReader;
use processing_core::decode::{Decoder, Json};
use processing_core::dsl::OutputStream;
use processing_core::error::CoreError;
use processing_core::prelude::*;
use processing_core::process::Terminal;

use crate::action::{Action, Reading};
use crate::attempts::Attempt;
use crate::attempts::hours::{FunnelHours, FunnelKey, HourOver};
use crate::calendar::{Calendar, HOUR_MS};
use crate::definitions::Definitions;
use crate::history::{DayOver, Histories};
use crate::labels::{Dimension, First, Label, LabelKey, Named};
use crate::minute::{Once, PersonMinute};
use crate::person::{Lives, Minute, Rules};
use crate::pipelines::hours::{Backlogs, Hour, PipelineFact, PipelineHour, PipelineKey, Told};
use crate::pipelines::{Fact, Heard, Things};
use crate::reading::{ActionDecoder, CONTRACTS};
use crate::results::metrics::Grain;
use crate::results::{FunnelResult, Metrics, PipelineResult, Retention, SessionResult, TopResult};
use crate::scope::{Person, Scope};
use crate::session::Session;
use crate::settings::EngagementSettings;
use crate::tally::Tally;

/// What all parts of the topology are made with.
#[derive(Clone)]
struct Made {
    settings: Arc<EngagementSettings>,
    rules: Arc<Rules>,
}

/// The whole worker, over the topics of the contracts in force.
///
/// # Errors
/// Contracts without a topic that this worker reads; what the library refuses.
pub fn topology(settings: &EngagementSettings, definitions: &Definitions) -> Result<Plan, CoreError> {
    let rule = Arc::new(definitions.traffic.clone());
    let topics = settings.contracts.topics(CONTRACTS);
    if topics.is_empty() {
        return Err(CoreError::config(
            "`contracts.systems` and `contracts.file` leave no topic to read; name a system",
        ));
    }
    let read = |topic: &TopicReader| Topic::with(topic.topic(), ActionDecoder::new(topic.clone(), Arc::clone(&rule)));
    topology_of(settings, definitions, topics.iter().map(read))
}

/// The whole worker over topics of any kind that are read as actions.
///
/// # Errors
/// What the library refuses.
pub fn topology_of<D>(
    settings: &EngagementSettings,
    definitions: &Definitions,
    topics: impl IntoIterator<Item = Topic<D>>,
) -> Result<Plan, CoreError>
where
    D: Decoder<Event = Reading>,
{
    let app = Topology::named(settings.application_id.clone());
    let calendar = Calendar::of(settings.zone)?;
    let rules = Arc::new(Rules::new(calendar, definitions.clone(), settings.gap));
    let followed = definitions.followed();
    let made = Made { settings: Arc::new(settings.clone()), rules: Arc::clone(&rules) };
    let (minutes, hours, days) = (Tumbling::minutes(1), LocalHours::of(settings.zone), LocalDays::of(settings.zone));

    app.streams(topics)
        .event_time(Reading::time)
        .filter_counted("other", Reading::is_action)
        .flat_map(Reading::action)
        .map(move |action| action.about_what_is_followed(followed))
        .key_by(Action::person)
        .window(minutes.grace(settings.grace))
        .aggregate::<PersonMinute>("person-minute")
        .on_close()
        .map(|closed| Minute::from(closed.value))
        .process("person", |setup| Lives {
            rules,
            lives: setup.key_value_store("lives"),
            next: setup.timer("next"),
            sessions: setup.output(|over| sessions(&made, over)),
            attempts: setup.output(|over| funnels(&made, over)),
            labels: setup.output(|named| top(&made, named)),
            heard: setup.output(|heard| pipelines(&made, heard)),
        })
        .map_keyed(|person, tally| (person.scope.clone(), tally))
        .key_by_first()
        .window(minutes)
        .aggregate::<Tally>("tenant-minute")
        .on_close()
        .map_keyed(|tenant, minute| tenant.and_whole_app(minute.value))
        .flat_map(|both| both)
        .key_by_first()
        .window(minutes)
        .keep(settings.keep.min(DurationMs::hours(1)))
        .aggregate::<Tally>("scope-minute")
        .on_close()
        .tee(|minutes| {
            minutes
                .map_keyed(made.metrics(Grain::Minute))
                .filter(|minute| !minute.is_silent())
                .to(Topic::with(&settings.outputs.minutes, Json::<Metrics>::new()))
        })
        .window(hours)
        .keep(settings.keep.min(DurationMs::hours(48)))
        .fold("scope-hour", rolled_up())
        .on_close()
        .tee(|hours| {
            hours
                .map_keyed(made.metrics(Grain::Hour))
                .filter(|hour| !hour.is_silent())
                .to(Topic::with(&settings.outputs.hours, Json::<Metrics>::new()))
        })
        .window(days)
        .keep(settings.keep)
        .fold("scope-day", rolled_up())
        .on_close()
        .tee(|days| {
            let Made { settings, .. } = made.clone();
            days.map_keyed(move |scope, day| Retention::of(&settings, &calendar, scope, day.window, &day.value))
                .flat_map(|cohorts| cohorts)
                .key_by(|cohort: &Retention| cohort.stamp.about())
                .to(Topic::with(&made.settings.outputs.retention, Json::<Retention>::new()))
        })
        .map(DayOver::from)
        .process("day", |setup| Histories {
            calendar,
            since: setup.key_value_store("since"),
            told: setup.windowed_store("days-told", settings.keep),
        })
        .map_keyed({
            let Made { settings, .. } = made.clone();
            move |scope, (over, warming): (DayOver, bool)| {
                let window = Window { start: over.start, end: over.end };
                Metrics::of(&settings, Grain::Day, scope, window, &over.tally).warming(warming)
            }
        })
        .to(Topic::with(&settings.outputs.days, Json::<Metrics>::new()));
    app.build().map_err(|error| CoreError::config(error.to_string()))
}

impl Made {
    /// How sums are told.
    fn metrics(&self, grain: Grain) -> impl Fn(&Scope, Closed<Tally>) -> Metrics + Clone + Send + use<> {
        let settings = Arc::clone(&self.settings);
        move |scope, closed| Metrics::of(&settings, grain, scope, closed.window, &closed.value)
    }
}

/// What is told of sessions that are over.
fn sessions(made: &Made, over: OutputStream<Person, Session>) -> impl Terminal<Person, Session> + use<> {
    let settings = Arc::clone(&made.settings);
    over.map_keyed(move |person, session| SessionResult::of(&settings, person, &session))
        .key_by(|session: &SessionResult| session.stamp.about())
        .to(Topic::with(&made.settings.outputs.sessions, Json::<SessionResult>::new()))
}

/// Attempts by the hour in which they began.
fn funnels(made: &Made, over: OutputStream<Person, Attempt>) -> impl Terminal<Person, Attempt> + use<> {
    let Made { settings, rules } = made.clone();
    // An hour is told when its last attempt is over, and can be asked for from then on.
    let longest = rules.definitions.funnels.iter().map(|funnel| funnel.within.0).max().unwrap_or(0);
    let kept = DurationMs(settings.keep.0 + longest + 2 * HOUR_MS);
    over.map_keyed(|person, attempt| person.scope.and_whole_app(attempt))
        .flat_map(|both| both)
        .key_by(|(scope, attempt): &(Scope, Attempt)| -> FunnelKey { (scope.clone(), attempt.funnel.clone()) })
        .repartition("attempts")
        .map(|(_, attempt)| attempt)
        .process("funnel-hour", |setup| FunnelHours {
            hours: setup.windowed_store("funnel-hours", kept),
            waiting: setup.key_value_store("funnels-waiting"),
            over: setup.timer("over"),
        })
        .map_keyed(move |key, over: HourOver| {
            let funnel = rules.definitions.funnels.iter().find(|funnel| funnel.name == key.1)?;
            Some(FunnelResult::of(&settings, funnel, key, &over))
        })
        // Of a funnel that is no more nothing is told.
        .flat_map(|result| result)
        .key_by(|result: &FunnelResult| result.stamp.about())
        .to(Topic::with(&made.settings.outputs.funnels, Json::<FunnelResult>::new()))
}

/// Names by the day, each counted in a row of its own before the first ones are chosen.
fn top(made: &Made, named: OutputStream<Person, Label>) -> impl Terminal<Person, Label> + use<> {
    let days = LocalDays::of(made.settings.zone);
    let Made { settings, .. } = made.clone();
    let list_length = settings.list_length;
    named
        .map_keyed(|person, label| person.scope.and_whole_app(label))
        .flat_map(|both| both)
        .key_by(|(scope, label): &(Scope, Label)| -> LabelKey {
            (scope.clone(), label.dimension.number(), label.name.clone())
        })
        .window(days)
        .fold("label-day", sum(|(_, label): &(Scope, Label)| label.weight))
        .on_close()
        .map_keyed(move |key, day| Named::of(key, &day.value, list_length))
        .filter(|named| named.number > 0)
        .key_by(|named: &Named| (named.scope.clone(), named.dimension))
        .window(days)
        .keep(settings.keep)
        .aggregate::<First>("top-day")
        .on_close()
        .map_keyed(move |(scope, number), day| {
            let dimension = Dimension::of_number(*number)?;
            Some(TopResult::of(&settings, scope, dimension, &day))
        })
        .flat_map(|result| result)
        .key_by(|result: &TopResult| result.stamp.about())
        .to(Topic::with(&made.settings.outputs.top, Json::<TopResult>::new()))
}

/// Things on their way through pipelines.
fn pipelines(made: &Made, heard: OutputStream<Person, Heard>) -> impl Terminal<Person, Heard> + use<> {
    let Made { settings, rules } = made.clone();
    let definitions = Arc::new(rules.definitions.clone());
    let keep = settings.keep;
    heard
        .key_by(Heard::key)
        .window(Tumbling::minutes(1))
        .aggregate::<Once<Heard>>("thing-minute")
        .on_close()
        .map(|closed| closed.value.into_steps())
        .process("thing", |setup| Things {
            definitions: Arc::clone(&definitions),
            runs: setup.key_value_store("runs"),
            timeout: setup.timer("timeout"),
        })
        .map_keyed(|(_, pipeline, _), (scope, fact): (Scope, Fact)| scope.and_whole_app((pipeline.clone(), fact)))
        .flat_map(|both| both)
        .key_by(|(scope, (pipeline, _)): &PipelineFact| -> PipelineKey { (scope.clone(), pipeline.clone()) })
        .window(Tumbling::hours(1))
        .aggregate::<PipelineHour>("pipeline-hour")
        .on_close()
        .map(|closed| Hour(closed.value))
        .process("backlog", |setup| Backlogs {
            definitions: Arc::clone(&definitions),
            open: setup.key_value_store("open"),
            told: setup.windowed_store("pipeline-hours", keep),
            hour: setup.timer("hour"),
        })
        .map_keyed(move |key, told: Told| {
            let pipeline = definitions.pipelines.iter().find(|pipeline| pipeline.name == key.1)?;
            Some(PipelineResult::of(&settings, pipeline, key, &told))
        })
        .flat_map(|result| result)
        .key_by(|result: &PipelineResult| result.stamp.about())
        .to(Topic::with(&made.settings.outputs.pipelines, Json::<PipelineResult>::new()))
}
