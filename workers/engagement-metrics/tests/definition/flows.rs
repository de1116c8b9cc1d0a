//! Funnels, pipelines and lists of names by their definitions.
//!
//! Not here: users and sessions ([`crate::people`]). Invariant: as [`crate::oracle`] says.

use std::collections::BTreeMap;

use engagement_metrics::action::Action;
use engagement_metrics::definitions::{Flow, Funnel, ItemKey, Pipeline};
use engagement_metrics::kind::Kind;
use serde_json::{Value, json};

use crate::Said;
use crate::oracle::{HOUR, Whose, World, both, fits, minute_last, share, spans};
use crate::people;

pub(crate) fn expect(world: &World<'_>, results: &mut Said) {
    for funnel in &world.definitions().funnels {
        funnels(world, funnel, results);
    }
    for pipeline in &world.definitions().pipelines {
        pipelines(world, pipeline, results);
    }
    top(world, results);
}

/// ClickHouse's `windowFunnel(window)(timestamp, steps...)` in its default mode, as its source has it: for each step the
/// time at which the chain that came so far began. Events are in order; the answer is how many steps a chain did.
fn window_funnel(funnel: &Funnel, events: &[&Action]) -> usize {
    let mut began: Vec<Option<i64>> = vec![None; funnel.steps.len()];
    for event in events {
        for step in (0..funnel.steps.len()).rev().filter(|step| fits(funnel.steps[*step].kinds, event)) {
            if step == 0 {
                began[0] = Some(event.time.0);
            } else if let Some(first) = began[step - 1].filter(|first| event.time.0 <= first + funnel.within.0) {
                began[step] = Some(first);
            }
        }
    }
    began.iter().rposition(Option::is_some).map_or(0, |step| step + 1)
}

/// The earliest events that do the first `level` steps one after the other.
fn earliest(funnel: &Funnel, events: &[&Action], level: usize) -> Vec<usize> {
    let mut at = 0;
    let mut places = Vec::new();
    for step in &funnel.steps[..level] {
        let place = at + events[at..].iter().position(|event| fits(step.kinds, event)).unwrap();
        places.push(place);
        at = place + 1;
    }
    places
}

fn funnels(world: &World<'_>, funnel: &Funnel, results: &mut Said) {
    let mut hours: BTreeMap<(Whose, i64), Vec<Vec<i64>>> = BTreeMap::new();
    let ours = world.people().filter(|action| funnel.app.as_ref().is_none_or(|app| *app == action.app));
    for (user, events) in world.by_user(ours) {
        let mut rest = &events[..];
        while let Some(first) = rest.iter().position(|event| fits(funnel.steps[0].kinds, event)) {
            rest = &rest[first..];
            let limit = rest[0].time.0 + funnel.within.0;
            let within = rest.iter().take_while(|event| event.time.0 <= limit).count();
            let level = window_funnel(funnel, &rest[..within]);
            let places = earliest(funnel, &rest[..within], level);
            let times: Vec<i64> = places.iter().map(|place| rest[*place].time.0).collect();
            for whose in people::scopes(&user) {
                hours.entry((whose, times[0].div_euclid(HOUR) * HOUR)).or_default().push(times.clone());
            }
            let is_complete = level == funnel.steps.len();
            rest = &rest[if is_complete { places[level - 1] + 1 } else { within }..];
        }
    }
    for ((whose, hour), attempts) in hours {
        let reached = |step: usize| attempts.iter().filter(|times| times.len() > step).count() as u64;
        let steps: Vec<Value> = (0..funnel.steps.len())
            .map(|step| {
                let time = |times: &Vec<i64>| Some(times.get(step)? - times[step - 1]);
                json!({
                    "step": funnel.steps[step].name, "reached": reached(step),
                    "conversion": if step == 0 { Value::Null } else { share(reached(step), reached(step - 1)) },
                    "dropped": if step == 0 { 0 } else { reached(step - 1) - reached(step) },
                    "time": if step == 0 { Value::Null } else { spans(attempts.iter().filter_map(time).collect()) },
                })
            })
            .collect();
        let completed = reached(funnel.steps.len() - 1);
        let more = json!({
            "funnel": funnel.name, "within_ms": funnel.within.0, "attempts": attempts.len(), "completed": completed,
            "conversion": share(completed, attempts.len() as u64), "steps": steps,
        });
        world.say(results, "engagement.funnels.1h.v1", &whose, &funnel.name, (hour, hour + HOUR), more);
    }
}

/// Something that happened to a thing, and when it was known.
#[derive(Clone)]
struct Fact {
    /// Of the event that began it.
    tenant: String,
    at: i64,
    what: &'static str,
    /// A stage and how long it took, or how long the whole did.
    took: Option<(String, i64)>,
}

