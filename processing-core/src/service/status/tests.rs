//! The page under a clock that the test moves.

use super::*;
use crate::clock::ManualClock;
use crate::record::{EventTime, TopicPartition};

fn board() -> (Arc<ManualClock>, Shutdown, Arc<StatusBoard>) {
    let clock = Arc::new(ManualClock::at(WallTime(1_000)));
    let shutdown = Shutdown::new();
    let board = StatusBoard::new("app", "0.1.0", clock.clone(), shutdown.clone());
    (clock, shutdown, board)
}

fn failing(checks: Vec<Check>) -> Vec<String> {
    checks.into_iter().filter_map(|check| check.failing).collect()
}

#[test]
fn a_slow_restore_is_alive_and_not_ready() {
    let (clock, _, board) = board();
    assert_eq!(failing(board.readiness()), ["no thread has started yet"]);
    assert!(failing(board.liveness()).is_empty());
    let thread = board.thread("worker-0");
    thread.joined();
    assert!(board.snapshot().ready, "a member without tasks is a spare, and ready");
    thread.task("0_1", TaskState::Created);
    assert_eq!(failing(board.readiness()), ["task 0_1 is not open yet"]);
    thread.task("0_1", TaskState::Restoring);
    let progress = RestoreProgress { done: 5, remaining: 95, eta_seconds: None, waits_for: None };
    thread.restoring("0_1", "panes", progress.clone());
    for _ in 0..100 {
        clock.advance(DurationMs::minutes(4));
        thread.tick(clock.now());
    }
    assert!(failing(board.liveness()).is_empty());
    assert_eq!(failing(board.readiness()), ["task 0_1 has 95 changelog records to read"]);
    assert_eq!(board.snapshot().state, ProcessState::Restoring);
    thread.restoring("0_1", "panes", RestoreProgress { eta_seconds: Some(40), ..progress.clone() });
    assert_eq!(failing(board.readiness()), ["task 0_1 has 95 changelog records to read, for about 40 s"]);
    thread.restoring("0_1", "panes", RestoreProgress { waits_for: Some("panes-changelog-1".to_owned()), ..progress });
    assert_eq!(failing(board.readiness()), ["task 0_1 waits for an open transaction in panes-changelog-1"]);
    thread.task("0_1", TaskState::Running);
    assert_eq!(board.snapshot().state, ProcessState::Running);
}

#[test]
fn a_loop_that_does_not_come_round_is_dead_after_the_bound() {
    let (clock, _, board) = board();
    let thread = board.thread("worker-0");
    clock.advance(TICK_BOUND);
    assert!(failing(board.liveness()).is_empty());
    clock.advance(DurationMs(1));
    assert_eq!(failing(board.liveness()), ["thread worker-0 has not come round for 300 s"]);
    thread.tick(clock.now());
    assert!(failing(board.liveness()).is_empty());
    clock.set(WallTime(0));
    assert!(failing(board.liveness()).is_empty(), "a clock that was set back kills nobody");
}

#[test]
fn a_thread_that_vanishes_has_failed_and_one_that_stops_has_not() {
    let (clock, _, board) = board();
    let (good, bad, told) = (board.thread("a"), board.thread("b"), board.thread("c"));
    good.task("0_0", TaskState::Running);
    good.stopped();
    clock.advance(DurationMs::hours(1));
    told.tick(clock.now());
    drop(bad);
    assert_eq!(failing(board.liveness()), ["thread b has failed: it ended without a word, as in a panic"]);
    told.failed("fenced");
    let snapshot = board.snapshot();
    assert_eq!(snapshot.state, ProcessState::Degraded);
    assert!(snapshot.tasks.is_empty());
}

#[test]
fn from_the_wish_to_stop_on_it_is_not_ready_but_alive() {
    let (_, shutdown, board) = board();
    let thread = board.thread("a");
    thread.joined();
    assert!(board.snapshot().ready);
    shutdown.request("SIGTERM");
    assert_eq!(failing(board.readiness()), ["stopping: SIGTERM"]);
    let snapshot = board.snapshot();
    assert!(snapshot.live && !snapshot.ready);
    assert_eq!(snapshot.state, ProcessState::Stopping);
}

#[test]
fn obstacles_are_named_until_they_are_gone() {
    let (_, _, board) = board();
    let thread = board.thread("a");
    thread.joined();
    board.obstacle("missing topic", Some("poi.favorited is enabled and does not exist".into()));
    assert_eq!(failing(board.readiness()), ["missing topic: poi.favorited is enabled and does not exist"]);
    assert_eq!(board.snapshot().state, ProcessState::Degraded);
    board.obstacle("missing topic", None);
    assert!(board.snapshot().ready);
}

#[test]
fn a_task_that_moves_between_threads_is_not_removed_by_the_old_one() {
    let (_, _, board) = board();
    let (old, new) = (board.thread("a"), board.thread("b"));
    old.task("0_0", TaskState::Running);
    new.task("0_0", TaskState::Running);
    old.task_gone("0_0");
    assert_eq!(board.snapshot().tasks["0_0"].thread, "b");
    new.task_gone("0_0");
    assert!(board.snapshot().tasks.is_empty());
}

#[test]
fn counts_and_lags_add_up() {
    let (clock, _, board) = board();
    let thread = board.thread("a");
    thread.task("0_0", TaskState::Running);
    for (partition, lag) in [(0, 3), (1, 4), (1, 5)] {
        let partition = TopicPartition::new("t", partition);
        thread.partition("0_0", &partition, PartitionStatus::new(9, lag, EventTime::MIN, false));
    }
    let counts =
        CommitCounts { records_in: 10, events_in: 7, records_out: 2, dropped: &[("late", 1)], dead_letters: &[] };
    thread.committed(clock.now(), counts);
    clock.advance(DurationMs(250));
    thread.committed(clock.now(), counts);
    thread.aborted();
    clock.advance(DurationMs(50));
    let snapshot = board.snapshot();
    assert_eq!(snapshot.lag, 8);
    assert_eq!((snapshot.counts.commits, snapshot.counts.aborts, snapshot.counts.records_in), (2, 1, 20));
    assert_eq!(snapshot.counts.events_in, 14);
    assert_eq!(snapshot.counts.dropped["late"], 2);
    assert_eq!(snapshot.last_commit_age_ms, Some(50));
    assert_eq!(snapshot.uptime_ms, 300);
}
