//! Inputs that are silent, and the time they are raised to.
//!
//! Not here: the time log's records ([`crate::time_log`]). Invariant: a raise is decided only past the
//! end of what the log has decided before, never above the slowest input that is not idle (a table's: just behind the
//! streams that wait for it; where every input is idle, the clock, as far behind it as is set), and is written into the
//! time log by the transaction that applies it.

use std::collections::BTreeMap;

use state::Base;

use crate::error::CoreError;
use crate::layout::Layout;
use crate::limits::{IDLE_CLOSE_PART, IDLE_CLOSE_STEPS, PROGRESS_EVERY};
use crate::log::GroupSource;
use crate::record::{DurationMs, EventTime, Partition, TopicName, TopicPartition, WallTime};
use crate::source::{Raise, SourcePartition, SourceTime};
use crate::task::{Task, TaskId};
use crate::time_log::{self, Entry, TimeLog};

/// What a worker knows of its inputs' silence.
pub(crate) struct Idleness {
    /// `None`: no input is ever idle.
    after: Option<DurationMs>,
    /// How far behind the clock event time is where every input is idle; `None`: it stands still.
    close: Option<DurationMs>,
    /// How often the time of an input that moves is told.
    every: DurationMs,
    epoch: u32,
    /// When each partition was last heard of.
    heard: BTreeMap<TopicPartition, WallTime>,
    /// What this worker last wrote about each of its inputs, and when.
    told: BTreeMap<TopicPartition, (Entry, WallTime)>,
    /// Raises that the open transaction applies and has still to log.
    untold: Vec<(TaskId, TopicPartition, Raise)>,
}

impl Idleness {
    /// When an input is idle, and how far behind the clock event time is when all are.
    pub(crate) fn new((after, close): (Option<DurationMs>, Option<DurationMs>), epoch: u32) -> Self {
        // Others may be raised to a time that is a little old; it must be little against their silence.
        let every = after.map_or(PROGRESS_EVERY, |after| PROGRESS_EVERY.min(DurationMs(after.0 / 16)));
        Self { after, close, every, epoch, heard: BTreeMap::new(), told: BTreeMap::new(), untold: Vec::new() }
    }

    /// When something came of `place` for the last time.
    pub(crate) fn last_heard(&self, place: &TopicPartition) -> Option<WallTime> {
        self.heard.get(place).copied()
    }

    /// A record of `place` has come, or reading it began.
    pub(crate) fn heard(&mut self, place: &TopicPartition, now: WallTime) {
        match self.heard.get_mut(place) {
            Some(heard) => *heard = now,
            None => drop(self.heard.insert(place.clone(), now)),
        }
    }

    /// The transaction was aborted: nothing of what it would have told is told.
    pub(crate) fn forget(&mut self) {
        self.told.clear();
        self.untold.clear();
    }

    /// Applies what the time log has decided already, finds inputs that are idle now and raises them to the
    /// slowest input that is not. `moved` tells whether there is something to commit, also after an error.
    pub(crate) fn raise<B: Base>(
        &mut self,
        tasks: &mut BTreeMap<TaskId, Task<B>>,
        log: &TimeLog,
        layout: &Layout,
        source: &mut dyn GroupSource,
        now: WallTime,
        moved: &mut bool,
    ) -> Result<(), CoreError> {
        let mut idle = Vec::new();
        let mut active = BTreeMap::new();
        for (id, task) in tasks.iter_mut() {
            for index in 0..task.sources.len() {
                let Some(input) = task.sources.get_mut(index) else { continue };
                let SourceTime::Input { .. } = input.time else { continue };
                if input.lift() {
                    task.moved = true;
                    *moved = true;
                }
                let Some(after) = self.after else { continue };
                let Some(input) = task.sources.get(index) else { continue };
                let silent = self.heard.get(&input.place).is_none_or(|heard| now.0.saturating_sub(heard.0) >= after.0);
                if silent && !decided_ahead(input) && is_read_out(input, source)? {
                    idle.push((*id, index));
                } else {
                    active.insert(input.place.clone(), input.reached());
                }
            }
        }
        if idle.is_empty() {
            return Ok(());
        }
        let own: Vec<_> =
            idle.iter().filter_map(|(id, index)| Some(&tasks.get(id)?.sources.get(*index)?.place)).cloned().collect();
        let slowest = slowest_active(layout, log, &active, &own).or_else(|| self.behind_the_clock(now));
        let here: BTreeMap<_, _> = tasks.values().flat_map(|task| &task.sources).map(standing).collect();
        for (id, index) in idle {
            let Some(task) = tasks.get_mut(&id) else { continue };
            let streams = head_of_streams(&task.sources);
            let Some(input) = task.sources.get_mut(index) else { continue };
            let raised = match layout.followed.get(&input.place.topic) {
                Some(streams) => furthest(streams, layout, log, &here).or(slowest),
                None if input.is_table => streams.or(slowest),
                None => slowest,
            };
            let time = raised.map_or(input.reached(), |raised| raised.max(input.reached()));
            let raise = Raise { offset: input.next, time };
            if self.told.get(&input.place).is_none_or(|(told, _)| *told != Entry::Raise(raise)) {
                input.raise(time);
                self.told.insert(input.place.clone(), (Entry::Raise(raise), now));
                let place = input.place.clone();
                // Of several raises at one offset the last one says it all.
                self.untold.retain(|(_, at, earlier)| (at, earlier.offset) != (&place, raise.offset));
                self.untold.push((id, place, raise));
                task.moved = true;
                *moved = true;
            }
        }
        Ok(())
    }

