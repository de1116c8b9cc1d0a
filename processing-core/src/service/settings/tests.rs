//! Settings from all four sources, through the public door.

use std::io::Write as _;

use proptest::prelude::*;

use super::*;
use crate::record::DurationMs;

pub(super) fn declared() -> Declarations {
    Declarations::library("trending-cities")
        .input("search", "search.executed", true)
        .input("saved", "itinerary.saved", true)
        .with([
            Spec::new(
                "window.size.ms",
                ValueKind::Millis { min: DurationMs(1), max: DurationMs::hours(24), off: false },
                "60m",
                "Size of the window",
            ),
            Spec::new(
                "api.token",
                ValueKind::Checked { wants: "a token", check: |text| text.len() < 8 },
                "",
                "A token",
            )
            .secret(),
        ])
}

#[derive(Default)]
pub(super) struct Case {
    pub(super) file: Option<&'static str>,
    pub(super) env: Vec<(&'static str, &'static str)>,
    pub(super) flags: Vec<(&'static str, &'static str)>,
}

impl Case {
    pub(super) fn load(&self) -> Result<Settings, SettingsError> {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("s.toml");
        let mut sources = Sources::default();
        if let Some(text) = self.file {
            std::fs::File::create(&path).unwrap().write_all(text.as_bytes()).unwrap();
            sources.file = Some(path);
        }
        sources.environment = self.env.iter().map(|(n, v)| ((*n).into(), (*v).into())).collect();
        sources.flags = self.flags.iter().map(|(n, v)| ((*n).into(), (*v).into())).collect();
        Settings::load(declared(), &sources)
    }

    /// The problems without the folder in front of the file's name.
    pub(super) fn problems(&self) -> Vec<String> {
        let error = self.load().unwrap_err();
        error
            .problems
            .iter()
            .map(|problem| match problem.0.find("s.toml") {
                Some(at) => problem.0[at..].to_owned(),
                None => problem.0.clone(),
            })
            .collect()
    }
}

#[test]
fn defaults_are_those_that_the_documents_name() {
    let settings = Case::default().load().unwrap();
    assert_eq!(settings.application.id, "trending-cities");
    assert_eq!(settings.application.threads, 1);
    assert_eq!(settings.application.commit_interval, DurationMs(100));
    assert_eq!(settings.event_time.future_bound, Some(DurationMs::hours(1)));
    assert!(settings.embedded.sync);
    assert!(settings.inputs["search"].enabled);
    assert_eq!(settings.inputs["saved"].topic.as_str(), "itinerary.saved");
    assert_eq!(settings.get::<DurationMs>("window.size.ms").unwrap(), DurationMs::minutes(60));
    let port = settings.http.listen.unwrap().port();
    assert!(![3000, 8080, 8081, 9092].contains(&port));
    assert!(settings.http.listen.unwrap().ip().is_loopback());
    assert!(settings.kafka.0.is_empty());
}

#[test]
fn flags_beat_the_environment_which_beats_the_file_which_beats_defaults() {
    let mut case = Case { file: Some("# first\ncommit.interval.ms = 200\n"), ..Case::default() };
    let check = |case: &Case, ms: i64, origin: &str| {
        let settings = case.load().unwrap();
        assert_eq!(settings.application.commit_interval, DurationMs(ms));
        assert!(settings.origin("commit.interval.ms").to_string().ends_with(origin), "{origin}");
    };
    check(&case, 200, "s.toml:2");
    case.env.push(("STREAMFLEET_COMMIT_INTERVAL_MS", "300"));
    check(&case, 300, "variable STREAMFLEET_COMMIT_INTERVAL_MS");
    case.flags.push(("commit.interval.ms", "400"));
    check(&case, 400, "flag --commit.interval.ms");
    case.flags.push(("commit.interval.ms", "1s"));
    check(&case, 1_000, "flag --commit.interval.ms");
}

#[test]
fn tables_dotted_keys_and_quoted_keys_are_the_same() {
    for text in [
        "[commit.interval]\nms = 0xFA",
        "commit.interval.ms = 250",
        "\"commit.interval.ms\" = \"250ms\"",
        "[commit]\n\"interval.ms\" = 2_50",
    ] {
        let settings = Case { file: Some(text), ..Case::default() }.load().unwrap();
        assert_eq!(settings.application.commit_interval, DurationMs(250), "{text}");
    }
}

