//! Sub-topologies that would wait for one another.
//!
//! Not here: how wide repartition topics become ([`crate::layout`]), which is what they would wait with first.
//! Invariant: in a plan that passes, whoever writes a repartition topic stands before who reads it.

use std::collections::BTreeMap;

use super::topology::TopologyError;
use crate::plan::{OutputKind, Plan, Source, SubTopology};
use crate::record::TopicName;

/// Refuses a plan in which what a repartition topic brings leads back into it. What every task of a table's readers
/// holds makes nobody wait.
pub(super) fn check(plan: &Plan) -> Result<(), TopologyError> {
    let parts = plan.sub_topologies();
    // Who writes each repartition topic.
    let mut writers = BTreeMap::<&TopicName, &SubTopology>::new();
    for part in parts {
        let outputs = part.outputs.iter().filter_map(|number| plan.outputs().get(*number));
        writers.extend(outputs.filter(|out| out.kind == OutputKind::Repartition).map(|out| (&out.topic, part)));
    }
    let before = |part: &SubTopology| {
        let streams = part.sources.iter().filter(|source| !source.is_table()).map(Source::topic);
        let read: Vec<_> = streams.filter_map(|topic| Some((topic.clone(), writers.get(topic)?.number))).collect();
        read
    };
    // Who reads from nobody that is left is no part of a circle, and goes; so do, in the end, all who are in none.
    let mut left: Vec<&SubTopology> = parts.iter().collect();
    loop {
        let numbers: Vec<u16> = left.iter().map(|part| part.number).collect();
        let waits = |part: &&SubTopology| before(part).iter().any(|(_, writer)| numbers.contains(writer));
        let waiting: Vec<_> = left.iter().copied().filter(waits).collect();
        if waiting.len() == left.len() {
            break;
        }
        left = waiting;
    }
    let Some(first) = left.first() else { return Ok(()) };
    // Backwards from one of them, until a sub-topology comes for the second time.
    let (mut seen, mut topics, mut at) = (vec![first.number], Vec::new(), *first);
    loop {
        let of_circle = |(_, writer): &(TopicName, u16)| left.iter().any(|part| part.number == *writer);
        let Some((topic, writer)) = before(at).into_iter().find(of_circle) else { return Ok(()) };
        topics.push(topic);
        if let Some(begin) = seen.iter().position(|number| *number == writer) {
            let mut circle = topics.split_off(begin);
            circle.reverse();
            return Err(TopologyError::Circle(circle));
        }
        seen.push(writer);
        let Some(next) = left.iter().find(|part| part.number == writer) else { return Ok(()) };
        at = next;
    }
}

#[cfg(test)]
mod tests {
    use crate::prelude::*;

    #[test]
    fn a_join_with_what_the_left_table_is_made_of_is_refused_with_the_topics_and_the_remedy() {
        let app = Topology::named("app");
        let (words, sought) = app
            .stream(Topic::<Json<String>>::json("words"))
            .event_time(|_| EventTime(0))
            .already_keyed_by(String::clone)
            .split()
            .branch_off(|_| true, |words| words.key_by(String::clone).repartition("sought"));
        let all = words.rest().fold_table("all", count());
        sought
            .fold_table("some", count())
            .join_by(all, "both", |word, _| word.clone(), |_, some, all| (some.get(), all.get()))
            .on_update(|rows| rows.to_table(Topic::<Json<(u64, u64)>>::json("out").compacted()));
        let told = app.build().err().unwrap().to_string();
        for part in ["app-sought-repartition", "app-both-subscriptions-repartition", "`to_table`", "another name"] {
            assert!(told.contains(part), "{part}: {told}");
        }
        assert!(!told.contains("responses"), "they are behind the circle: {told}");
    }
}
