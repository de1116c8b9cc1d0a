//! Settings: declared once, given by a file, the environment or flags, explained on request.
//!
//! Not here: what they do. Each group has a file with its declarations and its typed form; a worker
//! declares its own beside them.
//! Invariant: after [`Settings::load`] every setting has a value of its kind and range, and one can
//! ask of each where it came from. All mistakes are told at once.
//!
//! ```text
//!   defaults < file (TOML) < environment (STREAMFLEET_*, KAFKA_*) < flags (--name value)
//! ```

pub mod application;
pub mod copies;
pub mod embedded;
pub mod event_time;
pub mod explain;
pub mod flags;
pub mod http;
pub mod inputs;
pub mod kafka;
pub mod logging;
mod nearest;
mod sources;
mod spec;
pub mod state;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use thiserror::Error;

pub use application::ApplicationSettings;
pub use copies::CopiesSettings;
pub use embedded::EmbeddedSettings;
pub use event_time::EventTimeSettings;
pub use http::HttpSettings;
pub use inputs::InputSettings;
pub use kafka::KafkaSettings;
pub use logging::{LogFormat, LoggingSettings};
pub use sources::{FILE_VARIABLE, Origin, Sources};
pub use spec::{FromValue, Spec, Value, ValueKind};
pub use state::StateSettings;

use crate::error::CoreError;
use sources::Given;

/// One mistake in the settings, in words: what, where, and what would be right.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem(String);

impl Problem {
    fn new(text: String) -> Self {
        Self(text)
    }

