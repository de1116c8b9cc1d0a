//! The `process_*` metrics that dashboards of any program expect, read from `/proc` when asked.
//!
//! Not here: anything about streams. Elsewhere than on Linux nothing is shown.
//! Invariant: reading them never fails a scrape; what cannot be read is left out.

use super::live::{write_head, write_line};

/// Linux tells CPU time to programs in hundredths of a second, whatever the kernel's own tick.
const TICKS_PER_SECOND: f64 = 100.0;

/// Appends what can be known.
pub(super) fn render(text: &mut String) {
    let mut show = |name: &str, kind: &str, help: &str, value: Option<f64>| {
        if let Some(value) = value {
            write_head(text, name, kind, help);
            write_line(text, name, "", value);
        }
    };
    show("process_resident_memory_bytes", "gauge", "Resident memory", resident_bytes());
    show("process_cpu_seconds_total", "counter", "CPU time spent, user and system", cpu_seconds());
    show("process_open_fds", "gauge", "Open file descriptors", open_files());
}

/// The process' resident memory in bytes; `None` where the system does not tell.
pub(super) fn resident_bytes() -> Option<f64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kib: f64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kib * 1024.0)
}

fn cpu_seconds() -> Option<f64> {
    let stat = std::fs::read_to_string("/proc/self/stat").ok()?;
    // The second field is the program's name in brackets and may hold spaces and brackets itself.
    let mut fields = stat.rsplit_once(')')?.1.split_whitespace();
    let user: f64 = fields.nth(11)?.parse().ok()?;
    let system: f64 = fields.next()?.parse().ok()?;
    Some((user + system) / TICKS_PER_SECOND)
}

fn open_files() -> Option<f64> {
    u32::try_from(std::fs::read_dir("/proc/self/fd").ok()?.count()).ok().map(f64::from)
}
