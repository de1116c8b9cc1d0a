//! `--explain`: every value in force, and where it comes from.
//!
//! Not here: the values. The output is itself a settings file, so that it can be kept and given back.
//! Invariant: no secret is ever in it.

use super::{KAFKA, Settings};

/// What a client's setting is called if it must not be shown. Better one too many.
const SECRET_WORDS: &[&str] =
    &["password", "passphrase", "secret", "jaas", "credential", "user.info", "pem", ".key", "private"];

impl Settings {
    /// One line for each setting: name, value, origin, help.
    pub fn explain(&self) -> String {
        let mut text = String::from("# Settings in force. Weakest first: default, file, variable, flag.\n");
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
            let origin = self.origin(&format!("{KAFKA}{name}"));
            if is_secret(name) {
                text.push_str(&format!("# \"{KAFKA}{name}\" = (hidden)  # {origin}\n"));
            } else {
                let value = toml::Value::String(value.clone());
                text.push_str(&format!("\"{KAFKA}{name}\" = {value}  # {origin}\n"));
            }
        }
        text
    }
}

fn is_secret(client_name: &str) -> bool {
    let name = client_name.to_lowercase();
    SECRET_WORDS.iter().any(|word| name.contains(word))
}
