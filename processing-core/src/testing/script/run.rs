//! One run of a script: one worker on a log in memory, from line to line.
//!
//! Not here: what lines mean ([`super::line`]) and whether outputs fit ([`super::expect`]). Invariant: a
//! line is carried out when everything that the lines before it caused has been committed.

use std::collections::BTreeSet;
use std::ops::ControlFlow;
use std::sync::Arc;

use super::expect::{Outputs, Reader, key_fits, reason, show_value, value_fits};
use super::home::MemoryHome;
use super::line::{Fields, Line, Setting, Word};
use super::{Failure, Run};
use crate::batch::{Headers, RecordBatch, RecordRef};
use crate::commit::CommitStage;
use crate::error::CoreError;
use crate::layout::Layout;
use crate::log::memory::{MemoryLog, MemoryOptions, OwnedRecord};
use crate::log::{Admin, Cleanup, Log, TopicSettings, partition_for_key};
use crate::plan::{OutputKind, Plan};
use crate::record::{DurationMs, LogTime, Offset, Partition, TopicName, TopicPartition, WallTime};
use crate::word::Finality;
use crate::worker::{InlineNursery, Worker, WorkerTerms};

/// A century: in a script nobody is declared dead for being slow.
const NEVER_MS: u64 = 100 * 365 * 86_400_000;
/// Steps within which a worker comes to rest after a line.
const STEPS_MAX: usize = 100_000;
/// So many steps in a row without anything to do are rest.
const REST: usize = 4;

struct Stage<'p> {
    log: Arc<MemoryLog>,
    layout: Arc<Layout>,
    terms: WorkerTerms,
    home: MemoryHome,
    /// As the control topic would say it: it outlives the worker.
    paused: bool,
    worker: Option<Worker<MemoryHome, InlineNursery<<MemoryHome as crate::worker::StateHome>::Base>>>,
    reader: Reader,
    /// Outputs that may hold only what is expected.
    strict: BTreeSet<TopicName>,
    plan: &'p Plan,
}

/// Runs the script once and answers all its outputs.
pub(super) fn run(plan: Plan, script: &[Line], kind: Run) -> Result<Outputs, Failure> {
    let plan = Arc::new(plan);
    let fail = |line: &Line, message: String| Failure {
        line: line.number,
        run: kind,
        message: format!("{}\n{message}", line.text),
    };
    let begun = Stage::begin(&plan, script);
    let mut stage = begun.map_err(|message| Failure { line: 0, run: kind, message })?;
    for line in script {
        stage.before(line, kind).map_err(|message| fail(line, message))?;
        stage.play(line, kind).map_err(|message| fail(line, message))?;
    }
    if let Some(last) = script.last() {
        stage.all_expected().map_err(|message| fail(last, message))?;
    }
    let topics = plan.outputs().iter().filter(|output| matches!(output.kind, OutputKind::Topic(_)));
    let side = |name| (TopicName::new(format!("{}-{name}", plan.name())), Finality::Final);
    let topics = topics.map(|output| (output.topic.clone(), output.finality)).chain([side("late"), side("dlq")]);
    Ok(Outputs::of(&stage.log, topics))
}

