//! How a task that the group has assigned comes to run here.
//!
//! Not here: reading its changelogs ([`crate::restore`]). Invariant: a task runs only if its state and the
//! group's offsets say the same, and the group's offsets did not move while its state was restored.
//!
//! ```text
//!   waiting ──stable offsets──▶ restoring ──end of the changelogs──▶ restored ──same offsets──▶ running
//!                                   ▲                                    │
//!                                   └───────────── offsets moved ────────┘
//! ```

use std::sync::Arc;

use state::{Base, ColumnId, TaskStore, TaskStoreLimits};

use super::{Nursery, Route, StateHome, Worker};
use crate::commit_record::{CommitRecord, SourceMark};
use crate::contents;
use crate::error::{CoreError, Remedy};
use crate::limits::STORE_REBUILDS_MAX;
use crate::log::{FetchEpoch, FreeReader, LogError};
use crate::record::{EventTime, Offset, Partition, TopicId, TopicPartition, WallTime};
use crate::repartition::in_flight::InFlight;
use crate::restore::{RestoreJob, Restored, Restoring, begun_in, is_untouched};
use crate::rewrite::{self, Rewrite};
use crate::sink::Outbox;
use crate::source::{Raises, SourcePartition, SourceTime};
use crate::step::{Shares, Terms};
use crate::task::{Task, TaskId, TaskParts, TaskReceipt, read_record};
use crate::upgrade::Upgrade;

/// How far a task has come that does not run yet.
pub(super) enum Upbringing<B> {
    /// Its store is with the nursery since the group stood at these offsets, source by source.
    Restoring(Vec<Option<Offset>>),
    /// Its store is restored.
    Restored(Vec<Option<Offset>>, Box<Restored<B>>),
}

/// Whether what a store holds, if it holds anything, is this state epoch's. A commit record says so, and before there
/// is one the mark of the restore that has begun to bring rows in.
fn is_of<B: Base>(store: &TaskStore<B, TaskReceipt>, columns: &[ColumnId], epoch: u32) -> Result<bool, CoreError> {
    let said = match begun_in(store)? {
        Some(epoch) => Some(epoch),
        None => read_record(store)?.map(|record| record.epoch),
    };
    said.map_or_else(|| is_untouched(store, columns.iter().copied()), |said| Ok(said == epoch))
}

impl<H: StateHome, N: Nursery<H::Base>> Worker<H, N> {
    /// Hands assigned tasks to the nursery as soon as the group's offsets are stable.
    pub(super) fn begin_restores(&mut self) -> Result<(), CoreError> {
        let mut ids: Vec<TaskId> = self.waiting.keys().copied().collect();
        if let Some(last) = self.unanswered.take() {
            let others = ids.partition_point(|id| *id <= last);
            ids.rotate_left(others);
        }
        for id in ids {
            let committed = match self.committed(id) {
                // The others would wait for the same coordinator, each for as long, and meanwhile nobody listens to the
                // group: it would give this member up.
                Err(error) if error.remedy() == Remedy::Retry => {
                    self.unanswered = Some(id);
                    break;
                }
                committed => committed?,
            };
            let base = match self.home.open(id, &self.layout.contents(id)) {
                // Its last owner in this process has not closed it yet.
                Err(CoreError::Log(LogError::Retry(_))) => continue,
                opened => opened?,
            };
            let columns: Vec<ColumnId> = self.layout.changelogs(id).iter().map(|(column, _)| *column).collect();
            let bounds = &self.terms.bounds;
            let limits =
                TaskStoreLimits { staged_bytes_max: bounds.staged_bytes, applied_bytes_max: bounds.applied_bytes };
            let store = TaskStore::new(base, columns.iter().copied(), limits);
            if !is_of(&store, &columns, self.terms.epoch)? {
                tracing::info!(task = %id, epoch = self.terms.epoch, "the store is another state epoch's, or half of one, and is made anew");
                drop(store);
                self.home.destroy(id)?;
                // The next step opens it.
                continue;
            }
            self.waiting.remove(&id);
            self.restore(id, store, committed)?;
        }
        Ok(())
    }

    /// Reads a store's changelogs up to where they stand from now on.
    fn restore(
        &mut self,
        id: TaskId,
        store: TaskStore<H::Base, TaskReceipt>,
        committed: Vec<Option<Offset>>,
    ) -> Result<(), CoreError> {
        let reader = match self.log.reader() {
            Ok(reader) => reader,
            Err(error) => {
                // The store is closed with this, and opened again by the next try.
                self.waiting.insert(id, ());
                return Err(error.into());
            }
        };
        let inputs = self.layout.sources(id).filter(|(_, topic, _)| topic.input).map(|(_, _, place)| place);
        let time_log = TopicPartition { topic: self.layout.time_topic.clone(), partition: Partition(0) };
        let (inputs, changelogs) = (inputs.collect(), self.layout.changelogs(id));
        let job = RestoreJob::new(id, store, reader, self.terms.epoch, changelogs, inputs, time_log);
        self.nursery.admit(job.of_stores(self.layout.stores(id)));
        self.restoring.insert(id, Upbringing::Restoring(committed));
        Ok(())
    }

