//! From a delivery to the right handler, and back with its outcome.
//!
//! In: a [`Delivery`](crate::transport::Delivery) and the [`QueueRoutes`] of its queue. Out: a
//! [`Handled`]. `consume` calls this room; it never settles.

mod cache;
mod dispatcher;
mod failure;
#[cfg(feature = "testing")]
mod fault;
mod invoke;
mod limits;
mod routes;

pub use cache::{KEY_BYTES_MAX, ReplyCache};
pub use dispatcher::{Dispatched, Dispatcher, Handled, Shared};
pub use failure::{BreakerOpen, Panicked, TimedOut};
#[cfg(feature = "testing")]
pub(crate) use fault::Target;
#[cfg(feature = "testing")]
pub use fault::{HandlerFault, HandlerFaults};
pub use limits::{Hold, Limits, SharedLimits, Wait, Waits};
pub use routes::{QueueRoutes, Route};
