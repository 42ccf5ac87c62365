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
    /// The attempt number goes on from the header that a republish wrote, and from the deliveries
    /// that ended without a word: a handler that killed its process has used up an attempt.
    pub(super) fn new(delivery: Delivery) -> Self {
        let written = delivery
            .properties
            .headers
            .get(names::ATTEMPT)
            .and_then(crate::contract::HeaderValue::as_i64);
        let first = written.and_then(|attempt| u32::try_from(attempt).ok()).unwrap_or(1).max(1);
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
                Decision::RetryAfter(wait) => {
                    let attempt = job.attempt + 1;
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
        let Some(handled) = self.dispatcher.dispatch(delivery, attempt).await else {
            return Decision::Leave;
        };
        match self.settler.finish(queue, delivery, handled, attempt).await {
            Ok(decision) => decision,
            Err(spent) => Box::pin(self.fall_back(queue, delivery, attempt, spent)).await,
        }
    }

    /// The attempts are spent, and there is a fallback. Crash window: the process ends before the message
    /// is settled. The redelivery calls the handler once more, then the fallback again.
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