#[test]
fn mistakes_are_told_all_at_once_with_their_places_and_what_was_meant() {
    let case = Case {
        file: Some(
            "comit.interval.ms = 5\nstate.dir = [1]\n\nnum.stream.threads = 0\n\"state.dir\" = \"x\"\n[inputs.serch]\nenabled = false\n",
        ),
        env: vec![("STREAMFLEET_EMBEDDED_SYNC", "maybe")],
        flags: vec![("log.levle", "info"), ("log.level", "inof")],
    };
    let problems = case.problems();
    let expected = [
        "s.toml:1: there is no setting `comit.interval.ms`; did you mean `commit.interval.ms`?",
        "s.toml:2: `state.dir` takes a single value, not a list",
        "s.toml:7: there is no setting `inputs.serch.enabled`; did you mean `inputs.search.enabled`?",
        "flag --log.levle: there is no setting `log.levle`; did you mean `log.level`?",
        "s.toml:4: `num.stream.threads`: `0` does not fit; it takes a whole number from 1 to 64",
        "flag --log.level: `log.level`: `inof` does not fit; it takes error",
        "variable STREAMFLEET_EMBEDDED_SYNC: `embedded.sync`: `maybe` does not fit; it takes true or false",
    ];
    for wanted in expected {
        assert!(problems.iter().any(|problem| problem.starts_with(wanted)), "{wanted}\nnot in {problems:#?}");
    }
    assert!(problems.iter().any(|problem| problem.starts_with("s.toml:5: `state.dir` is already given at")));
    assert_eq!(problems.len(), expected.len() + 1, "{problems:#?}");
}

#[test]
fn a_file_that_is_not_toml_or_not_there_is_named() {
    let problems = Case { file: Some("a = 1\nb = = 2\n"), ..Case::default() }.problems();
    assert!(problems[0].starts_with("s.toml:2: not TOML: "), "{problems:?}");
    let sources = Sources { file: Some("/nowhere/s.toml".into()), ..Sources::default() };
    let error = Settings::load(declared(), &sources).unwrap_err().to_string();
    assert!(error.starts_with("/nowhere/s.toml: the settings file cannot be read: "), "{error}");
}

#[test]
fn an_empty_variable_is_unset() {
    let case = Case {
        env: vec![("STREAMFLEET_COMMIT_INTERVAL_MS", ""), ("KAFKA_BROKERS", ""), ("STREAMFLEET_CONFIG", "")],
        ..Case::default()
    };
    let settings = case.load().unwrap();
    assert_eq!(settings.origin("commit.interval.ms"), Origin::Default);
    assert!(settings.kafka.0.is_empty());
}

#[test]
fn a_command_line_hides_its_values_from_debug() {
    let line = ["--kafka.sasl.password", "hunter2", "--kafka.sasl.username=ada"].map(str::to_owned);
    let asked = format!("{:?}", flags::parse(&declared(), line));
    assert!(asked.contains("kafka.sasl.password") && !asked.contains("hunter2"), "{asked}");
}

#[test]
fn a_misspelt_variable_is_warned_of_and_a_file_can_be_named_by_one() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("x.toml");
    std::fs::write(&path, "num.stream.threads = 3").unwrap();
    let mut sources = Sources::default();
    sources.environment.insert("STREAMFLEET_CONFIG".into(), path.display().to_string());
    sources.environment.insert("STREAMFLEET_STAT_DIR".into(), "/x".into());
    let settings = Settings::load(declared(), &sources).unwrap();
    assert_eq!(settings.application.threads, 3);
    assert_eq!(
        settings.warnings,
        ["variable STREAMFLEET_STAT_DIR belongs to no setting of this worker; did you mean `STREAMFLEET_STATE_DIR`?"]
    );
}

#[test]
fn a_secret_can_come_from_a_file_and_is_never_shown() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("password");
    std::fs::write(&path, "hunter2\n").unwrap();
    let mut sources = Sources::default();
    sources.environment.insert("KAFKA_SASL_PASSWORD_FILE".into(), path.display().to_string());
    sources.environment.insert("KAFKA_SASL_USERNAME".into(), "ada".into());
    sources.environment.insert("STREAMFLEET_API_TOKEN".into(), "s3cret".into());
    let settings = Settings::load(declared(), &sources).unwrap();
    assert_eq!(settings.kafka.get("sasl.password"), Some("hunter2"));
    assert_eq!(settings.get::<String>("api.token").unwrap(), "s3cret");
    for shown in [settings.explain(), format!("{settings:?}"), format!("{:?}", settings.kafka)] {
        assert!(!shown.contains("hunter2") && !shown.contains("s3cret"), "{shown}");
        assert!(shown.contains("sasl.password"), "{shown}");
    }
    assert!(settings.explain().contains("# \"kafka.sasl.password\" = (hidden)  # variable KAFKA_SASL_PASSWORD_FILE"));

    sources.environment.insert("STREAMFLEET_API_TOKEN".into(), "s3cret-but-misspelt".into());
    let error = Settings::load(declared(), &sources).unwrap_err().to_string();
    assert!(error.contains("api.token") && !error.contains("s3cret-but"), "{error}");
}

