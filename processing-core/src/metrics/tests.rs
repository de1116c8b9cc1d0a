//! `/metrics` as a scraper sees it.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::*;
use crate::record::{EventTime, TopicName, TopicPartition, WallTime};

/// Everything that a running worker registers.
struct Everything {
    telemetry: Arc<Telemetry>,
    _process: ProcessMetrics,
    thread: ThreadMetrics,
    task: TaskMetrics,
    partition: PartitionGauges,
    _store: StoreGauges,
    _restore: RestoreGauges,
    _standby: StandbyGauges,
    log: LogMetrics,
}

fn everything() -> Everything {
    let telemetry = Telemetry::new(&[]).unwrap();
    let topics = [TopicName::new("search.executed")];
    let task = TaskMetrics::new(&telemetry, "0_3", "count");
    let mut log = LogMetrics::new(&telemetry, &topics, &topics);
    log.retention(&topics[0], Some(Duration::from_secs(3_600)));
    Everything {
        _process: ProcessMetrics::new(&telemetry, "0.1.0", "abc"),
        thread: ThreadMetrics::new(&telemetry, "worker-0"),
        partition: task.partition(&TopicPartition::new("search.executed", 3)),
        _store: task.store("panes"),
        _restore: RestoreGauges::new(&telemetry, "0_3"),
        _standby: StandbyGauges::new(&telemetry, "0_4"),
        task,
        log,
        telemetry,
    }
}

/// A reading of the text format that shares nothing with the writing of it: name to type, name to
/// help, series to value.
#[derive(Default)]
struct Scrape {
    types: BTreeMap<String, String>,
    helps: BTreeMap<String, String>,
    samples: BTreeMap<String, f64>,
}

fn scrape(text: &str) -> Scrape {
    let mut scrape = Scrape::default();
    for line in text.lines().filter(|line| !line.is_empty()) {
        if let Some(rest) = line.strip_prefix("# HELP ") {
            let (name, help) = rest.split_once(' ').unwrap();
            assert!(scrape.helps.insert(name.into(), help.into()).is_none(), "two HELP lines of {name}");
        } else if let Some(rest) = line.strip_prefix("# TYPE ") {
            let (name, kind) = rest.split_once(' ').unwrap();
            assert!(scrape.types.insert(name.into(), kind.into()).is_none(), "two TYPE lines of {name}");
        } else {
            let (series, value) = line.rsplit_once(' ').unwrap();
            assert!(scrape.samples.insert(series.into(), value.parse().unwrap()).is_none(), "twice: {series}");
        }
    }
    scrape
}

#[test]
fn every_declared_metric_is_scraped_with_help_and_type() {
    let all = everything();
    let scrape = scrape(&all.telemetry.render());
    for metric in catalogue::ALL {
        let kind = match metric.kind {
            Kind::Counter | Kind::SecondsCounter => "counter",
            Kind::Gauge => "gauge",
            Kind::Histogram(_) => "histogram",
        };
        assert_eq!(scrape.types.get(metric.name).map(String::as_str), Some(kind), "{}", metric.name);
        assert_eq!(scrape.helps.get(metric.name).map(String::as_str), Some(metric.help), "{}", metric.name);
    }
    let declared: BTreeSet<&str> = catalogue::ALL.iter().map(|metric| metric.name).collect();
    for name in scrape.types.keys().filter(|name| !name.starts_with("process_")) {
        assert!(declared.contains(name.as_str()), "{name} is scraped but not declared");
    }
}

#[test]
fn known_label_values_are_there_from_the_start() {
    let all = everything();
    let text = all.telemetry.render();
    let scrape = scrape(&text);
    for metric in catalogue::ALL {
        for label in metric.labels {
            for value in label.known {
                let wanted = format!("{}=\"{value}\"", label.name);
                let series: Vec<_> = scrape
                    .samples
                    .iter()
                    .filter(|(series, _)| series.starts_with(metric.name) && series.contains(&wanted))
                    .collect();
                assert!(!series.is_empty(), "{} has no series {wanted}", metric.name);
                assert!(series.iter().all(|(_, value)| **value == 0.0), "{series:?}");
            }
        }
    }
}

#[test]
fn names_follow_the_rules() {
    for metric in catalogue::ALL {
        assert_eq!(metric.check(), Ok(()), "{}", metric.name);
        assert!(metric.name.starts_with("stream_"), "{}", metric.name);
    }
    let base = Metric { name: "a_total", kind: Kind::Counter, unit: Unit::Count, labels: &[], help: "x" };
    for wrong in [
        Metric { name: "aCount_total", ..base },
        Metric { name: "a__b_total", ..base },
        Metric { name: "a", ..base },
        Metric { name: "a_total", kind: Kind::Gauge, ..base },
        Metric { name: "a_ms_total", unit: Unit::Seconds, ..base },
        Metric { name: "a_seconds_total", ..base },
        Metric { name: "a", kind: Kind::Histogram(&[2.0, 1.0]), ..base },
        Metric { labels: &[LabelSpec { name: "city", known: &[] }], ..base },
        Metric { help: "", ..base },
    ] {
        assert!(wrong.check().is_err(), "{wrong:?}");
        assert!(Telemetry::new(&[wrong]).is_err());
    }
    assert!(Telemetry::new(&[base, base]).is_err(), "declared twice");
}

