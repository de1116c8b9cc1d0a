//! The topics that sub-topologies read: whether inputs stand, and how many partitions repartition topics have.
//!
//! Not here: what else a plan needs ([`super::Layout`]). Invariant: the sources of a sub-topology that keeps state
//! split keys alike: it is made so where the topic is ours, and refused where it is not.

use std::collections::{BTreeMap, BTreeSet};

use super::standing::{Purpose, make};
use crate::error::CoreError;
use crate::log::{Admin, Cleanup, TopicInfo, TopicSettings};
use crate::plan::{Plan, Source, StepKind, SubTopology};
use crate::record::TopicName;

/// Topics as they stand.
type Standing = BTreeMap<TopicName, TopicInfo>;

/// The inputs as they stand. Waits for those that are missing, all of them in one word. Nothing is made before they
/// stand: whoever has misspelled a broker's address finds no topics of ours there.
pub(super) fn inputs(plan: &Plan, admin: &mut dyn Admin) -> Result<Standing, CoreError> {
    let mut standing = BTreeMap::new();
    let mut missing = BTreeSet::new();
    for source in plan.sub_topologies().iter().flat_map(|part| &part.sources) {
        let topic = source.topic();
        if !matches!(source, Source::Input(_)) || standing.contains_key(topic) || missing.contains(topic.as_str()) {
            continue;
        }
        match admin.topic(topic)? {
            Some(info) => {
                standing.insert(topic.clone(), info);
            }
            None => {
                missing.insert(topic.as_str());
            }
        }
    }
    match missing.into_iter().collect::<Vec<_>>().as_slice() {
        [] => Ok(standing),
        [one] => Err(waits(format!("input topic {one} does not exist yet: waiting for it; create it"))),
        many => Err(waits(format!("input topics {} do not exist yet: waiting for them; create them", many.join(", ")))),
    }
}

/// Every source as it stands: the inputs that do, and the repartition topics, which are made here. A repartition topic
/// has as many partitions as the inputs that its sub-topology reads beside it, for keys must be split alike; where
/// there are none, as many as the widest of the sub-topologies that write its sources has tasks.
pub(super) fn standing(plan: &Plan, inputs: Standing, admin: &mut dyn Admin) -> Result<Standing, CoreError> {
    let mut standing = inputs;
    let mut tasks = BTreeMap::<u16, u32>::new();
    let mut rest: Vec<&SubTopology> = plan.sub_topologies().iter().collect();
    while !rest.is_empty() {
        let before = rest.len();
        let mut later = Vec::new();
        for part in rest {
            // Whoever writes one of its sources comes first; what all of its tasks hold makes it no wider.
            let streams = part.sources.iter().filter(|source| !source.is_table());
            let writers = streams.filter_map(|source| writer(plan, source));
            match writers.map(|writer| tasks.get(&writer).copied()).collect::<Option<Vec<u32>>>() {
                None => later.push(part),
                Some(writers) => {
                    let widest = complete(part, &writers, &mut standing, admin)?;
                    tasks.insert(part.number, widest);
                }
            }
        }
        if later.len() == before {
            return Err(CoreError::contradiction("sub-topologies wait for one another's repartition topics"));
        }
        rest = later;
    }
    Ok(standing)
}

/// Who writes a source, if it is one of us.
pub(super) fn writer(plan: &Plan, source: &Source) -> Option<u16> {
    let Source::Repartition { topic, .. } = source else { return None };
    let output = plan.outputs().iter().position(|output| output.topic == *topic)?;
    plan.sub_topologies().iter().find(|part| part.outputs.contains(&output)).map(|part| part.number)
}

