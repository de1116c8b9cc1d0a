//! What a case costs, and the table of it.
//!
//! Not here: the cases. Invariant: CPU time is the whole process's, all threads included.

use serde::{Deserialize, Serialize};

/// One line of the table.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Figure {
    pub(crate) case: String,
    pub(crate) events: u64,
    pub(crate) cpu_us_per_event: f64,
    pub(crate) events_per_core_second: f64,
    pub(crate) peak_rss_mib: f64,
}

impl Figure {
    /// A case that took `cpu` for `events`.
    pub(crate) fn new(case: &str, events: u64, cpu: std::time::Duration) -> Self {
        let us = cpu.as_secs_f64() * 1e6 / events as f64;
        Self {
            case: case.to_owned(),
            events,
            cpu_us_per_event: (us * 1000.0).round() / 1000.0,
            events_per_core_second: (1e6 / us).round(),
            peak_rss_mib: (peak_rss_mib() * 10.0).round() / 10.0,
        }
    }
}

/// The kernel's word on the most memory this process ever had resident.
pub(crate) fn peak_rss_mib() -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap_or("0 kB");
    let kib: f64 = line.trim().trim_end_matches(" kB").parse().unwrap_or(0.0);
    kib / 1024.0
}

pub(crate) fn print(figures: &[Figure]) {
    println!("{:<22}{:>12}{:>14}{:>20}{:>14}", "case", "events", "CPU us/event", "events/core-second", "peak MiB");
    for figure in figures {
        println!(
            "{:<22}{:>12}{:>14.3}{:>20.0}{:>14.1}",
            figure.case, figure.events, figure.cpu_us_per_event, figure.events_per_core_second, figure.peak_rss_mib
        );
    }
}