#[test]
fn the_group_id_of_a_backend_goes_before_the_applications_own() {
    let of = |variable: &'static str, value: &'static str| {
        let settings = Case { env: vec![(variable, value)], ..Case::default() }.load().unwrap();
        assert!(settings.kafka.0.is_empty());
        (settings.application.id.clone(), settings.explain())
    };
    for variable in ["KAFKA_GROUP_ID", "STREAMFLEET_APPLICATION_PREFIX"] {
        let (id, explained) = of(variable, "loci");
        assert_eq!(id, "loci-trending-cities");
        assert!(explained.contains("# The application is loci-trending-cities: "), "{explained}");
        assert!(explained.contains(&format!("application.prefix = \"loci\"  # variable {variable}\n")), "{explained}");
    }
    assert_eq!(of("KAFKA_GROUP_ID", "").0, "trending-cities");
}

#[test]
fn copies_are_the_brokers_own_number_unless_set() {
    let copies = |flags| Case { flags, ..Case::default() }.load().unwrap().copies;
    assert_eq!(copies(vec![]), CopiesSettings { replication: None, standby: 0 });
    let set = vec![("replication.factor", "3")];
    assert_eq!(copies(set), CopiesSettings { replication: Some(3), standby: 0 });
}

/// Fits where it stands alone.
const LONG: &str = "eighty-letters-are-enough-to-be-too-long-when-they-are-followed-by-as-many-more-";

#[test]
fn settings_that_contradict_each_other_are_refused() {
    for (case, part) in [
        (Case { flags: vec![("statestore.cache.max.bytes", "73MiB")], ..Case::default() }, "at most half"),
        (
            Case {
                flags: vec![("commit.interval.ms", "5s"), ("kafka.transaction.timeout.ms", "9999")],
                ..Case::default()
            },
            "at least twice",
        ),
        (
            Case {
                flags: vec![("inputs.search.enabled", "false"), ("inputs.saved.enabled", "false")],
                ..Case::default()
            },
            "all inputs are disabled",
        ),
        (Case { flags: vec![("inputs.search.topic", "a b")], ..Case::default() }, "1 to 249"),
        (Case { flags: vec![("application.id", "")], ..Case::default() }, "1 to 149"),
        (Case { flags: vec![("application.prefix", "lo ci")], ..Case::default() }, "1 to 100"),
        (
            Case { flags: vec![("application.id", LONG), ("application.prefix", LONG)], ..Case::default() },
            "149 letters",
        ),
        (Case { flags: vec![("replication.factor", "0")], ..Case::default() }, "takes -1, or 1 and more"),
        (Case { flags: vec![("idle.close.ms", "5s")], ..Case::default() }, "shorter than idle.after.ms"),
        (Case { flags: vec![("idle.close.ms", "5s"), ("idle.after.ms", "off")], ..Case::default() }, "or that is off"),
    ] {
        let problems = case.problems();
        assert!(problems.len() == 1 && problems[0].contains(part), "{part}: {problems:?}");
    }
}

#[test]
fn mistakes_of_the_worker_itself_are_told() {
    let twice =
        Declarations::library("x").with([Spec::new("state_dir", ValueKind::Text, "", "Same variable as state.dir")]);
    let error = Settings::load(twice, &Sources::default()).unwrap_err().to_string();
    assert!(error.contains("shares the variable STREAMFLEET_STATE_DIR"), "{error}");
    let strange = Declarations::library("x").with_default("no.such", "1");
    assert!(Settings::load(strange, &Sources::default()).unwrap_err().to_string().contains("`no.such`"));
    let settings = Case::default().load().unwrap();
    assert!(settings.get::<bool>("no.such").is_err());
    assert!(settings.get::<bool>("window.size.ms").is_err());
}

#[test]
fn explain_says_each_value_and_its_origin() {
    let case = Case { file: Some("[http]\nlisten = \"off\"\n"), ..Case::default() };
    let text = case.load().unwrap().explain();
    for spec in declared().specs() {
        assert!(text.contains(&format!("{} = ", spec.name)), "{}", spec.name);
    }
    assert!(text.contains("s.toml:2\n") && text.contains("http.listen = \"off\""), "{text}");
    assert!(text.contains("commit.interval.ms = 100  # default\n"), "{text}");
}

#[test]
fn one_folder_for_everything_yields_to_a_folder_of_ones_own() {
    let flags = vec![("state.dir".to_owned(), "fast".to_owned())];
    let sources = Sources { data: Some("all".into()), flags, ..Sources::default() };
    let settings = Settings::load(declared(), &sources).unwrap();
    assert_eq!((settings.embedded.dir, settings.state.dir), ("all/log".into(), "fast".into()));
    let text = Settings::load(declared(), &Sources { flags: Vec::new(), ..sources }).unwrap().explain();
    assert!(text.contains("state.dir = \"all/state\"  # flag --data\n"), "{text}");
}

