//! How long to wait before the next attempt.

use std::time::Duration;

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

    /// The wait after the attempt with this number (from 1), without jitter.
    #[must_use]
    pub fn wait(&self, attempt: u32) -> Duration {
        let attempt = u64::from(attempt.max(1));
        let millis = match *self {
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
    use super::*;

    #[test]
    fn waits_follow_the_plan_and_never_exceed_the_cap() {
        let waits = |backoff: Backoff| [1, 2, 3, 9, u32::MAX].map(|n| backoff.wait(n).as_millis());
        assert_eq!(waits(Backoff::fixed_ms(5)), [5, 5, 5, 5, 5]);
        assert_eq!(waits(Backoff::linear_ms(100, 400)), [100, 200, 300, 400, 400]);
        assert_eq!(waits(Backoff::exponential_ms(100, 5_000)), [100, 200, 400, 5_000, 5_000]);
    }
}
