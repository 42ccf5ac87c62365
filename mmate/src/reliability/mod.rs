//! Pure policies: what an error means, when to try again, and when a call may be made at all.
//!
//! In: an error, a number of attempts, a random fraction, the time. Out: a decision. `handler`, `dispatch` and
//! `consume` call this room; it does no I/O, reads no clock, waits for nothing and knows no messages.
//!
//! # Which class, and which policy
//!
//! The class of an error: its own word (`#[derive(MessageError)]`, [`Retry`], found through any number of
//! wrappers), then the first of `[[retry.rules]]` that fits, then `unknown`. A rule with `always = true` goes
//! before a class that the error says itself. [`Reject`], [`DeadLetter`] and [`Discard`] are decisions, which
//! no rule changes.
//!
//! The policy of a class: the handler's `retry(..)`, then `[retry.classes.<class>]`, part by part, then the built-in
//! one ([`RetryPolicies::BUILT_IN`]). `invalid` and `permanent` are never retried, whatever anybody says.
//!
//! ```toml
//! [retry.classes.transient]
//! attempts = 8                        # calls in all
//! backoff = "exponential(1s, 1m)"     # or linear(1s, 30s), fixed(10s)
//! jitter = 0.2                        # 20 % of the wait is random
//!
//! [[retry.rules]]
//! handler = "charge_card"             # all handlers if left out
//! error = "connection reset"          # part of the error's text, its sources included
//! class = "transient"                 # transient, throttle, system, invalid, permanent
//! always = false                      # also for errors that say their class themselves
//! ```

mod backoff;
#[cfg(feature = "runtime")]
mod breaker;
mod class;
#[cfg(feature = "runtime")]
mod rate;
mod retry;
mod rules;

pub use backoff::{Backoff, CUSTOM_WAIT_MAX, CustomBackoff};
#[cfg(feature = "runtime")]
pub use breaker::{
    BreakerPolicy, CallEnd, Change, CircuitBreaker, Exclusive, Machine, Permit, Refusal, Role,
};
pub use class::{
    DeadLetter, Discard, ErrorClass, ErrorEntry, MessageError, OutcomeUnknown, Reject, Retry,
    Verdict, classify, outcome_is_unknown,
};
#[cfg(feature = "runtime")]
pub use rate::{RateLimiter, RatePolicy};
pub use retry::{RetryPolicy, Step};
pub use rules::{RetryPolicies, RetryRule, RetrySettings};