/// Runs a script as it is written, without what it expects and what disturbs it, and answers after each of its
/// lines what came out: the topic, what kind it is of, and the records that no line before has brought.
pub(super) fn listen(plan: Plan, script: &[Line], heard: &mut dyn FnMut(&Line, Heard<'_>)) -> Result<(), Failure> {
    let plan = Arc::new(plan);
    let fail = |line: usize, message: String| Failure { line, run: Run::AsWritten, message };
    let script: Vec<_> = script.iter().filter(|line| !line.expects()).cloned().collect();
    let mut stage = Stage::begin(&plan, &script).map_err(|message| fail(0, message))?;
    stage.strict.clear();
    for line in &script {
        if !matches!(line.word, Word::Crash | Word::Rebalance) {
            let played = stage.play(line, Run::AsWritten);
            played.map_err(|message| fail(line.number, format!("{}\n{message}", line.text)))?;
        }
        for output in plan.outputs() {
            if matches!(output.kind, OutputKind::Topic(_)) {
                let records = stage.reader.rest(&stage.log, &output.topic);
                heard(line, Heard::Output(&output.topic, output.finality, &records));
            }
        }
        heard(line, Heard::Late(&stage.reader.rest(&stage.log, &stage.side("late"))));
        heard(line, Heard::Dead(&stage.reader.rest(&stage.log, &stage.side("dlq"))));
    }
    Ok(())
}

/// What came out after a line.
#[derive(Debug, Clone, Copy)]
pub(super) enum Heard<'a> {
    Output(&'a TopicName, Finality, &'a [OwnedRecord]),
    Late(&'a [OwnedRecord]),
    Dead(&'a [OwnedRecord]),
}

impl<'p> Stage<'p> {
    fn begin(plan: &'p Arc<Plan>, script: &[Line]) -> Result<Self, String> {
        let log = MemoryLog::new(MemoryOptions {
            transaction_timeout_ms: NEVER_MS,
            session_timeout_ms: NEVER_MS,
            rebalance_timeout_ms: NEVER_MS,
            ..MemoryOptions::default()
        });
        let mut terms = WorkerTerms {
            instance: "script-0".to_owned(),
            commit_interval: DurationMs(100),
            idle_after: None,
            idle_close: None,
            future_bound: Some(DurationMs::hours(1)),
            epoch: 0,
            bounds: Default::default(),
        };
        let mut admin = log.admin().map_err(|error| error.to_string())?;
        let mut strict: BTreeSet<_> =
            ["late", "dlq"].iter().map(|side| TopicName::new(format!("{}-{side}", plan.name()))).collect();
        for line in script {
            match &line.word {
                Word::Set(Setting::Idle(span)) => terms.idle_after = Some(*span),
                Word::Set(Setting::Close(span)) => terms.idle_close = Some(*span),
                Word::Set(Setting::Future(span)) => terms.future_bound = Some(*span),
                Word::Set(Setting::Commit(span)) => terms.commit_interval = *span,
                Word::Topic { topic, partitions } => create(&mut *admin, topic, *partitions)?,
                Word::Out { topic, .. } => {
                    if plan.outputs().iter().any(|out| out.topic == *topic && out.finality == Finality::Update) {
                        return Err(format!(
                            "line {}: {topic} holds updates, of which a crash may repeat some: write `last {topic} KEY \
                             JSON`",
                            line.number
                        ));
                    }
                    strict.insert(topic.clone());
                }
                _ => {}
            }
        }
        for topic in plan.inputs() {
            create(&mut *admin, topic, 1)?;
        }
        let layout = Layout::new(Arc::clone(plan), &mut *admin).map_err(|error| error.to_string())?;
        let layout = Arc::new(layout);
        let (home, reader) = (MemoryHome::default(), Reader::default());
        let mut stage = Self { log, layout, terms, home, paused: false, worker: None, reader, strict, plan };
        stage.start().map_err(|error| error.to_string())?;
        stage.settle()?;
        Ok(stage)
    }

    fn start(&mut self) -> Result<(), CoreError> {
        let log: Arc<dyn Log> = Arc::clone(&self.log) as Arc<dyn Log>;
        let (layout, terms, home) = (Arc::clone(&self.layout), self.terms.clone(), self.home.clone());
        self.worker = Some(Worker::new(log, layout, terms, home, InlineNursery::default())?);
        Ok(())
    }

    fn crash(&mut self) -> Result<(), String> {
        self.worker = None;
        self.log.crash_member(&self.terms.instance);
        self.home.crash();
        self.start().map_err(|error| error.to_string())
    }

    /// Carries out what this run adds to the script before a line.
    fn before(&mut self, line: &Line, kind: Run) -> Result<(), String> {
        match kind {
            Run::CrashBefore(at) if at == line.number => self.crash()?,
            Run::RebalanceBefore(at) if at == line.number => self.log.force_rebalance(),
            _ => return Ok(()),
        }
        self.settle()
    }

    fn play(&mut self, line: &Line, kind: Run) -> Result<(), String> {
        if line.acts() {
            self.all_expected()?;
        }
        let paused = self.paused;
        let pauses = matches!(kind, Run::PausedDuring(at) if at == line.number) && !matches!(line.word, Word::Pause(_));
        if pauses {
            self.paused = true;
            self.settle()?;
        }
        match &line.word {
            Word::Set(_) | Word::Topic { .. } => return Ok(()),
            Word::In { topic, partition, time, key, value } => {
                let late = time.0.saturating_sub(self.log.now().0);
                if let Ok(late) = u64::try_from(late) {
                    self.log.advance(late);
                }
                self.append(topic, *partition, *time, key.as_deref(), value.as_deref())?;
            }
            Word::Advance(span) => self.log.advance(span.0.unsigned_abs()),
            Word::Crash => self.crash()?,
            Word::Rebalance => self.log.force_rebalance(),
            Word::Pause(paused) => self.paused = *paused,
            Word::Out { topic, key, value, fields } => {
                return self.reader.take(&self.log, topic, |record| {
                    value_fits(record, value, *fields) && key.as_deref().is_none_or(|key| key_fits(record, key))
                });
            }
            Word::Last { topic, key, value } => {
                let records = self.log.committed_records(topic);
                let last = records.iter().find_map(|records| records.iter().rev().find(|r| key_fits(r, key)));
                return match (last, value) {
                    (None, None) => Ok(()),
                    (Some(record), Some(value)) if value_fits(record, value, Fields::Named) => Ok(()),
                    (Some(record), _) => {
                        Err(format!("found last in {topic} under {key}: {}", show_value(record.value.as_deref())))
                    }
                    (None, _) => Err(format!("found in {topic} under {key}: nothing")),
                };
            }
            Word::Late(value) => {
                let topic = self.side("late");
                return self.reader.take(&self.log, &topic, |record| {
                    value.as_ref().is_none_or(|value| value_fits(record, value, Fields::All))
                });
            }
            Word::Dead(expected) => {
                let topic = self.side("dlq");
                return self.reader.take(&self.log, &topic, |record| {
                    expected.is_none() || reason(record).as_deref() == expected.as_deref()
                });
            }
        }
        if pauses {
            self.settle()?;
            self.paused = paused;
        }
        if let Run::CrashInCommit(at, stage) = kind
            && at == line.number
        {
            self.crash_at(stage);
        }
        self.settle()
    }

    fn side(&self, name: &str) -> TopicName {
        TopicName::new(format!("{}-{name}", self.plan.name()))
    }

    fn crash_at(&mut self, fatal: CommitStage) {
        if let Some(worker) = &mut self.worker {
            worker.set_probe(Some(Box::new(move |stage| {
                if stage == fatal { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
            })));
        }
    }

    fn append(
        &self,
        topic: &TopicName,
        partition: Option<u32>,
        time: LogTime,
        key: Option<&[u8]>,
        value: Option<&[u8]>,
    ) -> Result<(), String> {
        if !self.plan.inputs().any(|input| input == topic) {
            let inputs: Vec<_> = self.plan.inputs().map(TopicName::as_str).collect();
            return Err(format!("{topic} is no input of this topology: there are {}", inputs.join(", ")));
        }
        let mut admin = self.log.admin().map_err(|error| error.to_string())?;
        let info = admin.topic(topic).map_err(|error| error.to_string())?;
        let partitions = info.map_or(1, |info| info.settings.partitions);
        let partition = match (partition, key) {
            (Some(partition), _) => Partition(partition),
            (None, Some(key)) => partition_for_key(key, partitions),
            (None, None) => Partition(0),
        };
        let mut batch = RecordBatch::new();
        batch.push(RecordRef { offset: Offset::ZERO, timestamp: time, key, value, headers: Headers::NONE });
        let place = TopicPartition { topic: topic.clone(), partition };
        self.log.append(&place, &batch).map(|_| ()).map_err(|error| error.to_string())
    }

    /// Lets the worker work until there is nothing left to do.
    fn settle(&mut self) -> Result<(), String> {
        let tasks = self.layout.parts.iter().map(|part| part.tasks as usize).sum::<usize>();
        let mut rest = 0;
        for _ in 0..STEPS_MAX {
            let Some(worker) = &mut self.worker else { return Err("the worker is gone".to_owned()) };
            worker.pause(self.paused);
            let activity = worker.step(WallTime(self.log.now().0)).map_err(|error| error.to_string())?;
            if worker.has_crashed() {
                self.crash()?;
                rest = 0;
                continue;
            }
            let status = worker.status();
            let all_run = status.restoring.is_empty() && status.running.len() == tasks;
            rest = if all_run && activity.idle { rest + 1 } else { 0 };
            if rest >= REST {
                // A crash that was to come in a commit after this line has had its chance.
                worker.set_probe(None);
                return Ok(());
            }
            if activity.idle {
                self.log.advance(self.terms.commit_interval.0.unsigned_abs());
            }
        }
        Err(format!("the worker does not come to rest within {STEPS_MAX} steps"))
    }

    /// Nothing may lie in a strict output that no line has expected.
    fn all_expected(&mut self) -> Result<(), String> {
        for topic in &self.strict {
            if let Some(found) = self.reader.unexpected(&self.log, topic) {
                return Err(format!("no line before this one, and none at the end, expects what is\n{found}"));
            }
        }
        Ok(())
    }
}

fn create(admin: &mut dyn Admin, topic: &TopicName, partitions: u32) -> Result<(), String> {
    let settings = TopicSettings { partitions, cleanup: Cleanup::Delete, retention_ms: None, log_append_time: false };
    admin.create_topic(topic, settings).map(|_| ()).map_err(|error| error.to_string())
}
