//! `streamfleet contracts`: what events the fleet knows, and whether a company's are among them.
//!
//! Not here: what a contract is and how it is mapped (`events`). Invariant: a line is judged by the very reader that a
//! worker uses, and no word of the judgement repeats text of the event.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write as _};
use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use events::schema::{by_system, schema};
use events::suggest::suggest;
use events::{ContractName, Contracts, Event};
use processing_core::error::CoreError;

use crate::folder::refused;
use crate::lines::lines;

/// How many wrong lines are shown one by one.
const SHOWN_MAX: u64 = 20;
/// How many events a proposal is made from.
const EXAMPLES_MAX: usize = 1_000;

/// List the events that the fleet knows, judge a file of events, or propose how to map a company's own
#[derive(Args)]
pub(crate) struct ContractsCommand {
    #[command(subcommand)]
    what: Option<What>,
}

#[derive(Subcommand)]
enum What {
    /// All contracts, or the fields of one
    List {
        /// A contract, as in loci.search.executed
        contract: Option<String>,
    },
    /// A contract's JSON Schema, for whoever publishes such events
    Schema {
        /// A contract, as in loci.search.executed
        contract: String,
    },
    /// Judge a file of events line by line, as a worker that reads this topic would
    Check {
        /// The topic on which they come
        topic: String,
        /// A file with one JSON event in each line; - is the standard input
        file: PathBuf,
        /// A file of mappings, as the setting contracts.file names it
        #[arg(long)]
        config: Option<PathBuf>,
    },
    /// Propose a mapping for a file of events
    Suggest {
        /// A file with one JSON event in each line; - is the standard input
        file: PathBuf,
        /// The topic on which they come
        #[arg(long, default_value = "my-topic")]
        topic: String,
        /// The contract that they are to be mapped to, where another would be proposed
        #[arg(long)]
        contract: Option<String>,
    },
}

impl ContractsCommand {
    pub(crate) fn run(self) -> Result<(), CoreError> {
        match self.what.unwrap_or(What::List { contract: None }) {
            What::List { contract: None } => list(),
            What::List { contract: Some(name) } => show(named(&name)?),
            What::Schema { contract } => {
                let schema = schema(named(&contract)?);
                say(&serde_json::to_string_pretty(&schema).map_err(|error| CoreError::config(error.to_string()))?);
                Ok(())
            }
            What::Check { topic, file, config } => check(&topic, &file, config.as_deref()),
            What::Suggest { file, topic, contract } => {
                let contract = contract.as_deref().map(named).transpose()?;
                propose(&file, &topic, contract)
            }
        }
    }
}

fn named(name: &str) -> Result<ContractName, CoreError> {
    let known = || CoreError::Usage(format!("there is no contract `{name}`; `streamfleet contracts` lists them"));
    ContractName::named(name).ok_or_else(known)
}

/// A reader that goes away, such as `head`, ends no command with an error.
fn say(line: &str) -> bool {
    writeln!(std::io::stdout().lock(), "{line}").is_ok()
}

fn list() -> Result<(), CoreError> {
    for (system, contracts) in by_system() {
        let envelope = system.envelope().name();
        if !say(&format!("{} ({} contracts, envelope {envelope})", system.name(), contracts.len())) {
            return Ok(());
        }
        for contract in contracts {
            let spec = contract.spec();
            let doc = spec.doc.lines().next().unwrap_or_default().trim();
            if !say(&format!("  {:<44} {:<28} {doc}", spec.name(), spec.topics.join(", "))) {
                return Ok(());
            }
        }
    }
    Ok(())
}

fn show(contract: ContractName) -> Result<(), CoreError> {
    let spec = contract.spec();
    say(&format!("{}: {}", spec.name(), one_line(spec.doc)));
    say(&format!("topics {}; envelope {}", spec.topics.join(", "), spec.system.envelope().name()));
    for field in spec.fields() {
        let needed = if field.required { "needed" } else { "" };
        say(&format!("  {:<28} {:<24} {needed:<7} {}", field.name, field.kind.wants(), one_line(field.doc)));
        say(&format!("  {:<28} at {}", "", field.paths.join(", ")));
        if !field.seconds.is_empty() {
            say(&format!("  {:<28} in seconds at {}", "", field.seconds.join(", ")));
        }
    }
    Ok(())
}

fn one_line(doc: &str) -> String {
    doc.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn open(file: &Path) -> Result<(Box<dyn BufRead>, String), CoreError> {
    if file.as_os_str() == "-" {
        return Ok((Box::new(BufReader::new(std::io::stdin())), "standard input".to_owned()));
    }
    let opened = std::fs::File::open(file).map_err(|error| refused("open", file, &error))?;
    Ok((Box::new(BufReader::new(opened)), file.display().to_string()))
}

fn check(topic: &str, file: &Path, config: Option<&Path>) -> Result<(), CoreError> {
    let contracts = match config {
        None => Contracts::shipped(),
        Some(config) => {
            let text = std::fs::read_to_string(config).map_err(|error| refused("read", config, &error))?;
            let origin = config.display().to_string();
            Contracts::shipped().with(&text, &origin).map_err(|error| CoreError::config(error.to_string()))?
        }
    };
    let readers = contracts.topics(ContractName::ALL);
    let Some(reader) = readers.iter().find(|reader| reader.topic() == topic) else {
        let known: Vec<&str> = readers.iter().map(|reader| reader.topic()).collect();
        let known = known.join(", ");
        return Err(CoreError::Usage(format!(
            "no contract is read from a topic `{topic}`; there are {known}; --config names a file that maps others"
        )));
    };
    let (input, name) = open(file)?;
    let (mut events, mut wrong) = (BTreeMap::<String, u64>::new(), 0);
    for line in lines(input, name.clone()) {
        let (number, line) = line?;
        match reader.decode(Some(line.as_bytes())) {
            Ok(Event::Other(_)) => *events.entry("of another type, passed over".to_owned()).or_default() += 1,
            Ok(event) => {
                let contract = event.contract().map(|contract| contract.spec().name()).unwrap_or_default();
                *events.entry(contract).or_default() += 1;
            }
            Err(poison) => {
                wrong += 1;
                if wrong <= SHOWN_MAX {
                    say(&format!("{name} line {number}: {poison}"));
                }
            }
        }
    }
    if wrong > SHOWN_MAX {
        say(&format!("and {} more", wrong - SHOWN_MAX));
    }
    for (contract, count) in &events {
        say(&format!("{count:>10}  {contract}"));
    }
    say(&format!("{wrong:>10}  dead letters"));
    if wrong > 0 {
        return Err(CoreError::Usage(format!("{wrong} lines of {name} would be dead letters")));
    }
    Ok(())
}

fn propose(file: &Path, topic: &str, contract: Option<ContractName>) -> Result<(), CoreError> {
    let (input, name) = open(file)?;
    let mut examples = Vec::new();
    for line in lines(input, name.clone()).take(EXAMPLES_MAX) {
        let (number, line) = line?;
        let value = serde_json::from_str(&line);
        examples.push(value.map_err(|_| CoreError::Usage(format!("{name} line {number}: not JSON")))?);
    }
    match suggest(&examples, topic, contract) {
        Some(mapping) => {
            say(mapping.trim_end());
            Ok(())
        }
        None => Err(CoreError::Usage(format!(
            "{name}: no contract has a field of these events; `streamfleet contracts` lists what there is"
        ))),
    }
}
