//! The `streamfleet` command: the fleet on one machine, and the eyes and hands for its log.
//!
//! Not here: what workers compute. Each subcommand is a file of its own. Invariant: the standard output
//! holds what was asked for and nothing else; words about the work go to the standard error.

#![allow(clippy::disallowed_methods, clippy::disallowed_types, reason = "the command line is the outside as a whole")]

mod acls;
mod contracts;
mod demo;
mod describe;
mod door;
mod folder;
mod lines;
mod pausing;
mod publish;
mod read;
mod record_line;
mod replay;
mod row_clock;
mod snapshots;
mod state;
mod topics;

use clap::{Parser, Subcommand};
use processing_core::error::CoreError;
use processing_core::service;

/// Streamfleet: streams of events in, answers out, exactly once. Start with `streamfleet demo`: it needs
/// nothing installed, and shows trending cities live in this terminal. While it runs, look into it from
/// another terminal with `streamfleet topics`, `read`, `state` and `publish`.
#[derive(Parser)]
#[command(name = "streamfleet", version, max_term_width = 100)]
struct Line {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    Demo(demo::Demo),
    Read(read::Read),
    Publish(publish::Publish),
    Topics(topics::Topics),
    State(state::State),
    Replay(replay::Replay),
    Contracts(contracts::ContractsCommand),
    Describe(describe::Describe),
    Acls(acls::Acls),
    Pause(pausing::Pause),
    Resume(pausing::Resume),
}

/// Cargo.toml says why.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() -> std::process::ExitCode {
    let Line { command } = Line::parse();
    let result: Result<(), CoreError> = match command {
        Command::Demo(demo) => demo.run(),
        Command::Read(read) => read.run(),
        Command::Publish(publish) => publish.run(),
        Command::Topics(topics) => topics.run(),
        Command::State(state) => state.run(),
        Command::Replay(replay) => replay.run(),
        Command::Contracts(contracts) => contracts.run(),
        Command::Describe(describe) => describe.run(),
        Command::Acls(acls) => acls.run(),
        Command::Pause(pause) => pause.run(),
        Command::Resume(resume) => resume.run(),
    };
    if let Err(error) = &result
        && tracing::dispatcher::has_been_set()
    {
        // The demo's log lines go to a file, and the terminal has a person in front of it.
        eprintln!("streamfleet: {error}");
    }
    service::end("streamfleet", result).into()
}
