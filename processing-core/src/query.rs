//! Committed rows for those who ask: HTTP threads send a range, worker threads answer between two steps.
//!
//! Not here: what rows mean (the keys and values of a store are its topology's). Invariant: an answer
//! holds committed rows only, is bounded, and is complete for the tasks of this process or is an error.

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::sync::mpsc::{Receiver, SyncSender, TryRecvError, sync_channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::response::{IntoResponse, Response};
use state::{OwnedRange, Row};
use thiserror::Error;

use crate::error::CoreError;
use crate::limits::{QUERIES_WAITING_MAX, QUERY_BYTES_MAX, QUERY_ROWS_MAX, QUERY_WAIT};
use crate::record::EventTime;
use crate::service::problem::Problem;
use crate::worker::{Nursery, Scan, StateHome, Worker};

/// Why a query has no answer.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum QueryError {
    /// No store has this name.
    #[error("there is no store called {0}; `/status` and `streamfleet describe` name them")]
    NoSuchStore(String),
    /// Tasks of the store are still being restored, or not here yet.
    #[error("store {0} is being restored; ask again in a moment")]
    Restoring(String),
    /// No task that was asked is here: another process has it, or nobody for the moment.
    #[error("store {0}: another process has these rows, or nobody for the moment; ask again in a moment")]
    Elsewhere(String),
    /// The worker threads have more questions than they answer, or are busy with a long step.
    #[error("the worker threads are busy; ask again in a moment")]
    Busy,
    /// The answer would be larger than an answer may be.
    #[error("the answer has more than {QUERY_ROWS_MAX} rows or {QUERY_BYTES_MAX} bytes; ask for a smaller range")]
    TooLarge,
    /// The store cannot be read; the worker thread mends it or stops.
    #[error("the store cannot be read now: {0}")]
    Store(String),
}

impl From<QueryError> for Problem {
    fn from(error: QueryError) -> Self {
        let text = error.to_string();
        match error {
            QueryError::NoSuchStore(_) => Self::not_found(text),
            QueryError::TooLarge => Self::bad_request(text),
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
#[derive(Debug, Clone, Default)]
pub struct Queries {
    boxes: Arc<Mutex<Boxes>>,
}

#[derive(Debug, Default)]
struct Boxes {
    /// How many threads there will be; before all have come, no answer is complete.
    threads: usize,
    open: BTreeMap<String, SyncSender<Question>>,
}

/// What is asked of a store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Inquiry {
    /// The store's name.
    pub store: String,
    /// Only of the task that has this group; without it, of every task of this process.
    pub group: Option<Vec<u8>>,
    /// Which rows.
    pub ranges: Vec<OwnedRange>,
}

/// What an inquiry found, of each task as it stood between two of its commits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// The rows: in the order of the ranges and of keys for each task, unordered between tasks.
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
    answer: SyncSender<Result<Part, QueryError>>,
}

/// A worker thread's rows, and its time if it has a task of which was asked.
type Part = (Vec<Row>, Option<EventTime>);

impl Queries {
    /// For a process of this many worker threads.
    pub(crate) fn of(threads: usize) -> Self {
        let queries = Self::default();
        queries.lock().threads = threads;
        queries
    }

