//! The client's settings from all sources, and its names against librdkafka's own pages.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::process::Command;

use super::super::tests::Case;
use super::super::{Settings, Sources};
use super::*;

fn env(variables: &[(&'static str, &'static str)]) -> Case {
    Case { env: variables.to_vec(), ..Case::default() }
}

fn in_force(case: &Case) -> Vec<(String, String)> {
    case.load().unwrap().kafka.0.into_iter().collect()
}

fn pairs(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
    pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

/// The client's source, where cargo keeps it.
fn librdkafka(file: &str) -> String {
    let cargo = std::env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned());
    let told = Command::new(&cargo).arg("-vV").output().unwrap();
    let told = String::from_utf8(told.stdout).unwrap();
    let host = told.lines().find_map(|line| line.strip_prefix("host: ")).unwrap();
    // Of other platforms' packages nothing was fetched to build this.
    let asked = Command::new(cargo)
        .args(["metadata", "--format-version", "1", "--offline", "--locked", "--filter-platform", host])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .unwrap();
    let metadata: serde_json::Value = serde_json::from_slice(&asked.stdout)
        .unwrap_or_else(|_| panic!("cargo metadata: {}", String::from_utf8_lossy(&asked.stderr)));
    let packages = metadata["packages"].as_array().unwrap();
    let package = packages.iter().find(|package| package["name"] == "rdkafka-sys").unwrap();
    assert!(package["version"].as_str().unwrap().ends_with(&format!("+{}", properties::VERSION)), "read its pages");
    let manifest = PathBuf::from(package["manifest_path"].as_str().unwrap());
    std::fs::read_to_string(manifest.with_file_name("librdkafka").join(file)).unwrap()
}

#[test]
fn the_names_are_librdkafkas_own() {
    let page = librdkafka("CONFIGURATION.md");
    let mut names = BTreeSet::new();
    for line in page.lines() {
        let Some((name, rest)) = line.split_once('|') else { continue };
        let name = name.trim();
        if !name.is_empty() && name.chars().all(|c| c.is_ascii_lowercase() || c == '.' || c == '_') {
            if !rest.contains("*Type: see dedicated API*") {
                names.insert(name);
            }
            if let Some((_, alias)) = rest.split_once("Alias for `") {
                let other = alias.split('`').next().unwrap();
                assert_eq!(properties::kept_as(name), properties::kept_as(other), "{name} is {other}");
            }
        }
    }
    assert!(names.len() > 150, "the page is read wrongly");
    assert_eq!(properties::NAMES.to_vec(), names.into_iter().collect::<Vec<_>>());
}

#[test]
fn what_librdkafka_calls_sensitive_is_secret() {
    let source = librdkafka("src/rdkafka_conf.c");
    let mut found = 0;
    for part in source.split("_RK_SENSITIVE,").skip(1) {
        let Some(name) = part.trim_start().strip_prefix('"').and_then(|rest| rest.split('"').next()) else { continue };
        // It hides who asks as well; whoever mends settings has to see that.
        if name != "sasl.username" && knows(name) {
            assert!(is_secret(name), "{name}");
            found += 1;
        }
    }
    assert!(found >= 10, "the source is read wrongly: {found}");
    for name in ["ssl.keystore.password", "sasl.oauthbearer.client.credentials.client.secret", "ssl.key.pem"] {
        assert!(is_secret(name) && knows(name), "{name}");
    }
    assert!(!is_secret("bootstrap.servers") && !is_secret("security.protocol"));
}

#[test]
fn each_property_has_a_variable_of_its_own_that_no_service_takes() {
    let mut seen = BTreeSet::new();
    for name in properties::NAMES {
        let variable = properties::variable(name);
        assert!(seen.insert(variable.clone()), "{name}");
        assert_eq!(properties::of_variable(&variable), properties::kept_as(name), "{name}");
        assert!(!environment::is_service_link(&format!("KAFKA_{variable}")), "{name}");
    }
    for (second, kept) in properties::SECOND_NAMES {
        assert_eq!(properties::kept_as(kept), Some(*kept), "{second}");
    }
    for (java, here) in properties::JAVA_NAMES {
        assert!(!knows(java) && knows(here), "{java}");
    }
    for name in kept::names().chain(OF_CLASSIC_GROUPS.iter().copied()) {
        assert_eq!(properties::kept_as(name), Some(name));
    }
}