    /// From here on event time stands still where every input is idle.
    #[cfg(any(test, feature = "testing"))]
    pub(crate) fn let_time_stand_still(&mut self) {
        self.close = None;
    }

    /// The time that the clock has taken idle inputs to, in steps that are the same in every process.
    fn behind_the_clock(&self, now: WallTime) -> Option<EventTime> {
        let close = self.close?;
        let (least, most) = IDLE_CLOSE_STEPS;
        let step = (close.0 / IDLE_CLOSE_PART).clamp(least.0, most.0);
        let time = now.0.saturating_sub(close.0);
        Some(EventTime(time - time.rem_euclid(step)))
    }

    /// Writes into the open transaction what has changed: raises, and how far active inputs have come.
    pub(crate) fn tell<B: Base>(&mut self, tasks: &mut BTreeMap<TaskId, Task<B>>, now: WallTime) {
        for (id, place, raise) in std::mem::take(&mut self.untold) {
            if let Some(task) = tasks.get_mut(&id) {
                task.log_time(&time_log::key(&place), &time_log::value(self.epoch, Entry::Raise(raise)), now);
            }
        }
        for task in tasks.values_mut() {
            let inputs: Vec<_> =
                task.sources.iter().filter(|source| matches!(source.time, SourceTime::Input { .. })).collect();
            let mut news = Vec::new();
            for input in inputs {
                let entry = Entry::Progress(Raise { offset: input.next, time: input.reached() });
                let told = self.told.get(&input.place);
                let stands = match told {
                    None => input.reached() == EventTime::MIN,
                    // Who follows a partition that moves needs no finer time. One that falls silent is told of when it
                    // is idle.
                    Some((Entry::Progress(last), when)) => {
                        let fresh = (0..self.every.0).contains(&now.0.saturating_sub(when.0));
                        fresh || last.time == input.reached()
                    }
                    // At once: others pass over an input that they hold to be idle.
                    Some((Entry::Raise(last), _)) => last.offset == input.next,
                };
                if !stands {
                    self.told.insert(input.place.clone(), (entry, now));
                    news.push((time_log::key(&input.place), time_log::value(self.epoch, entry)));
                }
            }
            for (key, value) in news {
                task.log_time(&key, &value, now);
            }
        }
    }
}

/// The time to which a silent table of the task follows the streams that wait for it: just behind their head, so that
/// the record there waits no longer. `None` where there is none, or nothing has come of it.
fn head_of_streams(sources: &[SourcePartition]) -> Option<EventTime> {
    let streams = sources.iter().filter(|source| !source.is_table);
    let head = streams.map(SourcePartition::reached).min().filter(|head| *head > EventTime::MIN)?;
    Some(EventTime(head.0.saturating_add(1)))
}

fn standing(source: &SourcePartition) -> (TopicPartition, EventTime) {
    (source.place.clone(), source.reached())
}

/// The time to which a silent table that every task holds follows the streams that wait for it, of all processes: just
/// behind the head of the furthest, so that no record waits longer. `None` where nothing has come of any.
fn furthest(
    streams: &[TopicName],
    layout: &Layout,
    log: &TimeLog,
    here: &BTreeMap<TopicPartition, EventTime>,
) -> Option<EventTime> {
    let topics = layout.inputs.iter().filter(|(topic, _)| streams.contains(topic));
    let places = topics.flat_map(|(topic, partitions)| {
        (0..*partitions).map(|partition| TopicPartition { topic: topic.clone(), partition: Partition(partition) })
    });
    let told = |place: &TopicPartition| match log.last(place)? {
        Entry::Raise(last) | Entry::Progress(last) => Some(last.time),
    };
    let heads = places.filter_map(|place| here.get(&place).copied().max(told(&place)));
    let head = heads.max().filter(|head| *head > EventTime::MIN)?;
    Some(EventTime(head.0.saturating_add(1)))
}

/// Whether nothing is left to read; records of a transaction that is still open are on their way.
pub(crate) fn is_read_out(input: &SourcePartition, source: &mut dyn GroupSource) -> Result<bool, CoreError> {
    let marks = source.watermarks(&input.place)?;
    Ok(marks.last_stable == marks.high && input.next >= marks.high)
}

/// Whether the time log holds raises for offsets that are still to come: then they are waited for.
fn decided_ahead(input: &SourcePartition) -> bool {
    matches!(&input.time, SourceTime::Input { raises, .. } if raises.are_ahead())
}

/// The least time over all inputs of all processes that are not idle; `None` when every one is.
/// An input of which nobody has said anything is as early as can be.
fn slowest_active(
    layout: &Layout,
    log: &TimeLog,
    active: &BTreeMap<TopicPartition, EventTime>,
    idle: &[TopicPartition],
) -> Option<EventTime> {
    let mut slowest = None;
    for (topic, partitions) in &layout.inputs {
        for partition in 0..*partitions {
            let place = TopicPartition { topic: topic.clone(), partition: Partition(partition) };
            let time = match active.get(&place) {
                Some(time) => *time,
                None if idle.contains(&place) => continue,
                None => match log.last(&place) {
                    Some(Entry::Raise(_)) => continue,
                    Some(Entry::Progress(progress)) => progress.time,
                    None => EventTime::MIN,
                },
            };
            slowest = Some(slowest.map_or(time, |slowest: EventTime| slowest.min(time)));
        }
    }
    slowest
}
