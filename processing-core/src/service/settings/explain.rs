//! `--explain`: every value in force, and where it comes from.
//!
//! Not here: the values. The output is itself a settings file, so that it can be kept and given back.
//! Invariant: no secret is ever in it.

use super::Settings;
use super::kafka::{PREFIX, is_secret};

impl Settings {
    /// One line for each setting: name, value, origin, help.
    pub fn explain(&self) -> String {
        let mut text = String::from("# Settings in force. Weakest first: default, file, variable, flag.\n");
        text.push_str(&format!(
            "# The application is {}: its group, and the beginning of its topics' names.\n",
            self.application.id
        ));
        for spec in self.declared.specs() {
            let Some(found) = self.values.values.get(spec.name.as_ref()) else {
                continue;
            };
            let (name, origin) = (&spec.name, &found.origin);
            text.push_str(&format!("\n# {} ({})\n", spec.help, spec.kind.describe()));
            if spec.secret {
                text.push_str(&format!("# {name} = (hidden)  # {origin}\n"));
            } else {
                text.push_str(&format!("{name} = {}  # {origin}\n", found.value));
            }
        }
        if !self.kafka.0.is_empty() {
            text.push_str("\n# Passed to the Kafka client as they are\n");
        }
        for (name, value) in &self.kafka.0 {
            let origin = self.origin(&format!("{PREFIX}{name}"));
            if is_secret(name) {
                text.push_str(&format!("# \"{PREFIX}{name}\" = (hidden)  # {origin}\n"));
            } else {
                let value = toml::Value::String(value.clone());
                text.push_str(&format!("\"{PREFIX}{name}\" = {value}  # {origin}\n"));
            }
        }
        text
    }
}
