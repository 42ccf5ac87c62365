//! What a consumer is doing, for those who look at it from outside.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use tokio::time::Instant;

/// Written once per turn of the consumer's loop, not once per message: a turn handles all that is there.
///
/// Each figure is exact; two that are read one after the other may be from two turns.
#[derive(Debug)]
pub struct Activity {
    began: Instant,
    confirmed: Moment,
    received: Moment,
    /// The last change between wanting another message and not.
    turned: Moment,
    hungry: AtomicBool,
    in_flight: AtomicU64,
}

impl Activity {
    /// Of a consumer that has not begun.
    #[must_use]
    pub fn new() -> Self {
        Self {
            began: Instant::now(),
            confirmed: Moment::default(),
            received: Moment::default(),
            turned: Moment::default(),
            hungry: AtomicBool::new(false),
            in_flight: AtomicU64::new(0),
        }
    }

    /// How many messages are being handled, or wait in this process for another attempt.
    #[must_use]
    pub fn in_flight(&self) -> u64 {
        self.in_flight.load(Ordering::Relaxed)
    }

    /// How long ago the last message came; nothing if none came yet.
    #[must_use]
    pub fn since_received(&self) -> Option<Duration> {
        self.since(&self.received)
    }

    /// How long ago the broker confirmed the consumer for the last time; nothing if it did not yet.
    #[must_use]
    pub fn since_confirmed(&self) -> Option<Duration> {
        self.since(&self.confirmed)
    }

    /// How long the consumer has wanted a message and got none; nothing while it wants none.
    pub(super) fn starved(&self) -> Option<Duration> {
        let since =
            [&self.confirmed, &self.received, &self.turned].map(|moment| self.since(moment));
        self.hungry.load(Ordering::Relaxed).then(|| since.into_iter().flatten().min())?
    }

    /// The broker has confirmed the consumer.
    pub(crate) fn confirmed(&self) {
        self.hungry.store(false, Ordering::Relaxed);
        self.confirmed.set(self.began);
    }

    /// The subscription is gone, and all that was in flight with it.
    pub(super) fn ended(&self) {
        self.turn(false, false, 0);
    }

    /// A turn of the loop is over.
    pub(crate) fn turn(&self, received: bool, hungry: bool, in_flight: usize) {
        if received {
            self.received.set(self.began);
        }
        if self.hungry.swap(hungry, Ordering::Relaxed) != hungry {
            self.turned.set(self.began);
        }
        self.in_flight.store(in_flight as u64, Ordering::Relaxed);
    }

    fn since(&self, moment: &Moment) -> Option<Duration> {
        let at =
            self.began + Duration::from_nanos(moment.0.load(Ordering::Relaxed).checked_sub(1)?);
        Some(Instant::now().saturating_duration_since(at))
    }
}

impl Default for Activity {
    fn default() -> Self {
        Self::new()
    }
}

/// Nanoseconds since the beginning, plus one; 0 is never.
#[derive(Debug, Default)]
struct Moment(AtomicU64);

impl Moment {
    fn set(&self, began: Instant) {
        let nanos = u64::try_from(began.elapsed().as_nanos()).unwrap_or(u64::MAX - 1);
        self.0.store(nanos + 1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[tokio::test(start_paused = true)]
    async fn a_consumer_starves_only_while_it_wants_messages_and_gets_none() {
        let activity = Activity::new();
        assert_eq!((activity.starved(), activity.since_received()), (None, None));
        activity.confirmed();
        activity.turn(false, true, 0);
        tokio::time::advance(SECOND).await;
        assert_eq!(activity.starved(), Some(SECOND));
        activity.turn(true, true, 1);
        tokio::time::advance(SECOND).await;
        assert_eq!((activity.starved(), activity.in_flight()), (Some(SECOND), 1));
        // All places are taken.
        activity.turn(false, false, 2);
        tokio::time::advance(SECOND).await;
        assert_eq!(activity.starved(), None);
        activity.turn(false, true, 1);
        assert_eq!(activity.starved(), Some(Duration::ZERO), "it counts from the first free place");
        assert_eq!(activity.since_received(), Some(2 * SECOND));
        assert_eq!(activity.since_confirmed(), Some(3 * SECOND));
    }
}
