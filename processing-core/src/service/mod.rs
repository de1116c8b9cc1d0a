//! The shell around the record path: settings, log lines, the one port, signals.
//!
//! Not here: records. A worker's `main` hands its declarations to [`start`], gets a [`Shell`], runs its
//! threads with it and ends with the exit code that they give.
//! Invariant: nothing in here is needed for a right result; the simulator runs without it.
//!
//! ```text
//!   arguments ─▶ settings ─▶ log ─▶ Telemetry, StatusBoard ─▶ HTTP ─▶ signals ─▶ Shell
//! ```

pub mod http;
mod listener;
pub mod logging;
pub mod parameters;
pub mod problem;
pub mod settings;
pub mod signals;
pub mod status;

use std::sync::Arc;

use axum::Router;

use crate::clock::{Clock, SystemClock};
use crate::error::{CoreError, ExitCode};
use crate::metrics::{Metric, ProcessMetrics, Telemetry, Upkeep};
use http::HttpServer;
use settings::flags::{self, Asked};
use settings::{Declarations, Settings, Sources};
use signals::Shutdown;
use status::StatusBoard;

/// A program before it runs: what it is called, and what it can be told.
pub struct Program {
    /// Its name on the command line.
    pub name: &'static str,
    /// Its version.
    pub version: &'static str,
    /// Its settings and inputs.
    pub declared: Declarations,
    /// Metrics of its own.
    pub metrics: &'static [Metric],
    /// Whether log lines go to the standard error because the output has another use.
    pub log_to_stderr: bool,
}

/// What a command line leads to.
pub enum Start {
    /// To this text on the standard output, and the end.
    Print(String),
    /// To a running shell.
    Run(Box<Shell>),
}

/// Everything around the worker threads, at work. The port is opened by [`Shell::serve`], because the
/// queries need the stores.
pub struct Shell {
    /// The settings in force.
    pub settings: Settings,
    /// The clocks.
    pub clock: Arc<dyn Clock>,
    /// The registry of metrics.
    pub telemetry: Arc<Telemetry>,
    /// The process' own metrics.
    pub process: Arc<ProcessMetrics>,
    /// The status page.
    pub board: Arc<StatusBoard>,
    /// The wish to stop.
    pub shutdown: Shutdown,
    http: Option<HttpServer>,
    _upkeep: Upkeep,
}

/// Reads arguments and settings, and sets up log, metrics, status and signals.
pub fn start(
    program: Program,
    topology_hash: &str,
    arguments: impl IntoIterator<Item = String>,
) -> Result<Start, CoreError> {
    let Program { name, version, declared, metrics, log_to_stderr } = program;
    let (line, explain) = match flags::parse(&declared, arguments)? {
        Asked::Help => return Ok(Start::Print(flags::help(name, &declared))),
        Asked::Version => return Ok(Start::Print(format!("{name} {version}\n"))),
        Asked::Explain(line) => (line, true),
        Asked::Run(line) => (line, false),
    };
    let settings = Settings::load(declared, &Sources::from_process(line))?;
    if explain {
        return Ok(Start::Print(settings.explain()));
    }
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
    logging::start(&settings.logging, log_to_stderr, Arc::clone(&clock))?;
    for warning in &settings.warnings {
        tracing::warn!("{warning}");
    }
    let fail = |error: std::io::Error| CoreError::config(format!("the machine refuses a thread or a signal: {error}"));
    let telemetry = Telemetry::new(metrics).map_err(|error| CoreError::config(error.to_string()))?;
    let upkeep = Upkeep::start(&telemetry).map_err(fail)?;
    let process = Arc::new(ProcessMetrics::new(&telemetry, version, topology_hash));
    let shutdown = Shutdown::new();
    signals::listen(&shutdown).map_err(fail)?;
    let board = StatusBoard::new(&settings.application.id, version, Arc::clone(&clock), shutdown.clone());
    let shell = Shell { settings, clock, telemetry, process, board, shutdown, http: None, _upkeep: upkeep };
    Ok(Start::Run(Box::new(shell)))
}

impl Shell {
    /// Opens the port with the worker's `queries` beside the library's routes. Answers the address, or
    /// `None` where the settings say `off`.
    pub fn serve(&mut self, queries: Router) -> Result<Option<std::net::SocketAddr>, CoreError> {
        let routes =
            http::routes(Arc::clone(&self.board), Arc::clone(&self.telemetry), Arc::clone(&self.process), queries);
        self.http = HttpServer::start(&self.settings.http, routes)?;
        let address = self.http.as_ref().map(HttpServer::address);
        if let Some(address) = address {
            tracing::info!(%address, "serving /livez, /readyz, /metrics and /status");
        }
        Ok(address)
    }
}

/// Says why a program ends, and turns the reason into its exit code. Before the log is set up the
/// reason goes to the standard error as it is.
pub fn end(name: &str, result: Result<(), CoreError>) -> ExitCode {
    match result {
        Ok(()) => ExitCode::Ok,
        Err(error) => {
            let code = error.exit_code();
            if tracing::dispatcher::has_been_set() {
                tracing::error!(exit_code = code as u8, "{error}");
            } else {
                eprintln!("{name}: {error}");
            }
            code
        }
    }
}

#[cfg(test)]
mod tests;
