//! What user functions see: the message, the context, extractors, outcomes.
//!
//! In: a decoded envelope and the resources of the running app. Out: an [`Outcome`]. The shims that
//! `#[handler]` writes call this room; `dispatch` calls the shims.
//!
//! The first parameter of a handler is its message ([`FromDelivery`]: the message itself, or
//! [`Envelope`](crate::contract::Envelope) for all that came with it). Every other parameter is
//! [`FromContext`], in any order.

mod context;
mod entry;
mod error;
mod extract;
mod outcome;
mod resources;

pub(crate) use context::ContextParts;
pub use context::{Call, Context};
pub use entry::{
    Building, Bulkhead, CachePolicy, Fallback, HandlerEntry, HandlerOptions, ProviderEntry,
    Running, Started, registered_handlers, registered_providers,
};
pub use error::{HandlerError, HandlerResult};
pub use extract::{FromContext, FromDelivery, FromResources, State};
pub use outcome::{Answer, IntoOutcome, Outcome};
pub use resources::{Requirement, Requirements, Resources};

/// A handler as a value, for apps that choose their handlers: `App::builder().handler::<on_placed>()`.
///
/// `#[handler]` implements it for a type with the function's own name.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a handler",
    label = "not a handler",
    note = "annotate the function with `#[handler]` and name it here without parentheses"
)]
pub trait Handler {
    /// The handler's description.
    const ENTRY: &'static HandlerEntry;
}