    /// The group's stable offsets of a task's sources.
    fn committed(&mut self, id: TaskId) -> Result<Vec<Option<Offset>>, CoreError> {
        let places: Vec<_> = self.layout.sources(id).map(|(_, _, place)| place).collect();
        places.iter().map(|place| self.source.committed(place).map_err(CoreError::from)).collect()
    }

    /// Throws away stores that hold what cannot be read, so that they are restored from their changelogs.
    /// A store that cannot be read straight after that has a changelog that cannot be read.
    pub(super) fn make_anew(&mut self, broken: &[TaskId], error: &CoreError) -> Result<(), CoreError> {
        for id in broken {
            let times = self.remade.entry(*id).or_insert(0);
            *times += 1;
            if *times > STORE_REBUILDS_MAX {
                return Err(CoreError::store_refused(format!(
                    "task {id}: its state was restored from its changelog and still cannot be read: {error}. The \
                     changelog was written by another version of this application: go back to that one, or start \
                     under another application id, which computes everything again"
                )));
            }
            tracing::warn!(task = %id, "the store is made anew from its changelog");
            self.home.destroy(*id)?;
        }
        Ok(())
    }

    /// Takes back from the nursery what has come of the restores.
    pub(super) fn finish_restores(&mut self) -> Result<(), CoreError> {
        let mut failed = None;
        for outcome in self.nursery.outcomes() {
            match outcome.map(|outcome| outcome.0) {
                Ok(Restoring::Done(restored)) => {
                    // A task that was taken away meanwhile is nobody's here.
                    if let Some(Upbringing::Restoring(committed)) = self.restoring.remove(&restored.id) {
                        self.status.restored += restored.records;
                        self.restoring.insert(restored.id, Upbringing::Restored(committed, restored));
                    }
                }
                Ok(Restoring::Rebuild(id, why)) => {
                    tracing::warn!(task = %id, why, "the store is made anew from its changelog");
                    self.home.destroy(id)?;
                    if self.restoring.remove(&id).is_some() {
                        self.waiting.insert(id, ());
                    }
                }
                Ok(Restoring::Working(_) | Restoring::Waiting(..)) => {}
                Err(error) => failed = Some(error),
            }
        }
        failed.map_or(Ok(()), Err)
    }

