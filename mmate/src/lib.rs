//! Declarative messaging: annotate structs and functions, boot a service with one call.
//!
//! ```no_run
//! use mmate::prelude::*;
//!
//! /// An order was accepted.
//! #[message(event, aggregate = "order", key = order_id)]
//! pub struct OrderCreated {
//!     pub order_id: String,
//! }
//!
//! #[handler]
//! async fn send_confirmation(event: OrderCreated) {
//!     println!("confirmed {}", event.order_id);
//! }
//!
//! #[mmate::main]
//! async fn main() -> mmate::Result {
//!     mmate::run().await
//! }
//! ```
//!
//! # Rooms, in the order in which a message travels
//!
//! - [`contract`]: what a message is. Kinds, the JSON envelope, names, schemas.
//! - `observability`: the fate of every message, counted and kept (feature `runtime`).
//! - [`reliability`]: what an error means, and when to try again.
//! - [`store`]: what must outlive a process: the port to a database; in memory, SQLite and PostgreSQL.
//! - [`transport`]: the port to a broker; in memory and RabbitMQ.
//! - [`publish`]: from a typed value to bytes on the wire.
//! - [`handler`](mod@handler): what a handler function may ask for and return.
//! - [`dispatch`]: from a delivery to the right handler.
//! - [`consume`]: the loop around a queue, and the only place that settles.
//! - [`bridge`]: request and reply: a typed question, a typed answer.
//! - [`workflow`](mod@workflow): stages one after another, undone in reverse when one fails.
//! - [`deadletter`]: looking at dead letters, sending them back, throwing them away, and the alert.
//! - [`runtime`]: configuration, boot, command line, shutdown.
//! - `http`: an HTTP edge in the same process (feature `http`).
//! - `testing`: the whole app in memory on a virtual clock (feature `testing`).
//! - [`build`]: JSON schemas written by a build script.
//!
//! [`contract`]: crate::contract
//! [`runtime`]: crate::runtime

#[doc(hidden)]
pub mod __private;
#[cfg(feature = "runtime")]
pub mod bridge;
pub mod build;
#[cfg(feature = "runtime")]
pub mod consume;
pub mod contract;
#[cfg(feature = "runtime")]
pub mod deadletter;
#[cfg(feature = "runtime")]
pub mod dispatch;
#[cfg(feature = "runtime")]
mod error;
#[cfg(feature = "runtime")]
pub mod handler;
#[cfg(feature = "http")]
pub mod http;
#[cfg(feature = "macros")]
mod macros;
#[cfg(feature = "runtime")]
pub mod observability;
pub mod prelude;
#[cfg(feature = "runtime")]
pub mod publish;
pub mod reliability;
#[cfg(feature = "runtime")]
pub mod runtime;
#[cfg(feature = "runtime")]
pub mod store;
#[cfg(feature = "testing")]
pub mod testing;
#[cfg(feature = "runtime")]
pub mod transport;
#[cfg(feature = "runtime")]
pub mod workflow;

#[cfg(feature = "runtime")]
pub use error::{BootErrors, Error, Result};
#[cfg(feature = "macros")]
pub use macros::*;
#[cfg(feature = "runtime")]
pub use runtime::{App, Config, run};
pub use schemars;
pub use serde;
