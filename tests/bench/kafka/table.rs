//! What was found, by case and system: medians, spreads, the README's table, the JSON.
//!
//! Not here: measuring. Invariant: a figure that was not measured is null, never 0.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::Value;

use crate::process::System;

/// One round's figures.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Taken {
    pub(crate) cpu_us_per_event: Option<f64>,
    pub(crate) broker_cpu_us_per_event: Option<f64>,
    pub(crate) peak_rss_mib: Option<f64>,
    pub(crate) latency_p50_ms: Option<f64>,
    pub(crate) latency_p99_ms: Option<f64>,
    pub(crate) restart_ms: Option<f64>,
    pub(crate) disk_bytes_per_event: Option<f64>,
    pub(crate) changelog_bytes_per_event: Option<f64>,
}

/// Medians of a case's rounds.
#[derive(Serialize)]
struct Line {
    case: String,
    system: &'static str,
    events: u64,
    rounds: usize,
    cpu_us_per_event: Option<f64>,
    cpu_us_per_event_min: Option<f64>,
    cpu_us_per_event_max: Option<f64>,
    broker_cpu_us_per_event: Option<f64>,
    peak_rss_mib: Option<f64>,
    latency_p50_ms: Option<f64>,
    latency_p99_ms: Option<f64>,
    restart_ms: Option<f64>,
    disk_bytes_per_event: Option<f64>,
    changelog_bytes_per_event: Option<f64>,
}

/// All rounds of all cases.
#[derive(Default)]
pub(crate) struct Table {
    /// Cases in the order in which they were measured.
    order: Vec<(String, u64)>,
    rounds: BTreeMap<(String, System), Vec<Taken>>,
}

impl Table {
    pub(crate) fn add(&mut self, case: &str, system: System, events: u64, taken: Taken) {
        if !self.order.iter().any(|(known, _)| known == case) {
            self.order.push((case.to_owned(), events));
        }
        self.rounds.entry((case.to_owned(), system)).or_default().push(taken);
    }

    /// Whether nothing was measured for it.
    pub(crate) fn is_empty(&self) -> bool {
        self.rounds.is_empty()
    }

    fn lines(&self) -> Vec<Line> {
        let mut lines = Vec::new();
        for (case, events) in &self.order {
            for ((name, system), rounds) in &self.rounds {
                if name == case {
                    lines.push(line(case, *system, *events, rounds));
                }
            }
        }
        lines
    }

    /// Markdown, for the README.
    pub(crate) fn print(&self) {
        println!(
            "| case | system | events | CPU us/event (spread) | broker us/event | peak MiB | p50 ms | p99 ms | \
             restart ms | disk B/event | changelog B/event |"
        );
        println!("|---|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|");
        for line in self.lines() {
            let show = |figure: Option<f64>, digits: usize| figure.map_or("".to_owned(), |f| format!("{f:.digits$}"));
            let spread = match (line.cpu_us_per_event_min, line.cpu_us_per_event_max) {
                (Some(min), Some(max)) => format!(" ({min:.2}-{max:.2})"),
                _ => String::new(),
            };
            println!(
                "| {} | {} | {} | {}{spread} | {} | {} | {} | {} | {} | {} | {} |",
                line.case,
                line.system,
                line.events,
                show(line.cpu_us_per_event, 2),
                show(line.broker_cpu_us_per_event, 2),
                show(line.peak_rss_mib, 0),
                show(line.latency_p50_ms, 0),
                show(line.latency_p99_ms, 0),
                show(line.restart_ms, 0),
                show(line.disk_bytes_per_event, 1),
                show(line.changelog_bytes_per_event, 1),
            );
        }
    }

    /// Writes the JSON; what was not measured now stays as it was.
    pub(crate) fn write(&self) {
        let folder = std::path::Path::new("tests/bench/results");
        std::fs::create_dir_all(folder).expect("the results' folder");
        let file = folder.join("kafka.json");
        let fresh: Vec<Value> = self.lines().iter().map(|line| serde_json::to_value(line).expect("JSON")).collect();
        let name = |line: &Value| (line["case"].clone(), line["system"].clone());
        let known = std::fs::read(&file).ok().and_then(|text| serde_json::from_slice(&text).ok());
        let mut all: Vec<Value> = known.unwrap_or_default();
        for mut line in fresh {
            if let Some(index) = all.iter().position(|known| name(known) == name(&line)) {
                keep(&all.remove(index), &mut line);
            }
            all.push(line);
        }
        let text = serde_json::to_string_pretty(&all).expect("figures are JSON") + "\n";
        std::fs::write(&file, text).expect("written");
        println!("\nwritten to {}", file.display());
    }
}

/// What was measured before and not now. How much was read and how often is said of the cost, where there is one.
fn keep(known: &Value, line: &mut Value) {
    let costs = |line: &Value| !line["cpu_us_per_event"].is_null();
    let of_known = costs(known) && !costs(line);
    for (field, value) in known.as_object().into_iter().flatten() {
        if line[field].is_null() || (of_known && ["events", "rounds"].contains(&field.as_str())) {
            line[field] = value.clone();
        }
    }
}

fn line(case: &str, system: System, events: u64, rounds: &[Taken]) -> Line {
    let figures = |of: fn(&Taken) -> Option<f64>| {
        let mut all: Vec<f64> = rounds.iter().filter_map(of).collect();
        all.sort_by(f64::total_cmp);
        all
    };
    let rounded = |figure: f64| (figure * 1000.0).round() / 1000.0;
    // The lower one of the two in the middle, so that every figure is one that was measured.
    let median = |of| {
        let all = figures(of);
        all.get(all.len().saturating_sub(1) / 2).copied().map(rounded)
    };
    let cpu = figures(|taken| taken.cpu_us_per_event);
    Line {
        case: case.to_owned(),
        system: system.name(),
        events,
        rounds: cpu.len().max(figures(|taken| taken.latency_p50_ms).len()),
        cpu_us_per_event: median(|taken| taken.cpu_us_per_event),
        cpu_us_per_event_min: cpu.first().copied().map(rounded),
        cpu_us_per_event_max: cpu.last().copied().map(rounded),
        broker_cpu_us_per_event: median(|taken| taken.broker_cpu_us_per_event),
        peak_rss_mib: median(|taken| taken.peak_rss_mib),
        latency_p50_ms: median(|taken| taken.latency_p50_ms),
        latency_p99_ms: median(|taken| taken.latency_p99_ms),
        restart_ms: median(|taken| taken.restart_ms),
        disk_bytes_per_event: median(|taken| taken.disk_bytes_per_event),
        changelog_bytes_per_event: median(|taken| taken.changelog_bytes_per_event),
    }
}