#[test]
fn properties_come_from_file_variables_and_flags_by_any_of_their_names() {
    let case = Case {
        file: Some(
            "[kafka]\nsecurity.protocol = \"SSL\"\n\"queue.buffering.max.ms\" = 5\nlog_level = 3\n[kafka.socket]\nkeepalive.enable = true\n",
        ),
        env: vec![
            ("KAFKA_BROKERS", "a:9092,b:9092"),
            ("KAFKA_CLIENT_ID", "me"),
            ("KAFKA_SECURITY_PROTOCOL", "PLAINTEXT"),
            ("KAFKA_LOG_LEVEL", "7"),
            ("KAFKA_ENABLED_EVENTS", "1"),
            ("KAFKA_GROUP_INSTANCE_ID", "trending-2"),
            ("KAFKA_SSL_CA_LOCATION", "  "),
        ],
        flags: vec![("kafka.client.rack", "eu-1"), ("kafka.linger.ms", "7")],
    };
    assert_eq!(
        in_force(&case),
        pairs(&[
            ("bootstrap.servers", "a:9092,b:9092"),
            ("client.id", "me"),
            ("client.rack", "eu-1"),
            ("enabled_events", "1"),
            ("linger.ms", "7"),
            ("log_level", "7"),
            ("security.protocol", "PLAINTEXT"),
            ("socket.keepalive.enable", "true"),
        ])
    );
    let settings = case.load().unwrap();
    assert_eq!(settings.application.instance, "trending-2");
    assert_eq!(settings.origin("kafka.log_level"), Origin::Variable("KAFKA_LOG_LEVEL".into()));
    assert_eq!(settings.warnings, Vec::<String>::new());
}

#[test]
fn the_brokers_variables_are_one_setting() {
    for name in ["KAFKA_BROKERS", "KAFKA_BROKER", "KAFKA_BOOTSTRAP_SERVERS", "KAFKA_METADATA_BROKER_LIST"] {
        assert_eq!(in_force(&env(&[(name, "a:9092")])), pairs(&[("bootstrap.servers", "a:9092")]), "{name}");
    }
    let same = [("KAFKA_BROKERS", "a"), ("KAFKA_BROKER", " a "), ("KAFKA_BOOTSTRAP_SERVERS", "")];
    assert_eq!(in_force(&env(&same)).len(), 1);
    for (one, other) in [("KAFKA_BROKER", "KAFKA_BROKERS"), ("KAFKA_BOOTSTRAP_SERVERS", "KAFKA_BROKERS")] {
        let problems = env(&[(one, "a"), (other, "b")]).problems();
        let text =
            format!("variable {one} and variable {other} are one setting (`kafka.bootstrap.servers`) and differ");
        assert!(problems.len() == 1 && problems[0].starts_with(&text), "{problems:?}");
    }
    // A stronger source wins, whichever name it uses.
    let mut case = env(&[("KAFKA_BROKERS", "a")]);
    case.file = Some("kafka.brokers = \"file\"\n");
    case.flags.push(("kafka.bootstrap.servers", "flag"));
    assert_eq!(in_force(&case), pairs(&[("bootstrap.servers", "flag")]));
    let twice = Case { file: Some("[kafka]\nbrokers = \"a\"\nbroker = \"b\"\n"), ..Case::default() };
    assert!(twice.problems()[0].starts_with("s.toml:2 and "), "{:?}", twice.problems());
}

#[test]
fn an_unknown_name_in_the_file_or_as_a_flag_is_an_error_with_the_nearest() {
    let case = Case {
        file: Some(
            "[kafka]\n\"securty.protocol\" = \"SSL\"\n\"ssl.truststore.location\" = \"x\"\nrebalance_cb = \"x\"\n",
        ),
        flags: vec![("kafka.lingr.ms", "5"), ("client.rack", "eu-1")],
        ..Case::default()
    };
    assert_eq!(
        case.problems(),
        [
            "s.toml:2: there is no setting `kafka.securty.protocol`; did you mean `kafka.security.protocol`?",
            "s.toml:3: there is no setting `kafka.ssl.truststore.location`; Kafka's Java client has it, and here \
             `kafka.ssl.ca.location` says the same",
            "s.toml:4: there is no setting `kafka.rebalance_cb`; librdkafka 2.12.1 has no such property",
            "flag --kafka.lingr.ms: there is no setting `kafka.lingr.ms`; did you mean `kafka.linger.ms`?",
            "flag --client.rack: there is no setting `client.rack`; did you mean `kafka.client.rack`?",
        ]
    );
}

