//! `streamfleet acls`: what a worker must be allowed to do on a broker, as commands for Kafka's own tool.
//!
//! Not here: which rights those are (`processing_core::rights`, from the worker's plan). Invariant: the output is a
//! shell script that gives these rights and no other; a name from the settings cannot become a command in it.

use std::io::Write as _;
use std::path::PathBuf;

use clap::Args;
use processing_core::error::CoreError;
use processing_core::plan::Plan;
use processing_core::rights::{Pattern, Right, rights};
use processing_core::service::settings::Sources;
use processing_core::service::settings::flags::Line;

use crate::describe::plan_by;

/// Print the rights that a worker needs on Kafka, as commands
///
/// Reads the settings file and the variables that the worker itself would read, since they name its topics and its
/// application. Run what is printed as somebody who may change ACLs.
#[derive(Args)]
pub(crate) struct Acls {
    /// The worker: trending-cities, llm-rollups, engagement-metrics or model-performance
    worker: String,
    /// Whom the rights are for; without it User: and sasl.username, or the worker's name
    #[arg(long, value_name = "TYPE:NAME")]
    principal: Option<String>,
    /// What goes before the application's id, as KAFKA_GROUP_ID
    #[arg(long, value_name = "NAME")]
    group_id: Option<String>,
    /// The worker's settings file
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Where Kafka is; without it the worker's own brokers, or localhost:9092
    #[arg(long, value_name = "HOST:PORT")]
    bootstrap_server: Option<String>,
    /// Kafka's settings file for whoever runs the commands
    #[arg(long, value_name = "FILE")]
    command_config: Option<String>,
}

impl Acls {
    pub(crate) fn run(self) -> Result<(), CoreError> {
        let flags = self.group_id.iter().map(|prefix| ("application.prefix".to_owned(), prefix.clone()));
        let line = Line { file: self.config.clone(), data: None, flags: flags.collect() };
        let (plan, settings) = plan_by(&self.worker, &Sources::from_process(line))?;
        for warning in &settings.warnings {
            eprintln!("streamfleet: {warning}");
        }
        let user = settings.kafka.get("sasl.username").unwrap_or(&self.worker);
        let text = script(
            &plan,
            &self.principal.clone().unwrap_or_else(|| format!("User:{user}")),
            self.bootstrap_server.as_deref().or(settings.kafka.get("bootstrap.servers")).unwrap_or("localhost:9092"),
            self.command_config.as_deref(),
        );
        // Whoever reads may have read enough.
        drop(std::io::stdout().lock().write_all(text.as_bytes()));
        Ok(())
    }
}

fn script(plan: &Plan, principal: &str, brokers: &str, command_config: Option<&str>) -> String {
    let mut text = format!(
        "# What it takes to run {} and no more. Nothing on the cluster: a transactional producer\n\
         # needs no IdempotentWrite, and topics are made by the right on their names.\n",
        plan.name()
    );
    let config = command_config.map_or_else(String::new, |file| format!(" --command-config {}", quoted(file)));
    for right in rights(plan) {
        text.push_str(&format!("\n# To {}.\n", right.what_for));
        text.push_str(&format!(
            "kafka-acls.sh --bootstrap-server {}{config} --add --allow-principal {} \\\n    {}\n",
            quoted(brokers),
            quoted(principal),
            arguments(&right)
        ));
    }
    text
}

fn arguments(right: &Right) -> String {
    let resource = right.resource.flag();
    let pattern = match right.pattern {
        Pattern::Literal => None,
        Pattern::Prefixed => Some("--resource-pattern-type prefixed".to_owned()),
    };
    let operations = right.operations.iter().map(|operation| format!("--operation {}", operation.name()));
    let names = right.names.iter().map(|name| format!("{resource} {}", quoted(name)));
    operations.chain(pattern).chain(names).collect::<Vec<_>>().join(" ")
}