#[test]
fn what_is_fed_is_what_is_scraped() {
    let mut all = everything();
    all.thread.commit_ok(WallTime(1_500), Duration::from_millis(30));
    all.thread.commit_failed("aborted", "log");
    all.thread.poll.add(Duration::from_millis(250));
    all.thread.poll.add(Duration::from_millis(500));
    all.task.dropped.add("late", 3);
    all.task.stream_time(EventTime(90_000));
    all.task.latency_sink.record(29.0);
    all.task.latency_sink.record(31.0);
    all.partition.lag(7, Duration::from_millis(1_500));
    all.log.consumed(&"search.executed".into(), 10, 2_500);
    let scrape = scrape(&all.telemetry.render());
    for (series, value) in [
        ("stream_commits_total{result=\"ok\"}", 1.0),
        ("stream_commits_total{result=\"aborted\"}", 1.0),
        ("stream_txn_committed_total", 1.0),
        ("stream_txn_aborted_total{reason=\"log\"}", 1.0),
        ("stream_commit_duration_seconds_bucket{le=\"0.025\"}", 0.0),
        ("stream_commit_duration_seconds_bucket{le=\"0.05\"}", 1.0),
        ("stream_last_progress_timestamp_seconds{thread=\"worker-0\"}", 1.5),
        ("stream_thread_time_seconds_total{thread=\"worker-0\",stage=\"poll\"}", 0.75),
        ("stream_records_dropped_total{reason=\"late\"}", 3.0),
        ("stream_time_seconds{task=\"0_3\"}", 90.0),
        ("stream_record_e2e_latency_seconds_bucket{node=\"sink\",le=\"30\"}", 1.0),
        ("stream_record_e2e_latency_seconds_count{node=\"sink\"}", 2.0),
        ("stream_consumer_lag_records{topic=\"search.executed\",partition=\"3\"}", 7.0),
        ("stream_consumer_lag_seconds{topic=\"search.executed\",partition=\"3\"}", 1.5),
        ("stream_records_consumed_total{topic=\"search.executed\"}", 10.0),
        ("stream_bytes_consumed_total{topic=\"search.executed\"}", 2_500.0),
    ] {
        assert_eq!(scrape.samples.get(series), Some(&value), "{series}");
    }
}

#[test]
fn a_task_that_moves_away_takes_its_gauges_and_leaves_its_counters() {
    let telemetry = Telemetry::new(&[]).unwrap();
    let task = TaskMetrics::new(&telemetry, "0_3", "count");
    let lag = task.partition(&TopicPartition::new("a", 3));
    lag.lag(5, Duration::from_secs(1));
    task.processed.increment(9);
    drop((task, lag));
    let scrape = scrape(&telemetry.render());
    assert_eq!(scrape.samples.get("stream_records_processed_total{node=\"count\"}"), Some(&9.0));
    assert!(!scrape.types.contains_key("stream_consumer_lag_records"));
    assert!(!scrape.types.contains_key("stream_time_seconds"));
}

#[test]
fn a_label_that_never_ends_is_folded_into_other() {
    let telemetry = Telemetry::new(&[]).unwrap();
    let mut log = LogMetrics::new(&telemetry, &[], &[]);
    for n in 0..LABEL_VALUES_MAX + 10 {
        log.consumed(&TopicName::new(format!("t{n}")), 1, 1);
    }
    let scrape = scrape(&telemetry.render());
    let series: Vec<_> =
        scrape.samples.keys().filter(|series| series.starts_with("stream_records_consumed_total")).collect();
    assert_eq!(series.len(), LABEL_VALUES_MAX + 1);
    assert_eq!(scrape.samples.get("stream_records_consumed_total{topic=\"other\"}"), Some(&10.0));
}

#[test]
fn labels_are_escaped() {
    let telemetry = Telemetry::new(&[]).unwrap();
    let gauge = telemetry.gauge(&catalogue::STREAM_TIME, &[("task", "a\"b\\c\nd")]);
    gauge.set(1.0);
    assert!(telemetry.render().contains(r#"stream_time_seconds{task="a\"b\\c\nd"} 1"#));
}

#[test]
fn upkeep_folds_samples_without_a_scrape() {
    let telemetry = Telemetry::new(&[]).unwrap();
    let thread = ThreadMetrics::new(&telemetry, "worker-0");
    for _ in 0..10_000 {
        thread.process_duration.record(0.001);
    }
    telemetry.upkeep();
    thread.process_duration.record(0.001);
    let scrape = scrape(&telemetry.render());
    assert_eq!(scrape.samples.get("stream_process_duration_seconds_count"), Some(&10_001.0));
    drop(Upkeep::start(&telemetry).unwrap());
}

#[test]
fn a_registry_that_is_off_shows_nothing() {
    let telemetry = Telemetry::off();
    let mut thread = ThreadMetrics::new(&telemetry, "worker-0");
    thread.commit_ok(WallTime(0), Duration::ZERO);
    assert!(!telemetry.render().contains("stream_commits_total"));
}

#[cfg(target_os = "linux")]
#[test]
fn the_process_tells_its_memory() {
    let scrape = scrape(&Telemetry::new(&[]).unwrap().render());
    assert!(scrape.samples["process_resident_memory_bytes"] > 100_000.0);
    assert!(scrape.samples["process_open_fds"] >= 3.0);
    assert!(scrape.samples["process_cpu_seconds_total"] >= 0.0);
}

#[test]
fn a_task_that_changes_threads_stays_one_series_until_its_last_handle_goes() {
    let telemetry = Telemetry::new(&[]).unwrap();
    let series = "stream_time_seconds{task=\"0_3\"}";
    let old = TaskMetrics::new(&telemetry, "0_3", "count");
    old.stream_time(EventTime(1_000));
    let new = TaskMetrics::new(&telemetry, "0_3", "count");
    drop(old);
    new.stream_time(EventTime(2_000));
    assert_eq!(scrape(&telemetry.render()).samples.get(series), Some(&2.0));
    drop(new);
    assert!(!telemetry.render().contains(series));
}
