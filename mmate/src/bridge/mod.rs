//! Request and reply over queues: typed questions, typed answers, a limit on everything.
//!
//! In: a command or query that names its reply. Out: the reply, or an [`AskError`] that says what became
//! of the request. Services and handlers call this room; it publishes through `publish` and takes
//! replies from one exclusive queue per process, made when something is asked for the first time.
//!
//! # Rules
//!
//! - Awaiting an [`Ask`] ends within its timeout, whatever happens to the broker, the peer or this process.
//! - A reply is given to the request that it answers, or to nobody: one that could answer several is
//!   dropped and counted.
//! - Nothing of a request stays behind: no entry, task or queue.
//!
//! # Crash windows
//!
//! - The request is sent, and this process ends: it is handled all the same, or refused as too late.
//! - The reply queue is lost (it belongs to the connection) and made again: replies that were sent in
//!   between are gone. Whoever waits is told [`AskErrorKind::Unknown`] at its deadline, and replies that come
//!   later than the loss are still taken.
//! - The broker removes the queue that was made again, with the connection from before: it is looked for, and
//!   made once more (`desk`). Replies that were sent in between are gone as above.

mod acknowledge;
mod ask;
mod desk;
mod error;
mod gather;
mod pending;
mod reply;
mod request;

pub use acknowledge::Acknowledged;
pub use ask::Ask;
pub use error::{AskError, AskErrorKind};
pub use gather::{Gather, Gathered, Gotten};
pub use request::{Bridge, BridgeOptions};
