//! One delivery on its way through the handler.

use std::future::Future;
use std::time::Duration;

use super::settle::{Decision, Failure, Settler};
use crate::contract::headers::names;
use crate::dispatch::Dispatcher;
use crate::handler::HandlerError;
use crate::transport::{Delivery, Settlement, Tag};

/// A delivery and the number of the attempt that is due (from 1).
#[derive(Debug)]
pub(super) struct Job {
    delivery: Delivery,
    attempt: u32,
}

/// What is to be done after an attempt.
#[derive(Debug)]
pub(super) enum Finished {
    Settle(Tag, Settlement),
    /// Boxed: the rare case would make every outcome as large as a delivery.
    Retry(Box<Job>, Duration),
    Leave,
}

/// What an attempt needs.
#[derive(Debug)]
pub(super) struct Worker {
    pub(super) dispatcher: Dispatcher,
    pub(super) settler: Settler,
    /// How often the broker may deliver a message that never ends an attempt.
    pub(super) redeliveries_max: u32,
}

impl Job {
    /// The attempt number goes on from the header that a republish wrote, ours or the Go sibling's, and from the deliveries
    /// that ended without a word: a handler that killed its process has used up an attempt.
    pub(super) fn new(delivery: Delivery) -> Self {
        let number = |name| {
            let value = delivery.properties.headers.get(name)?.as_i64()?;
            u32::try_from(value).ok()
        };
        let made = || number(names::SIBLING_ATTEMPTS).map(|made| made.saturating_add(1));
        let first = number(names::ATTEMPT).or_else(made).unwrap_or(1).max(1);
        let attempt = first.saturating_add(delivery.earlier_deliveries());
        Self { delivery, attempt }
    }
}

impl Worker {
    /// Makes one attempt. The job stays where it was captured: a second place for it would make the
    /// future of every message larger by the whole delivery.
    #[expect(
        clippy::manual_async_fn,
        reason = "an `async fn` would keep a second copy of the job in its future"
    )]
    pub(super) fn run(&self, job: Job) -> impl Future<Output = Finished> + Send {
        async move {
            match self.attempt(&job).await {
                Decision::Settle(settlement) => Finished::Settle(job.delivery.tag, settlement),
                Decision::RetryAfter { attempt, wait } => {
                    Finished::Retry(Box::new(Job { attempt, ..job }), wait)
                }
                Decision::Leave => Finished::Leave,
            }
        }
    }

    async fn attempt(&self, job: &Job) -> Decision {
        let (queue, delivery, attempt) = (self.dispatcher.queue(), &job.delivery, job.attempt);
        if delivery.earlier_deliveries() > self.redeliveries_max {
            return Box::pin(self.give_up(queue, delivery, attempt)).await;
        }
        if let Some(wait) = self.settler.wait_left(delivery) {
            return Box::pin(self.settler.postpone(queue, delivery, attempt, wait)).await;
        }
        let handled = self.dispatcher.dispatch(delivery, attempt).await;
        self.settler.finish(queue, delivery, handled, attempt).await
    }

    /// A message that kills every process that takes it would otherwise go round for ever.
    async fn give_up(&self, queue: &str, delivery: &Delivery, attempt: u32) -> Decision {
        let error = HandlerError::msg(format!(
            "delivered {} times without an end of the attempt: the process was killed or lost its connection each time \
             (`consume.redeliveries_max` is {})",
            delivery.earlier_deliveries() + 1,
            self.redeliveries_max
        ));
        let failure = Failure { queue, delivery, handler: "-", attempt, error };
        self.settler.dead_letter(&failure, "redelivery_limit").await
    }
}
