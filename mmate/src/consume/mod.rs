//! The loop around a queue, and the only place that settles.
//!
//! In: a queue, its dispatcher, a transport. Out: settled deliveries. The runtime starts one
//! [`Consumer`] per queue; it runs until the app stops and re-establishes itself after every loss.

mod activity;
mod age;
mod alert;
mod answer;
mod consumer;
mod dead_letter;
mod failure;
mod flow;
mod handle;
mod job;
mod park;
mod postpone;
mod replay;
mod settle;
mod stall;
mod status;

pub use activity::Activity;
pub use alert::{Alert, Alerts};
pub use consumer::{Consumer, ConsumerOptions};
pub use handle::ConsumerHandle;
pub(crate) use replay::forget_death;
pub use settle::Settler;
pub(crate) use stall::stalled;
pub use status::{Counters, Counts, Readiness};
