//! Questions to other instances, over HTTP/1.1.
//!
//! Not here: who is asked what ([`super::asking`]). Invariant: all questions of one round are over within
//! [`FORWARD_WAIT`], at most [`FORWARDS_AT_ONCE`] are under way, and no answer is taken in beyond
//! [`FORWARD_BYTES_MAX`].

#![allow(clippy::disallowed_methods, reason = "HTTP is what tokio is here for; no record comes this way")]

use axum::body::{Body, to_bytes};
use axum::http::{Method, Request, StatusCode, header};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout, timeout_at};

use super::wire::Found;
use crate::limits::{
    FORWARD_BYTES_MAX, FORWARD_CONNECT, FORWARD_WAIT, FORWARDS_AT_ONCE, OWNER_RETRY, PROBLEM_DETAIL_BYTES_MAX,
};
use crate::query::QueryError;
use crate::record::DurationMs;

/// The route at which an instance answers others.
pub(super) const ROUTE: &str = "/instances/rows";
/// The header that says that a question has made its one hop. Whoever gets it answers from its own tasks or not at
/// all, and a web page in somebody's browser cannot send it.
pub(super) const HOP: &str = "x-streamfleet-hop";

/// A question and to whom it goes.
pub(super) struct Errand {
    /// Host and port.
    pub(super) address: String,
    pub(super) body: Vec<u8>,
}

/// Why an instance has not answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Refusal {
    /// The rows are more than an answer may hold.
    TooLarge,
    /// It cannot now, is not there, or is not the one that was meant.
    Other {
        /// Continues "instance pod-1 (10.0.0.3:9464),".
        why: String,
        /// When to ask again.
        after: DurationMs,
    },
}

impl Refusal {
    fn other(why: impl Into<String>) -> Self {
        Self::Other { why: why.into(), after: OWNER_RETRY }
    }
}

/// Sends all questions and hands on what comes of each, by its number, in the order in which they come. The first
/// error of `take` ends it. Blocks; in HTTP handlers it belongs into `spawn_blocking`.
pub(super) fn send_all(
    errands: Vec<Errand>,
    mut take: impl FnMut(usize, Result<Found, Refusal>) -> Result<(), QueryError>,
) -> Result<(), QueryError> {
    // Forwarding is seldom beside what a look into a store costs, so that nothing is kept for it.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().max_blocking_threads(1).build();
    let runtime = runtime.map_err(|error| QueryError::Store(format!("the machine refuses a connection: {error}")))?;
    let done = runtime.block_on(async {
        let deadline = Instant::now() + FORWARD_WAIT.span();
        let mut waiting = errands.into_iter().enumerate();
        let mut under_way = JoinSet::new();
        loop {
            while under_way.len() < FORWARDS_AT_ONCE
                && let Some((number, errand)) = waiting.next()
            {
                under_way.spawn(async move {
                    let sent = timeout_at(deadline, send(errand)).await;
                    let late = || Refusal::other(format!("which has not answered within {} ms", FORWARD_WAIT.0));
                    (number, sent.unwrap_or_else(|_| Err(late())))
                });
            }
            match under_way.join_next().await {
                None => return Ok(()),
                Some(Ok((number, found))) => take(number, found)?,
                // Whoever has panicked there has been reported; its tasks stay unanswered.
                Some(Err(_)) => {}
            }
        }
    });
    // A name that is still being looked up must not hold up the answer.
    runtime.shutdown_background();
    done
}

async fn send(errand: Errand) -> Result<Found, Refusal> {
    let unreachable = |error: &dyn std::fmt::Display| Refusal::other(format!("which does not answer: {error}"));
    let Errand { address, body } = errand;
    let connected = timeout(FORWARD_CONNECT.span(), TcpStream::connect(&address)).await;
    let stream = match connected {
        Ok(stream) => stream.map_err(|error| unreachable(&error))?,
        Err(_) => return Err(Refusal::other(format!("which takes no connection within {} ms", FORWARD_CONNECT.0))),
    };
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(|error| unreachable(&error))?;
    let request = Request::builder()
        .method(Method::POST)
        .uri(ROUTE)
        .header(header::HOST, &address)
        .header(header::CONNECTION, "close")
        .header(HOP, "1")
        .body(Body::from(body))
        .map_err(|error| unreachable(&error))?;
    let answer = async {
        let response = sender.send_request(request).await.map_err(|error| unreachable(&error))?;
        let status = response.status();
        let most = if status == StatusCode::OK { FORWARD_BYTES_MAX } else { 2 * PROBLEM_DETAIL_BYTES_MAX };
        let wait = response.headers().get(header::RETRY_AFTER).and_then(|value| value.to_str().ok()?.parse().ok());
        let body = to_bytes(Body::new(response.into_body()), most).await;
        read(status, wait, body.map_err(|error| unreachable(&error))?.as_ref())
    };
    let (answer, _) = tokio::join!(answer, connection);
    answer
}

/// What an answer says.
fn read(status: StatusCode, wait_s: Option<u32>, body: &[u8]) -> Result<Found, Refusal> {
    let foreign = || Refusal::other("which answers in a form that this version does not know");
    match status {
        StatusCode::OK => Found::read(body).ok_or_else(foreign),
        StatusCode::PAYLOAD_TOO_LARGE => Err(Refusal::TooLarge),
        _ => {
            let problem: Option<serde_json::Value> = serde_json::from_slice(body).ok();
            let detail = problem.as_ref().and_then(|problem| problem.get("detail")?.as_str());
            let why = format!("which answers {status}: {}", detail.unwrap_or("nothing more"));
            let after = wait_s.map_or(OWNER_RETRY, |seconds| DurationMs::seconds(i64::from(seconds)));
            Err(Refusal::Other { why, after })
        }
    }
}
