//! One life of a subscription: from the broker's "yes" to its loss or to the end of the app.

use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::future::BoxFuture;
use futures_util::stream::FuturesUnordered;
use tokio::sync::watch;
use tokio::time::Instant;

use super::job::{Finished, Job, Worker};
use crate::transport::{Intake, Subscription, TransportError};

/// How a flow ended.
#[derive(Debug)]
pub(super) enum End {
    /// The app stops and nothing is in flight any more.
    Drained,
    /// The subscription is gone; what was in flight will come again.
    Lost(TransportError),
}

/// The deliveries of one subscription that are being handled.
///
/// A lost subscription takes its flow with it, so an outcome that comes late is never settled on the
/// next subscription.
pub(super) struct Flow<'a> {
    subscription: Box<dyn Subscription>,
    worker: &'a Arc<Worker>,
    /// Handlers, polled in this task.
    running: FuturesUnordered<BoxFuture<'a, Finished>>,
    /// Messages between two attempts; they hold no place among the running ones.
    waiting: FuturesUnordered<BoxFuture<'a, Job>>,
    /// Messages whose wait is over while all places are taken.
    due: Vec<Job>,
    concurrency: usize,
    drain_timeout: Duration,
    /// Set once the app stops: until then handlers may go on.
    drain_until: Option<Instant>,
}

impl<'a> Flow<'a> {
    pub(super) fn new(
        subscription: Box<dyn Subscription>,
        worker: &'a Arc<Worker>,
        concurrency: u16,
        drain_timeout: Duration,
    ) -> Self {
        Self {
            subscription,
            worker,
            running: FuturesUnordered::new(),
            waiting: FuturesUnordered::new(),
            due: Vec::new(),
            concurrency: usize::from(concurrency.max(1)),
            drain_timeout,
            drain_until: None,
        }
    }

    /// Runs until the subscription is lost, or until the app stops and everything has ended.
    pub(super) async fn run(mut self, mut stopping: watch::Receiver<bool>) -> End {
        loop {
            // Gives other tasks a turn even if messages never stop coming.
            tokio::task::consume_budget().await;
            while self.running.len() < self.concurrency
                && let Some(job) = self.due.pop()
            {
                self.start(job);
            }
            let has_room = self.running.len() < self.concurrency;
            let draining = self.drain_until.is_some();
            if draining && self.running.is_empty() {
                return self.finish().await;
            }
            tokio::select! {
                biased;
                _ = stopping.wait_for(|stop| *stop), if !draining => self.drain(),
                () = sleep_until(self.drain_until), if draining => self.abandon(),
                Some(finished) = self.running.next(), if !self.running.is_empty() => self.settle(finished),
                Some(job) = self.waiting.next(), if !self.waiting.is_empty() => self.due.push(job),
                intake = intake(&mut *self.subscription, has_room, draining) => match intake {
                    Intake::Delivery(delivery) => self.start(Job::new(delivery)),
                    Intake::Lost(error) => return End::Lost(error),
                    Intake::Ended => {}
                },
            }
        }
    }

    fn start(&self, job: Job) {
        let worker = self.worker;
        self.running.push(Box::pin(worker.run(job)));
    }

    fn settle(&mut self, finished: Finished) {
        match finished {
            Finished::Settle(tag, settlement) => self.subscription.settle(tag, settlement),
            // While draining, a message between two attempts is left to another process.
            Finished::Retry(..) if self.drain_until.is_some() => {}
            Finished::Retry(job, wait) => self.waiting.push(Box::pin(async move {
                tokio::time::sleep(wait).await;
                *job
            })),
            Finished::Leave => {}
        }
    }

    fn drain(&mut self) {
        self.drain_until = Some(Instant::now() + self.drain_timeout);
        self.waiting.clear();
        self.due.clear();
    }

    /// The time for draining is over: handlers are cancelled, their messages come again elsewhere.
    fn abandon(&mut self) {
        self.worker.settler.abandoned(self.running.len());
        self.running.clear();
    }

    /// Everything has ended: the broker agrees to send nothing more, and the last acks are written.
    async fn finish(mut self) -> End {
        let ended = match self.subscription.cancel().await {
            Ok(()) => self.subscription.flush().await,
            Err(error) => Err(error),
        };
        ended.map_or_else(End::Lost, |()| End::Drained)
    }
}

async fn sleep_until(deadline: Option<Instant>) {
    if let Some(deadline) = deadline {
        tokio::time::sleep_until(deadline).await;
    }
}

/// Polls the subscription: for a delivery where there is room, else only to write settlements; while
/// draining, to make the broker stop sending.
async fn intake(subscription: &mut dyn Subscription, has_room: bool, draining: bool) -> Intake {
    std::future::poll_fn(|cx| poll_intake(subscription, has_room, draining, cx)).await
}

fn poll_intake(
    subscription: &mut dyn Subscription,
    has_room: bool,
    draining: bool,
    cx: &mut Context<'_>,
) -> Poll<Intake> {
    if has_room && !draining {
        return subscription.poll_next(cx);
    }
    if draining && let Poll::Ready(Err(error)) = subscription.poll_cancel(cx) {
        return Poll::Ready(Intake::Lost(error));
    }
    match subscription.poll_flush(cx) {
        Poll::Ready(Err(error)) => Poll::Ready(Intake::Lost(error)),
        // Nothing left to write; a handler that ends wakes the loop.
        Poll::Ready(Ok(())) | Poll::Pending => Poll::Pending,
    }
}
