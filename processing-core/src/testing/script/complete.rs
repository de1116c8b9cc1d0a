//! A script of inputs, completed by what comes out.
//!
//! Not here: whether that is right; a person says so. Invariant: what is answered holds when it is run as written.

use std::collections::BTreeMap;

use super::expect::reason;
use super::line::{self, Word};
use super::run::{Heard, listen};
use super::{Failure, write};
use crate::plan::Plan;
use crate::record::{LogTime, TopicName};
use crate::word::Finality;

/// Writes behind each line of a script what comes out by it: `out` for final results, `late`, `dead`, and at the end
/// `last` for each key of an output of updates. Expectations that stand there are replaced. Crashes and rebalances stay
/// where they are, and do not happen while this listens: they must change nothing.
///
/// ```
/// use processing_core::prelude::*;
/// use processing_core::testing::script;
///
/// fn lengths() -> Plan {
///     let app = Topology::named("lengths");
///     let lines = app.stream(Topic::<Json<String>>::json("lines")).event_time(|_| EventTime(0));
///     lines.already_keyed_by(|line| line.clone()).map(|line| line.len()).to(Topic::json("lengths"));
///     app.build().unwrap()
/// }
///
/// let whole = script::complete(lengths, "in lines 10:00 k \"four\"").unwrap();
/// assert_eq!(whole, "in lines 10:00 k \"four\"\nout lengths four 4\n");
/// script::check(lengths, &whole);
/// ```
///
/// # Errors
/// A line that cannot be read, or that stops the worker.
pub fn complete(plan: impl Fn() -> Plan, text: &str) -> Result<String, Failure> {
    let lines = line::read(text)?;
    let mut heard = BTreeMap::<usize, Vec<String>>::new();
    let mut last = BTreeMap::<(TopicName, String), String>::new();
    let mut near = LogTime(line::DAY_MS);
    listen(plan(), &lines, &mut |line, what| {
        if let Word::In { time, .. } = line.word {
            near = time;
        }
        let behind = heard.entry(line.number).or_default();
        match what {
            Heard::Output(topic, Finality::Final, records) => behind.extend(records.iter().map(|record| {
                let (key, value) = (write::key(record.key.as_deref()), write::expected(record.value.as_deref(), near));
                format!("out {topic} {key} {value}")
            })),
            Heard::Output(topic, Finality::Update, records) => {
                for record in records {
                    let key = (topic.clone(), write::key(record.key.as_deref()));
                    last.insert(key, write::expected(record.value.as_deref(), near));
                }
            }
            Heard::Late(records) => {
                let late = records.iter().map(|record| write::expected(record.value.as_deref(), near));
                behind.extend(late.map(|value| format!("late {value}")));
            }
            Heard::Dead(records) => {
                behind.extend(records.iter().map(|record| format!("dead {}", reason(record).unwrap_or_default())));
            }
        }
    })?;
    let expectations: Vec<_> = lines.iter().filter(|line| line.expects()).map(|line| line.number).collect();
    let mut whole = String::new();
    for (number, text) in (1..).zip(text.lines()) {
        if expectations.contains(&number) {
            continue;
        }
        let behind = heard.remove(&number).unwrap_or_default();
        for line in std::iter::once(text.to_owned()).chain(behind) {
            whole.push_str(&line);
            whole.push('\n');
        }
    }
    for ((topic, key), value) in last {
        whole.push_str(&format!("last {topic} {key} {value}\n"));
    }
    Ok(whole)
}
