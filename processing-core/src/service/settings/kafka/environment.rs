//! `KAFKA_*` variables, and which of them are meant for the client.
//!
//! Not here: those that are settings of this library, such as `KAFKA_GROUP_ID`. Invariant: a variable that names
//! no property stops nobody: Kubernetes puts `KAFKA_PORT=tcp://...` beside a pod without being asked. All of them
//! are told in one warning, without their values.

use std::collections::BTreeMap;

use super::super::Problem;
use super::super::nearest::nearest;
use super::super::sources::{Given, value_or_file};
use super::{PREFIX, properties};

const VARIABLES: &str = "KAFKA_";
const FILE: &str = "_FILE";

/// Takes what is meant for the client; `used` are the variables that belong to settings.
pub(in super::super) fn from_environment(
    environment: &BTreeMap<&str, &str>,
    used: &[String],
    problems: &mut Vec<Problem>,
    warnings: &mut Vec<String>,
    all: &mut Vec<Given>,
) {
    let mut ignored = Vec::new();
    for name in environment.keys().filter(|name| !used.iter().any(|known| known == *name)) {
        let Some(rest) = name.strip_prefix(VARIABLES) else { continue };
        // A property's own name may end in `file`, so the whole name comes first.
        let (base, kept) = match (properties::of_variable(rest), rest.strip_suffix(FILE)) {
            (Some(kept), _) => (rest, kept),
            (None, Some(base)) if let Some(kept) = properties::of_variable(base) => (base, kept),
            _ => {
                ignored.push(*name);
                continue;
            }
        };
        if base != rest && environment.contains_key(&*format!("{VARIABLES}{base}")) {
            // Told where the variable itself is met.
            continue;
        }
        let (variable, file) = (format!("{VARIABLES}{base}"), format!("{VARIABLES}{base}{FILE}"));
        if let Some((text, origin)) = value_or_file(environment, &variable, &file, problems) {
            all.push(Given { name: format!("{PREFIX}{kept}"), text, origin });
        }
    }
    if !ignored.is_empty() {
        warnings.push(warning(&ignored));
    }
}

fn warning(ignored: &[&str]) -> String {
    let known: Vec<String> =
        properties::NAMES.iter().map(|name| format!("{VARIABLES}{}", properties::variable(name))).collect();
    let told: Vec<String> = ignored
        .iter()
        .map(|name| match nearest(name, known.iter().map(String::as_str)) {
            Some(near) if !is_service_link(name) => format!("{name} (did you mean {near}?)"),
            _ => (*name).to_owned(),
        })
        .collect();
    let links = if ignored.iter().any(|name| is_service_link(name)) {
        "; Kubernetes sets some of them for a Service whose name begins with kafka, and leaves them out if the pod says \
         `enableServiceLinks: false`"
    } else {
        ""
    };
    format!(
        "variables that name no property of the Kafka client (librdkafka {}) are ignored: {}{links}",
        properties::VERSION,
        told.join(", ")
    )
}

/// A Service called `kafka` is announced to every pod of its namespace as `KAFKA_PORT` and the like, one called
/// `kafka-ui` as `KAFKA_UI_PORT`.
pub(super) fn is_service_link(name: &str) -> bool {
    ["_SERVICE_HOST", "_SERVICE_PORT", "_PORT"].iter().any(|end| name.ends_with(end))
        || ["_SERVICE_PORT_", "_PORT_"].iter().any(|part| name.contains(part))
}
