//! The port as its users see it: over TCP, with nothing but text.

use std::io::{Read, Write};
use std::net::TcpStream;

use axum::extract::Path;
use axum::routing::post;

use super::*;
use crate::clock::ManualClock;
use crate::record::{DurationMs, WallTime};
use crate::service::signals::Shutdown;
use crate::service::status::{TaskState, ThreadReporter};

struct Fixture {
    clock: Arc<ManualClock>,
    shutdown: Shutdown,
    thread: ThreadReporter,
    server: HttpServer,
}

fn fixture() -> Fixture {
    bounded(Duration::from_secs(60), Duration::from_secs(60))
}

/// With these bounds for a request and for a silent connection.
fn bounded(within: Duration, idle: Duration) -> Fixture {
    let clock = Arc::new(ManualClock::at(WallTime(0)));
    let shutdown = Shutdown::new();
    let board = StatusBoard::new("trending-cities", "0.1.0", clock.clone(), shutdown.clone());
    let thread = board.thread("worker-0");
    let telemetry = Telemetry::new(&[]).unwrap();
    let process = Arc::new(ProcessMetrics::new(&telemetry, "0.1.0", "abc"));
    let queries = Router::new()
        .route("/v1/double/{n}", get(|Path(n): Path<u32>| async move { (n * 2).to_string() }))
        .route("/v1/stuck", get(std::future::pending::<()>))
        .route("/v1/gone", get(|| async { Problem::not_found("no city of this name") }))
        .route("/v1/echo", post(|body: String| async { body }));
    let settings = HttpSettings { listen: Some("127.0.0.1:0".parse().unwrap()), next_free: false, advertised: None };
    let routes = bounded_routes(board, telemetry, process, queries, within);
    let server = HttpServer::start_bounded(&settings, routes, idle).unwrap().unwrap();
    Fixture { clock, shutdown, thread, server }
}

struct Answer {
    status: u16,
    head: String,
    body: String,
}

impl Fixture {
    fn get(&self, path: &str) -> Answer {
        self.ask(&format!("GET {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n"))
    }

    fn ask(&self, request: &str) -> Answer {
        let mut stream = TcpStream::connect(self.server.address()).unwrap();
        stream.write_all(request.as_bytes()).unwrap();
        let mut text = String::new();
        stream.read_to_string(&mut text).unwrap();
        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        Answer { status, head: head.to_lowercase(), body: body.to_owned() }
    }
}

#[test]
fn readiness_follows_joining_restoring_running_and_stopping() {
    let fixture = fixture();
    let not_yet = fixture.get("/readyz");
    assert_eq!(not_yet.status, 503);
    assert!(
        not_yet.body.contains("[-]joined failed: thread worker-0 has not joined the group yet\n"),
        "{}",
        not_yet.body
    );
    assert!(not_yet.body.contains("[+]shutdown ok\n"));
    fixture.thread.joined();
    fixture.thread.task("0_0", TaskState::Restoring);
    assert_eq!(fixture.get("/readyz").status, 503);
    fixture.thread.task("0_0", TaskState::Running);
    let ready = fixture.get("/readyz");
    assert_eq!((ready.status, ready.body.as_str()), (200, "ok\n"));
    assert!(fixture.get("/readyz?verbose").body.contains("[+]restored ok\n"));
    fixture.shutdown.request("SIGTERM");
    assert_eq!(fixture.get("/readyz").status, 503);
    assert_eq!(fixture.get("/livez").status, 200);
}

#[test]
fn liveness_is_about_the_loops_and_nothing_else() {
    let fixture = fixture();
    assert_eq!(fixture.get("/livez").status, 200);
    fixture.clock.advance(DurationMs::minutes(6));
    let dead = fixture.get("/livez");
    assert_eq!(dead.status, 503);
    assert!(dead.body.contains("worker-0 has not come round for 360 s"), "{}", dead.body);
    fixture.thread.tick(WallTime(DurationMs::minutes(6).0));
    assert_eq!(fixture.get("/livez").status, 200);
}

