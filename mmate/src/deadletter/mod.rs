//! What to do with messages that failed for good: look at them, send them back, throw them away.
//!
//! In: a transport and a [`DeadLetterQueue`]. Out: [`DeadLetter`]s, and messages that are where the
//! operator wants them. A running app gives [`DeadLetters`], and so does the command line
//! (`dlq list show replay purge`); the runtime runs the [`DepthWatch`].
//!
//! Looking at a queue means to consume it, to hold what was delivered and to give it back at the
//! end. So two tools that look at the same queue at the same time see parts of it each, and nobody
//! loses anything, however a tool ends.
//!
//! ```
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> mmate::Result<(), Box<dyn std::error::Error>> {
//! use std::sync::Arc;
//!
//! use mmate::deadletter::{DeadLetterQueue, DeadLetters, Selection};
//! use mmate::transport::memory::MemoryTransport;
//! use mmate::transport::{Queue, Topology, Transport};
//!
//! let transport = Arc::new(MemoryTransport::new());
//! let parked = Queue::new("dlq.orders").dead_letter("orders");
//! let mut topology = Topology::default();
//! topology.queue(parked.clone());
//! topology.queue(Queue::new("orders").dead_letter("dlq.orders"));
//! transport.declare(&topology).await?;
//!
//! let queue = DeadLetterQueue::new(parked, vec!["orders".to_owned()]);
//! let tools = DeadLetters::new(transport, queue);
//! let outcome = tools.replay(&Selection::all().reason("timeout")).await?;
//! assert_eq!(outcome.moved, 0);
//! # Ok(())
//! # }
//! ```

mod letter;
mod look;
mod replay;
mod selection;
mod tools;
mod watch;

pub use letter::{DeadLetter, ShownLetter};
pub use selection::{Selection, moment};
pub use tools::{DeadLetterQueue, DeadLetters, Outcome, Page};
pub use watch::DepthWatch;