/// Makes the repartition topics that a sub-topology reads. Answers how many tasks it has. `writers` are how many tasks
/// those have that write for it.
fn complete(
    part: &SubTopology,
    writers: &[u32],
    standing: &mut Standing,
    admin: &mut dyn Admin,
) -> Result<u32, CoreError> {
    let inputs = part.sources.iter().filter(|source| matches!(source, Source::Input(_)));
    let inputs = inputs.filter_map(|source| standing.get(source.topic())).map(|info| info.settings.partitions).max();
    let partitions = inputs.or_else(|| writers.iter().copied().max()).unwrap_or(1);
    for source in &part.sources {
        if let Source::Repartition { topic, .. } = source {
            let cleanup = Cleanup::Delete;
            let settings = TopicSettings { partitions, cleanup, retention_ms: None, log_append_time: false };
            standing.insert(topic.clone(), make(admin, topic, Purpose::Repartition, settings)?);
        }
    }
    let sources = part.sources.iter().filter_map(|source| Some((source, standing.get(source.topic())?)));
    let counts: Vec<(&Source, u32)> = sources.map(|(source, info)| (source, info.settings.partitions)).collect();
    // What stands beside a table that every task holds may stand anywhere.
    let by_key = part.steps.iter().any(|step| !step.kind.stores().is_empty() && !is_broadcast(&step.kind));
    if by_key {
        split_alike(part, &counts)?;
    }
    Ok(counts.iter().map(|(_, partitions)| *partitions).max().unwrap_or(1))
}

fn is_broadcast(step: &StepKind) -> bool {
    matches!(step, StepKind::BroadcastJoin(_))
}

/// What belongs together stands in one partition only if all topics split their keys alike.
fn split_alike(part: &SubTopology, counts: &[(&Source, u32)]) -> Result<(), CoreError> {
    let Some(((first, n), (other, m))) =
        counts.split_first().and_then(|(first, rest)| Some((first, rest.iter().find(|other| other.1 != first.1)?)))
    else {
        return Ok(());
    };
    let (narrower, most) = if n < m { (first, m) } else { (other, n) };
    let joins =
        |step: &StepKind| matches!(step, StepKind::Join(_) | StepKind::TableJoin(_) | StepKind::ForeignKeyJoin(_));
    let how = if part.steps.iter().any(|step| joins(&step.kind)) { "joined" } else { "windowed together" };
    let remedy = match (first, other) {
        (Source::Input(_), Source::Input(_)) if narrower.is_table() => {
            "give the topics the same number of partitions: a \
             table is not repartitioned"
                .to_owned()
        }
        (Source::Input(_), Source::Input(_)) => format!(
            "use `key_by` for the stream of {}, which sends it through a topic of {most} partitions, or give the topics \
             the same number of partitions",
            narrower.topic()
        ),
        (Source::Repartition { topic, .. }, _) | (_, Source::Repartition { topic, .. }) => format!(
            "{topic} is a topic of this application that stands with another count than its inputs have now: \
             `streamfleet reprocess` rebuilds the state for the new count"
        ),
    };
    Err(CoreError::config(format!(
        "topics {} and {} are {how} by the keys that they come with, but have {n} and {m} partitions, so that one key \
         stands in several: {remedy}",
        first.topic(),
        other.topic()
    )))
}

