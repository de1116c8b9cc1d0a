//! The demo's port: the library's routes, and the door through which other commands publish.
//!
//! Not here: what is appended ([`crate::door`]). Invariant: what a web page in somebody's browser can
//! send is refused, as is what was meant for another log, a body is bounded, and an answer of 200 means that every record is on disk.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use axum::Router;
use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, Path, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use processing_core::error::CoreError;
use processing_core::log::embedded::EmbeddedLog;
use processing_core::metrics::ProcessMetrics;
use processing_core::record::TopicName;
use processing_core::run::Surroundings;
use processing_core::service::http::{HttpServer, routes};
use processing_core::service::problem::Problem;
use processing_core::service::settings::HttpSettings;

use super::feeder::FeedProgress;
use crate::door::{self, CHUNK_BYTES, HEADER, ROUTE};
use crate::record_line::RecordLine;

/// The port that is tried first; the next free one is taken.
const PORT: u16 = 9464;
/// A chunk of lines is larger as JSON than its records are.
const BODY_BYTES_MAX: usize = 8 * CHUNK_BYTES + (64 << 20);

/// Where published records go.
#[derive(Clone)]
pub(crate) struct Inlet {
    pub(crate) log: Arc<EmbeddedLog>,
    /// Its clock stamps records that bring no timestamp: by the machine's own, an event of the feed's present
    /// would lie in the future.
    pub(crate) feed: Arc<FeedProgress>,
}

/// Opens the port; without an inlet others publish elsewhere. `answers` are the worker's own routes.
pub(crate) fn open(
    inlet: Option<Inlet>,
    around: &Surroundings,
    answers: Router,
) -> Result<Option<HttpServer>, CoreError> {
    let process = Arc::new(ProcessMetrics::new(&around.telemetry, env!("CARGO_PKG_VERSION"), ""));
    let publish = inlet.map_or_else(Router::new, |inlet| {
        Router::new()
            .route(&format!("{ROUTE}{{topic}}"), post(publish))
            .layer(DefaultBodyLimit::max(BODY_BYTES_MAX))
            .with_state(inlet)
    });
    let listen = Some(SocketAddr::from((Ipv4Addr::LOCALHOST, PORT)));
    let settings = HttpSettings { listen, next_free: true, advertised: None };
    let routes = routes(Arc::clone(&around.board), Arc::clone(&around.telemetry), process, publish.merge(answers));
    HttpServer::start(&settings, routes)
}

async fn publish(State(inlet): State<Inlet>, Path(topic): Path<String>, headers: HeaderMap, body: Bytes) -> Response {
    let Some(wanted) = headers.get(HEADER) else {
        return Problem::bad_request(format!("the header {HEADER} is missing; `streamfleet publish` sends it"))
            .into_response();
    };
    if *wanted != format!("{:032x}", inlet.log.incarnation()) {
        return Problem::new(StatusCode::MISDIRECTED_REQUEST, "the records are for another log than the one held here")
            .into_response();
    }
    let appended = tokio::task::spawn_blocking(move || {
        let lines = body.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
        let mut records = Vec::new();
        for (number, line) in (1_u64..).zip(lines) {
            let wrong = |why: String| Problem::bad_request(format!("line {number}: {why}"));
            let line = std::str::from_utf8(line).map_err(|error| wrong(error.to_string()))?;
            records.push(RecordLine::parse(line).map_err(|error| wrong(error.to_string()))?);
        }
        let appended = door::append(&inlet.log, &TopicName::new(topic), &records, inlet.feed.time());
        appended.map_err(|error| Problem::unavailable(error.to_string()))
    });
    match appended.await {
        Ok(Ok(())) => "published\n".into_response(),
        Ok(Err(problem)) => problem.into_response(),
        Err(_) => Problem::unavailable("the work was broken off; nobody knows what became of it").into_response(),
    }
}
