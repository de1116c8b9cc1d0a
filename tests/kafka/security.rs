//! A broker that asks who is there and what they may do: TLS with its own authority, PLAIN and SCRAM, and exactly the
//! rights that a worker is said to need.
//!
//! Not here: how settings become the client's. Invariant: rights are given by Kafka's own tool, and nobody has more.

use processing_core::rights::{Operation, Pattern, Resource, Right, rights};
use tests::kafka::secure::{SecureBroker, USERS};
use tests::kafka::worker::WorkerSetup;

use crate::events::Events;
use crate::stage::Stage;

#[test]
fn a_worker_runs_with_the_rights_that_it_is_said_to_need_and_names_one_that_is_missing() {
    let broker = SecureBroker::start();
    let mut stage = Stage::new(&broker.cluster, "secure", 2);
    stage.setup.brokers = Some(broker.brokers());
    let anonymous = stage.setup.clone().variable("KAFKA_SSL_CA_LOCATION", broker.authority().display().to_string());
    let results = |right: &Right| right.resource == Resource::Topic && !right.operations.contains(&Operation::Read);
    let rights = rights(&stage.plan());
    // One that is missing when the topics are laid out, and one that is missing when the worker runs.
    let kinds: [(&dyn Fn(&Right) -> bool, &str); 2] = [
        (&|right| results(right) && right.operations.contains(&Operation::Write), "--topic secure."),
        (&|right| right.resource == Resource::TransactionalId, "--transactional-id secure-"),
    ];
    rights
        .iter()
        .filter(|right| !kinds.iter().any(|(withheld, _)| withheld(right)))
        .for_each(|one| grant(&broker, one));

    let mut events = Events::new(101, 2);
    stage.feed(&events.take(300));
    let [first, ..] = USERS;
    for (withheld, named) in kinds {
        let (code, said) = as_user(&anonymous, first).start("one").wait();
        assert!(code.is_some_and(|code| code != 0), "{said}");
        assert!(said.contains("lacks a right") && said.contains(named), "the missing right: {said}");
        let missing: Vec<&Right> = rights.iter().filter(|right| withheld(right)).collect();
        assert!(!missing.is_empty(), "nothing was withheld");
        missing.into_iter().for_each(|right| grant(&broker, right));
    }

    let (code, said) = as_user(&anonymous, (first.0, first.1, "guessed")).start("one").wait();
    assert!(code.is_some_and(|code| code != 0) && said.contains("credentials"), "{said}");

    for user in USERS {
        stage.feed(&events.take(300));
        stage.feed(&events.last());
        let mut worker = as_user(&anonymous, user).start("one");
        stage.settle(&mut [&mut worker]);
        worker.terminate();
        let log = worker.log();
        assert!(!log.contains(user.2), "its password stands in the log");
    }
    stage.assert_results();
    stage.assert_stores(&["one"]);
}

/// A user name alone means SASL_SSL and PLAIN.
fn as_user(setup: &WorkerSetup, (mechanism, user, password): (&str, &str, &str)) -> WorkerSetup {
    let setup = setup.clone().variable("KAFKA_SASL_USERNAME", user).variable("KAFKA_SASL_PASSWORD", password);
    match mechanism {
        "PLAIN" => setup,
        other => setup.variable("KAFKA_SASL_MECHANISM", other),
    }
}

/// To all users, who are one worker after the other.
fn grant(broker: &SecureBroker, right: &Right) {
    let mut words = vec!["--add".to_owned()];
    for (_, user, _) in USERS {
        words.extend(["--allow-principal".to_owned(), format!("User:{user}")]);
    }
    let resource = right.resource.flag();
    words.extend(right.names.iter().flat_map(|name| [resource.to_owned(), name.clone()]));
    if right.pattern == Pattern::Prefixed {
        words.extend(["--resource-pattern-type".to_owned(), "prefixed".to_owned()]);
    }
    for operation in right.operations {
        words.extend(["--operation".to_owned(), operation.name().to_owned()]);
    }
    broker.acls(&words.iter().map(String::as_str).collect::<Vec<_>>());
}