fn waits(what: String) -> CoreError {
    CoreError::Log(crate::log::LogError::Retry(format!("{what}, or disable the input in the settings")))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::layout::Layout;
    use crate::log::Log;
    use crate::log::memory::{MemoryLog, MemoryOptions};
    use crate::prelude::*;

    #[derive(Clone, serde::Serialize, serde::Deserialize)]
    struct Said {
        at: i64,
        k: String,
    }

    const WINDOW: JoinWindow = JoinWindow::around(DurationMs(1_000));

    fn at(said: &Said) -> EventTime {
        EventTime(said.at)
    }

    fn k(said: &Said) -> String {
        said.k.clone()
    }

    fn plan(left_keyed: bool, right_keyed: bool) -> Arc<Plan> {
        let app = Topology::named("app");
        let out = Topic::<Json<String>>::json("out");
        let stream = |topic: &str| app.stream(Topic::<Json<Said>>::json(topic)).event_time(at);
        let (left, right) = (stream("left"), stream("right"));
        match (left_keyed, right_keyed) {
            (true, true) => {
                let right = right.already_keyed_by(k);
                left.already_keyed_by(k).join(right, WINDOW, "s", |key, _, _| key.clone()).to(out);
            }
            (true, false) => {
                left.already_keyed_by(k).join(right.key_by(k), WINDOW, "s", |key, _, _| key.clone()).to(out);
            }
            (false, true) => {
                left.key_by(k).join(right.already_keyed_by(k), WINDOW, "s", |key, _, _| key.clone()).to(out);
            }
            (false, false) => {
                left.key_by(k).join(right.key_by(k), WINDOW, "s", |key, _, _| key.clone()).to(out);
            }
        }
        Arc::new(app.build().unwrap())
    }

    /// The partitions of every topic of a fresh log with these inputs, by name; and of those that stand before.
    fn laid_out(plan: Arc<Plan>, standing: &[(&str, u32)]) -> Result<BTreeMap<String, u32>, String> {
        let log = MemoryLog::new(MemoryOptions::default());
        let mut admin = log.admin().unwrap();
        for (topic, partitions) in standing {
            let settings = TopicSettings {
                partitions: *partitions,
                cleanup: Cleanup::Delete,
                retention_ms: None,
                log_append_time: false,
            };
            admin.create_topic(&TopicName::new(topic), settings).unwrap();
        }
        let layout = Layout::new(plan, &mut *admin).map_err(|error| error.to_string())?;
        let sources = layout.parts.iter().flat_map(|part| &part.sources);
        Ok(sources.map(|source| (source.topic.as_str().to_owned(), source.partitions)).collect())
    }

    #[test]
    fn both_repartitions_of_a_join_are_as_wide_as_the_wider_side() {
        let topics = laid_out(plan(false, false), &[("left", 2), ("right", 5)]).unwrap();
        assert_eq!((topics["app-s-left-repartition"], topics["app-s-right-repartition"]), (5, 5));
    }

    #[test]
    fn a_repartition_is_as_wide_as_the_keyed_input_beside_it() {
        let topics = laid_out(plan(true, false), &[("left", 2), ("right", 5)]).unwrap();
        assert_eq!(topics["app-s-right-repartition"], 2);
        let topics = laid_out(plan(false, true), &[("left", 2), ("right", 5)]).unwrap();
        assert_eq!(topics["app-s-left-repartition"], 5);
    }

    #[test]
    fn the_topics_of_a_foreign_key_join_are_as_wide_as_what_they_meet() {
        let app = Topology::named("app");
        let [left, right, beside] =
            ["left", "right", "beside"].map(|topic| app.table::<String, _>(Topic::<Json<String>>::json(topic)));
        left.join_by(right, "s", |_, row| row.clone(), |_, row, _| row.clone())
            .join(beside, "t", |_, row, _| row.clone())
            .on_update(|rows| rows.to_table(Topic::json("out").compacted()));
        let topics = laid_out(Arc::new(app.build().unwrap()), &[("left", 2), ("right", 5), ("beside", 3)]).unwrap();
        assert_eq!((topics["app-s-subscriptions-repartition"], topics["app-s-responses-repartition"]), (5, 3));
    }

    #[test]
    fn keyed_inputs_of_other_widths_are_refused_with_topics_counts_and_remedy() {
        assert!(laid_out(plan(true, true), &[("left", 4), ("right", 4)]).is_ok());
        let told = laid_out(plan(true, true), &[("left", 3), ("right", 6)]).unwrap_err();
        for part in ["left", "right", "joined", " 3 and 6 partitions", "`key_by` for the stream of left"] {
            assert!(told.contains(part), "{part}: {told}");
        }
    }

    #[test]
    fn a_repartition_that_stands_with_another_count_is_refused() {
        let standing = [("left", 4), ("right", 2), ("app-s-right-repartition", 3)];
        let told = laid_out(plan(true, false), &standing).unwrap_err();
        assert!(told.contains(" 4 and 3 partitions") && told.contains("reprocess"), "{told}");
    }
}
