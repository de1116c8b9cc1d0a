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
//! Stream ─filter, map, flat_map, peek, tee, split, merge, distinct_by▶ Stream        Stream ─to▶ done
//! closed windows ─roll_up▶ Table        Stream ─count_distinct▶ Table
//! ```
//!
//! Not here: what runs ([`crate::process`]) and the frozen plan ([`crate::plan`]). Invariant: whatever
//! compiles and passes [`Topology::build`] can run; a topology's numbers (columns, outputs) depend on
//! the order of its sentences alone.

mod draft;
mod join;
mod repartition;
mod repeats;
mod roll_up;
mod session;
mod stream;
mod table;
mod topic;
mod topology;
mod window;

pub use join::{JoinSide, Joined};
pub use repeats::DistinctTable;
pub use roll_up::Closings;
pub use session::{SessionTable, Sessioned, ShuffledSessions};
pub(crate) use stream::internal;
pub use stream::{Conclude, Ended, Grouped, SideStream, Splitting, Stream, Untimed};
pub use table::{FoldedTable, KeyedTable, RowStream};
pub use topic::Topic;
pub use topology::{Topology, TopologyError};
pub use window::{LatestStream, ShuffledTable, Table, UpdateStream, Windowed};
