//! A queue's consumer: subscribes, runs the flow, and does both again after every loss.

use std::convert::Infallible;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use tokio::sync::watch;

use super::flow::{End, Flow};
use super::job::Worker;
use super::settle::Settler;
use super::status::{Counters, Readiness};
use crate::dispatch::{Dispatcher, Pauses};
use crate::reliability::Backoff;
use crate::transport::{SubscribeOptions, Topology, Transport, TransportError, TransportErrorKind};

/// Waits between attempts to consume again: without end, at most 5 s apart.
const RESUBSCRIBE_BACKOFF: Backoff = Backoff::exponential_ms(50, 5_000);

#[cold]
fn panicked(queue: &str) -> TransportError {
    let text = format!(
        "the consumer of queue `{queue}` panicked, which is a mistake in Mmate or its transport; please report it"
    );
    TransportError::new(TransportErrorKind::Other, text)
}

/// How a queue is consumed.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct ConsumerOptions {
    /// The queue, the prefetch and the consumer's name.
    pub subscribe: SubscribeOptions,
    /// How many messages are handled at a time.
    pub concurrency: u16,
    /// How often the broker may deliver a message that never ends an attempt.
    pub redeliveries_max: u32,
    /// How long handlers may go on after a stop was asked for.
    pub drain_timeout: Duration,
    /// The part of the service's topology that this consumer needs, for declaring it again.
    pub topology: Topology,
}

impl ConsumerOptions {
    /// Options of a queue's consumer.
    #[must_use]
    pub const fn new(
        subscribe: SubscribeOptions,
        concurrency: u16,
        redeliveries_max: u32,
        topology: Topology,
    ) -> Self {
        Self {
            subscribe,
            concurrency,
            redeliveries_max,
            drain_timeout: Duration::from_secs(20),
            topology,
        }
    }
}

/// Consumes one queue until the app stops.
#[derive(Debug)]
pub struct Consumer {
    options: ConsumerOptions,
    transport: Arc<dyn Transport>,
    worker: Arc<Worker>,
    readiness: watch::Sender<Readiness>,
    counters: Arc<Counters>,
}

impl Consumer {
    /// A consumer that has not begun.
    #[must_use]
    pub fn new(
        options: ConsumerOptions,
        transport: Arc<dyn Transport>,
        dispatcher: Dispatcher,
        settler: Settler,
        counters: Arc<Counters>,
    ) -> Self {
        let redeliveries_max = options.redeliveries_max;
        let worker = Arc::new(Worker { dispatcher, settler, redeliveries_max });
        Self {
            options,
            transport,
            worker,
            readiness: watch::Sender::new(Readiness::Starting),
            counters,
        }
    }

    /// Shows whether it consumes.
    #[must_use]
    pub fn readiness(&self) -> watch::Receiver<Readiness> {
        self.readiness.subscribe()
    }

    /// What became of its messages so far.
    #[must_use]
    pub fn counters(&self) -> Arc<Counters> {
        Arc::clone(&self.counters)
    }

    /// The queue.
    #[must_use]
    pub fn queue(&self) -> &str {
        &self.options.subscribe.queue
    }

    /// Consumes until `stopping` says true and everything in flight has ended. Whatever is still in
    /// flight when the caller drops this future stays unacknowledged and comes again.
    pub async fn run(self, mut stopping: watch::Receiver<bool>) {
        let mut failures: u32 = 0;
        while !*stopping.borrow_and_update() {
            // A panic of ours must not end in "connected, healthy, not consuming": handlers' own panics
            // are caught where they are called.
            let life = AssertUnwindSafe(self.life(&stopping, &mut failures)).catch_unwind().await;
            let error = match life {
                Ok(End::Drained) => break,
                Ok(End::Lost(error)) => error,
                Err(_) => panicked(self.queue()),
            };
            failures = failures.saturating_add(1);
            let wait = RESUBSCRIBE_BACKOFF.wait(failures);
            self.report_loss(&error, wait);
            tokio::select! {
                () = tokio::time::sleep(wait) => {}
                _ = stopping.wait_for(|stop| *stop) => {}
            }
        }
        self.readiness.send_replace(Readiness::Stopped);
    }

    async fn life(&self, stopping: &watch::Receiver<bool>, failures: &mut u32) -> End {
        let subscribed = async {
            // After a loss the queue itself may be gone; declaring what is there costs little.
            if *failures > 0 {
                self.transport.declare(&self.options.topology).await?;
            }
            self.transport.subscribe(self.options.subscribe.clone()).await
        };
        let subscription = match subscribed.await {
            Ok(subscription) => subscription,
            Err(error) => return End::Lost(error),
        };
        if *failures > 0 {
            tracing::info!(queue = self.queue(), "consuming again");
        }
        *failures = 0;
        self.readiness.send_replace(Readiness::Consuming);
        let flow = Flow::new(
            subscription,
            &self.worker,
            self.options.concurrency,
            self.options.drain_timeout,
        );
        let run = flow.run(stopping.clone());
        match self.worker.dispatcher.pauses() {
            None => run.await,
            Some(pauses) => tokio::select! {
                end = run => end,
                never = self.show(&pauses) => match never {},
            },
        }
    }

    /// Shows pauses as long as it is polled.
    async fn show(&self, pauses: &Pauses) -> Infallible {
        loop {
            // Before the look: a change between look and wait is not missed.
            let changed = pauses.changed();
            let pause = pauses.look(usize::from(self.options.concurrency));
            let until = pause.and_then(|pause| pause.until);
            let state = pause.map_or(Readiness::Consuming, |pause| {
                Readiness::Paused(self.worker.settler.describe(pause))
            });
            self.readiness.send_if_modified(|shown| {
                let news = *shown != state;
                *shown = state;
                news
            });
            // With nobody who asks, an open breaker stays open after its time; it is ready all the same.
            match until {
                None => changed.await,
                Some(until) => tokio::select! {
                    () = changed => {}
                    () = tokio::time::sleep_until(until) => {}
                },
            }
        }
    }

    fn report_loss(&self, error: &TransportError, wait: Duration) {
        tracing::warn!(queue = self.queue(), %error, ?wait, "not consuming; subscribing again");
        self.readiness.send_replace(Readiness::Unready(error.to_string()));
    }
}
