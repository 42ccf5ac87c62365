//! Tools for tests: the whole app in memory on a virtual clock, the behaviours of transports and of stores.
//!
//! In: annotated handlers, a transport, or a store. Out: a [`TestApp`] that publishes, waits until nothing is
//! in flight and shows what was published; or the verdicts of [`conformance`] and [`stores`]. Tests call this room,
//! `#[mmate::test]` among them; nothing that runs in production does.

pub mod conformance;
#[cfg(test)]
mod defects;
mod faults;
mod harness;
mod recorder;
pub mod stores;

pub use faults::DeliveryFault;
pub(crate) use harness::run_test;
pub use harness::{DeadLettered, TestApp, TestAppBuilder};
pub use recorder::Captured;

pub use crate::dispatch::HandlerFault;
