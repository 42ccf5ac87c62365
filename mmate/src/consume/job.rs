//! One delivery on its way through the handler.

use std::future::Future;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;

use super::failure::{Failure, id_of};
use super::replay::{forget_death, replayed_from};
use super::settle::{Decision, Settler};
use crate::contract::headers::names;
use crate::dispatch::{Dispatcher, Hold};
use crate::handler::HandlerError;
use crate::observability::{Account, Fate, Note};
use crate::transport::{Delivery, Settlement, Tag};

/// A delivery and the number of the attempt that is due (from 1).
///
/// It ends by being settled. Dropped before, wherever that happens, it is recorded as left: the broker
/// gives the message to somebody again.
#[derive(Debug)]
pub(super) struct Job<'a> {
    delivery: Delivery,
    attempt: u32,
    /// When it came, or any time before.
    since: Instant,
    worker: &'a Worker,
    settled: bool,
}

/// Why messages that are in flight would be left where they are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Leaving {
    /// Nobody asked: the app was dropped, or the consumer panicked.
    #[default]
    CutOff,
    /// The subscription is gone.
    ConnectionLost,
    /// The app stops, and this message waits for another attempt.
    Stopping,
    /// The consumer is paused, and this message waits for another attempt.
    Paused,
    /// The app stops, and the time for draining is over.
    DrainTimeout,
}

/// What is to be done after an attempt.
#[derive(Debug)]
pub(super) enum Finished<'a> {
    Settle(Tag, Settlement),
    /// Boxed: the rare case would make every outcome as large as a delivery.
    Retry(Box<Job<'a>>, Duration),
    /// Nothing: it was dropped, and is recorded as left.
    Leave,
}

/// What an attempt needs.
#[derive(Debug)]
pub(super) struct Worker {
    pub(super) dispatcher: Dispatcher,
    pub(super) settler: Settler,
    /// How often the broker may deliver a message that never ends an attempt.
    pub(super) redeliveries_max: u32,
    leaving: AtomicU8,
    /// True while nothing new is begun: messages that wait for a limit of their handler go back.
    halted: watch::Sender<bool>,
}

impl<'a> Job<'a> {
    /// The attempt number goes on from the header that a republish wrote, ours or the Go sibling's, and from the deliveries
    /// that ended without a word: a handler that killed its process has used up an attempt.
    ///
    /// A message that was sent back from the dead-letter queue begins anew: nobody downstream sees what
    /// its earlier life wrote, and no copy carries it on.
    pub(super) fn new(mut delivery: Delivery, since: Instant, worker: &'a Worker) -> Self {
        if replayed_from(&delivery.properties.headers, worker.settler.dead_letter_queue()) {
            forget_death(&mut delivery.properties.headers);
        }
        let number = |name| {
            let value = delivery.properties.headers.get(name)?.as_i64()?;
            u32::try_from(value).ok()
        };
        let made = || number(names::SIBLING_ATTEMPTS).map(|made| made.saturating_add(1));
        let first = number(names::ATTEMPT).or_else(made).unwrap_or(1).max(1);
        let attempt = first.saturating_add(delivery.earlier_deliveries());
        Self { delivery, attempt, since, worker, settled: false }
    }
}

impl Drop for Job<'_> {
    fn drop(&mut self) {
        if !self.settled {
            self.worker.left(&self.delivery, self.attempt);
        }
    }
}

impl Worker {
    pub(super) fn new(dispatcher: Dispatcher, settler: Settler, redeliveries_max: u32) -> Self {
        Self {
            dispatcher,
            settler,
            redeliveries_max,
            leaving: AtomicU8::new(Leaving::CutOff as u8),
            halted: watch::Sender::new(false),
        }
    }

    /// Says why what is dropped from now on is left.
    pub(super) fn leave(&self, why: Leaving) {
        self.leaving.store(why as u8, Ordering::Relaxed);
        let halted = matches!(why, Leaving::Stopping | Leaving::Paused | Leaving::DrainTimeout);
        self.halted.send_replace(halted);
    }