#[test]
fn unknown_variables_are_told_once_and_stop_nobody() {
    let case = env(&[
        ("KAFKA_BROKERS", "a"),
        ("KAFKA_PORT", "tcp://10.0.0.1:9092"),
        ("KAFKA_PORT_9092_TCP_ADDR", "10.0.0.1"),
        ("KAFKA_SERVICE_HOST", "10.0.0.1"),
        ("KAFKA_UI_PORT", "tcp://10.0.0.2:8080"),
        ("KAFKA_UI_SERVICE_PORT_HTTP", "8080"),
        ("KAFKA_SASL_PASWORD", "hunter2"),
        ("KAFKA_HEAP_OPTS", "-Xmx1g"),
        ("KAFKA_NOTHING_FILE", "/nowhere"),
    ]);
    let settings = case.load().unwrap();
    assert_eq!(settings.kafka.0.len(), 1);
    assert_eq!(
        settings.warnings,
        ["variables that name no property of the Kafka client (librdkafka 2.12.1) are ignored: KAFKA_HEAP_OPTS, \
          KAFKA_NOTHING_FILE, KAFKA_PORT, KAFKA_PORT_9092_TCP_ADDR, KAFKA_SASL_PASWORD (did you mean \
          KAFKA_SASL_PASSWORD?), KAFKA_SERVICE_HOST, KAFKA_UI_PORT, KAFKA_UI_SERVICE_PORT_HTTP; Kubernetes sets some of \
          them for a Service whose name begins with kafka, and leaves them out if the pod says \
          `enableServiceLinks: false`"]
    );
}

#[test]
fn a_user_name_says_that_brokers_ask_for_one() {
    let ada = [("KAFKA_SASL_USERNAME", "ada"), ("KAFKA_SASL_PASSWORD", "hunter2")];
    let found = |more: &[(&'static str, &'static str)]| {
        let settings = env(&[&ada[..], more].concat()).load().unwrap();
        let of = |name| settings.kafka.get(name).unwrap().to_owned();
        assert!(settings.explain().contains("\"kafka.sasl.username\" = \"ada\""));
        (of("security.protocol"), of("sasl.mechanism"))
    };
    assert_eq!(found(&[]), ("SASL_SSL".into(), "PLAIN".into()));
    assert_eq!(found(&[("KAFKA_SECURITY_PROTOCOL", "sasl_plaintext")]), ("sasl_plaintext".into(), "PLAIN".into()));
    assert_eq!(found(&[("KAFKA_SASL_MECHANISMS", "SCRAM-SHA-512")]), ("SASL_SSL".into(), "SCRAM-SHA-512".into()));
    let explained = env(&ada).load().unwrap().explain();
    let line = "\"kafka.security.protocol\" = \"SASL_SSL\"  # follows from kafka.sasl.username\n";
    assert!(explained.contains(line) && !explained.contains("hunter2"), "{explained}");
    // What templates leave for whoever needs none.
    assert_eq!(in_force(&env(&[("KAFKA_SASL_USERNAME", ""), ("KAFKA_SASL_PASSWORD", " ")])), []);

    for (variables, part) in [
        (&ada[1..], "variable KAFKA_SASL_PASSWORD: `kafka.sasl.password` is set without `kafka.sasl.username`"),
        (&ada[..1], "variable KAFKA_SASL_USERNAME: `kafka.sasl.username` is set without `kafka.sasl.password`"),
        (&[ada[0], ada[1], ("KAFKA_SECURITY_PROTOCOL", "SSL")], "which sends no user name"),
    ] {
        let problems = env(variables).problems();
        assert!(problems.len() == 1 && problems[0].contains(part), "{problems:?}");
        assert!(!problems[0].contains("hunter2"));
    }
}

