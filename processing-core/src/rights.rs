//! What a worker must be allowed to do on a broker that asks: the rights that its plan needs, and no more.
//!
//! Not here: how they are given (`streamfleet acls` prints the commands), and what a broker answers without them.
//! Invariant: every topic that a [`crate::layout::Layout`] makes or reads is covered. Topics that the worker keeps
//! for itself begin with `<application id>-` and are covered by that, so a new one needs no new right.

use crate::plan::{OutputKind, Plan};

/// What a right is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Resource {
    /// A topic.
    Topic,
    /// A consumer group.
    Group,
    /// The id of a transactional producer.
    TransactionalId,
}

impl Resource {
    /// The flag of `kafka-acls.sh` that names one.
    pub const fn flag(self) -> &'static str {
        match self {
            Self::Topic => "--topic",
            Self::Group => "--group",
            Self::TransactionalId => "--transactional-id",
        }
    }
}

/// Which names a right covers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Pattern {
    /// The name itself.
    Literal,
    /// Every name that begins so.
    Prefixed,
}

/// What may be done, as Kafka calls it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Operation {
    /// Fetching; joining a group; committing offsets.
    Read,
    /// Producing; opening a transaction.
    Write,
    /// Making a topic.
    Create,
    /// Deleting records.
    Delete,
    /// Seeing that it is there.
    Describe,
    /// Seeing a topic's settings.
    DescribeConfigs,
}

impl Operation {
    /// Its name, as `kafka-acls.sh --operation` takes it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Read => "Read",
            Self::Write => "Write",
            Self::Create => "Create",
            Self::Delete => "Delete",
            Self::Describe => "Describe",
            Self::DescribeConfigs => "DescribeConfigs",
        }
    }
}

/// Operations on resources of one kind. Operations that others imply are named as well: not every broker's
/// authorizer knows that who may read may also see.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Right {
    /// What it is needed for, in a few words.
    pub what_for: &'static str,
    /// The kind of resource.
    pub resource: Resource,
    /// How the names are meant.
    pub pattern: Pattern,
    /// The names; at least one, sorted.
    pub names: Vec<String>,
    /// What may be done with each of them.
    pub operations: &'static [Operation],
}

impl Right {
    /// Whether it lets `operation` be done to the resource called `name`.
    pub fn allows(&self, resource: Resource, name: &str, operation: Operation) -> bool {
        let meant = |own: &String| match self.pattern {
            Pattern::Literal => own == name,
            Pattern::Prefixed => name.starts_with(own.as_str()),
        };
        self.resource == resource && self.operations.contains(&operation) && self.names.iter().any(meant)
    }
}

