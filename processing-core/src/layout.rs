//! A plan laid out on a log: which topics there are, how many tasks, who follows whom.
//!
//! Not here: the plan itself, which knows no partition counts. Invariant: a layout exists only when
//! every topic of the plan exists with settings that the plan can work with.

mod followed;
mod sources;
mod standing;

use std::collections::BTreeMap;
use std::sync::Arc;

use state::{ColumnContents, ColumnId};

use crate::error::CoreError;
use crate::log::{Admin, Cleanup, TopicInfo, TopicSettings};
use crate::plan::{OutputKind, Plan, Source};
use crate::record::{DurationMs, Partition, TopicId, TopicName, TopicPartition};
use crate::repartition::in_flight;
use crate::sink::OutboxTopics;
use crate::task::TaskId;
use crate::{bulletin, control};
use standing::{Purpose, make, same_partitions};

/// What windowed changelogs keep beyond what their windows need.
const CHANGELOG_SLACK: DurationMs = DurationMs::hours(24);
/// What they keep at least: Kafka's `offsets.retention.minutes`. A group that comes back after a standstill finds
/// the state that belongs to its offsets.
const CHANGELOG_RETENTION_MIN: DurationMs = DurationMs::hours(7 * 24);

/// The topics of a plan as they stand in a log.
pub struct Layout {
    pub(crate) plan: Arc<Plan>,
    pub(crate) parts: Vec<PartLayout>,
    /// The application's time log.
    pub(crate) time_topic: TopicName,
    /// Every partition of every input, for the minimum over inputs that are not idle.
    pub(crate) inputs: Vec<(TopicName, u32)>,
    /// Of each table that every task holds, the inputs of the streams that wait for it.
    pub(crate) followed: BTreeMap<TopicName, Vec<TopicName>>,
}

/// One sub-topology's topics.
pub(crate) struct PartLayout {
    /// The topic whose partitions the group deals out.
    pub(crate) anchor: TopicName,
    pub(crate) tasks: u32,
    /// In the order of the chain's sources.
    pub(crate) sources: Vec<SourceTopic>,
    pub(crate) outbox: OutboxTopics,
    /// By column; `None` for columns of other sub-topologies.
    pub(crate) changelog_ids: Vec<Option<TopicId>>,
    /// By column: how long the changelog keeps a record; `None` where it keeps the last of each key for ever.
    pub(crate) retentions: Vec<Option<DurationMs>>,
}

/// A topic that a sub-topology reads.
pub(crate) struct SourceTopic {
    pub(crate) topic: TopicName,
    pub(crate) id: TopicId,
    pub(crate) partitions: u32,
    pub(crate) input: bool,
    /// An input that is read as a table.
    pub(crate) table: bool,
}

