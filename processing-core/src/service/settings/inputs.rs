//! A worker's inputs: which of them are read, and from which topics.
//!
//! Invariant: a disabled input counts in no minimum of time; an enabled one whose topic is missing is
//! waited for and named.

use std::collections::BTreeMap;

use super::application::is_name;
use super::{SettingsError, Spec, ValueKind, Values};
use crate::record::TopicName;

const TOPIC: ValueKind =
    ValueKind::Checked { wants: "1 to 249 of the letters a-z A-Z 0-9 . _ -", check: |text| is_name(text, 249) };

/// One input.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InputSettings {
    /// `inputs.<name>.enabled`.
    pub enabled: bool,
    /// `inputs.<name>.topic`.
    pub topic: TopicName,
}

pub(super) fn specs(name: &str, topic: &str, enabled: bool) -> [Spec; 2] {
    let spec = |part: &str, kind, default: String, help: String| Spec {
        name: format!("inputs.{name}.{part}").into(),
        default: default.into(),
        help: help.into(),
        ..Spec::new("", kind, "", "")
    };
    [
        spec("enabled", ValueKind::Switch, enabled.to_string(), format!("Whether the input {name} is read")),
        spec("topic", TOPIC, topic.to_owned(), format!("Topic of the input {name}")),
    ]
}

pub(super) fn read(names: &[String], values: &Values) -> Result<BTreeMap<String, InputSettings>, SettingsError> {
    names
        .iter()
        .map(|name| {
            let input = InputSettings {
                enabled: values.get(&format!("inputs.{name}.enabled"))?,
                topic: TopicName::new(values.get::<String>(&format!("inputs.{name}.topic"))?),
            };
            Ok((name.clone(), input))
        })
        .collect()
}