/// What a worker with this plan needs. Nothing on the cluster itself: transactional producers need no
/// `IdempotentWrite`, and topics are made by the right on their names.
pub fn rights(plan: &Plan) -> Vec<Right> {
    use Operation::{Create, Delete, Describe, DescribeConfigs, Read, Write};
    use Pattern::{Literal, Prefixed};
    let app = plan.name();
    let own = format!("{app}-");
    let inputs = plan.inputs().map(ToString::to_string).collect();
    let of_kind = |wanted: fn(&OutputKind) -> bool| -> Vec<String> {
        let outputs = plan.outputs().iter().filter(|output| wanted(&output.kind));
        outputs.map(|output| output.topic.to_string()).collect()
    };
    let results = of_kind(|kind| matches!(kind, OutputKind::Topic(_)));
    let repartitioned = of_kind(|kind| matches!(kind, OutputKind::Repartition));
    let right = |what_for, resource, pattern, mut names: Vec<String>, operations| {
        names.sort();
        names.dedup();
        Right { what_for, resource, pattern, names, operations }
    };
    let mut rights = vec![
        right("read the inputs", Resource::Topic, Literal, inputs, &[Read, Describe, DescribeConfigs]),
        right(
            "make and write the results",
            Resource::Topic,
            Literal,
            results,
            &[Write, Create, Describe, DescribeConfigs],
        ),
        right(
            "make, write and read its own topics: changelogs, repartition, time, late, dead letters",
            Resource::Topic,
            Prefixed,
            vec![own.clone()],
            &[Read, Write, Create, Describe, DescribeConfigs],
        ),
        right(
            "delete the records of repartition topics that are processed",
            Resource::Topic,
            Literal,
            repartitioned,
            &[Delete],
        ),
        right("be members of the group", Resource::Group, Literal, vec![app.to_owned()], &[Read, Describe]),
        right(
            "commit: each thread has a transaction of its own",
            Resource::TransactionalId,
            Prefixed,
            vec![own],
            &[Write, Describe],
        ),
    ];
    rights.retain(|right| !right.names.is_empty());
    rights
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::layout::Layout;
    use crate::log::memory::{MemoryLog, MemoryOptions};
    use crate::log::{Cleanup, Log as _, TopicSettings};
    use crate::prelude::*;
    use crate::record::TopicName;

    #[derive(serde::Deserialize)]
    struct Trip {
        at: i64,
        city: String,
    }

    fn plan(name: &str) -> Plan {
        let app = Topology::named(name);
        app.stream(Topic::<Json<Trip>>::json("trips"))
            .event_time(|trip| EventTime(trip.at))
            .key_by(|trip| trip.city.clone())
            .window(Tumbling::minutes(5))
            .fold("pulse", count())
            .on_close()
            .map(|closed| closed.value.get())
            .to(Topic::json("pulse.v1"));
        app.build().unwrap()
    }

    #[test]
    fn what_a_layout_makes_and_reads_is_covered_and_nothing_else_is() {
        let plan = Arc::new(plan("pulse.v1"));
        let rights = rights(&plan);
        let may = |name: &str, operation| rights.iter().any(|right| right.allows(Resource::Topic, name, operation));
        let log = MemoryLog::new(MemoryOptions::default());
        let mut admin = log.admin().unwrap();
        let shape =
            TopicSettings { partitions: 2, cleanup: Cleanup::Delete, retention_ms: None, log_append_time: false };
        for foreign in ["trips", "elsewhere", "pulse.v10-pulse-changelog"] {
            admin.create_topic(&TopicName::new(foreign), shape).unwrap();
        }
        Layout::new(Arc::clone(&plan), &mut *admin).unwrap();

        let seen: Vec<String> = admin.topics().unwrap().iter().map(|topic| topic.name.to_string()).collect();
        for name in &seen {
            use Operation::{Create, Delete, Describe, DescribeConfigs, Read, Write};
            let allowed: Vec<Operation> = [Read, Write, Create, Delete, Describe, DescribeConfigs]
                .into_iter()
                .filter(|operation| may(name, *operation))
                .collect();
            let expected: &[Operation] = match name.as_str() {
                "elsewhere" | "pulse.v10-pulse-changelog" => &[],
                "trips" => &[Read, Describe, DescribeConfigs],
                "pulse.v1" => &[Write, Create, Describe, DescribeConfigs],
                "pulse.v1-pulse-repartition" => &[Read, Write, Create, Delete, Describe, DescribeConfigs],
                _ => &[Read, Write, Create, Describe, DescribeConfigs],
            };
            assert_eq!(allowed, expected, "{name}");
        }
        assert!(seen.contains(&"pulse.v1-pulse-repartition".to_owned()) && seen.len() > 8, "{seen:?}");
    }

    #[test]
    fn group_and_transactions_are_the_applications_own() {
        let rights = rights(&plan("loci-pulse.v1"));
        let may = |resource, name: &str| rights.iter().any(|right| right.allows(resource, name, Operation::Describe));
        assert!(may(Resource::Group, "loci-pulse.v1") && !may(Resource::Group, "loci-pulse.v10"));
        // As `crate::worker` makes them: application, instance, number of the thread.
        assert!(may(Resource::TransactionalId, "loci-pulse.v1-pod-0-1"));
        assert!(!may(Resource::TransactionalId, "loci-pulse.v10-pod-0-1"));
    }
}
