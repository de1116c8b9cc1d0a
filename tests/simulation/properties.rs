//! Final results hang on the input log and the time log alone: not on how many records come at once, on the
//! number of workers, on how often is committed, or on what crashes.
//!
//! Not here: single rules. Invariant: two runs are compared over the same story, so every difference is one
//! of how the work was done.

use processing_core::log::memory::FaultPlan;
use processing_core::record::DurationMs;
use processing_core::testing::SimOptions;
use proptest::prelude::*;

use crate::run::Run;
use crate::topologies;

/// One worker and no fault; time is raised by nobody, so that runs of one workload have one time log.
fn plain() -> SimOptions {
    SimOptions { idle_after: None, ..SimOptions::calm() }
}

/// What a run says under these options. It also holds against one worker and against its definition.
fn said(run: &Run, options: &SimOptions) -> processing_core::testing::Outcome {
    match run.holds_under(options) {
        Ok(report) => report.outcome,
        Err(failure) => panic!("{run}: {failure}\n{options:#?}"),
    }
}

fn runs() -> impl Strategy<Value = Run> {
    (0..topologies::ALL.len(), any::<u32>())
        .prop_map(|(scenario, seed)| Run { scenario: &topologies::ALL[scenario], seed: seed.into() })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 40, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn results_do_not_hang_on_the_size_of_batches(run in runs(), batch in 1..300_usize, slice in 1..20_usize) {
        let mut options = SimOptions { batch_records: batch, ..plain() };
        options.bounds.close_slice_records = slice;
        prop_assert_eq!(said(&run, &options), said(&run, &plain()));
    }

    #[test]
    fn results_do_not_hang_on_bounds_of_memory(run in runs(), bytes in 50..5_000_usize, cached in 0..3_000_usize) {
        let mut options = plain();
        (options.bounds.staged_bytes, options.bounds.held_bytes, options.bounds.outbox_bytes) = (bytes, bytes, bytes);
        (options.bounds.applied_bytes, options.bounds.cached_bytes) = (bytes, cached);
        prop_assert_eq!(said(&run, &options), said(&run, &plain()));
    }

    #[test]
    fn results_do_not_hang_on_the_number_of_threads(run in runs(), processes in 1..5_usize, threads in 1..4_usize) {
        let options = SimOptions { processes, threads, ..plain() };
        prop_assert_eq!(said(&run, &options), said(&run, &plain()));
    }

    #[test]
    fn results_do_not_hang_on_the_commit_interval(run in runs(), interval in 1..5_000_i64, tick_ms in 1..100_u64) {
        let options = SimOptions { commit_interval: DurationMs(interval), tick_ms, ..plain() };
        prop_assert_eq!(said(&run, &options), said(&run, &plain()));
    }

    #[test]
    fn results_do_not_hang_on_crashes(run in runs(), crash in 0.0..0.05_f64, stage_crash in 0.0..0.2_f64, wipe in 0.0..1.0_f64) {
        let options = SimOptions { crash, stage_crash, wipe, processes: 3, away_ms: 3_000, ..plain() };
        prop_assert_eq!(said(&run, &options), said(&run, &plain()));
    }

    #[test]
    fn results_do_not_hang_on_the_log_at_its_worst(run in runs()) {
        let options = SimOptions { idle_after: None, faults: FaultPlan { late_ms: 3_000, ..FaultPlan::HOSTILE }, ..run.options() };
        prop_assert_eq!(said(&run, &options), said(&run, &plain()));
    }
}
