//! From a delivery to the right handler, and back with its outcome.
//!
//! In: a [`Delivery`](crate::transport::Delivery) and the [`QueueRoutes`] of its queue. Out: a
//! [`Handled`]. `consume` calls this room; it never settles.

mod cache;
mod deadline;
mod dispatcher;
mod failure;
#[cfg(feature = "testing")]
mod fault;
mod handled;
mod invoke;
mod limits;
mod opening;
mod routes;

pub use cache::{KEY_BYTES_MAX, ReplyCache};
pub use deadline::{Deadlines, Expired};
pub use dispatcher::{Dispatcher, Shared};
pub(crate) use failure::Callee;
pub use failure::{BreakerOpen, Panicked, TimedOut};
#[cfg(feature = "testing")]
pub(crate) use fault::Target;
#[cfg(feature = "testing")]
pub use fault::{HandlerFault, HandlerFaults};
pub use handled::{Dispatched, Handled};
pub(crate) use invoke::{begin, guarded};
pub use limits::{Hold, Limits, SharedLimits, Wait, Waits};
pub(crate) use routes::ANY_TYPE;
pub use routes::{QueueRoutes, Route};