#[test]
fn what_exactly_once_stands_on_is_refused_with_the_reason() {
    for (flag, value, part) in [
        ("kafka.enable.auto.commit", "true", "in one transaction"),
        ("kafka.auto.commit.enable", "true", "in one transaction"),
        ("kafka.enable.auto.offset.store", "true", "in one transaction"),
        ("kafka.enable.idempotence", "false", "written twice"),
        ("kafka.isolation.level", "read_uncommitted", "aborted"),
        ("kafka.transactional.id", "x", "fences"),
        ("kafka.group.id", "x", "KAFKA_GROUP_ID"),
        ("kafka.group.instance.id", "x", "KAFKA_GROUP_INSTANCE_ID"),
        ("kafka.auto.offset.reset", "earliest", "recorded with the state"),
        ("kafka.acks", "1", "in-sync"),
        ("kafka.request.required.acks", "1", "in-sync"),
        ("kafka.partition.assignment.strategy", "range", "each rebalance"),
        ("kafka.enable.partition.eof", "false", "restore"),
        ("kafka.delivery.report.only.error", "true", "delivery report"),
        ("kafka.partitioner", "consistent", "murmur2"),
    ] {
        let problems = Case { flags: vec![(flag, value)], ..Case::default() }.problems();
        let begins = format!("flag --{flag}: `{flag}` is the worker's own: ");
        assert!(problems.len() == 1 && problems[0].starts_with(&begins), "{problems:?}");
        assert!(problems[0].contains(part), "{problems:?}");
    }
    let told = env(&[("KAFKA_ACKS", "1")]).problems();
    assert!(told[0].starts_with("variable KAFKA_ACKS: `kafka.acks` is the worker's own"), "{told:?}");
    // What holds anyway may be said.
    let harmless = [
        ("KAFKA_ACKS", "all"),
        ("KAFKA_ENABLE_AUTO_COMMIT", "False"),
        ("KAFKA_ENABLE_IDEMPOTENCE", "true"),
        ("KAFKA_ISOLATION_LEVEL", "read_committed"),
        ("KAFKA_PARTITION_ASSIGNMENT_STRATEGY", "cooperative-sticky"),
    ];
    assert_eq!(in_force(&env(&harmless)).len(), harmless.len());
}

#[test]
fn the_new_group_protocol_can_be_chosen() {
    for protocol in ["classic", "consumer", "CONSUMER"] {
        assert_eq!(in_force(&env(&[("KAFKA_GROUP_PROTOCOL", protocol)])), pairs(&[("group.protocol", protocol)]));
    }
    assert!(env(&[("KAFKA_GROUP_PROTOCOL", "streams")]).problems()[0].contains("takes classic or consumer"));
    let both = env(&[("KAFKA_GROUP_PROTOCOL", "consumer"), ("KAFKA_SESSION_TIMEOUT_MS", "60000")]).problems();
    assert!(
        both[0].starts_with("variable KAFKA_SESSION_TIMEOUT_MS: `kafka.session.timeout.ms` belongs to classic groups"),
        "{both:?}"
    );
    assert!(env(&[("KAFKA_GROUP_PROTOCOL", "classic"), ("KAFKA_SESSION_TIMEOUT_MS", "60000")]).load().is_ok());
}

#[test]
fn a_files_content_counts_where_the_name_itself_does_not_end_in_file() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("key");
    std::fs::write(&path, "-----BEGIN\nKEY-----\n").unwrap();
    let path = path.display().to_string();
    let mut sources = Sources::default();
    sources.environment.insert("KAFKA_SSL_KEY_PEM_FILE".into(), path.clone());
    // This property's own name ends in `file`: its value is the path.
    let own = "KAFKA_SASL_OAUTHBEARER_ASSERTION_PRIVATE_KEY_FILE";
    sources.environment.insert(own.into(), path.clone());
    let settings = Settings::load(super::super::tests::declared(), &sources).unwrap();
    assert_eq!(settings.kafka.get("ssl.key.pem"), Some("-----BEGIN\nKEY-----"));
    assert_eq!(settings.kafka.get("sasl.oauthbearer.assertion.private.key.file"), Some(&*path));
    for shown in [settings.explain(), format!("{settings:?}"), format!("{:?}", settings.kafka)] {
        assert!(!shown.contains("BEGIN") && shown.contains("ssl.key.pem"), "{shown}");
    }
    sources.environment.insert("KAFKA_SSL_KEY_PEM".into(), "x".into());
    let error = Settings::load(super::super::tests::declared(), &sources).unwrap_err().to_string();
    assert_eq!(error, "variables KAFKA_SSL_KEY_PEM and KAFKA_SSL_KEY_PEM_FILE are both set; unset one of them");
}