    /// Committed rows of the tasks that this process runs. Blocks at most [`QUERY_WAIT`]; in HTTP handlers
    /// it belongs into `spawn_blocking`.
    ///
    /// # Errors
    /// As [`QueryError`] says; all but `NoSuchStore` and `TooLarge` pass.
    pub fn ask(&self, inquiry: Inquiry) -> Result<Answer, QueryError> {
        let boxes: Vec<SyncSender<Question>> = {
            let boxes = self.lock();
            if boxes.open.len() < boxes.threads.max(1) {
                return Err(QueryError::Restoring(inquiry.store));
            }
            boxes.open.values().cloned().collect()
        };
        let inquiry = Arc::new(inquiry);
        let (answer, answers) = sync_channel(boxes.len());
        for mailbox in &boxes {
            let question = Question { inquiry: Arc::clone(&inquiry), answer: answer.clone() };
            mailbox.try_send(question).map_err(|_| QueryError::Busy)?;
        }
        drop(answer);
        let mut rows = Vec::new();
        let mut times = Vec::new();
        let mut room = Room::default();
        for _ in &boxes {
            let part = answers.recv_timeout(Duration::from_millis(QUERY_WAIT.0.unsigned_abs()));
            let (part, time) = part.map_err(|_| QueryError::Busy)??;
            for row in part {
                room.take(row.0.len() + row.1.len())?;
                rows.push(row);
            }
            times.extend(time);
        }
        match times.into_iter().min() {
            Some(time) => Ok(Answer { rows, time: Some(time).filter(|time| *time > EventTime::MIN) }),
            None => Err(QueryError::Elsewhere(inquiry.store.clone())),
        }
    }

    /// Opens a worker thread's mailbox; it is closed when the answer is dropped.
    pub(crate) fn mailbox(&self, thread: &str) -> Mailbox {
        let (sender, questions) = sync_channel(QUERIES_WAITING_MAX);
        self.lock().open.insert(thread.to_owned(), sender);
        Mailbox { queries: self.clone(), thread: thread.to_owned(), questions }
    }

    fn lock(&self) -> MutexGuard<'_, Boxes> {
        // A mailbox is put and taken in one step.
        self.boxes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A worker thread's mailbox, and its pillow: it waits for questions when it has nothing to do.
#[derive(Debug)]
pub(crate) struct Mailbox {
    queries: Queries,
    thread: String,
    questions: Receiver<Question>,
}

impl Mailbox {
    /// Answers what has come in.
    pub(crate) fn answer<H: StateHome, N: Nursery<H::Base>>(&self, worker: &Worker<H, N>) {
        for _ in 0..QUERIES_WAITING_MAX {
            match self.questions.try_recv() {
                Ok(question) => question.answer(worker),
                Err(TryRecvError::Empty | TryRecvError::Disconnected) => return,
            }
        }
    }

    /// Waits at most this long; a question ends the wait and is answered at once.
    pub(crate) fn wait<H: StateHome, N: Nursery<H::Base>>(&self, worker: &Worker<H, N>, at_most: Duration) {
        if let Ok(question) = self.questions.recv_timeout(at_most) {
            question.answer(worker);
        }
    }
}

impl Drop for Mailbox {
    fn drop(&mut self) {
        self.queries.lock().open.remove(&self.thread);
    }
}

impl Question {
    fn answer<H: StateHome, N: Nursery<H::Base>>(self, worker: &Worker<H, N>) {
        let Self { inquiry, answer } = self;
        // Who asked may have given up.
        drop(answer.try_send(part(worker, &inquiry)));
    }
}

fn part<H: StateHome, N: Nursery<H::Base>>(worker: &Worker<H, N>, inquiry: &Inquiry) -> Result<Part, QueryError> {
    let mut rows: Vec<Row> = Vec::new();
    let mut room = Room::default();
    let mut full = Ok(());
    let scanned: Result<Scan, CoreError> = worker.query(inquiry, &mut |key, value| {
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
        Scan::Restoring => Err(QueryError::Restoring(inquiry.store.clone())),
        Scan::Visited(time) => Ok((rows, time)),
    }
}

/// What an answer may still hold.
struct Room {
    rows: usize,
    bytes: usize,
}

impl Default for Room {
    fn default() -> Self {
        Self { rows: QUERY_ROWS_MAX, bytes: QUERY_BYTES_MAX }
    }
}

impl Room {
    fn take(&mut self, bytes: usize) -> Result<(), QueryError> {
        match (self.rows.checked_sub(1), self.bytes.checked_sub(bytes)) {
            (Some(rows), Some(bytes)) => {
                *self = Self { rows, bytes };
                Ok(())
            }
            _ => Err(QueryError::TooLarge),
        }
    }
}
