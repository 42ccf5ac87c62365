//! The loop around a queue, and the only place that settles.
//!
//! In: a queue, its dispatcher, a transport. Out: settled deliveries. The runtime starts one
//! [`Consumer`] per queue; it runs until the app stops and re-establishes itself after every loss.

mod consumer;
mod dead_letter;
mod flow;
mod job;
mod postpone;
mod settle;
mod status;

pub use consumer::{Consumer, ConsumerOptions};
pub use settle::Settler;
pub use status::{Counters, Counts, Readiness};