    /// Lets restored tasks run.
    pub(super) fn start_restored(&mut self, now: WallTime) -> Result<(), CoreError> {
        let is_restored =
            |(id, upbringing): (&TaskId, &Upbringing<_>)| matches!(upbringing, Upbringing::Restored(..)).then_some(*id);
        for id in self.restoring.iter().filter_map(is_restored).collect::<Vec<_>>() {
            let present = match self.committed(id) {
                Err(error) if error.remedy() == Remedy::Retry => break,
                present => present?,
            };
            let mut reader = self.log.reader()?;
            let Some(Upbringing::Restored(committed, restored)) = self.restoring.remove(&id) else { continue };
            if present != committed {
                // Somebody has committed since: an owner that had not heard yet that it is none, or one after
                // us. What was read is half of that commit at worst.
                self.restore(id, restored.store, present)?;
                continue;
            }
            match self.place_sources(&restored, &present, &mut *reader) {
                Ok(sources) => self.start(*restored, sources, now)?,
                Err(error) if error.remedy() == Remedy::Retry => {
                    self.restoring.insert(id, Upbringing::Restored(committed, restored));
                }
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Where reading of each source goes on.
    fn place_sources(
        &self,
        restored: &Restored<H::Base>,
        committed: &[Option<Offset>],
        reader: &mut dyn FreeReader,
    ) -> Result<Vec<SourcePartition>, CoreError> {
        let record = read_record(&restored.store)?;
        let mut places = Vec::new();
        for ((index, topic, place), committed) in self.layout.sources(restored.id).zip(committed) {
            let marks = record.as_ref().map(|record| &record.sources);
            let mark = marks.and_then(|marks| marks.iter().find(|mark| mark.topic == place.topic.as_str()));
            let begin = agree(&place, topic.id, mark, *committed, record.is_some(), reader)?;
            let raises = restored.raises.iter().filter(|(at, _)| *at == place).map(|(_, raise)| *raise);
            let time = if topic.input {
                SourceTime::Input { stream_time: EventTime::MIN, raises: Raises::new(raises) }
            } else {
                SourceTime::Repartition(Default::default())
            };
            let mut source = SourcePartition {
                source: index,
                is_table: topic.table,
                topic_id: topic.id,
                begin,
                next: begin,
                time,
                place,
            };
            if let Some(mark) = mark {
                source.rewind(Some(mark));
            }
            places.push(source);
        }
        Ok(places)
    }

    /// A restored task begins to run.
    fn start(
        &mut self,
        restored: Restored<H::Base>,
        sources: Vec<SourcePartition>,
        now: WallTime,
    ) -> Result<(), CoreError> {
        let Restored { id, store, .. } = restored;
        let record = read_record(&store)?;
        let layout = Arc::clone(&self.layout);
        let (Some(part), Some(sub)) = (
            layout.parts.get(usize::from(id.sub_topology)),
            layout.plan.sub_topologies().get(usize::from(id.sub_topology)),
        ) else {
            return Ok(());
        };
        self.epoch = FetchEpoch(self.epoch.0 + 1);
        for (index, source) in sources.iter().enumerate() {
            let route = Route { task: id, source: index, epoch: self.epoch, asked: false, held: false };
            self.routes.insert(source.place.clone(), route);
            self.idleness.heard(&source.place, now);
        }
        let terms = Terms {
            epoch: self.terms.epoch,
            future_bound: self.terms.future_bound,
            partition: id.partition,
            tasks: part.tasks,
            bounds: self.terms.bounds,
            shares: Shares::of_one(self.terms.bounds.cached_bytes),
        };
        let record = record.unwrap_or_else(|| CommitRecord {
            number: 0,
            epoch: self.terms.epoch,
            sources: Vec::new(),
            changelogs: part.changelog_ids.iter().map(|id| id.map(|TopicId(id)| id)).collect(),
        });
        let changelog = |topic| TopicPartition { topic, partition: Partition(id.partition) };
        let forgetting =
            part.retentions.iter().zip(0_u8..).filter_map(|(retention, column)| Some(((*retention)?, column)));
        let (held, names) = (contents::read(&store)?, layout.stores(id));
        let rewrites = forgetting.map(|(retention, column)| {
            let column = ColumnId(column);
            let rounds = match contents::number_in(held.as_ref(), &names, column) {
                Some(number) => rewrite::read(&store, number)?,
                None => None,
            };
            Ok(Rewrite::new(column, retention, rounds))
        });
        let rewrites = rewrites.collect::<Result<_, CoreError>>()?;
        let upgrade = Upgrade::of(id, &store, &layout.plan, record.number > 0)?;
        let in_flight = part.sources.iter().map(|source| match source.input {
            true => None,
            false => InFlight::of(&layout.plan, &source.topic),
        });
        let in_flight = in_flight.collect();
        let task = Task::new(TaskParts {
            id,
            sources,
            source_count: part.sources.len(),
            changelogs: part.outbox.changelogs.iter().cloned().map(changelog).collect(),
            chain: sub.chain(),
            store,
            out: Outbox::new(&part.outbox, Partition(id.partition)),
            terms,
            record,
            rewrites,
            upgrade,
            in_flight,
        });
        self.tasks.insert(id, task);
        // The first commit closes what was due when the last owner stopped.
        self.moved = true;
        Ok(())
    }
}

/// Where reading of a source begins: the commit record and the group's offset must say the same.
fn agree(
    place: &TopicPartition,
    id: TopicId,
    mark: Option<&SourceMark>,
    committed: Option<Offset>,
    has_record: bool,
    reader: &mut dyn FreeReader,
) -> Result<Offset, CoreError> {
    let remedy = "`streamfleet reprocess` sets offsets and state together";
    match (mark, committed) {
        (Some(mark), _) if mark.topic_id != id.0 => Err(CoreError::contradiction(format!(
            "{place}: the topic was deleted and made anew since the last commit; {remedy}"
        ))),
        (Some(mark), Some(committed)) if mark.next != committed => Err(CoreError::contradiction(format!(
            "{place}: the state stands at offset {}, the group at {committed}: the group's offset was changed from \
             outside; {remedy}",
            mark.next
        ))),
        // A group's offsets expire after a week of standstill; the record does not.
        (Some(mark), _) => Ok(mark.next),
        // Its events belong to windows that have closed without it.
        (None, _) if has_record => Err(CoreError::contradiction(format!(
            "{place}: the state was made without this topic, whose events belong to windows that have closed: disable \
             the input again, or give the application a new id, which begins anew beside the old one; {remedy}"
        ))),
        (None, Some(committed)) => Err(CoreError::contradiction(format!(
            "{place}: the group stands at offset {committed}, but there is no state that belongs to it; {remedy}"
        ))),
        (None, None) => Ok(reader.watermarks(place)?.start),
    }
}