fn pipelines(world: &World<'_>, pipeline: &Pipeline, results: &mut Said) {
    let mut things: BTreeMap<(String, String, String), Vec<&Action>> = BTreeMap::new();
    for action in world.people() {
        let Some(subject) = action.deed.subject else { continue };
        let hears = match &pipeline.flow {
            Flow::Stages { start, stages, failed } => {
                fits(start.kinds, action)
                    || fits(*failed, action)
                    || stages.iter().any(|stage| fits(stage.kinds, action))
            }
            Flow::States { start, updates, .. } => fits(start.kinds, action) || fits(*updates, action),
        };
        if !hears || pipeline.app.as_ref().is_some_and(|app| *app != action.app) {
            continue;
        }
        let thing = match (pipeline.key, action.user) {
            (ItemKey::UserSubject, Some(user)) => format!("{user:?} {subject:?}"),
            _ => format!("{subject:?}"),
        };
        let tenant = if pipeline.across_tenants { String::new() } else { action.tenant.to_string() };
        things.entry((action.app.to_string(), tenant, thing)).or_default().push(action);
    }
    let mut facts: BTreeMap<Whose, Vec<Fact>> = BTreeMap::new();
    for ((app, ..), actions) in things {
        for fact in story(pipeline, &actions) {
            for whose in both(&app, &fact.tenant) {
                facts.entry(whose).or_default().push(fact.clone());
            }
        }
    }
    for (whose, facts) in facts {
        let mut hour = facts.iter().map(|fact| fact.at).min().unwrap().div_euclid(HOUR) * HOUR;
        let end = facts.iter().map(|fact| fact.at).max().unwrap();
        let mut backlog = 0;
        while hour <= end {
            let within: Vec<&Fact> = facts.iter().filter(|fact| hour <= fact.at && fact.at < hour + HOUR).collect();
            if !within.is_empty() || backlog > 0 {
                let count = |what| within.iter().filter(|fact| fact.what == what).count() as i64;
                let ended = count("completed") + count("failed") + count("timed_out");
                if pipeline.timeout.is_some() {
                    backlog += count("started") - ended;
                }
                let took =
                    |what| within.iter().filter(move |fact| fact.what == what).filter_map(|fact| fact.took.clone());
                let mut stages: BTreeMap<String, Vec<i64>> = BTreeMap::new();
                for (stage, millis) in took("reached") {
                    stages.entry(stage).or_default().push(millis);
                }
                let stages: BTreeMap<String, Value> =
                    stages.into_iter().map(|(stage, times)| (stage, spans(times))).collect();
                let more = json!({
                    "pipeline": pipeline.name, "timeout_ms": pipeline.timeout.map(|it| it.0), "started": count("started"),
                    "completed": count("completed"), "failed": count("failed"), "timed_out": count("timed_out"),
                    "backlog": backlog, "completion": share(count("completed") as u64, ended as u64),
                    "repeated": count("repeated"), "unmatched": count("unmatched"),
                    "time": spans(took("completed").map(|(_, millis)| millis).collect()), "stages": stages,
                });
                let topic = "engagement.pipelines.1h.v1";
                world.say(results, topic, &whose, &pipeline.name, (hour, hour + HOUR), more);
            }
            hour += HOUR;
        }
    }
}

/// What happens to one thing: from each start that finds no open run, the run's events are those up to its limit, and it
/// ends with the first of them that ends it.
fn story(pipeline: &Pipeline, actions: &[&Action]) -> Vec<Fact> {
    let rank = |action: &Action| match &pipeline.flow {
        Flow::Stages { start, stages, .. } => {
            let order = std::iter::once(start).chain(stages);
            order.into_iter().position(|stage| fits(stage.kinds, action)).unwrap_or(usize::MAX)
        }
        Flow::States { start, .. } => usize::from(!fits(start.kinds, action)),
    };
    let mut actions = actions.to_vec();
    actions.sort_by_key(|action| (action.time, rank(action), action.deed.event));
    let start = match &pipeline.flow {
        Flow::Stages { start, .. } | Flow::States { start, .. } => start,
    };
    let mut facts = Vec::new();
    let mut rest = &actions[..];
    while let Some((first, behind)) = rest.split_first() {
        let fact = |at: i64, what, took| Fact { tenant: first.tenant.to_string(), at, what, took };
        rest = behind;
        let began = first.time.0;
        if !fits(start.kinds, first) {
            facts.push(fact(began, "unmatched", None));
            continue;
        }
        facts.push(fact(began, "started", None));
        // Without an end nothing is waited for: each start stands for itself.
        let Some(timeout) = pipeline.timeout else { continue };
        let limit = began + timeout.0;
        let mine = rest.iter().take_while(|action| action.time.0 <= limit).count();
        let mut reached = Reached::begin(pipeline, first);
        let mut ended = None;
        for (place, action) in rest[..mine].iter().enumerate() {
            let at = action.time.0;
            let (stage, end) = reached.go_on(pipeline, action);
            match stage {
                Some(stage) => {
                    facts.push(fact(at, "reached", Some((stage, at - reached.since))));
                    reached.since = at;
                }
                None if end.is_none() => facts.push(fact(at, "repeated", None)),
                None => {}
            }
            if let Some(end) = end {
                facts.push(fact(at, end, Some((String::new(), at - began))));
                ended = Some(place + 1);
                break;
            }
        }
        match ended {
            Some(used) => rest = &rest[used..],
            None => {
                facts.push(fact(minute_last(limit), "timed_out", None));
                rest = &rest[mine..];
            }
        }
    }
    facts
}

