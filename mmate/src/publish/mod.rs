//! From a typed value to bytes on the wire.
//!
//! In: a message and options. Out: an [`crate::transport::Outgoing`] given to the transport, or, inside
//! a handler, kept in an [`Outbox`] until the handler has succeeded. Services and handlers call it.

mod batch;
mod encode;
mod later;
mod options;
mod outbox;
mod outlet;
mod publisher;
mod scratch;

pub use batch::{BatchError, PUBLISH_WINDOW};
pub(crate) use encode::erased;
pub use encode::{Encoder, WireOptions};
pub use later::{Accepted, FAILURES_KEPT_MAX, FailedPublish, FlushError, PublishLater};
pub use options::{IntoDuration, PublishOptions};
pub use outbox::{OUTBOX_MESSAGES_MAX, Origin, Outbox};
pub(crate) use outlet::Departure;
pub use publisher::{Publish, Published, Publisher, PublisherOptions, Publishing};
