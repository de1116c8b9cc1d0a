//! The thread that keeps an embedded log small: retention, purges, compaction, step by step.
//!
//! Not here: what a step does ([`crate::log::embedded`]). Invariant: between two steps others can commit,
//! and the keeper is gone when its handle is.

#![allow(clippy::disallowed_methods, reason = "upkeep is outside the pure steps and has a thread of its own")]

use std::sync::Arc;
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::Duration;

use crate::clock::Clock;
use crate::limits::{IDLE_WAIT_MAX, LOG_UPKEEP};
use crate::log::embedded::EmbeddedLog;
use crate::record::LogTime;

/// Looks after a log as long as it lives.
#[derive(Debug)]
pub struct LogKeeper {
    stop: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl LogKeeper {
    /// Starts the thread. Fails where the machine gives none.
    pub fn start(log: Arc<EmbeddedLog>, clock: Arc<dyn Clock>) -> std::io::Result<Self> {
        let (stop, stopped) = channel::<()>();
        let rest = Duration::from_millis(LOG_UPKEEP.0.unsigned_abs());
        // A breath between two steps, since a step holds up commits.
        let breath = Duration::from_millis(IDLE_WAIT_MAX.0.unsigned_abs());
        let thread = std::thread::Builder::new().name("log-keeper".into()).spawn(move || {
            let mut pause = rest;
            while stopped.recv_timeout(pause) == Err(RecvTimeoutError::Timeout) {
                match log.maintain(LogTime(clock.now().0)) {
                    Ok(done) => pause = if done.more { breath } else { rest },
                    Err(error) => {
                        // Whoever commits next meets it too, and stops.
                        tracing::error!("the log cannot be looked after any more: {error}");
                        return;
                    }
                }
            }
        })?;
        Ok(Self { stop: Some(stop), thread: Some(thread) })
    }
}

impl Drop for LogKeeper {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            // A panic there has been reported by its own hook.
            drop(thread.join());
        }
    }
}
