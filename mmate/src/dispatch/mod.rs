//! From a delivery to the right handler, and back with its outcome.
//!
//! In: a [`Delivery`](crate::transport::Delivery) and the [`QueueRoutes`] of its queue. Out: a
//! [`Handled`]. `consume` calls this room; it never settles.

mod dispatcher;
mod failure;
mod invoke;
mod limits;
mod routes;

pub use dispatcher::{Dispatched, Dispatcher, Handled, Shared};
pub use failure::{BreakerOpen, Panicked, TimedOut};
pub use limits::{Hold, Limits, SharedLimits, Wait, Waits};
pub use routes::{QueueRoutes, Route};
