//! A demo whose disk fills up stops with a clear error, and goes on when there is room as if nothing had been.
//!
//! Not here: a kill ([`kill`](../kill.rs)). Invariant: where it stops depends on bytes written, never on time.

use processing_core::error::ExitCode;
use tests::compare::assert_same;
use tests::demo_process::{DemoProcess, STEADY_FEED, streamfleet};

#[test]
fn a_demo_whose_disk_fills_up_loses_nothing() {
    let program = streamfleet();
    let feed = [STEADY_FEED, &["--seed", "12", "--events", "60000"]].concat();
    let folder = tempfile::tempdir().unwrap();
    let (cramped, whole) = (folder.path().join("cramped"), folder.path().join("whole"));
    for kib in [1_000, 3_000, 6_000, 9_000] {
        let (code, told) = DemoProcess::start_cramped(&program, &cramped, &feed, kib).fail_with_words();
        println!("{kib} KiB: {told}");
        assert_eq!(code, ExitCode::DiskFull as i32, "{told}");
        assert!(!told.contains("panicked"), "{told}");
        let last = told.trim_end().lines().last().unwrap_or_default();
        assert!(last.contains("the disk is full") && last.contains("cramped/log"), "what and where: {last}");
        assert!(last.contains("free room") && last.contains("start again"), "what to do: {last}");
    }
    DemoProcess::start(&program, &cramped, &feed).finish();
    DemoProcess::start(&program, &whole, &feed).finish();
    assert_same(&cramped, &whole);
}
