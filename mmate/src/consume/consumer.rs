//! A queue's consumer: subscribes, runs the flow, and does both again after every loss.

use std::convert::Infallible;
use std::future::pending;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use tokio::sync::watch;

use super::activity::Activity;
use super::flow::{End, Flow};
use super::handle::{ConsumerHandle, Pause};
use super::job::{Leaving, Worker};
use super::settle::Settler;
use super::stall::stalled;
use super::status::{Counters, Readiness};
use crate::dispatch::Dispatcher;
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
    /// After how long without a message, while the queue holds some, the broker counts as having
    /// forgotten the consumer. 60 s by default.
    pub stall_after: Duration,
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
            stall_after: Duration::from_secs(60),
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
    activity: Arc<Activity>,
    pause: watch::Sender<Pause>,
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
        let worker = Arc::new(Worker::new(dispatcher, settler, redeliveries_max));
        Self {
            options,
            transport,
            worker,
            readiness: watch::Sender::new(Readiness::Starting),
            counters,
            activity: Arc::default(),
            pause: watch::Sender::new(None),
        }
    }

    /// What it shows of itself, and how it is paused.
    #[must_use]
    pub fn handle(&self) -> ConsumerHandle {
        ConsumerHandle {
            queue: self.queue().into(),
            readiness: self.readiness.subscribe(),
            counters: Arc::clone(&self.counters),
            activity: Arc::clone(&self.activity),
            pause: self.pause.clone(),
        }
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
        let mut pause = self.pause.subscribe();
        while !*stopping.borrow_and_update() {
            let paused = pause.borrow_and_update().clone();
            if let Some(reason) = paused {
                self.rest(&reason, &mut pause, &mut stopping).await;
                continue;
            }
            // A panic of ours must not end in "connected, healthy, not consuming": handlers' own panics
            // are caught where they are called.
            let life = AssertUnwindSafe(self.life(&stopping, &mut failures)).catch_unwind().await;
            let error = match life {
                // The app stops, or somebody asked for a pause.
                Ok(End::Drained) => continue,
                Ok(End::Lost(error)) => error,
                Err(_) => panicked(self.queue()),
            };
            failures = failures.saturating_add(1);
            let wait = RESUBSCRIBE_BACKOFF.wait(failures);
            self.report_loss(&error, wait);
            tokio::select! {
                () = tokio::time::sleep(wait) => {}
                _ = pause.changed() => {}
                _ = stopping.wait_for(|stop| *stop) => {}
            }
        }
        self.readiness.send_replace(Readiness::Stopped);
    }

    /// Does nothing until somebody asks to resume, or the app stops.
    async fn rest(
        &self,
        reason: &str,
        pause: &mut watch::Receiver<Pause>,
        stopping: &mut watch::Receiver<bool>,
    ) {
        tracing::info!(queue = self.queue(), reason, "paused");
        self.readiness.send_replace(Readiness::Paused(reason.to_owned()));
        tokio::select! {
            // Another reason shows, too.
            _ = pause.changed() => {}
            _ = stopping.wait_for(|stop| *stop) => {}
        }
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
        self.activity.confirmed();
        self.readiness.send_replace(Readiness::Consuming);
        let flow = Flow::new(subscription, &self.worker, &self.options, &self.activity);
        let (queue, after) = (self.queue(), self.options.stall_after);
        let stalled = async {
            let error = stalled(&*self.transport, queue, &self.activity, after).await;
            self.worker.leave(Leaving::ConnectionLost);
            error
        };
        tokio::select! {
            biased;
            end = flow.run(stopping.clone(), self.pause.subscribe()) => end,
            error = stalled => End::Lost(error),
            never = self.show_waits() => match never {},
        }
    }

    /// Shows whether messages wait for circuit breakers, as long as it is polled.
    async fn show_waits(&self) -> Infallible {
        let Some(waits) = self.worker.dispatcher.waits() else { return pending().await };
        loop {
            // Before the look: a change between look and wait is not missed.
            let changed = waits.changed();
            let wait = waits.look(usize::from(self.options.concurrency));
            let until = wait.and_then(|wait| wait.until);
            let state = wait.map_or(Readiness::Consuming, |wait| {
                Readiness::Waiting(self.worker.settler.describe(wait))
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
        self.activity.ended();
        self.readiness.send_replace(Readiness::Unready(error.to_string()));
    }
}