#[test]
fn the_command_line_is_read() {
    let parse = |line: &str| flags::parse(&declared(), line.split_whitespace().map(str::to_owned));
    let pairs = |pairs: &[(&str, &str)]| pairs.iter().map(|(n, v)| ((*n).into(), (*v).into())).collect();
    assert_eq!(
        parse(
            "--config f.toml --data d --commit.interval.ms 50 --embedded.sync --http.port.next.free false --kafka.client.id=a=b"
        ),
        Ok(flags::Asked::Run(flags::Line {
            file: Some("f.toml".into()),
            data: Some("d".into()),
            flags: pairs(&[
                ("commit.interval.ms", "50"),
                ("embedded.sync", "true"),
                ("http.port.next.free", "false"),
                ("kafka.client.id", "a=b"),
            ]),
        }))
    );
    assert!(matches!(parse("--explain --state.dir x"), Ok(flags::Asked::Explain(line)) if line.flags.len() == 1));
    assert_eq!(parse("--state.dir x --help"), Ok(flags::Asked::Help));
    assert_eq!(parse("-V"), Ok(flags::Asked::Version));
    for (line, part) in [
        ("--comit.interval.ms 5", "did you mean `commit.interval.ms`"),
        ("--explian", "did you mean `explain`"),
        ("--state.dir", "takes a value"),
        ("hunter2", "without its flag"),
    ] {
        let error = parse(line).unwrap_err();
        assert_eq!(error.exit_code() as u8, 2);
        assert!(error.to_string().contains(part) && !error.to_string().contains("hunter2"), "{error}");
    }
    let help = flags::help("trending-cities", &declared());
    for spec in declared().specs() {
        assert!(help.contains(&format!("--{} VALUE", spec.name)) && help.contains(&spec.variable()));
    }
}

proptest! {
    /// What `--explain` prints is a settings file that means the same.
    #[test]
    fn explain_can_be_given_back(threads in 1_i64..=64, idle in 10_i64..1_000_000, off: bool, dir in "[ -~]{1,20}[a-z\"\\\\#é]") {
        let flags = vec![
            ("num.stream.threads".into(), threads.to_string()),
            ("idle.after.ms".into(), if off { "off".into() } else { idle.to_string() }),
            ("state.dir".into(), dir.clone()),
            ("kafka.client.id".into(), dir),
            ("application.prefix".into(), "loci".into()),
            ("replication.factor".into(), threads.to_string()),
        ];
        let first = Settings::load(declared(), &Sources { flags, ..Sources::default() }).unwrap();
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("explained.toml");
        std::fs::write(&path, first.explain()).unwrap();
        let second = Settings::load(declared(), &Sources { file: Some(path), ..Sources::default() }).unwrap();
        prop_assert_eq!(&first.application, &second.application);
        prop_assert_eq!(&first.state, &second.state);
        prop_assert_eq!(&first.event_time, &second.event_time);
        prop_assert_eq!(&first.http, &second.http);
        prop_assert_eq!(&first.kafka, &second.kafka);
        prop_assert_eq!(&first.copies, &second.copies);
    }

    /// No text breaks a source.
    #[test]
    fn no_file_and_no_value_panics(text in "\\PC{0,200}", value in "\\PC{0,40}") {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("any.toml");
        std::fs::write(&path, &text).unwrap();
        let mut sources = Sources { file: Some(path), ..Sources::default() };
        for spec in declared().specs() {
            sources.environment.insert(spec.variable(), value.clone());
        }
        drop(Settings::load(declared(), &sources));
    }
}

#[test]
fn all_that_stores_hold_is_within_the_budget() {
    const LOG_MIB: usize = 16;
    for (budget, cache, is_embedded, applied, blocks) in [
        ("88MiB", "40MiB", true, 21, 10),
        ("88MiB", "40MiB", false, 24, 24),
        ("1GiB", "256MiB", false, 24, 744),
        ("64MiB", "32MiB", false, 21, 10),
        ("64MiB", "24MiB", true, 16, 8),
    ] {
        let mut flags = vec![("memory.budget.bytes", budget), ("statestore.cache.max.bytes", cache)];
        if !is_embedded {
            flags.push(("kafka.bootstrap.servers", "localhost:9092"));
        }
        let settings = Case { flags, ..Case::default() }.load().unwrap();
        let (held, stores) = (settings.applied_by_all_threads(), settings.memory_of_stores().bytes());
        let log = if is_embedded { LOG_MIB << 20 } else { 0 };
        let cached = settings.cached_by_each_thread() * settings.application.threads as usize;
        assert!(cached + held + stores + log <= settings.state.memory_budget_bytes as usize, "{budget} {cache}");
        assert_eq!((held >> 20, stores >> 20), (applied, blocks), "{budget} {cache}");
    }
}
