//! Properties that belong to the worker, because exactly-once stands on them.
//!
//! Not here: properties that cost speed or memory if they are set badly; those are their owner's business.
//! Invariant: a value is refused with its reason, and one that says what holds anyway is let through, so that
//! settings which several programs share need no exception for this one.

/// A property that the worker keeps to itself.
struct Kept {
    name: &'static str,
    /// What may be said, because it is what holds.
    may_be: &'static [&'static str],
    why: &'static str,
}

const OFFSETS: &str = "a result and the offset of its input are committed in one transaction, and nothing else commits \
                       offsets";
const ACKS: &str = "a transaction counts only what all in-sync replicas hold";

const KEPT: &[Kept] = &[
    Kept { name: "acks", may_be: &["all", "-1"], why: ACKS },
    Kept {
        name: "auto.offset.reset",
        may_be: &[],
        why: "where an input begins is decided once and recorded with the state; a reset by the client would skip or \
              repeat records",
    },
    Kept {
        name: "delivery.report.only.error",
        may_be: &["false"],
        why: "the position of each changelog record comes out of its delivery report",
    },
    Kept { name: "enable.auto.commit", may_be: &["false"], why: OFFSETS },
    Kept { name: "enable.auto.offset.store", may_be: &["false"], why: OFFSETS },
    Kept {
        name: "enable.idempotence",
        may_be: &["true"],
        why: "a retried batch would be written twice, and transactions need it",
    },
    Kept {
        name: "enable.partition.eof",
        may_be: &[],
        why: "a restore is complete at the end of its partition, which this event tells",
    },
    Kept {
        name: "group.id",
        may_be: &[],
        why: "the group is the application's id, which its topics, transactions and state carry as well; set \
              `application.prefix` (KAFKA_GROUP_ID) to put a name in front of it, or `application.id`",
    },
    Kept {
        name: "group.instance.id",
        may_be: &[],
        why: "each thread is a member of its own; set `group.instance.id` (KAFKA_GROUP_INSTANCE_ID), to which threads \
              add their numbers",
    },
    Kept { name: "isolation.level", may_be: &["read_committed"], why: "records of aborted transactions would count" },
    Kept {
        name: "partition.assignment.strategy",
        may_be: &["cooperative-sticky"],
        why: "the others take every partition away at each rebalance, and versions that disagree cannot share a group",
    },
    Kept {
        name: "partitioner",
        may_be: &[],
        why: "keys go to the partitions where Kafka's Java client puts them (murmur2), or topics that are joined would \
              no longer belong together",
    },
    Kept {
        name: "transactional.id",
        may_be: &[],
        why: "it is made of the application's id and `group.instance.id`, and fences whoever ran under them before",
    },
];

/// Why `name` cannot be `text`, or `None` if it can.
pub(super) fn refusal(name: &str, text: &str) -> Option<&'static str> {
    let kept = KEPT.iter().find(|kept| kept.name == name)?;
    (!kept.may_be.iter().any(|may| may.eq_ignore_ascii_case(text.trim()))).then_some(kept.why)
}

/// The names of them all.
#[cfg(test)]
pub(super) fn names() -> impl Iterator<Item = &'static str> {
    KEPT.iter().map(|kept| kept.name)
}
