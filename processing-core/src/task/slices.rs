//! A jump in time closes more windows than one commit may hold.
//!
//! Not here: what comes out of them (the simulator). Invariant: a task knows after each commit whether the
//! next one has windows left, also where no record ever comes again.

use state::MemoryBase;

use super::allocations::task;
use super::*;
use crate::batch::{Headers, RecordRef};
use crate::prelude::*;

fn minutes_of_one_city() -> Plan {
    let app = Topology::named("app");
    app.stream(Topic::<Json<i64>>::json("times"))
        .event_time(|time| EventTime(*time))
        .already_keyed_by(|_| "porto".to_owned())
        .window(Tumbling::minutes(1))
        .fold("minutes", count())
        .on_close()
        .to(Topic::json("counts"));
    app.build().unwrap()
}

/// What happens at these times.
fn batch(times: impl IntoIterator<Item = i64>) -> RecordBatch {
    let mut batch = RecordBatch::new();
    for (offset, time) in (0..).zip(times) {
        let time = time.to_string();
        batch.push(RecordRef {
            offset: Offset(offset),
            timestamp: LogTime(0),
            key: None,
            value: Some(time.as_bytes()),
            headers: Headers::NONE,
        });
    }
    batch
}

/// Sessions of one city that a minute without events ends; two results or moved runs a commit.
fn sessions_of_one_city() -> Task<MemoryBase> {
    let app = Topology::named("app");
    app.stream(Topic::<Json<i64>>::json("times"))
        .event_time(|time| EventTime(*time))
        .already_keyed_by(|_| "porto".to_owned())
        .sessions(Sessions::gap(DurationMs::minutes(1)))
        .fold("sessions", count())
        .on_close()
        .to(Topic::json("counts"));
    let mut task = task(&app.build().unwrap());
    task.terms.bounds.close_slice_records = 2;
    task.terms.future_bound = None;
    task
}

/// How many results each commit has, until none is left.
fn closed(task: &mut Task<MemoryBase>) -> Vec<u64> {
    let mut closed = Vec::new();
    while closed.is_empty() || task.unfinished {
        assert!(task.prepare(WallTime(0)).unwrap());
        closed.push(std::mem::take(&mut task.counts).closed);
    }
    closed
}

#[test]
fn runs_that_move_on_are_bounded_as_results_are() {
    let mut task = sessions_of_one_city();
    // Each minute continues the session of the one before; the jump ends it.
    task.run(&batch((0..6).map(|minute| minute * 60_000).chain([36_000_000])), 0, 0, WallTime(0)).unwrap();
    assert_eq!(closed(&mut task), [0, 0, 1], "five runs moved on, and the sixth was a session");
}

#[test]
fn the_last_session_of_all_time_ends() {
    let mut task = sessions_of_one_city();
    task.run(&batch([crate::window::TIME_MAX.0, i64::MAX]), 0, 0, WallTime(0)).unwrap();
    assert_eq!(closed(&mut task), [1]);
}

#[test]
fn windows_that_one_commit_has_no_room_for_are_remembered() {
    let mut task = task(&minutes_of_one_city());
    task.terms.bounds.close_slice_records = 2;
    task.terms.future_bound = None;
    task.run(&batch((0..6).map(|minute| minute * 60_000)), 0, 0, WallTime(0)).unwrap();
    let closed = closed(&mut task);
    // The last of the six minutes is open.
    assert_eq!(closed.iter().sum::<u64>(), 5, "{closed:?}");
    assert!(closed.iter().all(|closed| *closed <= 2), "{closed:?}");
}
