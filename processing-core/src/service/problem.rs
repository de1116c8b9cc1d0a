//! Errors of the HTTP side as `application/problem+json` (RFC 9457).
//!
//! Invariant: every answer with a status of 400 or above is a problem, also those that the framework
//! makes itself, except the probes' lists of checks.

use axum::Json;
use axum::body::to_bytes;
use axum::extract::Request;
use axum::http::{HeaderValue, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use serde::Serialize;

use crate::limits::PROBLEM_DETAIL_BYTES_MAX;
use crate::record::DurationMs;

const PROBLEM: HeaderValue = HeaderValue::from_static("application/problem+json");

/// What went wrong with a request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Problem {
    /// The status code.
    pub status: u16,
    /// The status in words.
    pub title: String,
    /// What is wrong with this request, and what would be right.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub detail: String,
    /// The task that cannot answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub task: Option<String>,
    /// The instance that has it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub instance: Option<String>,
    /// `Retry-After` of a 503, in seconds.
    #[serde(skip)]
    retry_after_s: u32,
}

impl Problem {
    /// A problem with this status.
    pub fn new(status: StatusCode, detail: impl Into<String>) -> Self {
        let title = status.canonical_reason().unwrap_or("Error").to_owned();
        let detail = detail.into();
        Self { status: status.as_u16(), title, detail, task: None, instance: None, retry_after_s: 1 }
    }

    /// The same, to be tried again after this time, in whole seconds.
    #[must_use]
    pub fn retry_after(mut self, wait: DurationMs) -> Self {
        self.retry_after_s = wait.whole_seconds();
        self
    }

    /// 400: a parameter is wrong.
    pub fn bad_request(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, detail)
    }

    /// 404: there is nothing under this name.
    pub fn not_found(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, detail)
    }

    /// 503: not now, for instance because the store is being restored.
    pub fn unavailable(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, detail)
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let retry_after = HeaderValue::from(self.retry_after_s);
        let mut response = (status, Json(self)).into_response();
        response.headers_mut().insert(header::CONTENT_TYPE, PROBLEM);
        if status == StatusCode::SERVICE_UNAVAILABLE {
            response.headers_mut().insert(header::RETRY_AFTER, retry_after);
        }
        response
    }
}

/// Turns the framework's plain-text errors (404, 405, 413, a parameter that is no number) into problems.
pub(super) async fn as_problems(request: Request, next: Next) -> Response {
    let response = next.run(request).await;
    let status = response.status();
    let foreign = (status.is_client_error() || status.is_server_error())
        && response.headers().get(header::CONTENT_TYPE).is_none_or(|kind| kind != PROBLEM)
        && response.extensions().get::<Deliberate>().is_none();
    if !foreign {
        return response;
    }
    let (parts, body) = response.into_parts();
    // Longer than any text of the framework's: then nothing is quoted.
    let text = to_bytes(body, PROBLEM_DETAIL_BYTES_MAX).await.unwrap_or_default();
    let mut problem = Problem::new(status, String::from_utf8_lossy(&text)).into_response();
    if let Some(allow) = parts.headers.get(header::ALLOW) {
        problem.headers_mut().insert(header::ALLOW, allow.clone());
    }
    problem
}

/// Marks an answer whose body is meant as it stands although its status is an error.
#[derive(Debug, Clone, Copy)]
pub(super) struct Deliberate;
