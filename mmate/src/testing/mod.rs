//! Tests of services: the whole app in memory, on a virtual clock.
//!
//! In: annotated handlers. Out: a [`TestApp`] that publishes, waits until nothing is in flight, and
//! shows what was published. Tests of user services call it through `#[mmate::test]`.

mod harness;
mod recorder;

pub(crate) use harness::run_test;
pub use harness::{DeadLettered, TestApp, TestAppBuilder};
pub use recorder::Captured;
