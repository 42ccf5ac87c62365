//! How long to wait before the next attempt.

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use super::RetryPolicy;

/// The longest wait that a function of the user may ask for; what is longer is cut: 7 days.
pub const CUSTOM_WAIT_MAX: Duration = Duration::from_secs(7 * 24 * 60 * 60);

/// The growth of waits from attempt to attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Backoff {
    /// The same wait each time.
    Fixed {
        /// The wait, in milliseconds.
        wait_ms: u64,
    },
    /// One step more each time.
    Linear {
        /// The first wait and the growth, in milliseconds.
        step_ms: u64,
        /// The longest wait, in milliseconds.
        cap_ms: u64,
    },
    /// Twice as long each time.
    Exponential {
        /// The first wait, in milliseconds.
        base_ms: u64,
        /// The longest wait, in milliseconds.
        cap_ms: u64,
    },
    /// What a function says.
    Custom(CustomBackoff),
}

/// A function that says how long to wait after the attempt with the given number (from 1).
#[derive(Clone, Copy)]
pub struct CustomBackoff(fn(u32) -> Duration);

impl CustomBackoff {
    /// What the function says, at most [`CUSTOM_WAIT_MAX`]. If it panics, the wait of the default
    /// policy: a mistake in it must not stop the consumer.
    fn wait(self, attempt: u32) -> Duration {
        catch_unwind(AssertUnwindSafe(|| (self.0)(attempt)))
            .unwrap_or_else(|_| RetryPolicy::DEFAULT.backoff.wait(attempt))
            .min(CUSTOM_WAIT_MAX)
    }
}

impl PartialEq for CustomBackoff {
    fn eq(&self, other: &Self) -> bool {
        std::ptr::fn_addr_eq(self.0, other.0)
    }
}

impl Eq for CustomBackoff {}

impl fmt::Debug for CustomBackoff {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("CustomBackoff")
    }
}

impl Backoff {
    /// The same wait each time.
    #[must_use]
    pub const fn fixed_ms(wait_ms: u64) -> Self {
        Self::Fixed { wait_ms }
    }

    /// Waits of one, two, three steps and so on, up to the cap.
    #[must_use]
    pub const fn linear_ms(step_ms: u64, cap_ms: u64) -> Self {
        Self::Linear { step_ms, cap_ms }
    }

    /// Waits that double from `base_ms` up to the cap.
    #[must_use]
    pub const fn exponential_ms(base_ms: u64, cap_ms: u64) -> Self {
        Self::Exponential { base_ms, cap_ms }
    }

    /// Waits as the function says, which is given the number of the attempt that failed (from 1); at most
    /// [`CUSTOM_WAIT_MAX`].
    #[must_use]
    pub const fn custom(wait: fn(u32) -> Duration) -> Self {
        Self::Custom(CustomBackoff(wait))
    }

    /// The wait after the attempt with this number (from 1), without jitter.
    #[must_use]
    pub fn wait(&self, attempt: u32) -> Duration {
        let number = attempt.max(1);
        let attempt = u64::from(number);
        let millis = match *self {
            Self::Custom(custom) => return custom.wait(number),
            Self::Fixed { wait_ms } => wait_ms,
            Self::Linear { step_ms, cap_ms } => step_ms.saturating_mul(attempt).min(cap_ms),
            Self::Exponential { base_ms, cap_ms } => {
                // Beyond 63 doublings every wait is over the cap; shifting further would wrap.
                let doublings = u32::try_from(attempt - 1).unwrap_or(u32::MAX).min(63);
                base_ms.saturating_mul(1 << doublings).min(cap_ms)
            }
        };
        Duration::from_millis(millis)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::reliability::Step;

    fn squares(attempt: u32) -> Duration {
        Duration::from_secs(u64::from(attempt) * u64::from(attempt))
    }

    #[test]
    fn a_function_is_asked_and_its_answer_is_cut_at_seven_days() {
        let waits = [1, 2, 9, u32::MAX].map(|n| Backoff::custom(squares).wait(n).as_secs());
        assert_eq!(waits, [1, 4, 81, 604_800]);
        assert_eq!(Backoff::custom(|_| Duration::MAX).wait(1), CUSTOM_WAIT_MAX);
        assert_eq!(
            Backoff::custom(squares).wait(0),
            Duration::from_secs(1),
            "there is no attempt 0"
        );
    }

    #[test]
    fn a_function_that_panics_is_replaced_by_the_default_waits() {
        let broken = Backoff::custom(|_| panic!("the function is broken"));
        assert_eq!([1, 2].map(|n| broken.wait(n).as_secs()), [1, 2]);
    }

    fn any_backoff() -> impl Strategy<Value = (Backoff, Duration)> {
        let millis = Duration::from_millis;
        prop_oneof![
            any::<u64>().prop_map(move |wait| (Backoff::fixed_ms(wait), millis(wait))),
            any::<(u64, u64)>().prop_map(move |(a, b)| (Backoff::linear_ms(a, b), millis(b))),
            any::<(u64, u64)>().prop_map(move |(a, b)| (Backoff::exponential_ms(a, b), millis(b))),
            Just((Backoff::custom(squares), CUSTOM_WAIT_MAX)),
            Just((Backoff::custom(|_| Duration::MAX), CUSTOM_WAIT_MAX)),
        ]
    }

    proptest! {
        #[test]
        fn no_wait_is_over_the_cap_or_shorter_than_the_one_before(
            (backoff, cap) in any_backoff(),
            attempt in any::<u32>(),
            later in any::<u32>(),
        ) {
            let (earlier, later) = (attempt.min(later), attempt.max(later));
            prop_assert!(backoff.wait(later) <= cap);
            prop_assert!(backoff.wait(earlier) <= backoff.wait(later));
        }

        #[test]
        fn jitter_stays_within_its_part_of_the_wait(
            (backoff, _) in any_backoff(),
            attempt in 1..u32::MAX,
            jitter in -1.0..2.0_f64,
            fraction in 0.0..=1.0_f64,
        ) {
            let policy = RetryPolicy::new(u32::MAX, backoff).jitter(jitter);
            let Step::RetryAfter(wait) = policy.next(attempt, None, fraction) else {
                return Err(TestCaseError::fail("attempts are left"));
            };
            let (plain, part) = (backoff.wait(attempt).as_secs_f64(), jitter.clamp(0.0, 1.0));
            // Waits of centuries are no exact numbers of seconds any more.
            let slack = plain * 1e-9 + 1e-9;
            prop_assert!(wait.as_secs_f64() >= plain * (1.0 - part) - slack);
            prop_assert!(wait.as_secs_f64() <= plain * (1.0 + part) + slack);
        }
    }

    #[test]
    fn waits_follow_the_plan_and_never_exceed_the_cap() {
        let waits = |backoff: Backoff| [1, 2, 3, 9, u32::MAX].map(|n| backoff.wait(n).as_millis());
        assert_eq!(waits(Backoff::fixed_ms(5)), [5, 5, 5, 5, 5]);
        assert_eq!(waits(Backoff::linear_ms(100, 400)), [100, 200, 300, 400, 400]);
        assert_eq!(waits(Backoff::exponential_ms(100, 5_000)), [100, 200, 400, 5_000, 5_000]);
    }
}