    #[cold]
    fn left(&self, delivery: &Delivery, attempt: u32) {
        let (fate, reason) = match self.leaving.load(Ordering::Relaxed) {
            why if why == Leaving::ConnectionLost as u8 => (Fate::Left, "connection_lost"),
            why if why == Leaving::Stopping as u8 => (Fate::Left, "stopping"),
            why if why == Leaving::Paused as u8 => (Fate::Left, "paused"),
            why if why == Leaving::DrainTimeout as u8 => (Fate::Abandoned, "drain_timeout"),
            _ => (Fate::Left, "cut_off"),
        };
        let note = Note::new(id_of(delivery), attempt).because(reason);
        self.account(delivery).record(fate, note);
    }

    /// The account of a message that no dispatcher has opened.
    fn account(&self, delivery: &Delivery) -> &Account {
        match self.dispatcher.likely_route(delivery) {
            Some(route) => &route.account,
            None => self.settler.unrouted(),
        }
    }

    /// Makes one attempt. The job stays where it was captured: a second place for it would make the
    /// future of every message larger by the whole delivery.
    #[expect(
        clippy::manual_async_fn,
        reason = "an `async fn` would keep a second copy of the job in its future"
    )]
    pub(super) fn run<'a>(&'a self, mut job: Job<'a>) -> impl Future<Output = Finished<'a>> + Send {
        async move {
            match self.attempt(&job).await {
                Decision::Settle(settlement) => {
                    job.settled = true;
                    Finished::Settle(job.delivery.tag, settlement)
                }
                Decision::RetryAfter { attempt, wait } => {
                    job.attempt = attempt;
                    Finished::Retry(Box::new(job), wait)
                }
                Decision::Leave => Finished::Leave,
            }
        }
    }

    async fn attempt(&self, job: &Job<'_>) -> Decision {
        let (queue, delivery, attempt) = (self.dispatcher.queue(), &job.delivery, job.attempt);
        if delivery.earlier_deliveries() > self.redeliveries_max {
            return Box::pin(self.give_up(queue, delivery, attempt)).await;
        }
        if let Some(wait) = self.settler.wait_left(delivery) {
            return Box::pin(self.settler.postpone(queue, delivery, attempt, wait)).await;
        }
        let hold = Hold { since: job.since, halted: &self.halted };
        let dispatched = self.dispatcher.dispatch(delivery, attempt, hold).await;
        match self.settler.finish(queue, delivery, dispatched, attempt).await {
            Ok(decision) => decision,
            Err(spent) => Box::pin(self.fall_back(queue, delivery, attempt, spent)).await,
        }
    }

    /// The attempts are spent, and there is a fallback. Crash window: the process ends before the message
    /// is settled. The redelivery calls the handler once more, then the fallback again.
    #[cold]
    async fn fall_back(
        &self,
        queue: &str,
        delivery: &Delivery,
        attempt: u32,
        error: HandlerError,
    ) -> Decision {
        let handled = self.dispatcher.fall_back(delivery, attempt, error).await;
        self.settler.finish_instead(queue, delivery, handled, attempt).await
    }

    /// A message that kills every process that takes it would otherwise go round for ever.
    #[cold]
    async fn give_up(&self, queue: &str, delivery: &Delivery, attempt: u32) -> Decision {
        let error = HandlerError::msg(format!(
            "delivered {} times without an end of the attempt: the process was killed or lost its connection each time \
             (`consume.redeliveries_max` is {})",
            delivery.earlier_deliveries() + 1,
            self.redeliveries_max
        ));
        let account = self.account(delivery);
        let failure = Failure { queue, delivery, handler: "-", attempt, error, account };
        self.settler.dead_letter(&failure, "redelivery_limit").await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes<A, B, F>(_: fn(A, B) -> F) -> usize {
        size_of::<F>()
    }

    /// Hundreds are in flight at a time, so what an attempt keeps should fit the processor's cache. The delivery is half of
    /// it.
    #[test]
    fn an_attempt_takes_about_a_kibibyte() {
        let (attempt, delivery) = (bytes(Worker::run), size_of::<Delivery>());
        assert!(
            attempt <= 2 * delivery + 64,
            "{attempt} bytes, of which the delivery has {delivery}"
        );
    }
}
