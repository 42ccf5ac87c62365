//! Deadlines of requests: whoever asks says how long it waits, and what comes later is not begun.

use std::fmt;
use std::time::Duration;

use tokio::time::Instant;

use crate::contract::headers::names;
use crate::contract::refusal::codes;
use crate::contract::{HeaderValue, Source};
use crate::reliability::{ErrorClass, ErrorEntry, MessageError};
use crate::transport::Delivery;

/// Compares deadlines with this process's clock.
#[derive(Clone, Debug)]
pub struct Deadlines {
    /// The clock.
    pub source: Source,
    /// How much later than its deadline a request is still begun, since no two clocks agree
    /// (`bridge.clock_skew`).
    pub clock_skew: Duration,
}

impl Deadlines {
    /// The error of a request that came too late for `handler`.
    pub(super) fn expired(&self, delivery: &Delivery, handler: &'static str) -> Option<Expired> {
        let left_ms = self.left_ms(delivery).filter(|left| *left < 0)?;
        let late = Duration::from_millis(left_ms.unsigned_abs());
        (late > self.clock_skew).then_some(Expired { handler, late })
    }

    /// When whoever asked stops to wait, on the clock that waits are made with.
    pub(super) fn of(&self, delivery: &Delivery, now: Instant) -> Option<Instant> {
        let left = u64::try_from(self.left_ms(delivery)?).unwrap_or(0);
        now.checked_add(Duration::from_millis(left))
    }

    /// The time that is left. The clock is read for requests alone.
    fn left_ms(&self, delivery: &Delivery) -> Option<i64> {
        let deadline = delivery.properties.headers.get(names::DEADLINE);
        let deadline = deadline.and_then(HeaderValue::as_i64)?;
        Some(deadline.saturating_sub(self.source.now().as_millisecond()))
    }
}

/// Nobody waits for the answer any more, so the handler was not called.
#[derive(Debug)]
pub struct Expired {
    handler: &'static str,
    late: Duration,
}

impl fmt::Display for Expired {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { handler, late } = self;
        write!(
            f,
            "handler `{handler}` was not called: its turn came {late:?} after the deadline of whoever asked"
        )
    }
}

impl std::error::Error for Expired {}

impl MessageError for Expired {
    fn class(&self) -> ErrorClass {
        ErrorClass::Rejected { code: codes::DEADLINE_EXCEEDED }
    }
}

inventory::submit!(ErrorEntry::of::<Expired>());

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::transport::{Properties, Tag};

    /// 2026-01-01T00:00:10Z, ten seconds after the seeded clock begins.
    const NOW_MS: i64 = 1_767_225_610_000;

    fn delivery(deadline: impl Into<HeaderValue>) -> Delivery {
        let mut properties = Properties::default();
        properties.headers.set(names::DEADLINE, deadline);
        Delivery::new(Tag(1), "q", properties, Bytes::new())
    }

    #[tokio::test(start_paused = true)]
    async fn a_request_is_late_when_its_deadline_and_the_skew_of_clocks_are_over() {
        let source = Source::seeded(1, || Duration::from_secs(10));
        let deadlines = Deadlines { source, clock_skew: Duration::from_secs(1) };
        let late = |deadline: i64| deadlines.expired(&delivery(deadline), "h").map(|it| it.late);
        assert_eq!(late(NOW_MS + 5), None);
        assert_eq!(late(NOW_MS - 1_000), None);
        assert_eq!(late(NOW_MS - 1_001), Some(Duration::from_millis(1_001)));
        assert!(late(i64::MIN).is_some() && late(i64::MAX).is_none());
        let left = |deadline: i64| {
            let now = Instant::now();
            deadlines.of(&delivery(deadline), now).map(|at| at - now)
        };
        assert_eq!(left(NOW_MS + 250), Some(Duration::from_millis(250)));
        assert_eq!(left(NOW_MS - 1), Some(Duration::ZERO));
        let none = Delivery::new(Tag(1), "q", Properties::default(), Bytes::new());
        assert!(deadlines.of(&none, Instant::now()).is_none());
        assert!(deadlines.expired(&none, "h").is_none());
    }
}
