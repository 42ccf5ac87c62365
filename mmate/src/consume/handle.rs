//! A consumer from outside: what it shows, and how it is paused.

use std::sync::Arc;

use tokio::sync::watch;

use super::activity::Activity;
use super::status::{Counters, Counts, Readiness};

/// Why a consumer is to rest; nothing while it is to consume.
pub(super) type Pause = Option<Arc<str>>;

/// A running consumer, seen from outside. Clones are the same consumer.
#[derive(Clone, Debug)]
pub struct ConsumerHandle {
    pub(super) queue: Arc<str>,
    pub(super) readiness: watch::Receiver<Readiness>,
    pub(super) counters: Arc<Counters>,
    pub(super) activity: Arc<Activity>,
    pub(super) pause: watch::Sender<Pause>,
}

impl ConsumerHandle {
    /// The queue.
    #[must_use]
    pub fn queue(&self) -> &str {
        &self.queue
    }

    /// Whether it consumes now.
    #[must_use]
    pub fn readiness(&self) -> Readiness {
        self.readiness.borrow().clone()
    }

    /// Resolves as soon as `wanted` is true of whether it consumes, with that; nothing if it ended first.
    pub async fn wait_for(&self, wanted: impl FnMut(&Readiness) -> bool) -> Option<Readiness> {
        let mut readiness = self.readiness.clone();
        let found = readiness.wait_for(wanted).await;
        found.ok().map(|readiness| readiness.clone())
    }

    /// What became of its messages so far.
    #[must_use]
    pub fn counts(&self) -> Counts {
        self.counters.read()
    }

    /// When it last received, and how many it holds.
    #[must_use]
    pub fn activity(&self) -> &Activity {
        &self.activity
    }

    /// Ends the subscription at the broker; resolves when the handlers that run have ended. What was
    /// fetched in advance, or waited here for another attempt, goes back to the queue.
    ///
    /// It also works while the broker is away: then no subscription is made when it is back.
    pub async fn pause(&self, reason: &str) {
        self.pause.send_replace(Some(reason.into()));
        let resting = |it: &Readiness| matches!(it, Readiness::Paused(_) | Readiness::Stopped);
        self.wait_for(resting).await;
    }

    /// Subscribes again; resolves with the broker's first answer. Nothing happens if it is not paused.
    pub async fn resume(&self) {
        self.pause.send_replace(None);
        self.wait_for(|it| !matches!(it, Readiness::Paused(_))).await;
    }
}