/// How far a run has come: its place among the stages, or its state.
struct Reached {
    place: usize,
    state: String,
    since: i64,
}

impl Reached {
    fn begin(pipeline: &Pipeline, first: &Action) -> Self {
        let state = match &pipeline.flow {
            Flow::Stages { .. } => String::new(),
            Flow::States { initial, states, .. } => {
                let named = first.deed.label.clone().unwrap_or_else(|| initial.clone());
                if states.contains(&named) { named.to_string() } else { "other".to_owned() }
            }
        };
        Self { place: 0, state, since: first.time.0 }
    }

    /// The stage that an event reaches, and how the run ends by it.
    fn go_on(&mut self, pipeline: &Pipeline, action: &Action) -> (Option<String>, Option<&'static str>) {
        match &pipeline.flow {
            Flow::Stages { stages, failed, .. } => {
                let later = (self.place..stages.len()).find(|place| fits(stages[*place].kinds, action));
                if let Some(place) = later {
                    self.place = place + 1;
                    return (Some(stages[place].name.to_string()), (self.place == stages.len()).then_some("completed"));
                }
                (None, fits(*failed, action).then_some("failed"))
            }
            Flow::States { start, states, ends, .. } => {
                let Some(label) = action.deed.label.as_ref().filter(|_| !fits(start.kinds, action)) else {
                    return (None, None);
                };
                let state = if states.contains(label) { label.to_string() } else { "other".to_owned() };
                if state == self.state {
                    return (None, None);
                }
                let stage = format!("{} > {state}", self.state);
                self.state = state;
                let ends = ends.iter().any(|end| *end == self.state);
                (Some(stage), ends.then_some("completed"))
            }
        }
    }
}

/// Names and how often they came, by scope, dimension and day.
type DayNames = BTreeMap<(Whose, &'static str, (i64, i64)), BTreeMap<String, i64>>;

fn top(world: &World<'_>, results: &mut Said) {
    let mut days = DayNames::new();
    let mut name = |app: &str, tenant: &str, time: i64, dimension: &'static str, name: String, weight: i64| {
        for whose in both(app, tenant) {
            let day = days.entry((whose, dimension, world.clock.day(time))).or_default();
            *day.entry(name.clone()).or_default() += weight;
        }
    };
    for action in world.people() {
        let label = action.deed.label.as_ref().map(ToString::to_string);
        let (dimension, weight, missing) = match action.deed.kind {
            Kind::PoiFavorited => ("favourite_places", 1, None),
            Kind::PoiUnfavorited => ("favourite_places", -1, None),
            Kind::LeadCreatedAsking => ("lead_sources", 1, Some("unknown")),
            Kind::JobApplied => ("application_statuses", 1, Some("applied")),
            Kind::JobStatusUpdated => ("application_statuses", 1, Some("unknown")),
            Kind::SystemError => ("system_errors", 1, Some("unknown")),
            _ => continue,
        };
        if let Some(label) = label.or(missing.map(str::to_owned)) {
            name(&action.app, &action.tenant, action.time.0, dimension, label, weight);
        }
    }
    for session in people::sessions(world) {
        name(&session.user.0, &session.user.1, session.over, "journeys", session.journey(), 1);
    }
    for ((whose, dimension, day), names) in days {
        let mut names: Vec<(String, i64)> = names.into_iter().filter(|(_, number)| *number > 0).collect();
        if names.is_empty() {
            continue;
        }
        names.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
        let (distinct, total) = (names.len(), names.iter().map(|(_, number)| number).sum::<i64>());
        let first = names.iter().take(world.drawn.settings.list_length as usize).zip(1..);
        let lines: Vec<Value> =
            first.map(|((name, number), rank)| json!({ "rank": rank, "name": name, "number": number })).collect();
        let more = json!({ "dimension": dimension, "distinct": distinct, "total": total, "names": lines });
        world.say(results, "engagement.top.1d.v1", &whose, dimension, day, more);
    }
}
