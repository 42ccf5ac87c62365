//! What must outlive a process: the port to a database, and the adapters behind it.
//!
//! In: instances of workflows, and what is to become of them. Out: the same, as the database has them. The room
//! `workflow` calls it; here nothing is known of stages or of messages, only of rows, positions and owners.
//! [`MemoryStore`] is the reference implementation; what it does the others do, which
//! `mmate::testing::stores` shows. [`connect`] opens any of them by its URL.
//!
//! # Rules that every store keeps
//!
//! - What a call has answered is durable, in so far as the store is: memory ends with the process.
//! - A change of an instance is a compare-and-set on its position and its owner: of two that try, one is told
//!   that it came too late, and changes nothing.
//! - A change, the lines that it adds to the history and the mail that it reads are one: all are there, or none.
//! - A piece of mail is read once, by the first that saves; while it is kept it is known when it comes again.
//! - Every wait on a database has a deadline.

mod connect;
mod error;
mod memory;
#[cfg(feature = "postgres")]
mod postgres;
#[cfg(any(feature = "sqlite", feature = "postgres"))]
mod sql;
#[cfg(feature = "sqlite")]
mod sqlite;
mod words;
mod workflow;

pub use connect::connect;
pub use error::{StoreError, StoreErrorKind};
pub use memory::MemoryStore;
pub use words::{HistoryEvent, Wish, WorkflowStatus};
pub use workflow::{
    Claim, HistoryEntry, Instance, InstanceFilter, LiveVersion, Mail, NewInstance, Save, Saved,
    WorkflowStore, WorkflowVersion,
};
