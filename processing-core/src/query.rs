//! Committed rows for those who ask: HTTP threads send a range, worker threads answer between two steps.
//!
//! Not here: what rows mean (the keys and values of a store are its topology's), and the rows of other instances
//! ([`crate::instances`]). Invariant: an answer holds committed rows only, is bounded, and is complete for the tasks
//! asked or is an error.

mod gathered;
mod rows;

use std::collections::{BTreeMap, BTreeSet};
use std::ops::ControlFlow;
use std::sync::mpsc::{Receiver, SyncSender, TryRecvError, sync_channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::response::{IntoResponse, Response};
use state::{OwnedRange, Row};
use thiserror::Error;
use tokio::sync::mpsc;

use crate::error::CoreError;
use crate::instances::Instances;
use crate::limits::{
    HTTP_BODY_BYTES_MAX, QUERIES_WAITING_MAX, QUERY_BYTES_MAX, QUERY_ROWS_MAX, QUERY_WAIT, RESTORE_RETRY,
};
use crate::nursery::Progresses;
use crate::record::{DurationMs, EventTime};
use crate::service::problem::Problem;
use crate::task::TaskId;
use crate::worker::{Nursery, Scan, StateHome, Worker};

pub(crate) use gathered::Gathered;
use gathered::Room;
pub use rows::{ByStart, ErasedKey};

/// Why a query has no answer.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum QueryError {
    /// No store has this name.
    #[error("there is no store called {0}; `/status` and `streamfleet describe` name them")]
    NoSuchStore(String),
    /// Not all worker threads have come yet.
    #[error("store {0} is being restored; ask again in a moment")]
    Restoring(String),
    /// No task that was asked is here: another process has it, or nobody for the moment.
    #[error("store {0}: another process has these rows, or nobody for the moment; ask again in a moment")]
    Elsewhere(String),
    /// A task that has the rows cannot answer, wherever it is.
    #[error("store {store}: task {task} {why}; ask again in {} s", after.whole_seconds())]
    NotNow {
        /// The store.
        store: String,
        /// The task.
        task: TaskId,
        /// The instance that has it, if one does.
        instance: Option<String>,
        /// What stands in the way, as it follows the task's name.
        why: String,
        /// When it may be different.
        after: DurationMs,
    },
    /// The worker threads have more questions than they answer, or are busy with a long step.
    #[error("the worker threads are busy; ask again in a moment")]
    Busy,
    /// The answer would be larger than an answer may be.
    #[error("the answer has more than {QUERY_ROWS_MAX} rows or {QUERY_BYTES_MAX} bytes; ask for a smaller range")]
    TooLarge,
    /// The ranges are more than a question to another instance may hold.
    #[error("the question takes more than {HTTP_BODY_BYTES_MAX} bytes; ask for fewer ranges at once")]
    TooMuchAsked,
    /// The store cannot be read; the worker thread mends it or stops.
    #[error("the store cannot be read now: {0}")]
    Store(String),
}

impl From<QueryError> for Problem {
    fn from(error: QueryError) -> Self {
        let text = error.to_string();
        match error {
            QueryError::NoSuchStore(_) => Self::not_found(text),
            QueryError::TooLarge | QueryError::TooMuchAsked => Self::bad_request(text),
            QueryError::NotNow { task, instance, after, .. } => {
                let mut problem = Self::unavailable(text).retry_after(after);
                problem.task = Some(task.to_string());
                problem.instance = instance;
                problem
            }
            QueryError::Restoring(_) | QueryError::Elsewhere(_) | QueryError::Busy | QueryError::Store(_) => {
                Self::unavailable(text)
            }
        }
    }
}

impl IntoResponse for QueryError {
    fn into_response(self) -> Response {
        Problem::from(self).into_response()
    }
}

/// The way to the stores of a process; cheap to clone.
#[derive(Debug, Clone)]
pub struct Queries {
    boxes: Arc<Mutex<Boxes>>,
    instances: Instances,
}

#[derive(Debug, Default)]
struct Boxes {
    /// How many threads there will be; before all have come, no answer is complete.
    threads: usize,
    open: BTreeMap<String, Open>,
}

/// The way to a worker thread.
#[derive(Debug)]
struct Open {
    questions: SyncSender<Question>,
    restores: Progresses,
}

/// What is asked of a store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Inquiry {
    /// The store's name.
    pub store: String,
    /// Only of the task that has this group; without it, of every task: of all instances once this one is
    /// advertised ([`Instances::advertise`]), before of this process.
    pub group: Option<Vec<u8>>,
    /// Which rows.
    pub ranges: Vec<OwnedRange>,
}