#[test]
fn metrics_and_status_tell_the_same_state() {
    let fixture = fixture();
    fixture.thread.joined();
    fixture.thread.task("0_0", TaskState::Restoring);
    let metrics = fixture.get("/metrics");
    assert!(metrics.head.contains("content-type: text/plain; version=0.0.4"));
    assert!(metrics.body.contains("stream_app_state{state=\"restoring\"} 1\n"), "{}", metrics.body);
    assert!(metrics.body.contains("stream_tasks{role=\"restoring\"} 1\n"));
    assert!(metrics.body.contains("stream_threads{status=\"alive\"} 1\n"));
    let status: serde_json::Value = serde_json::from_str(&fixture.get("/status").body).unwrap();
    assert_eq!(status["state"], "restoring");
    assert_eq!(status["ready"], false);
    assert_eq!(status["tasks"]["0_0"]["thread"], "worker-0");
    assert_eq!(status["threads"]["worker-0"]["state"], "member");
    assert!(fixture.get("/status").head.contains("cache-control: no-store"));
}

#[test]
fn queries_are_answered_and_every_error_is_a_problem() {
    let fixture = fixture();
    assert_eq!(fixture.get("/v1/double/21").body, "42");
    let long = "x".repeat(HTTP_BODY_BYTES_MAX + 1);
    let post = format!(
        "POST /v1/echo HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: {}\r\n\r\n{long}",
        long.len()
    );
    for (answer, status, part) in [
        (fixture.get("/v1/gone"), 404, "no city of this name"),
        (fixture.get("/nowhere"), 404, "/livez"),
        (fixture.get("/v1/double/x"), 400, "Cannot parse"),
        (fixture.ask("DELETE /status HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n"), 405, ""),
        (fixture.ask(&post), 413, "length limit exceeded"),
    ] {
        assert_eq!(answer.status, status, "{}", answer.body);
        assert!(answer.head.contains("content-type: application/problem+json"), "{}", answer.head);
        let problem: serde_json::Value = serde_json::from_str(&answer.body).unwrap();
        assert_eq!(problem["status"], status);
        assert!(!problem["title"].as_str().unwrap().is_empty());
        assert!(problem["detail"].as_str().unwrap_or_default().contains(part), "{problem}");
    }
}

#[test]
fn a_port_in_use_is_named_and_the_next_free_one_is_found() {
    let fixture = fixture();
    let taken = fixture.server.address();
    let mut settings = HttpSettings { listen: Some(taken), next_free: false, advertised: None };
    let error = HttpServer::start(&settings, Router::new()).unwrap_err();
    assert_eq!(error.exit_code() as u8, 1);
    assert!(error.to_string().contains(&taken.to_string()) && error.to_string().contains("http.listen"), "{error}");
    settings.next_free = true;
    let second = HttpServer::start(&settings, Router::new()).unwrap().unwrap();
    assert!(second.address().port() > taken.port());
    settings.listen = None;
    assert!(HttpServer::start(&settings, Router::new()).unwrap().is_none());
}

#[test]
fn a_server_that_is_dropped_gives_its_port_back() {
    let fixture = fixture();
    let address = fixture.server.address();
    drop(fixture.server);
    assert!(TcpStream::connect(address).is_err());
}

#[test]
fn a_query_that_never_ends_is_broken_off() {
    let fixture = bounded(Duration::from_millis(1), Duration::from_secs(60));
    let answer = fixture.get("/v1/stuck");
    assert_eq!(answer.status, 503);
    assert!(answer.body.contains("no answer within 1 ms"), "{}", answer.body);
    assert!(answer.head.contains("retry-after"), "{}", answer.head);
}

#[test]
fn a_connection_that_sends_nothing_is_closed() {
    let fixture = bounded(Duration::from_secs(60), Duration::from_millis(1));
    let mut silent = TcpStream::connect(fixture.server.address()).unwrap();
    // Without the bound this read would never end.
    assert_eq!(silent.read(&mut [0]).unwrap(), 0);
}

/// As many silent connections as may be open, and one that asks: it waits and is then served.
#[test]
fn a_connection_beyond_the_bound_waits_until_another_ends() {
    let fixture = fixture();
    let silent: Vec<TcpStream> = (0..crate::limits::HTTP_CONNECTIONS_MAX)
        .map(|_| TcpStream::connect(fixture.server.address()).unwrap())
        .collect();
    let mut asking = TcpStream::connect(fixture.server.address()).unwrap();
    asking.write_all(b"GET /livez HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").unwrap();
    drop(silent);
    let mut text = String::new();
    asking.read_to_string(&mut text).unwrap();
    assert!(text.starts_with("HTTP/1.1 200"), "{text}");
}
