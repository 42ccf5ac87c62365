//! What a consumer shows of itself: whether it consumes, and what became of its messages.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;

use crate::observability::{Account, Fate, Ledger};

/// Whether a consumer consumes. Computed from what the broker confirmed, not from an open socket.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Readiness {
    /// Not yet confirmed by the broker.
    Starting,
    /// Confirmed by the broker.
    Consuming,
    /// Confirmed by the broker, but messages wait in this process because the circuit breaker of a
    /// handler is open; with the breaker, the handler and when it tries again.
    Waiting(String),
    /// Not consuming, with the reason; it is being re-established.
    Unready(String),
    /// Not consuming because somebody asked for it, with the reason; what comes waits in the queue.
    Paused(String),
    /// Stopped by the app.
    Stopped,
}

impl fmt::Display for Readiness {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Starting => f.write_str("not yet confirmed by the broker"),
            Self::Consuming => f.write_str("consuming"),
            Self::Waiting(reason) => write!(f, "waiting: {reason}"),
            Self::Unready(reason) => write!(f, "not consuming: {reason}"),
            Self::Paused(reason) => write!(f, "paused: {reason}"),
            Self::Stopped => f.write_str("stopped"),
        }
    }
}

/// What became of the messages of one queue: its part of the [`Ledger`].
#[derive(Debug)]
pub struct Counters {
    /// Messages for which there is no handler.
    unrouted: Arc<Account>,
    accounts: Vec<Arc<Account>>,
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
    /// Left for redelivery: the connection was lost, or the app stopped between two attempts.
    pub left: u64,
}

impl Counters {
    /// The accounts of a queue and its handlers.
    #[must_use]
    pub fn new<'a>(
        ledger: &Ledger,
        queue: &str,
        handlers: impl IntoIterator<Item = &'a str>,
    ) -> Self {
        let unrouted = ledger.route(queue, "-");
        // Functions of one name in two modules share an account, which is counted once.
        let names: BTreeSet<&str> = handlers.into_iter().collect();
        let accounts = names.into_iter().map(|handler| ledger.route(queue, handler)).collect();
        Self { unrouted, accounts }
    }

    /// The account of messages for which there is no handler.
    pub(super) fn unrouted(&self) -> &Account {
        &self.unrouted
    }

    /// The counts now.
    #[must_use]
    pub fn read(&self) -> Counts {
        let get = |fate| -> u64 {
            self.accounts.iter().chain([&self.unrouted]).map(|account| account.count(fate)).sum()
        };
        Counts {
            handled: get(Fate::Handled),
            retried: get(Fate::Retried),
            fallen_back: get(Fate::FellBack),
            rejected: get(Fate::Rejected),
            discarded: get(Fate::Discarded),
            dead_lettered: get(Fate::DeadLettered) + get(Fate::Moved),
            abandoned: get(Fate::Abandoned),
            left: get(Fate::Left),
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
            left: self.left + other.left,
        }
    }
}
