//! The thread that keeps an embedded log small: retention, purges, compaction, step by step.
//!
//! Not here: what a step does ([`crate::log::embedded`]). Invariant: between two steps others can commit, a step
//! that fails is tried again at the next turn, and the keeper is gone when its handle is.

#![allow(clippy::disallowed_methods, reason = "upkeep is outside the pure steps and has a thread of its own")]

use std::sync::Arc;
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::Duration;

use crate::clock::Clock;
use crate::limits::{IDLE_WAIT_MAX, LOG_UPKEEP};
use crate::log::embedded::EmbeddedLog;
use crate::record::LogTime;

/// How often a failure that lasts is told.
const TELL_EVERY: Duration = Duration::from_secs(60);

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
        let rest = LOG_UPKEEP.span();
        // A breath between two steps, since a step holds up commits.
        let breath = IDLE_WAIT_MAX.span();
        let thread = std::thread::Builder::new().name("log-keeper".into()).spawn(move || {
            let mut pause = rest;
            let mut told = Told::default();
            while stopped.recv_timeout(pause) == Err(RecvTimeoutError::Timeout) {
                pause = match log.maintain(LogTime(clock.now().0)) {
                    Ok(done) => {
                        told = Told::default();
                        if done.more { breath } else { rest }
                    }
                    Err(error) => {
                        if told.is_due(clock.elapsed()) {
                            tracing::error!(
                                "the log cannot be looked after, so that it grows; this is tried again every {} s: \
                                 {error}",
                                rest.as_secs()
                            );
                        }
                        rest
                    }
                };
            }
        })?;
        Ok(Self { stop: Some(stop), thread: Some(thread) })
    }
}

/// When the failure that lasts was last told.
#[derive(Debug, Default)]
struct Told(Option<Duration>);

impl Told {
    /// Whether to tell it at `now`; then it has been.
    fn is_due(&mut self, now: Duration) -> bool {
        let due = self.0.is_none_or(|last| now.saturating_sub(last) >= TELL_EVERY);
        if due {
            self.0 = Some(now);
        }
        due
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_is_told_at_once_and_then_once_a_minute() {
        let mut told = Told::default();
        let due = (0..=24).map(|turn| 5 * turn).filter(|second| told.is_due(Duration::from_secs(*second)));
        assert_eq!(due.collect::<Vec<u64>>(), [0, 60, 120]);
    }
}
