//! Counts handled messages and takes the time between two of them.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Instant;

use tokio::sync::Notify;

use crate::Result;
use crate::figures::Sample;
use crate::message::OrderPlaced;

/// The part of a turn that is not timed, as one in so many messages: connections open, caches fill,
/// the first acks are written.
const WARM_UP: u32 = 10;

/// Sees the messages of one turn.
#[derive(Debug)]
pub(crate) struct Meter {
    first: u32,
    last: u32,
    handled: AtomicU32,
    began: OnceLock<Instant>,
    ended: OnceLock<Instant>,
    done: Notify,
}

impl Meter {
    /// A meter for a turn of this many messages.
    pub(crate) fn new(messages: u32) -> Self {
        Self {
            first: (messages / WARM_UP).max(1),
            last: messages,
            handled: AtomicU32::new(0),
            began: OnceLock::new(),
            ended: OnceLock::new(),
            done: Notify::new(),
        }
    }

    /// What every handler does with its message: looks at it, counts it and drops it.
    pub(crate) fn take(&self, order: OrderPlaced) {
        drop(std::hint::black_box(order));
        let handled = self.handled.fetch_add(1, Ordering::Relaxed) + 1;
        if handled == self.first {
            self.began.get_or_init(Instant::now);
        } else if handled == self.last {
            self.ended.get_or_init(Instant::now);
            self.done.notify_one();
        }
    }

    /// True once all messages were handled.
    pub(crate) fn is_done(&self) -> bool {
        self.ended.get().is_some()
    }

    /// Waits for the last message.
    pub(crate) async fn finish(&self) -> Result<Sample> {
        if !self.is_done() {
            self.done.notified().await;
        }
        let (Some(began), Some(ended)) = (self.began.get(), self.ended.get()) else {
            return Err("a turn ended before it began".into());
        };
        Ok(Sample::new(self.last - self.first, *ended - *began))
    }
}
