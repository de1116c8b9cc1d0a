//! The one port: probes, metrics, status, and the worker's queries.
//!
//! Not here: what the page says (`status`). HTTP lives on a thread of its own with a small runtime;
//! the record path knows nothing of it. A query that scans a store does so in
//! `tokio::task::spawn_blocking`, or it would hold up the probes.
//! Invariant: nothing here changes anything: all routes of the library are GET, but for the one at which instances
//! ask each other for rows, and every request is bounded in size, number and time.
//!
//! | Route | Answer |
//! |---|---|
//! | `/livez` | 200 while every loop comes round; `?verbose` lists the checks |
//! | `/readyz` | 200 when joined and restored; 503 with the reasons otherwise |
//! | `/metrics` | Prometheus text |
//! | `/status` | everything as JSON |
//! | `/instances` | who has which task; beside it what instances ask each other ([`crate::instances`]) |

use std::net::SocketAddr;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use axum::extract::{DefaultBodyLimit, RawQuery, Request, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::middleware::{Next, from_fn, map_response};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use tokio::sync::oneshot;

use super::listener::{self, Bounded};
use super::problem::{Deliberate, Problem, as_problems};
use super::settings::HttpSettings;
use super::status::{Check, StatusBoard};
use crate::error::CoreError;
use crate::limits::{HTTP_BLOCKING_THREADS_MAX, HTTP_BODY_BYTES_MAX, HTTP_IDLE_TIMEOUT, HTTP_REQUEST_TIMEOUT};
use crate::metrics::{ProcessMetrics, Telemetry};

/// What the library's routes read from.
#[derive(Clone)]
struct Sources {
    board: Arc<StatusBoard>,
    telemetry: Arc<Telemetry>,
    process: Arc<ProcessMetrics>,
}

/// All routes: the library's and the worker's `queries`, which must not take the library's paths.
pub fn routes(
    board: Arc<StatusBoard>,
    telemetry: Arc<Telemetry>,
    process: Arc<ProcessMetrics>,
    queries: Router,
) -> Router {
    let within = HTTP_REQUEST_TIMEOUT.span();
    bounded_routes(board, telemetry, process, queries, within)
}

fn bounded_routes(
    board: Arc<StatusBoard>,
    telemetry: Arc<Telemetry>,
    process: Arc<ProcessMetrics>,
    queries: Router,
    within: Duration,
) -> Router {
    Router::new()
        .route("/livez", get(livez))
        .route("/readyz", get(readyz))
        .route("/metrics", get(metrics))
        .route("/status", get(status))
        .with_state(Sources { board, telemetry, process })
        .merge(queries)
        .fallback(|| async {
            Problem::not_found("there is /livez, /readyz, /metrics, /status and the worker's queries")
        })
        // ORDER: the last layer is the outermost; problems are made after everything else has spoken.
        .layer(DefaultBodyLimit::max(HTTP_BODY_BYTES_MAX))
        .layer(from_fn(move |request, next| within_time(within, request, next)))
        .layer(from_fn(as_problems))
        .layer(map_response(never_cached))
}

async fn livez(State(sources): State<Sources>, RawQuery(query): RawQuery) -> Response {
    checks(&sources.board.liveness(), query.as_deref())
}

async fn readyz(State(sources): State<Sources>, RawQuery(query): RawQuery) -> Response {
    checks(&sources.board.readiness(), query.as_deref())
}

/// As the Kubernetes API server answers: the status code is the contract, the text is for people.
fn checks(checks: &[Check], query: Option<&str>) -> Response {
    let verbose = query.is_some_and(|query| query.split('&').any(|part| part.split('=').next() == Some("verbose")));
    let passes = checks.iter().all(|check| check.failing.is_none());
    if passes && !verbose {
        return "ok\n".into_response();
    }
    let mut text = String::new();
    for Check { name, failing } in checks {
        match failing {
            None => text.push_str(&format!("[+]{name} ok\n")),
            Some(reason) => text.push_str(&format!("[-]{name} failed: {reason}\n")),
        }
    }
    let status = if passes { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    let mut response = (status, text).into_response();
    response.extensions_mut().insert(Deliberate);
    response
}

async fn metrics(State(sources): State<Sources>) -> Response {
    let snapshot = sources.board.snapshot();
    sources.process.show(&snapshot);
    let kind = [(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")];
    (kind, sources.telemetry.render()).into_response()
}

async fn status(State(sources): State<Sources>) -> Response {
    Json(sources.board.snapshot()).into_response()
}

async fn within_time(bound: Duration, request: Request, next: Next) -> Response {
    match tokio::time::timeout(bound, next.run(request)).await {
        Ok(response) => response,
        Err(_) => Problem::unavailable(format!("no answer within {} ms", bound.as_millis())).into_response(),
    }
}

async fn never_cached(mut response: Response) -> Response {
    let headers = response.headers_mut();
    headers.entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response
}

/// The port at work. Dropped, it stops: open requests are broken off.
#[derive(Debug)]
pub struct HttpServer {
    address: SocketAddr,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl HttpServer {
    /// Takes the port and serves `routes` on a thread of its own. `None` where the settings say `off`.
    /// A port in use is an error of the settings.
    pub fn start(settings: &HttpSettings, routes: Router) -> Result<Option<Self>, CoreError> {
        Self::start_bounded(settings, routes, HTTP_IDLE_TIMEOUT.span())
    }

    #[allow(clippy::disallowed_methods, reason = "HTTP is outside the pure steps")]
    fn start_bounded(settings: &HttpSettings, routes: Router, idle: Duration) -> Result<Option<Self>, CoreError> {
        let Some(listen) = settings.listen else {
            return Ok(None);
        };
        let listener = listener::bind(listen, settings.next_free)?;
        let fail = |error: std::io::Error| CoreError::config(format!("cannot serve HTTP on {listen}: {error}"));
        let address = listener.local_addr().map_err(fail)?;
        listener.set_nonblocking(true).map_err(fail)?;
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .max_blocking_threads(HTTP_BLOCKING_THREADS_MAX)
            .build()
            .map_err(fail)?;
        let (stop, stopped) = oneshot::channel();
        let serve = async move {
            let listener = match tokio::net::TcpListener::from_std(listener) {
                Ok(listener) => Bounded::new(listener, idle),
                Err(error) => {
                    tracing::error!(%error, %address, "HTTP cannot be served");
                    return;
                }
            };
            tokio::select! {
                served = axum::serve(listener, routes) => if let Err(error) = served {
                    tracing::error!(%error, %address, "HTTP has stopped");
                },
                _ = stopped => {}
            }
        };
        let thread = std::thread::Builder::new()
            .name("http".into())
            .spawn(move || {
                runtime.block_on(serve);
                // A query that scans must not hold up the end of the process.
                runtime.shutdown_background();
            })
            .map_err(fail)?;
        Ok(Some(Self { address, stop: Some(stop), thread: Some(thread) }))
    }

    /// Where it listens: the port that was really taken.
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for HttpServer {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            // A panic there has been reported by its own hook.
            drop(thread.join());
        }
    }
}

#[cfg(test)]
mod tests;