/// One word for a POSIX shell.
fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_.:,/=@".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        return word.to_owned();
    }
    format!("'{}'", word.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use processing_core::layout::Layout;
    use processing_core::log::embedded::{EmbeddedLog, EmbeddedOptions};
    use processing_core::log::{Cleanup, Log as _, TopicSettings};
    use processing_core::record::LogTime;
    use processing_core::rights::{Operation, Resource};

    use super::*;

    fn plan(flags: &[(&str, &str)]) -> Plan {
        let flags = flags.iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned())).collect();
        plan_by("trending-cities", &Sources { flags, ..Sources::default() }).unwrap().0
    }

    /// Whoever changes what trending-cities reads or writes sees here what its operators must allow.
    #[test]
    fn the_rights_of_trending_cities() {
        let begin = "kafka-acls.sh --bootstrap-server k:9092 --add --allow-principal User:ada";
        let text = script(&plan(&[("application.prefix", "loci")]), "User:ada", "k:9092", None);
        let commands: Vec<String> =
            text.replace("\\\n    ", "").lines().filter(|l| l.starts_with('k')).map(Into::into).collect();
        let app = "loci-trending-cities.v1";
        let expected = [
            "--operation Read --operation Describe --operation DescribeConfigs --topic chat.itinerary.saved --topic \
             itinerary.saved --topic itinerary.updated --topic poi.favorited --topic poi.unfavorited --topic \
             search.executed"
                .to_owned(),
            "--operation Write --operation Create --operation Describe --operation DescribeConfigs --topic \
             city.activity.1m.v1 --topic searches.top.v1 --topic trending.cities.current.v1 --topic trending.cities.v1"
                .to_owned(),
            format!(
                "--operation Read --operation Write --operation Create --operation Describe --operation \
                 DescribeConfigs --resource-pattern-type prefixed --topic {app}-"
            ),
            format!(
                "--operation Delete --topic {app}-city-minute-repartition --topic {app}-lists-repartition \
                 --topic {app}-query-hour-repartition --topic {app}-top-queries-repartition"
            ),
            format!("--operation Read --operation Describe --group {app}"),
            format!(
                "--operation Write --operation Describe --resource-pattern-type prefixed --transactional-id {app}-"
            ),
        ];
        assert_eq!(commands, expected.map(|rest| format!("{begin} {rest}")), "{text}");
        // Between the commands stand comments and nothing else.
        let others = text.lines().filter(|line| !line.starts_with(['k', '#', ' ']) && !line.is_empty());
        assert_eq!(others.count(), 0, "{text}");
    }

    #[test]
    fn every_topic_that_the_worker_makes_may_be_made() {
        let plan = Arc::new(plan(&[("outputs.current.topic", "elsewhere.v1")]));
        let rights = rights(&plan);
        let folder = tempfile::tempdir().unwrap();
        let log = EmbeddedLog::open(folder.path(), EmbeddedOptions::new(Arc::new(|| LogTime(0)))).unwrap();
        let mut admin = log.admin().unwrap();
        let shape =
            TopicSettings { partitions: 1, cleanup: Cleanup::Delete, retention_ms: None, log_append_time: false };
        let inputs: Vec<_> = plan.inputs().cloned().collect();
        for input in &inputs {
            admin.create_topic(input, shape).unwrap();
        }
        Layout::new(Arc::clone(&plan), &mut *admin).unwrap();
        let made = admin.topics().unwrap().into_iter().filter(|topic| !inputs.contains(&topic.name));
        let mut count = 0;
        for topic in made {
            let name = topic.name.as_str();
            for operation in [Operation::Create, Operation::Write, Operation::DescribeConfigs] {
                assert!(
                    rights.iter().any(|right| right.allows(Resource::Topic, name, operation)),
                    "{operation:?} {name}"
                );
            }
            count += 1;
        }
        assert!(count > 10, "{count}");
    }

    #[test]
    fn a_name_cannot_become_a_command() {
        let text = script(&plan(&[]), "User:CN=a b,O='; rm -rf x", "k:9092", Some("ad min.properties"));
        assert!(text.contains(r"--allow-principal 'User:CN=a b,O='\''; rm -rf x' \"), "{text}");
        assert!(text.contains("--command-config 'ad min.properties' --add"), "{text}");
        assert_eq!(quoted("User:CN=worker,OU=fleet"), "User:CN=worker,OU=fleet");
        assert_eq!(quoted(""), "''");
    }
}
