//! The wish to stop, and the signals that express it.
//!
//! Not here: what stopping does; each loop asks [`Shutdown::requested`] between two steps.
//! Invariant: a wish to stop is never taken back, and the process is gone at the latest
//! [`crate::limits::SHUTDOWN_BUDGET`] after a signal. Ending it by force is safe at any moment: what
//! was not committed is read again.

use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Duration;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::watch;

use crate::limits::SHUTDOWN_BUDGET;
use crate::record::DurationMs;

/// The wish to stop, shared by everything that runs.
#[derive(Debug, Clone)]
pub struct Shutdown {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    reason: Mutex<Option<String>>,
    woken: Condvar,
    told: watch::Sender<bool>,
}

impl Default for Shutdown {
    fn default() -> Self {
        Self::new()
    }
}

impl Shutdown {
    /// Nobody wants to stop yet.
    pub fn new() -> Self {
        let inner = Inner { reason: Mutex::new(None), woken: Condvar::new(), told: watch::Sender::new(false) };
        Self { inner: Arc::new(inner) }
    }

    /// Asks everything to stop. The first reason stands.
    pub fn request(&self, reason: impl Into<String>) {
        let mut present = self.inner.reason.lock().unwrap_or_else(PoisonError::into_inner);
        if present.is_none() {
            *present = Some(reason.into());
        }
        drop(present);
        self.inner.woken.notify_all();
        self.inner.told.send_replace(true);
    }

    /// Whether to stop. Cheap: an atomic look, to be asked on each turn of a loop.
    pub fn requested(&self) -> bool {
        *self.inner.told.borrow()
    }

    /// Why, once it is wanted.
    pub fn reason(&self) -> Option<String> {
        self.inner.reason.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Waits for the wish at most this long; says whether it is there. For a thread that has nothing
    /// to do.
    pub fn wait(&self, at_most: Duration) -> bool {
        let reason = self.inner.reason.lock().unwrap_or_else(PoisonError::into_inner);
        let waited = self.inner.woken.wait_timeout_while(reason, at_most, |reason| reason.is_none());
        waited.unwrap_or_else(PoisonError::into_inner).0.is_some()
    }

    /// The same for asynchronous code, without an end.
    pub async fn requested_async(&self) {
        let mut told = self.inner.told.subscribe();
        // The sender lives as long as `self`, so this cannot fail.
        drop(told.wait_for(|told| *told).await);
    }
}

/// Turns SIGTERM and SIGINT into [`Shutdown::request`]. A second signal, or the end of the budget,
/// ends the process at once with 128 + the signal's number. Fails where the machine gives no thread
/// or no signal handler.
pub fn listen(shutdown: &Shutdown) -> std::io::Result<()> {
    listen_within(shutdown, SHUTDOWN_BUDGET)
}

#[allow(clippy::disallowed_methods, reason = "signals are outside the pure steps")]
fn listen_within(shutdown: &Shutdown, budget: DurationMs) -> std::io::Result<()> {
    let budget = budget.span();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let entered = runtime.enter();
    let (terminate, interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    drop(entered);
    let shutdown = shutdown.clone();
    std::thread::Builder::new()
        .name("signals".into())
        .spawn(move || runtime.block_on(serve(shutdown, budget, terminate, interrupt)))
        .map(drop)
}

async fn serve(shutdown: Shutdown, budget: Duration, mut terminate: Signal, mut interrupt: Signal) {
    let (name, number) = next(&mut terminate, &mut interrupt).await;
    tracing::info!(signal = name, "stopping: committing and flushing; a second signal ends at once");
    shutdown.request(name);
    let number = tokio::time::timeout(budget, next(&mut terminate, &mut interrupt)).await.map_or(number, |(_, n)| n);
    tracing::warn!("ending by force; what was not committed is read again at the next start");
    std::process::exit(128 + number);
}

async fn next(terminate: &mut Signal, interrupt: &mut Signal) -> (&'static str, i32) {
    tokio::select! {
        _ = terminate.recv() => ("SIGTERM", 15),
        _ = interrupt.recv() => ("SIGINT", 2),
    }
}

#[cfg(test)]
mod tests {
    use std::io::{BufRead, BufReader, Write};
    use std::process::{Child, Command, Stdio};

    use super::*;

    #[test]
    fn a_wish_stands_with_its_first_reason_and_wakes_who_waits() {
        let shutdown = Shutdown::new();
        assert!(!shutdown.requested() && !shutdown.wait(Duration::ZERO) && shutdown.reason().is_none());
        let waiting = {
            let shutdown = shutdown.clone();
            std::thread::spawn(move || shutdown.wait(Duration::MAX))
        };
        shutdown.request("first");
        shutdown.request("second");
        assert!(waiting.join().unwrap() && shutdown.requested());
        assert_eq!(shutdown.reason().as_deref(), Some("first"));
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(shutdown.requested_async());
    }

    const ROLE: &str = "PROCESSING_CORE_SIGNAL_TEST";

    /// Runs this test binary again as a process that listens to signals, and waits until it does.
    fn child(role: &str) -> (Child, BufReader<std::process::ChildStdout>) {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "service::signals::tests::a_process_that_listens", "--nocapture"])
            .env(ROLE, role)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut out = BufReader::new(child.stdout.take().unwrap());
        expect_line(&mut out, "listening");
        (child, out)
    }

    fn expect_line(out: &mut impl BufRead, wanted: &str) {
        let mut line = String::new();
        while !line.contains(wanted) {
            line.clear();
            assert_ne!(out.read_line(&mut line).unwrap(), 0, "the child ended before saying {wanted}");
        }
    }

    fn kill(child: &Child, signal: &str) {
        let id = child.id().to_string();
        assert!(Command::new("kill").args([signal, &id]).status().unwrap().success());
    }

    /// Not a test by itself: the other process of those below.
    #[test]
    fn a_process_that_listens() {
        let Ok(role) = std::env::var(ROLE) else {
            return;
        };
        let shutdown = Shutdown::new();
        // Waiting the whole budget would prove no more.
        let budget = if role == "stuck for ever" { DurationMs(50) } else { SHUTDOWN_BUDGET };
        listen_within(&shutdown, budget).unwrap();
        println!("listening");
        std::io::stdout().flush().unwrap();
        shutdown.wait(Duration::MAX);
        println!("stopping {}", shutdown.reason().unwrap());
        std::io::stdout().flush().unwrap();
        match role.as_str() {
            "good" => std::process::exit(0),
            _ => loop {
                std::thread::park();
            },
        }
    }

    #[test]
    fn a_signal_asks_to_stop_and_a_second_one_ends_at_once() {
        for (signal, name) in [("-TERM", "SIGTERM"), ("-INT", "SIGINT")] {
            let (mut good, mut out) = child("good");
            kill(&good, signal);
            expect_line(&mut out, &format!("stopping {name}"));
            assert_eq!(good.wait().unwrap().code(), Some(0));
        }
        let (mut stuck, mut out) = child("stuck");
        kill(&stuck, "-TERM");
        expect_line(&mut out, "stopping SIGTERM");
        kill(&stuck, "-INT");
        assert_eq!(stuck.wait().unwrap().code(), Some(130));
    }

    #[test]
    fn who_does_not_stop_within_the_budget_is_ended_by_force() {
        let (mut stuck, _out) = child("stuck for ever");
        kill(&stuck, "-TERM");
        assert_eq!(stuck.wait().unwrap().code(), Some(143));
    }
}
