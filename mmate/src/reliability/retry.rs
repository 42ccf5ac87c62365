//! Whether to try again, and after which wait.

use std::time::Duration;

use super::{Backoff, ErrorClass, RetryPolicies};

/// How often a message is handed to a handler, and how long to wait in between.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct RetryPolicy {
    /// Calls in all, the first included; at least 1.
    pub attempts: u32,
    /// The waits.
    pub backoff: Backoff,
    /// Up to this part of a wait is added or taken away at random: 0.1 is 10 %. From 0 to 1.
    pub jitter: f64,
}

/// What follows a failed attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Try again after this wait.
    RetryAfter(Duration),
    /// No attempt is left.
    GiveUp,
}

impl RetryPolicy {
    /// Three attempts, 1 s doubling to 30 s, jitter 10 %.
    pub const DEFAULT: Self = Self::new(3, Backoff::exponential_ms(1_000, 30_000));
    /// One attempt.
    pub const NEVER: Self = Self::new(1, Backoff::fixed_ms(0));

    /// A policy with a jitter of 10 %.
    #[must_use]
    pub const fn new(attempts: u32, backoff: Backoff) -> Self {
        Self { attempts, backoff, jitter: 0.1 }
    }

    /// Sets the jitter, as a part of the wait from 0 to 1.
    #[must_use]
    pub const fn jitter(mut self, jitter: f64) -> Self {
        self.jitter = jitter;
        self
    }

    /// The built-in policy of a class. What the handler's `retry(..)` says replaces that of every class
    /// that is retried at all.
    #[must_use]
    pub fn of(class: ErrorClass, handler: Option<Self>) -> Self {
        RetryPolicies::BUILT_IN.of(class, handler)
    }

    /// What follows the failure of the attempt with this number (from 1). `fraction` is random, from
    /// 0 to 1; `asked` is a wait that the error itself asked for.
    #[must_use]
    pub fn next(&self, attempt: u32, asked: Option<Duration>, fraction: f64) -> Step {
        if attempt >= self.attempts {
            return Step::GiveUp;
        }
        let wait = asked.unwrap_or_else(|| {
            let spread = 1.0 + self.jitter.clamp(0.0, 1.0) * (2.0 * fraction - 1.0);
            self.backoff.wait(attempt).mul_f64(spread.max(0.0))
        });
        Step::RetryAfter(wait)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attempts_are_total_calls() {
        let policy = RetryPolicy::new(3, Backoff::fixed_ms(100)).jitter(0.0);
        let wait = Step::RetryAfter(Duration::from_millis(100));
        assert_eq!([1, 2, 3].map(|n| policy.next(n, None, 0.5)), [wait, wait, Step::GiveUp]);
    }

    #[test]
    fn jitter_spreads_both_ways_and_an_asked_wait_is_kept() {
        let policy = RetryPolicy::new(9, Backoff::fixed_ms(100));
        assert_eq!(policy.next(1, None, 0.0), Step::RetryAfter(Duration::from_millis(90)));
        assert_eq!(policy.next(1, None, 1.0), Step::RetryAfter(Duration::from_millis(110)));
        let asked = Duration::from_secs(7);
        assert_eq!(policy.next(1, Some(asked), 1.0), Step::RetryAfter(asked));
    }

    #[test]
    fn invalid_and_permanent_are_never_retried_whatever_the_handler_says() {
        let generous = Some(RetryPolicy::new(9, Backoff::fixed_ms(1)));
        for class in
            [ErrorClass::Invalid, ErrorClass::Permanent, ErrorClass::Rejected { code: "X" }]
        {
            assert_eq!(RetryPolicy::of(class, generous).attempts, 1);
        }
        assert_eq!(RetryPolicy::of(ErrorClass::Unknown, generous).attempts, 9);
        assert_eq!(RetryPolicy::of(ErrorClass::Transient, None).attempts, 5);
    }
}
