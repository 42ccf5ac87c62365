//! What a consumer shows of itself: whether it consumes, and what became of its messages.

use std::sync::atomic::{AtomicU64, Ordering};

/// Whether a consumer consumes. Computed from what the broker confirmed, not from an open socket.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Readiness {
    /// Not yet confirmed by the broker.
    Starting,
    /// Confirmed by the broker.
    Consuming,
    /// Confirmed by the broker, and not taking messages for now, with the reason and the way out.
    Paused(String),
    /// Not consuming, with the reason; it is being re-established.
    Unready(String),
    /// Stopped by the app.
    Stopped,
}

/// Counts of what became of messages, by fate.
#[derive(Debug, Default)]
pub struct Counters {
    handled: AtomicU64,
    retried: AtomicU64,
    fallen_back: AtomicU64,
    rejected: AtomicU64,
    discarded: AtomicU64,
    dead_lettered: AtomicU64,
    abandoned: AtomicU64,
}

/// A reading of [`Counters`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Counts {
    /// Handled with success.
    pub handled: u64,
    /// Failed attempts after which another follows.
    pub retried: u64,
    /// Handled by the fallback of their handler.
    pub fallen_back: u64,
    /// Refused by the business and acknowledged.
    pub rejected: u64,
    /// Acknowledged and forgotten at the handler's wish.
    pub discarded: u64,
    /// Moved to the dead-letter queue.
    pub dead_lettered: u64,
    /// Left to another process because the time for draining was over.
    pub abandoned: u64,
}

/// A fate that is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    Handled,
    Retried,
    FellBack,
    Rejected,
    Discarded,
    DeadLettered,
}

impl Counters {
    pub(super) fn count(&self, fate: Fate) {
        let counter = match fate {
            Fate::Handled => &self.handled,
            Fate::Retried => &self.retried,
            Fate::FellBack => &self.fallen_back,
            Fate::Rejected => &self.rejected,
            Fate::Discarded => &self.discarded,
            Fate::DeadLettered => &self.dead_lettered,
        };
        counter.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn abandon(&self, messages: usize) {
        self.abandoned.fetch_add(u64::try_from(messages).unwrap_or(u64::MAX), Ordering::Relaxed);
    }

    /// The counts now.
    #[must_use]
    pub fn read(&self) -> Counts {
        let get = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Counts {
            handled: get(&self.handled),
            retried: get(&self.retried),
            fallen_back: get(&self.fallen_back),
            rejected: get(&self.rejected),
            discarded: get(&self.discarded),
            dead_lettered: get(&self.dead_lettered),
            abandoned: get(&self.abandoned),
        }
    }
}

impl std::ops::Add for Counts {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self {
            handled: self.handled + other.handled,
            retried: self.retried + other.retried,
            fallen_back: self.fallen_back + other.fallen_back,
            rejected: self.rejected + other.rejected,
            discarded: self.discarded + other.discarded,
            dead_lettered: self.dead_lettered + other.dead_lettered,
            abandoned: self.abandoned + other.abandoned,
        }
    }
}
