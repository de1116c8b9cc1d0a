//! The command line of a worker: `--name value` for each setting, and five words of its own.
//!
//! Not here: the subcommands of `streamfleet`, which hand the rest of their line to this.
//! Invariant: there is a flag for each declared setting and no second list of them.

use std::fmt;
use std::path::PathBuf;

use super::nearest::nearest;
use super::{Declarations, ValueKind};
use crate::error::CoreError;

/// What a command line asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Asked {
    /// To run.
    Run(Line),
    /// To print the settings in force and end.
    Explain(Line),
    /// To print the help and end.
    Help,
    /// To print the version and end.
    Version,
}

/// What a command line gives.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct Line {
    /// `--config`.
    pub file: Option<PathBuf>,
    /// `--data`.
    pub data: Option<PathBuf>,
    /// Name and text of each setting.
    pub flags: Vec<(String, String)>,
}

impl fmt::Debug for Line {
    /// Without the values: some are secrets.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = self.flags.iter().map(|(name, _)| name);
        f.debug_set().entry(&self.file).entry(&self.data).entries(names).finish()
    }
}

/// Reads the arguments after the program's name.
pub fn parse(declared: &Declarations, arguments: impl IntoIterator<Item = String>) -> Result<Asked, CoreError> {
    let mut line = Line::default();
    let mut explain = false;
    let mut arguments = arguments.into_iter().peekable();
    while let Some(argument) = arguments.next() {
        let Some(flag) = argument.strip_prefix("--") else {
            return match argument.as_str() {
                "-h" => Ok(Asked::Help),
                "-V" => Ok(Asked::Version),
                // It may be a value whose flag is missing, and a secret at that: it is not repeated.
                _ => Err(usage("an argument stands without its flag; settings are given as --name value")),
            };
        };
        let (name, text) = match flag.split_once('=') {
            Some((name, text)) => (name, Some(text.to_owned())),
            None => (flag, None),
        };
        match name {
            "help" => return Ok(Asked::Help),
            "version" => return Ok(Asked::Version),
            "explain" => explain = true,
            "config" => line.file = Some(value(name, text, &mut arguments)?.into()),
            "data" => line.data = Some(value(name, text, &mut arguments)?.into()),
            name if declared.knows(name) => {
                let is_switch =
                    declared.specs().any(|spec| spec.name == name && matches!(spec.kind, ValueKind::Switch));
                let next_is_value = arguments.peek().is_some_and(|next| next == "true" || next == "false");
                let text = if is_switch && text.is_none() && !next_is_value {
                    "true".to_owned()
                } else {
                    value(name, text, &mut arguments)?
                };
                line.flags.push((name.to_owned(), text));
            }
            name => {
                let own = ["config", "data", "explain", "help", "version"];
                let hint = nearest(name, own.into_iter())
                    .map_or_else(|| declared.hint(name), |near| format!("; did you mean `{near}`?"));
                return Err(usage(&format!("there is no flag --{name}{hint}")));
            }
        }
    }
    Ok(if explain { Asked::Explain(line) } else { Asked::Run(line) })
}

/// The help's text: usage, then every setting with its default, range and variable.
pub fn help(program: &str, declared: &Declarations) -> String {
    let mut text = format!(
        "Usage: {program} [--config FILE] [--data DIR] [--explain] [--NAME VALUE]...\n\n\
         \x20 --config FILE   settings file (TOML); also {}\n\
         \x20 --data DIR      one folder for everything: embedded.dir is DIR/log, state.dir is DIR/state\n\
         \x20 --explain       print every setting in force and where it comes from\n\
         \x20 --help          this text\n\
         \x20 --version       the version\n\n\
         Settings, weakest first: default, file, environment, flag.\n\
         --kafka.NAME VALUE and KAFKA_NAME set any property of the Kafka client (librdkafka), except those on which\n\
         exactly-once stands. KAFKA_BROKERS is where Kafka is; without it, the log is embedded.\n\n\
         Exit codes: 0 everything taken in is committed; 1 a setting is wrong or a port is taken; 2 the command\n\
         line is wrong; 3 the log cannot go on, or somebody else runs under this identity; 4 the state on disk\n\
         contradicts the log; 5 the disk is full, and nothing is lost.\n",
        super::FILE_VARIABLE
    );
    for spec in declared.specs() {
        let default = if spec.default.is_empty() { "unset" } else { spec.default.as_ref() };
        text.push_str(&format!(
            "\n  --{} VALUE\n      {}.\n      {}; default {default}; {}\n",
            spec.name,
            spec.help,
            spec.kind.describe(),
            spec.variable(),
        ));
    }
    text
}

fn value(name: &str, text: Option<String>, arguments: &mut impl Iterator<Item = String>) -> Result<String, CoreError> {
    text.or_else(|| arguments.next()).ok_or_else(|| usage(&format!("--{name} takes a value")))
}

fn usage(message: &str) -> CoreError {
    CoreError::Usage(format!("{message} (--help lists all flags)"))
}
