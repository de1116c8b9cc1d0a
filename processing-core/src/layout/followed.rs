//! Which streams a table waits with that every task holds.
//!
//! Not here: when it is silent ([`crate::idleness`]). Invariant: a table follows every input whose records can wait for
//! it, whatever repartition topics lie between, and no other table.

use std::collections::BTreeMap;

use super::sources::writer;
use crate::plan::{Plan, Source, SubTopology};
use crate::record::TopicName;

/// Of each such table's topic, the inputs of the streams that are joined with it.
pub(super) fn by_broadcast_tables(plan: &Plan) -> BTreeMap<TopicName, Vec<TopicName>> {
    let mut followed = BTreeMap::<TopicName, Vec<TopicName>>::new();
    for part in plan.sub_topologies() {
        for table in part.sources.iter().filter(|source| source.is_table()) {
            let Some(reader) = writer(plan, table).and_then(|number| numbered(plan, number)) else { continue };
            for source in &reader.sources {
                let mut streams = Vec::new();
                inputs_of(plan, part, &mut streams);
                followed.entry(source.topic().clone()).or_default().extend(streams);
            }
        }
    }
    followed
}

/// Adds the inputs of a sub-topology's streams, and of those that write them.
fn inputs_of(plan: &Plan, part: &SubTopology, into: &mut Vec<TopicName>) {
    for source in part.sources.iter().filter(|source| !source.is_table()) {
        match source {
            Source::Input(input) => into.push(input.topic.clone()),
            Source::Repartition { .. } => {
                if let Some(upstream) = writer(plan, source).and_then(|number| numbered(plan, number)) {
                    inputs_of(plan, upstream, into);
                }
            }
        }
    }
}

fn numbered(plan: &Plan, number: u16) -> Option<&SubTopology> {
    plan.sub_topologies().iter().find(|part| part.number == number)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::prelude::*;

    #[test]
    fn a_table_follows_the_inputs_of_the_streams_behind_every_repartition_and_no_table() {
        let app = Topology::named("app");
        let stream = |topic: &str| {
            let stream = app.stream(Topic::<Json<String>>::json(topic)).event_time(|_| EventTime(0));
            stream.already_keyed_by(String::clone)
        };
        let [first, second] =
            ["first", "second"].map(|topic| app.table::<String, _>(Topic::<Json<String>>::json(topic)));
        let beside = app.table(Topic::<Json<String>>::json("beside"));
        stream("in")
            .join_broadcast(first, "one", String::clone, |_, record, _| record)
            .key_by(String::clone)
            .repartition("again")
            .merge(stream("more"))
            .join_table(beside, "rows", |_, record, _| record)
            .join_broadcast(second, "two", String::clone, |_, record, _| record)
            .to(Topic::<Json<String>>::json("out"));
        let followed = by_broadcast_tables(&app.build().unwrap());
        let topics = |topic: &str| {
            let mut topics: Vec<&str> = followed[&TopicName::new(topic)].iter().map(TopicName::as_str).collect();
            topics.sort_unstable();
            topics
        };
        assert_eq!((topics("first"), topics("second")), (vec!["in"], vec!["in", "more"]));
        assert_eq!(followed.len(), 2);
    }
}
