//! The language in which topologies are written: each step is a type, so that only sentences that make
//! sense compile.
//!
//! ```text
//! stream(topic) ─▶ Untimed ─event_time▶ Stream ─key_by▶ Grouped ─window▶ Windowed ─aggregate▶ Table
//!                                         ▲                                                     │
//!                                         └──────────────────── on_close ◀──────────────────────┘
//! Stream ─filter, map, flat_map, tee, merge▶ Stream        Stream ─to▶ done
//! ```
//!
//! Not here: what runs ([`crate::process`]) and the frozen plan ([`crate::plan`]). Invariant: whatever
//! compiles and passes [`Topology::build`] can run; a topology's numbers (columns, outputs) depend on
//! the order of its sentences alone.

mod draft;
mod stream;
mod table;
mod topic;
mod topology;
mod window;

pub(crate) use stream::internal;
pub use stream::{Conclude, Ended, Grouped, SideStream, Stream, Untimed};
pub use table::{FoldedTable, KeyedTable, RowStream};
pub use topic::Topic;
pub use topology::{Topology, TopologyError};
pub use window::{LatestStream, ShuffledTable, Table, UpdateStream, Windowed};
