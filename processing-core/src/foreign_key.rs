//! Two tables joined by a key that the rows of the left one name: Kafka Streams' foreign-key join.
//!
//! Many left rows may name one right row. Neither side knows the other's key, so the join is three sub-topologies, one
//! behind the other:
//!
//! ```text
//!  left table by K ─▶ subscribe ── subscriptions, by F ──▶ respond ── responses, by K ──▶ results by K
//!                                      right table by F ──────┘
//! ```
//!
//! [`subscribe`] stands where the left table is. At each commit it sends every row that has changed to the partition of
//! the foreign key that it names, and tells the one that it named before that it has left. [`respond`] stands beside
//! the right table, keeps the left rows under their foreign keys, and answers each of them when it comes and whenever
//! its right row changes. [`results`] stands where the left key is, takes the answers and says what has become of each
//! key. Kafka Streams leads the answers back to the left table's own task, to compare them with the row that is there;
//! ours go on to a third sub-topology, because a circle of tasks would have no event time: each would wait for the
//! other's.
//!
//! **Versions.** The answers of several foreign keys, which a row has named one after the other, travel apart and may
//! overtake each other. So each change of a row gets a version from a counter of the task that has read it: it grows
//! with every change of any of its rows, through commits, crashes and restores. An answer carries the version of the
//! row that it was made of, and is taken if no newer one was. Versions order what was said of one key; they show in no
//! result.
//!
//! **The last answer is the right one.** Let a key's last version be `v`. All answers of `v` come from one place: the
//! task of the foreign key that its row names, or, where the row is gone or names none, the one that was sent word of
//! it. That task answers when `v` comes, from the right row that is there; and each later change of the right row goes
//! over all left rows that are there, `v` among them. So the last answer of `v` is made of both present rows, and they
//! arrive in the order in which they were made. Answers of older versions are refused once one of `v` is there, and one
//! always comes, be it that nothing joins.
//!
//! **A key that is gone leaves no trace.** Its version has to stay until no older answer can come. The word that it is
//! gone carries the event time `t` that the left task had told of when it sent it. The left task tells every partition
//! of its time, in the order of its commits, so who has heard of a later time has got that word's commit, and with it
//! each word to the foreign keys of before; behind it, a responding task makes no answer of the older versions, and
//! what it made earlier lies before the time that it tells in turn. So when the results' time, the minimum over all
//! responding tasks, has passed `t`, nothing older can come, and the key is forgotten.
//!
//! **A foreign key that everybody names** costs one answer for each of its left rows when its right row changes. They
//! go out in slices as closing windows do: each commit as many as a slice has room for, the rest from a cursor in the
//! state, before anything new is read.
//!
//! Not here: the words of the language (`dsl::foreign_key`). Invariant: what was last said of a key is what the join
//! makes of the present left row and the present right row that it names; a tombstone comes only after a result.

mod respond;
mod results;
mod subscribe;

use serde::{Deserialize, Serialize};

use crate::record::EventTime;

pub(crate) use respond::{Respond, Stores};
pub use results::Results;
pub(crate) use subscribe::Subscribe;

/// Which change of its task's left rows a row is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Serialize, Deserialize)]
struct Version(u64);

/// What the left table's task says of one of its keys. The record's own key is the foreign key that it is said to, or
/// the left key where there is none.
#[derive(Serialize, Deserialize)]
struct Subscription {
    /// The left key.
    key: Vec<u8>,
    version: Version,
    word: Word,
}

#[derive(Serialize, Deserialize)]
enum Word {
    /// The key's row, which names this foreign key: in the state's codec.
    Row(Vec<u8>),
    /// The key's row names this foreign key no more. Who hears of it next answers.
    Left,
    /// The key's row, which names no foreign key: in the state's codec.
    Alone(Vec<u8>),
    /// The key has no row any more, or one that names no foreign key and joins with nothing. It was so when the left
    /// task had told of this time.
    Gone(EventTime),
}

/// What becomes of a left key.
#[derive(Serialize, Deserialize)]
pub(crate) struct Response<W> {
    version: Version,
    result: Option<W>,
    /// The key is gone: it can be forgotten behind this time.
    gone: Option<EventTime>,
}

#[cfg(test)]
mod documented;