    fn unknown(origin: &Origin, name: &str, hint: &str) -> Self {
        Self(format!("{origin}: there is no setting `{name}`{hint}"))
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// All mistakes of one load; the process ends with exit code 1.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{}", lines(.problems))]
pub struct SettingsError {
    /// At least one.
    pub problems: Vec<Problem>,
}

fn lines(problems: &[Problem]) -> String {
    let lines: Vec<String> = problems.iter().map(Problem::to_string).collect();
    lines.join("\n")
}

impl From<SettingsError> for CoreError {
    fn from(error: SettingsError) -> Self {
        Self::config(error.to_string())
    }
}

/// Which settings there are.
#[derive(Debug, Clone)]
pub struct Declarations {
    specs: Vec<Spec>,
    inputs: Vec<String>,
}

impl Declarations {
    /// The library's own settings for an application of this id.
    pub fn library(application_id: &str) -> Self {
        let groups = [
            application::SPECS,
            state::SPECS,
            event_time::SPECS,
            http::SPECS,
            logging::SPECS,
            embedded::SPECS,
            copies::SPECS,
        ];
        Self { specs: groups.into_iter().flatten().cloned().collect(), inputs: Vec::new() }
            .with_default("application.id", application_id)
    }

    /// With a worker's own settings.
    #[must_use]
    pub fn with(mut self, specs: impl IntoIterator<Item = Spec>) -> Self {
        self.specs.extend(specs);
        self
    }

    /// With an input called `name`, which reads `topic` unless set otherwise.
    #[must_use]
    pub fn input(mut self, name: &str, topic: &str, enabled: bool) -> Self {
        self.specs.extend(inputs::specs(name, topic, enabled));
        self.inputs.push(name.to_owned());
        self
    }

    /// With another default; a name that is not declared is told at [`Settings::load`].
    #[must_use]
    pub fn with_default(mut self, name: &str, default: &str) -> Self {
        match self.specs.iter_mut().find(|spec| spec.name == name) {
            Some(spec) => spec.default = default.to_owned().into(),
            None => self.specs.push(Spec {
                name: name.to_owned().into(),
                ..Spec::new("", ValueKind::Checked { wants: "nothing: it is not declared", check: |_| false }, "", "")
            }),
        }
        self
    }

    /// The declarations in their order.
    pub fn specs(&self) -> impl Iterator<Item = &Spec> {
        self.specs.iter()
    }

    fn names(&self) -> impl Iterator<Item = &str> {
        self.specs.iter().map(|spec| spec.name.as_ref())
    }

    fn knows(&self, name: &str) -> bool {
        match name.strip_prefix(kafka::PREFIX) {
            Some(client) => kafka::knows(client),
            None => self.names().any(|known| known == name),
        }
    }

    /// `; did you mean X?` for a name that is not known, or nothing.
    fn hint(&self, name: &str) -> String {
        match name.strip_prefix(kafka::PREFIX) {
            Some(client) => kafka::hint(client),
            None if kafka::knows(name) => format!("; did you mean `{}{name}`?", kafka::PREFIX),
            None => nearest::hint(name, self.names()),
        }
    }

    /// Names and variables that two settings share: a mistake of whoever wrote the worker.
    fn clashes(&self) -> Vec<Problem> {
        let mut seen = BTreeSet::new();
        let mut problems = Vec::new();
        for spec in &self.specs {
            let aliases = spec.aliases.iter().map(|alias| (*alias).to_owned());
            for variable in std::iter::once(spec.variable()).chain(aliases) {
                if !seen.insert(variable.clone()) {
                    problems.push(Problem::new(format!(
                        "the setting `{}` is declared twice, or shares the variable {variable} with another",
                        spec.name
                    )));
                }
            }
            if spec.name.starts_with(kafka::PREFIX) {
                problems.push(Problem::new(format!("`{}`: names in `kafka.` belong to the client", spec.name)));
            }
        }
        problems
    }
}

/// A value in force.
#[derive(Clone)]
struct Effective {
    value: Value,
    origin: Origin,
}

/// Parsed values by name; the groups read from it.
#[derive(Clone, Default)]
pub struct Values {
    values: BTreeMap<String, Effective>,
}

impl Values {
    /// The value of `name`. Fails only for a name that is not declared or a type that is not its kind's.
    pub fn get<T: FromValue>(&self, name: &str) -> Result<T, SettingsError> {
        let problem = |text: String| SettingsError { problems: vec![Problem::new(text)] };
        let found = self.values.get(name).ok_or_else(|| problem(format!("the setting `{name}` is not declared")))?;
        T::from_value(&found.value)
            .ok_or_else(|| problem(format!("the setting `{name}` cannot be read as {}", std::any::type_name::<T>())))
    }

    fn origin(&self, name: &str) -> Origin {
        self.values.get(name).map_or(Origin::Default, |found| found.origin.clone())
    }
}

/// All settings in force.
#[derive(Clone)]
pub struct Settings {
    /// Who this is, and how it works.
    pub application: ApplicationSettings,
    /// Where state lives and how much memory it may take.
    pub state: StateSettings,
    /// Idle inputs and times from the future.
    pub event_time: EventTimeSettings,
    /// The worker's inputs by name.
    pub inputs: BTreeMap<String, InputSettings>,
    /// The one port.
    pub http: HttpSettings,
    /// Log lines.
    pub logging: LoggingSettings,
    /// The embedded log.
    pub embedded: EmbeddedSettings,
    /// How many copies there are of topics and state.
    pub copies: CopiesSettings,
    /// What passes through to the Kafka client.
    pub kafka: KafkaSettings,
    /// What deserves a warning in the log once there is one.
    pub warnings: Vec<String>,
    declared: Declarations,
    values: Values,
    kafka_origins: BTreeMap<String, Origin>,
}

impl Settings {
    /// Puts defaults, file, environment and flags together. Every mistake is in the error, not only
    /// the first.
    pub fn load(declared: Declarations, sources: &Sources) -> Result<Self, SettingsError> {
        let mut problems = declared.clashes();
        let mut warnings = Vec::new();
        let given = sources::gather(&declared, sources, &mut problems, &mut warnings);

        let (client, own): (Vec<&Given>, Vec<&Given>) =
            given.iter().partition(|given| given.name.starts_with(kafka::PREFIX));
        let client = kafka::Resolved::of(client.into_iter(), &mut problems);
        let texts: BTreeMap<&str, &Given> = own.into_iter().map(|given| (given.name.as_str(), given)).collect();

        let mut values = Values::default();
        for spec in declared.specs() {
            let given = texts.get(spec.name.as_ref());
            let text = given.map_or(spec.default.as_ref(), |given| &given.text);
            let origin = given.map_or(Origin::Default, |given| given.origin.clone());
            match spec.kind.parse(text) {
                Ok(value) => {
                    values.values.insert(spec.name.to_string(), Effective { value, origin });
                }
                Err(_) if spec.secret => {
                    let wants = spec.kind.describe();
                    problems.push(Problem::new(format!("{origin}: `{}` does not fit; it takes {wants}", spec.name)));
                }
                Err(problem) => problems.push(Problem::new(format!("{origin}: `{}`: {problem}", spec.name))),
            }
        }
        if !problems.is_empty() {
            return Err(SettingsError { problems });
        }

        let settings = Self {
            application: ApplicationSettings::read(&values)?,
            state: StateSettings::read(&values)?,
            event_time: EventTimeSettings::read(&values)?,
            inputs: inputs::read(&declared.inputs, &values)?,
            http: HttpSettings::read(&values)?,
            logging: LoggingSettings::read(&values)?,
            embedded: EmbeddedSettings::read(&values)?,
            copies: CopiesSettings::read(&values)?,
            kafka: client.settings,
            warnings,
            declared,
            values,
            kafka_origins: client.origins,
        };
        let problems = settings.contradictions();
        if problems.is_empty() { Ok(settings) } else { Err(SettingsError { problems }) }
    }

    /// A setting that a worker has declared. Fails only for a name that is not declared or a type that
    /// is not its kind's.
    pub fn get<T: FromValue>(&self, name: &str) -> Result<T, SettingsError> {
        self.values.get(name)
    }

    /// Where a setting's value came from.
    pub fn origin(&self, name: &str) -> Origin {
        match name.strip_prefix(kafka::PREFIX) {
            Some(client) => self.kafka_origins.get(client).cloned().unwrap_or(Origin::Default),
            None => self.values.origin(name),
        }
    }

    /// Settings that are right one by one and wrong together.
    fn contradictions(&self) -> Vec<Problem> {
        let mut problems = Vec::new();
        let (cache, budget) = (self.state.cache_bytes, self.state.memory_budget_bytes);
        if cache > budget / 2 {
            problems.push(Problem::new(format!(
                "{}: `statestore.cache.max.bytes` ({cache}) may take at most half of `memory.budget.bytes` ({budget}, {})",
                self.origin("statestore.cache.max.bytes"),
                self.origin("memory.budget.bytes"),
            )));
        }
        if let Some(text) = self.kafka.get("transaction.timeout.ms") {
            let interval = self.application.commit_interval;
            match text.parse::<i64>() {
                Ok(timeout) if timeout >= interval.0.saturating_mul(2) => {}
                Ok(timeout) => problems.push(Problem::new(format!(
                    "{}: `kafka.transaction.timeout.ms` ({timeout}) must be at least twice `commit.interval.ms` ({}, {})",
                    self.origin("kafka.transaction.timeout.ms"),
                    interval.0,
                    self.origin("commit.interval.ms"),
                ))),
                Err(_) => problems.push(Problem::new(format!(
                    "{}: `kafka.transaction.timeout.ms` takes milliseconds",
                    self.origin("kafka.transaction.timeout.ms"),
                ))),
            }
        }
        if !self.inputs.is_empty() && self.inputs.values().all(|input| !input.enabled) {
            let names: Vec<&str> = self.inputs.keys().map(String::as_str).collect();
            problems.push(Problem::new(format!(
                "all inputs are disabled ({}); set `inputs.<name>.enabled` for at least one",
                names.join(", ")
            )));
        }
        problems
    }
}

impl fmt::Debug for Settings {
    /// As `--explain`: secrets stay hidden.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.explain())
    }
}

#[cfg(test)]
mod tests;
