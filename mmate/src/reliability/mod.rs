//! Pure policies: what an error means, when to try again, and when a call may be made at all.
//!
//! In: an error, a number of attempts, a random fraction, the time. Out: a decision. `handler`, `dispatch` and
//! `consume` call this room; it does no I/O, reads no clock, waits for nothing and knows no messages.

mod backoff;
#[cfg(feature = "runtime")]
mod breaker;
mod class;
#[cfg(feature = "runtime")]
mod rate;
mod retry;

pub use backoff::{Backoff, CUSTOM_WAIT_MAX, CustomBackoff};
#[cfg(feature = "runtime")]
pub use breaker::{
    BreakerPolicy, CallEnd, Change, CircuitBreaker, Exclusive, Machine, Permit, Refusal, Role,
};
pub use class::{
    DeadLetter, Discard, ErrorClass, ErrorEntry, MessageError, Reject, Retry, Verdict, classify,
};
#[cfg(feature = "runtime")]
pub use rate::{RateLimiter, RatePolicy};
pub use retry::{RetryPolicy, Step};