/// What an inquiry found, of each task as it stood between two of its commits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// The rows in the order of their keys, whichever task and instance they come from. A row that two ranges hold
    /// is there twice.
    pub rows: Vec<Row>,
    /// The event time that all tasks asked have committed: every window that closes by it has closed, and
    /// no record reaches one any more. `None` before time has begun, and while windows that are due still
    /// come out.
    pub time: Option<EventTime>,
}

/// A question in a thread's mailbox.
#[derive(Debug)]
pub(crate) struct Question {
    inquiry: Arc<Inquiry>,
    only: Option<Arc<BTreeSet<u32>>>,
    reply: Reply,
}

/// Where a thread's answer goes.
#[derive(Debug)]
enum Reply {
    /// To a thread that waits.
    Thread(SyncSender<Answered>),
    /// To an HTTP handler that must not.
    Handler(mpsc::Sender<Answered>),
}

type Answered = Result<Part, QueryError>;

/// A worker thread's rows, its time if it has a task of which was asked, and those tasks' partitions.
#[derive(Debug)]
struct Part {
    rows: Vec<Row>,
    time: Option<EventTime>,
    tasks: BTreeSet<u32>,
}

impl Queries {
    /// For a process of this many worker threads, one of `instances`.
    pub(crate) fn of(threads: usize, instances: Instances) -> Self {
        let boxes = Boxes { threads, open: BTreeMap::new() };
        Self { boxes: Arc::new(Mutex::new(boxes)), instances }
    }

    /// Committed rows, of all instances once this one is advertised, before of the tasks that this process runs.
    /// Blocks for a bounded time; in HTTP handlers it belongs into `spawn_blocking`.
    ///
    /// # Errors
    /// As [`QueryError`] says; all but `NoSuchStore`, `TooLarge` and `TooMuchAsked` pass.
    pub fn ask(&self, inquiry: Inquiry) -> Result<Answer, QueryError> {
        let inquiry = Arc::new(inquiry);
        if let Some(answer) = self.instances.ask(self, &inquiry) {
            return answer;
        }
        let mut gathered = Gathered::default();
        self.ask_here(&inquiry, None, &mut gathered)?;
        gathered.answer(&inquiry.store)
    }

    /// Adds the rows of this process' tasks, or only of those with these partitions. Answers the partitions of the
    /// tasks that are here.
    pub(crate) fn ask_here(
        &self,
        inquiry: &Arc<Inquiry>,
        only: Option<&BTreeSet<u32>>,
        gathered: &mut Gathered,
    ) -> Result<BTreeSet<u32>, QueryError> {
        let boxes = self.mailboxes(inquiry)?;
        let (reply, replies) = sync_channel(boxes.len());
        pose(&boxes, inquiry, only, || Reply::Thread(reply.clone()))?;
        drop(reply);
        let mut visited = BTreeSet::new();
        for _ in &boxes {
            let part = replies.recv_timeout(QUERY_WAIT.span()).map_err(|_| QueryError::Busy)??;
            gathered.take(part.rows, part.time)?;
            visited.extend(part.tasks);
        }
        Ok(visited)
    }

    /// As [`Self::ask_here`], for an HTTP handler: it takes none of the few threads on which queries wait. Were it
    /// to, two instances that ask each other at once could wait for each other's threads.
    pub(crate) async fn ask_here_async(
        &self,
        inquiry: &Arc<Inquiry>,
        only: &BTreeSet<u32>,
    ) -> Result<(Gathered, BTreeSet<u32>), QueryError> {
        let boxes = self.mailboxes(inquiry)?;
        let (reply, mut replies) = mpsc::channel(boxes.len().max(1));
        pose(&boxes, inquiry, Some(only), || Reply::Handler(reply.clone()))?;
        drop(reply);
        let (mut gathered, mut visited) = (Gathered::default(), BTreeSet::new());
        for _ in &boxes {
            let part = tokio::time::timeout(QUERY_WAIT.span(), replies.recv())
                .await
                .ok()
                .flatten()
                .ok_or(QueryError::Busy)??;
            gathered.take(part.rows, part.time)?;
            visited.extend(part.tasks);
        }
        Ok((gathered, visited))
    }

    fn mailboxes(&self, inquiry: &Inquiry) -> Result<Vec<SyncSender<Question>>, QueryError> {
        let boxes = self.lock();
        if boxes.open.len() < boxes.threads.max(1) {
            return Err(QueryError::Restoring(inquiry.store.clone()));
        }
        Ok(boxes.open.values().map(|open| open.questions.clone()).collect())
    }

