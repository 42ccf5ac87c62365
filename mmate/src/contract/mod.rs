//! What a message is: its kinds, its envelope, its address, its schema.
//!
//! In: types annotated with `#[message]`. Out: the trait [`Message`], the JSON [`Envelope`] that
//! all siblings of the family write and read, the names of exchanges, queues and routing keys, and
//! JSON schemas. Every other room calls this one; it calls none, does no I/O and needs no runtime,
//! so a build script can use it alone.

#[cfg(feature = "runtime")]
pub mod acknowledgement;
pub mod address;
mod decode_error;
pub mod envelope;
pub mod export;
pub mod headers;
mod info;
mod kind;
pub mod refusal;
pub mod schema;
mod sibling_retry;
pub mod source;
pub mod text;
#[cfg(feature = "validation")]
pub mod validate;

use serde::Serialize;
use serde::de::DeserializeOwned;

#[cfg(feature = "runtime")]
pub use acknowledgement::{Acknowledgement, ProcessingOutcome};
pub use decode_error::{DecodeError, Reason};
pub use envelope::{Envelope, Meta};
pub use headers::{HeaderValue, Headers};
pub use info::{Location, MessageEntry, MessageInfo, registered_messages};
pub use kind::{Command, Event, Kind, Query, Reply, Request};
pub use refusal::Refusal;
pub use source::Source;
pub use text::Text;

/// A value that travels between services in its own envelope.
///
/// Implemented by `#[message(..)]` alone: the attribute also derives what the trait asks for and
/// registers the type.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a message",
    label = "not a message",
    note = "declare the type with `#[message(command)]`, `#[message(event)]`, `#[message(query, reply = ..)]` or `#[message(reply)]`"
)]
pub trait Message:
    Serialize + DeserializeOwned + schemars::JsonSchema + Send + Sync + 'static
{
    /// The type's description.
    const INFO: &'static MessageInfo;

    /// The value of the field named by `key = ..`: the aggregate id of an event.
    fn key(&self) -> Option<String> {
        None
    }
}
