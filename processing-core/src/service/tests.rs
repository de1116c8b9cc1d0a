//! A whole shell: what its command line leads to, and one real process from start to signal.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Command, Stdio};
use std::time::Duration;

use super::*;
use status::TaskState;

fn program() -> Program {
    Program {
        name: "trending-cities",
        version: "0.1.0",
        declared: Declarations::library("trending-cities").input("search", "search.executed", true),
        metrics: &[],
        log_to_stderr: false,
    }
}

fn started(arguments: &[&str]) -> Result<Start, CoreError> {
    start(program(), "abc", arguments.iter().map(|argument| (*argument).to_owned()))
}

#[test]
fn help_version_and_explain_print_and_mistakes_have_their_exit_codes() {
    for (argument, part) in [
        ("--help", "--inputs.search.topic VALUE"),
        ("--version", "trending-cities 0.1.0\n"),
        ("--explain", "inputs.search.topic = \"search.executed\"  # default\n"),
    ] {
        match started(&[argument]) {
            Ok(Start::Print(text)) => assert!(text.contains(part), "{text}"),
            Ok(Start::Run(_)) => panic!("{argument} ran"),
            Err(error) => panic!("{error}"),
        }
    }
    for (arguments, code) in [
        (&["--no.such", "1"][..], ExitCode::Usage),
        (&["--num.stream.threads", "0"], ExitCode::Config),
        (&["--config", "/nowhere.toml"], ExitCode::Config),
    ] {
        assert_eq!(end("x", started(arguments).map(drop)), code, "{arguments:?}");
    }
    assert_eq!(end("x", Ok(())), ExitCode::Ok);
}

const ROLE: &str = "PROCESSING_CORE_SHELL_TEST";

/// Not a test by itself: the process of the one below.
#[test]
fn a_process_that_serves() {
    if std::env::var_os(ROLE).is_none() {
        return;
    }
    let arguments = ["--http.listen", "127.0.0.1:0", "--log.format", "json", "--state.dri=x"];
    assert_eq!(end("x", started(&arguments).map(drop)), ExitCode::Usage);
    let Ok(Start::Run(mut shell)) = started(&arguments[..4]) else { panic!("it did not start") };
    let thread = shell.board.thread("worker-0");
    thread.joined();
    thread.task("0_0", TaskState::Running);
    shell.serve(Router::new()).unwrap();
    shell.shutdown.wait(Duration::MAX);
    thread.stopped();
    drop(shell);
    std::process::exit(end("x", Err(CoreError::store_refused("another topology's state"))) as i32);
}

#[test]
fn a_process_serves_until_a_signal_and_ends_with_its_code() {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "service::tests::a_process_that_serves", "--nocapture"])
        .env(ROLE, "1")
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map(Result::unwrap);
    let mut logged = lines.by_ref().filter_map(|line| serde_json::from_str::<serde_json::Value>(&line).ok());
    let serving = logged.find(|line| line["address"].is_string()).unwrap();
    let get = |path: &str| {
        let mut stream = TcpStream::connect(serving["address"].as_str().unwrap()).unwrap();
        write!(stream, "GET {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").unwrap();
        let mut text = String::new();
        stream.read_to_string(&mut text).unwrap();
        text
    };
    assert!(get("/readyz").starts_with("HTTP/1.1 200"));
    assert!(get("/metrics").contains("stream_app_state{state=\"running\"} 1"));
    assert!(get("/status").contains("\"application\":\"trending-cities\""));
    assert!(Command::new("kill").args(["-TERM", &child.id().to_string()]).status().unwrap().success());
    let last = logged.last().unwrap();
    assert_eq!((last["msg"].as_str(), last["exit_code"].as_i64()), (Some("another topology's state"), Some(4)));
    assert_eq!(child.wait().unwrap().code(), Some(4));
}
