//! When the next call may begin, for a limited number of calls per time.
//!
//! The generic cell rate algorithm. Time is handed in, and waiting is the caller's business. (A crate for
//! this exists; its waiting runs on a clock of its own, which a test cannot move, and is not in order.)

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// The time within which calls need not be spread evenly, unless a burst is given: timers are no
/// finer than a millisecond.
const EVENNESS: Duration = Duration::from_millis(10);

/// How many calls may begin in which time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct RatePolicy {
    /// Calls, at least 1 and at most 1,000,000.
    pub calls: u32,
    /// The time for so many calls.
    pub per: Duration,
    /// How many may begin at once after a quiet time. Without it, as many as come in 10 ms, at least 1.
    pub burst: Option<u32>,
}

impl RatePolicy {
    /// So many calls per so many milliseconds.
    #[must_use]
    pub const fn new(calls: u32, per_ms: u64) -> Self {
        Self { calls, per: Duration::from_millis(per_ms), burst: None }
    }

    /// Sets how many may begin at once.
    #[must_use]
    pub const fn burst(mut self, burst: u32) -> Self {
        self.burst = Some(burst);
        self
    }

    /// The time from call to call.
    #[must_use]
    pub fn interval(&self) -> Duration {
        self.per / self.calls.max(1)
    }

    /// How many may begin at once.
    #[must_use]
    pub fn burst_size(&self) -> u32 {
        let even = EVENNESS.as_nanos() / self.interval().as_nanos().max(1);
        self.burst.unwrap_or(u32::try_from(even).unwrap_or(u32::MAX)).max(1)
    }
}

/// Tells a caller whether it may begin.
#[derive(Debug)]
pub struct RateLimiter {
    interval: Duration,
    tolerance: Duration,
    /// When the next call is due if all are spread evenly; nothing before the first one.
    due: Mutex<Option<Instant>>,
}

impl RateLimiter {
    /// A limiter that has let nothing through yet.
    #[must_use]
    pub fn new(policy: RatePolicy) -> Self {
        let interval = policy.interval();
        let tolerance = interval.saturating_mul(policy.burst_size() - 1);
        Self { interval, tolerance, due: Mutex::new(None) }
    }

    /// Takes a place, for a call that begins now.
    ///
    /// # Errors
    /// When to ask again, if it is too early.
    pub fn try_take(&self, now: Instant) -> Result<(), Instant> {
        let mut due = self.due.lock().unwrap_or_else(PoisonError::into_inner);
        let at = due.unwrap_or(now);
        if at > now + self.tolerance {
            return Err(at.checked_sub(self.tolerance).unwrap_or(at));
        }
        *due = Some(at.max(now) + self.interval);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn begins(policy: RatePolicy, asked_ms: &[u64]) -> Vec<Duration> {
        let (limiter, epoch) = (RateLimiter::new(policy), Instant::now());
        // One after another, as those who wait do.
        let mut now = epoch;
        let begin = |ms: &u64| {
            now = now.max(epoch + Duration::from_millis(*ms));
            while let Err(at) = limiter.try_take(now) {
                assert!(at > now, "asking again makes sense only later");
                now = at;
            }
            now - epoch
        };
        asked_ms.iter().map(begin).collect()
    }

    #[test]
    fn calls_are_spread_evenly_after_the_burst() {
        let millis = |policy, asked: &[u64]| -> Vec<u128> {
            begins(policy, asked).iter().map(Duration::as_millis).collect()
        };
        assert_eq!(millis(RatePolicy::new(10, 1_000), &[0; 4]), [0, 100, 200, 300]);
        let burst = RatePolicy::new(10, 1_000).burst(3);
        assert_eq!(millis(burst, &[0; 5]), [0, 0, 0, 100, 200]);
        // A quiet time brings the burst back, and no more than that.
        assert_eq!(
            millis(burst, &[0, 0, 0, 9_000, 9_000, 9_000, 9_000])[3..],
            [9_000, 9_000, 9_000, 9_100]
        );
        assert_eq!(RatePolicy::new(5_000, 1_000).burst_size(), 50);
        assert_eq!(RatePolicy::new(1, 60_000).burst_size(), 1);
    }

    proptest! {
        #[test]
        fn no_window_sees_more_calls_than_the_rate_and_one_burst(
            calls in 1..1_000_u32,
            per_ms in 1..10_000_u64,
            burst in 1..50_u32,
            mut asked in proptest::collection::vec(0..5_000_u64, 1..200),
        ) {
            asked.sort_unstable();
            let policy = RatePolicy::new(calls, per_ms).burst(burst);
            let begins = begins(policy, &asked);
            for (index, first) in begins.iter().enumerate() {
                for (last, end) in begins.iter().enumerate().skip(index) {
                    prop_assert!(end >= first, "callers go in order");
                    let allowed = (*end - *first).as_nanos() / policy.interval().as_nanos() + u128::from(burst);
                    prop_assert!((last - index + 1) as u128 <= allowed);
                }
            }
        }
    }
}