    /// Opens a worker thread's mailbox; it is closed when the answer is dropped. `restores` tells how long those of
    /// the thread take.
    pub(crate) fn mailbox(&self, thread: &str, restores: &Progresses) -> Mailbox {
        let (sender, questions) = sync_channel(QUERIES_WAITING_MAX);
        self.lock().open.insert(thread.to_owned(), Open { questions: sender, restores: restores.clone() });
        Mailbox { queries: self.clone(), thread: thread.to_owned(), restores: restores.clone(), questions }
    }

    /// When to ask again for a task that is being restored in this process.
    pub(crate) fn restored_in(&self, task: TaskId) -> DurationMs {
        let boxes = self.lock();
        let knows = boxes.open.values().find(|open| open.restores.of(task).is_some());
        knows.map_or(RESTORE_RETRY, |open| open.restores.retry_after(task))
    }

    fn lock(&self) -> MutexGuard<'_, Boxes> {
        // A mailbox is put and taken in one step.
        self.boxes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Puts a question into each mailbox.
fn pose(
    boxes: &[SyncSender<Question>],
    inquiry: &Arc<Inquiry>,
    only: Option<&BTreeSet<u32>>,
    reply: impl Fn() -> Reply,
) -> Result<(), QueryError> {
    let only = only.map(|only| Arc::new(only.clone()));
    for mailbox in boxes {
        let question = Question { inquiry: Arc::clone(inquiry), only: only.clone(), reply: reply() };
        mailbox.try_send(question).map_err(|_| QueryError::Busy)?;
    }
    Ok(())
}

/// A worker thread's mailbox, and its pillow: it waits for questions when it has nothing to do.
#[derive(Debug)]
pub(crate) struct Mailbox {
    queries: Queries,
    thread: String,
    restores: Progresses,
    questions: Receiver<Question>,
}

impl Mailbox {
    /// Answers what has come in.
    pub(crate) fn answer<H: StateHome, N: Nursery<H::Base>>(&self, worker: &Worker<H, N>) {
        for _ in 0..QUERIES_WAITING_MAX {
            match self.questions.try_recv() {
                Ok(question) => question.answer(worker, &self.restores),
                Err(TryRecvError::Empty | TryRecvError::Disconnected) => return,
            }
        }
    }

    /// Waits at most this long; a question ends the wait and is answered at once.
    pub(crate) fn wait<H: StateHome, N: Nursery<H::Base>>(&self, worker: &Worker<H, N>, at_most: Duration) {
        if let Ok(question) = self.questions.recv_timeout(at_most) {
            question.answer(worker, &self.restores);
        }
    }
}

impl Drop for Mailbox {
    fn drop(&mut self) {
        self.queries.lock().open.remove(&self.thread);
    }
}

impl Question {
    fn answer<H: StateHome, N: Nursery<H::Base>>(self, worker: &Worker<H, N>, restores: &Progresses) {
        let Self { inquiry, only, reply } = self;
        let answered = part(worker, restores, &inquiry, only.as_deref());
        // Who asked may have given up.
        match reply {
            Reply::Thread(reply) => drop(reply.try_send(answered)),
            Reply::Handler(reply) => drop(reply.try_send(answered)),
        }
    }
}

fn part<H: StateHome, N: Nursery<H::Base>>(
    worker: &Worker<H, N>,
    restores: &Progresses,
    inquiry: &Inquiry,
    only: Option<&BTreeSet<u32>>,
) -> Result<Part, QueryError> {
    let mut rows: Vec<Row> = Vec::new();
    let mut room = Room::default();
    let mut full = Ok(());
    let scanned: Result<Scan, CoreError> = worker.query(inquiry, only, &mut |key, value| {
        full = room.take(key.len() + value.len());
        if full.is_err() {
            return ControlFlow::Break(());
        }
        rows.push((key.to_vec(), value.to_vec()));
        ControlFlow::Continue(())
    });
    full?;
    match scanned.map_err(|error| QueryError::Store(error.to_string()))? {
        Scan::NoSuchStore => Err(QueryError::NoSuchStore(inquiry.store.clone())),
        Scan::Restoring(task) => Err(QueryError::NotNow {
            store: inquiry.store.clone(),
            task,
            instance: None,
            why: "is being restored".to_owned(),
            after: restores.retry_after(task),
        }),
        Scan::Visited(time, tasks) => Ok(Part { rows, time, tasks }),
    }
}
