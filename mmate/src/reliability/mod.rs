//! Pure policies: what an error means, and when to try again.
//!
//! In: an error, a number of attempts, a random fraction. Out: a decision. `handler` and `consume`
//! call this room; it does no I/O, reads no clock and knows no messages.

mod backoff;
mod class;
mod retry;

pub use backoff::Backoff;
pub use class::{
    DeadLetter, Discard, ErrorClass, ErrorEntry, MessageError, Reject, Retry, Verdict, classify,
};
pub use retry::{RetryPolicy, Step};
