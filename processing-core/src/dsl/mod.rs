//! The language in which topologies are written: each step is a type, so that only sentences that make
//! sense compile.
//!
//! ```text
//! stream(topic) ─▶ Untimed ─event_time▶ Stream ─key_by▶ Grouped ─window▶ Windowed ─aggregate▶ Table
//!                                         ▲                                                     │
//!                                         └──────────────────── on_close ◀──────────────────────┘
//!
//! Grouped ─sessions▶ Sessioned ─aggregate▶ SessionTable ─on_close▶ Stream
//! Grouped ─repartition▶ Stream                             Stream or Grouped ─join, answered_by▶ Stream
//! Stream ─split▶ Splitting ─branch_off▶ Stream             Windowed ─merge▶ Windowed
//! closed windows ─roll_up▶ Table        Stream ─count_distinct▶ Table
//! table(topic) ─▶ KeyedTable            Stream ─fold_table, reduce_table▶ FoldedTable ─on_update▶ rows ─to_table▶ done
//! KeyedTable, FoldedTable or JoinedTable ─join, left_join, outer_join▶ JoinedTable ─on_update▶ rows
//! rows ─rate_limit▶ rows                               Stream ─join_table, join_broadcast▶ Stream
//! ```
//!
//! Not here: what runs ([`crate::process`]) and the frozen plan ([`crate::plan`]). Invariant: whatever
//! compiles and passes [`Topology::build`] can run; a topology's numbers (columns, outputs) depend on
//! the order of its sentences alone.

mod broadcast;
#[cfg(test)]
mod documented;
mod draft;
mod join;
mod merge;
mod naming;
mod processor;
mod rate_limit;
mod repartition;
mod repeats;
mod roll_up;
mod session;
mod stream;
mod table;
mod table_pair;
mod topic;
mod topology;
mod window;

pub use broadcast::Broadcasted;
pub use join::{JoinSide, Joined};
pub use merge::Merging;
pub use processor::{OutputStream, Setup};
pub use repeats::DistinctTable;
pub use roll_up::Closings;
pub use session::{SessionTable, Sessioned, ShuffledSessions};
pub(crate) use stream::internal;
pub use stream::{Conclude, Ended, Grouped, SideStream, Splitting, Stream, Untimed};
pub use table::{FoldedTable, KeyedTable, RowStream};
pub use table_pair::{AnyTable, JoinedTable, Paired};
pub use topic::Topic;
pub use topology::{Topology, TopologyError};
pub use window::{LatestStream, ShuffledTable, Table, UpdateStream, Windowed};
