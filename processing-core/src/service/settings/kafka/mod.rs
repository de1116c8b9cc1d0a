//! What passes through to the Kafka client: `kafka.NAME` in the file and as a flag, `KAFKA_NAME` as a variable.
//!
//! Not here: whether a value fits, which the client says when it is made, and how many copies there are
//! (`copies`). Invariant: each property is in force under one name, whichever of its names it was given by; none
//! of them takes exactly-once away, and user name and password are there together with what they need.

pub(super) mod environment;
mod kept;
mod properties;

use std::collections::BTreeMap;
use std::fmt;

use super::nearest::nearest;
use super::sources::Given;
use super::{Origin, Problem};

/// What a client's setting begins with in the file and as a flag.
pub(super) const PREFIX: &str = "kafka.";

/// Parts of the names of properties whose values must not be shown. Better one too many.
const SECRET_PARTS: &[&str] = &[
    "password",
    "passphrase",
    "secret",
    "jaas",
    "credential",
    "user.info",
    "pem",
    ".key",
    "private",
    "oauthbearer.config",
];

/// Under KIP-848 the broker has these for the whole group, and the client refuses them.
const OF_CLASSIC_GROUPS: &[&str] =
    &["group.protocol.type", "heartbeat.interval.ms", "partition.assignment.strategy", "session.timeout.ms"];

/// The client's properties in force, without `kafka.`, each by Kafka's own name for it (`bootstrap.servers`,
/// `sasl.mechanism`, `linger.ms`, `delivery.timeout.ms`). Their values are never shown by `Debug`.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct KafkaSettings(pub BTreeMap<String, String>);

impl KafkaSettings {
    /// The value of a property such as `bootstrap.servers`.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }
}

impl fmt::Debug for KafkaSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

/// Whether the client has a property of this name, without `kafka.`.
pub(super) fn knows(name: &str) -> bool {
    properties::kept_as(name).is_some()
}

/// `; did you mean X?` for a name without `kafka.` that the client does not know.
pub(super) fn hint(name: &str) -> String {
    match properties::JAVA_NAMES.iter().find(|(java, _)| *java == name) {
        Some((_, here)) => format!("; Kafka's Java client has it, and here `{PREFIX}{here}` says the same"),
        None => match nearest(name, properties::NAMES.iter().copied()) {
            Some(near) => format!("; did you mean `{PREFIX}{near}`?"),
            None => format!("; librdkafka {} has no such property", properties::VERSION),
        },
    }
}

/// Whether the value of a property must not be shown.
pub(super) fn is_secret(name: &str) -> bool {
    SECRET_PARTS.iter().any(|part| name.contains(part))
}

/// Properties with where they came from, being put together.
#[derive(Default)]
pub(super) struct Resolved {
    pub(super) settings: KafkaSettings,
    pub(super) origins: BTreeMap<String, Origin>,
}

impl Resolved {
    /// Puts together what was given, weakest first.
    pub(super) fn of<'a>(given: impl Iterator<Item = &'a Given>, problems: &mut Vec<Problem>) -> Self {
        let mut resolved = Self::default();
        for given in given {
            resolved.take(given, problems);
        }
        resolved.complete_sasl(problems);
        resolved.agree_with_protocol(problems);
        resolved
    }

    fn take(&mut self, given: &Given, problems: &mut Vec<Problem>) {
        let Given { name, text, origin } = given;
        let Some(kept) = name.strip_prefix(PREFIX).and_then(properties::kept_as) else { return };
        // Templates leave lines such as `KAFKA_SASL_USERNAME= ` for whoever has no use for them.
        if text.trim().is_empty() {
            return;
        }
        if let Some(why) = kept::refusal(kept, text) {
            problems.push(Problem::new(format!("{origin}: `{name}` is the worker's own: {why}")));
            return;
        }
        if let (Some(earlier), Some(value)) = (self.origins.get(kept), self.settings.get(kept))
            && are_rivals(earlier, origin)
            && value.trim() != text.trim()
        {
            let one =
                format!("{earlier} and {origin} are one setting (`{PREFIX}{kept}`) and differ; unset one of them");
            problems.push(Problem::new(one));
        }
        self.insert(kept, text, origin.clone());
    }

    fn insert(&mut self, name: &str, text: &str, origin: Origin) {
        self.settings.0.insert(name.to_owned(), text.to_owned());
        self.origins.insert(name.to_owned(), origin);
    }

    fn origin(&self, name: &str) -> &Origin {
        self.origins.get(name).unwrap_or(&Origin::Default)
    }

    /// A user name says by itself that brokers ask for one: TLS, because it must not be sent in the clear, and
    /// PLAIN, because that is what is meant where nobody says more.
    fn complete_sasl(&mut self, problems: &mut Vec<Problem>) {
        const USER: &str = "sasl.username";
        const PASSWORD: &str = "sasl.password";
        const PROTOCOL: &str = "security.protocol";
        const MECHANISM: &str = "sasl.mechanism";
        let has = |name: &str| self.settings.get(name).is_some();
        let at = |name: &str| format!("{}: `{PREFIX}{name}`", self.origin(name));
        match (has(USER), has(PASSWORD)) {
            (true, true) => {}
            (true, false) => {
                let without = "is set without `kafka.sasl.password` (KAFKA_SASL_PASSWORD, or KAFKA_SASL_PASSWORD_FILE)";
                problems.push(Problem::new(format!("{} {without}", at(USER))));
                return;
            }
            (false, true) => {
                let without = "is set without `kafka.sasl.username` (KAFKA_SASL_USERNAME)";
                problems.push(Problem::new(format!("{} {without}", at(PASSWORD))));
                return;
            }
            (false, false) => return,
        }
        match self.settings.get(PROTOCOL) {
            Some(protocol) if !protocol.trim().to_ascii_lowercase().starts_with("sasl_") => {
                let text = format!(
                    "{} is set, but {} is {protocol}, which sends no user name; SASL_SSL does",
                    at(USER),
                    at(PROTOCOL)
                );
                problems.push(Problem::new(text));
            }
            Some(_) => {}
            None => self.insert(PROTOCOL, "SASL_SSL", Origin::Implied("kafka.sasl.username")),
        }
        if self.settings.get(MECHANISM).is_none() {
            self.insert(MECHANISM, "PLAIN", Origin::Implied("kafka.sasl.username"));
        }
    }

    /// What the two group protocols do not have in common.
    fn agree_with_protocol(&self, problems: &mut Vec<Problem>) {
        const PROTOCOL: &str = "group.protocol";
        let Some(protocol) = self.settings.get(PROTOCOL) else { return };
        let origin = self.origin(PROTOCOL);
        match protocol.trim().to_ascii_lowercase().as_str() {
            "classic" => {}
            "consumer" => {
                for name in OF_CLASSIC_GROUPS.iter().filter(|name| self.settings.get(name).is_some()) {
                    problems.push(Problem::new(format!(
                        "{}: `{PREFIX}{name}` belongs to classic groups; under `{PREFIX}{PROTOCOL}` consumer ({origin}) \
                         the broker decides it: unset it",
                        self.origin(name)
                    )));
                }
            }
            _ => problems.push(Problem::new(format!("{origin}: `{PREFIX}{PROTOCOL}` takes classic or consumer"))),
        }
    }
}

/// Whether two origins are of the same strength and not the same word said again: then neither wins.
fn are_rivals(one: &Origin, other: &Origin) -> bool {
    std::mem::discriminant(one) == std::mem::discriminant(other) && one != other
}

#[cfg(test)]
mod tests;