impl Layout {
    /// Makes the topics that the plan owns, checks those that stand already, and waits (by
    /// [`crate::error::Remedy::Retry`]) for inputs that are missing, naming them.
    pub fn new(plan: Arc<Plan>, admin: &mut dyn Admin) -> Result<Self, CoreError> {
        let app = plan.name().to_owned();
        let inputs_standing = sources::inputs(&plan, admin)?;
        let time_topic = TopicName::new(format!("{app}-time"));
        let one = |cleanup| TopicSettings { partitions: 1, cleanup, retention_ms: None, log_append_time: false };
        make(admin, &time_topic, Purpose::TimeLog, one(Cleanup::Delete))?;
        let late = make(admin, &TopicName::new(format!("{app}-late")), Purpose::Output, one(Cleanup::Delete))?;
        let dead = make(admin, &TopicName::new(format!("{app}-dlq")), Purpose::Output, one(Cleanup::Delete))?;
        make(admin, &bulletin::instances_topic(&app), Purpose::Bulletin, one(Cleanup::Compact))?;
        make(admin, &control::topic(&app), Purpose::Bulletin, one(Cleanup::Compact))?;
        let side = |info: &TopicInfo| (info.name.clone(), info.settings.partitions);
        let (late, dead) = (side(&late), side(&dead));

        let standing = sources::standing(&plan, inputs_standing, admin)?;
        let mut parts: Vec<PartLayout> = Vec::new();
        let mut inputs = Vec::new();
        for part in plan.sub_topologies() {
            let mut sources = Vec::new();
            for source in &part.sources {
                let Some(info) = standing.get(source.topic()) else { continue };
                let input = matches!(source, Source::Input(_));
                let table = source.is_table();
                if input {
                    inputs.push((info.name.clone(), info.settings.partitions));
                }
                sources.push(SourceTopic {
                    topic: info.name.clone(),
                    id: info.id,
                    partitions: info.settings.partitions,
                    input,
                    table,
                });
            }
            let Some(widest) = sources.iter().rev().max_by_key(|source| source.partitions) else {
                return Err(CoreError::config(format!("sub-topology {} reads nothing", part.number)));
            };
            let (anchor, tasks) = (widest.topic.clone(), widest.partitions);

            let mut changelogs = Vec::new();
            let mut changelog_ids = Vec::new();
            let mut retentions = Vec::new();
            let columns = part.stores.iter().map(|store| usize::from(store.column.0)).max().unwrap_or(0);
            for column in 0..=columns {
                let store = part.stores.iter().find(|store| usize::from(store.column.0) == column);
                let (name, cleanup, retention_ms) = match store {
                    None if column == 0 => (format!("{app}-{}-meta-changelog", part.number), Cleanup::Compact, None),
                    None => {
                        changelogs.push(TopicName::new(""));
                        changelog_ids.push(None);
                        retentions.push(None);
                        continue;
                    }
                    Some(store) if store.kind.expires() => (
                        format!("{app}-{}-changelog", store.stored_as),
                        Cleanup::CompactDelete,
                        Some((store.history().0 + CHANGELOG_SLACK.0).max(CHANGELOG_RETENTION_MIN.0).unsigned_abs()),
                    ),
                    Some(store) => (format!("{app}-{}-changelog", store.stored_as), Cleanup::Compact, None),
                };
                let settings = TopicSettings { partitions: tasks, cleanup, retention_ms, log_append_time: true };
                let forgets = store.is_some_and(|store| store.kind.expires());
                let purpose = if forgets { Purpose::WindowedChangelog } else { Purpose::LastingChangelog };
                let info = make(admin, &TopicName::new(name), purpose, settings)?;
                same_partitions(&info, tasks)?;
                changelogs.push(info.name);
                changelog_ids.push(Some(info.id));
                retentions.push(info.settings.retention_ms.map(|ms| DurationMs(ms.cast_signed())));
            }

            let mut outputs = vec![(TopicName::new(""), 1); plan.outputs().len()];
            for number in &part.outputs {
                let Some(output) = plan.outputs().get(*number) else { continue };
                let info = match (&output.kind, standing.get(&output.topic)) {
                    (OutputKind::Topic(settings), _) => {
                        let partitions = if settings.partitions == 0 { tasks } else { settings.partitions };
                        make(admin, &output.topic, Purpose::Output, TopicSettings { partitions, ..*settings })?
                    }
                    (OutputKind::Repartition, Some(info)) => info.clone(),
                    (OutputKind::Repartition, None) => {
                        return Err(CoreError::contradiction(format!("nobody reads topic {}", output.topic)));
                    }
                };
                if let Some(slot) = outputs.get_mut(*number) {
                    *slot = (info.name, info.settings.partitions);
                }
            }
            let shape = |output: &crate::plan::Output| {
                plan.fed_by(&output.topic).map_or(0, |(_, store)| in_flight::shape(&store.fingerprint()))
            };
            let shapes = plan.outputs().iter().map(shape).collect();
            let (late, dead, time) = (late.clone(), dead.clone(), time_topic.clone());
            let outbox = OutboxTopics { changelogs, outputs, shapes, late, dead, time };
            parts.push(PartLayout { anchor, tasks, sources, outbox, changelog_ids, retentions });
        }
        let followed = followed::by_broadcast_tables(&plan);
        Ok(Self { plan, parts, time_topic, inputs, followed })
    }

    /// Every task of the application.
    pub(crate) fn tasks(&self) -> impl Iterator<Item = TaskId> {
        let parts = (0_u16..).zip(&self.parts);
        parts.flat_map(|(sub_topology, part)| (0..part.tasks).map(move |partition| TaskId { sub_topology, partition }))
    }

    /// The changelogs of a task, by column.
    pub(crate) fn changelogs(&self, id: TaskId) -> Vec<(ColumnId, TopicPartition)> {
        let Some(part) = self.parts.get(usize::from(id.sub_topology)) else { return Vec::new() };
        let ids = part.changelog_ids.iter().zip(&part.outbox.changelogs).zip(0_u8..);
        let own = ids.filter(|((id, _), _)| id.is_some());
        own.map(|((_, topic), column)| {
            (ColumnId(column), TopicPartition { topic: topic.clone(), partition: Partition(id.partition) })
        })
        .collect()
    }

    /// The partitions that a task reads, with the number of each among the chain's sources.
    pub(crate) fn sources(&self, id: TaskId) -> impl Iterator<Item = (usize, &SourceTopic, TopicPartition)> {
        let topics = self.parts.get(usize::from(id.sub_topology)).map(|part| part.sources.iter().enumerate());
        let own = topics.into_iter().flatten().filter(move |(_, topic)| id.partition < topic.partitions);
        own.map(move |(index, topic)| (index, topic, TopicPartition::new(topic.topic.clone(), id.partition)))
    }

    /// The names that the stores of a task are kept under, by column.
    pub(crate) fn stores(&self, id: TaskId) -> Vec<(ColumnId, &'static str)> {
        let sub = self.plan.sub_topologies().get(usize::from(id.sub_topology));
        sub.into_iter().flat_map(|sub| &sub.stores).map(|store| (store.column, store.stored_as)).collect()
    }

    /// What a task's columns hold.
    pub(crate) fn contents(&self, id: TaskId) -> Vec<ColumnContents> {
        let sub = self.plan.sub_topologies().get(usize::from(id.sub_topology));
        sub.map_or_else(Vec::new, |sub| sub.contents())
    }
}
