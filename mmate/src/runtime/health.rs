//! What a running app shows of itself, and the switches of its consumers.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;

use super::app::{Running, Supervised};
use crate::bridge::Bridge;
use crate::consume::{ConsumerHandle, Counts, Readiness};
use crate::error::{Error, Result};
use crate::transport::{LinkHealth, Transport, TransportHealth};

/// How often [`Running::until_ready`] looks at the connections.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// One report of everything that readiness depends on.
///
/// Quiet is healthy: a consumer that has received nothing for a day is ready, if the broker has confirmed
/// it and its queue was empty.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Health {
    /// True if messages are consumed from every queue, and can be published, and nobody has asked the app
    /// to stop.
    pub ready: bool,
    /// True once the app was asked to stop.
    pub stopping: bool,
    /// The connection that publishes.
    pub publish: LinkHealth,
    /// The connection that consumes.
    pub consume: LinkHealth,
    /// Every consumer.
    pub consumers: Vec<ConsumerHealth>,
    /// Whether replies can come in; nothing if this process has asked nothing yet.
    pub replies: Option<Readiness>,
}

/// What a consumer shows of itself.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct ConsumerHealth {
    /// The queue.
    pub queue: String,
    /// Whether it consumes, and why not.
    pub readiness: Readiness,
    /// How long ago the broker confirmed it for the last time; nothing if it did not yet.
    pub confirmed: Option<Duration>,
    /// How long ago the last message came; nothing if none came yet.
    pub last_received: Option<Duration>,
    /// How many messages are being handled, or wait in this process for another attempt.
    pub in_flight: u64,
    /// What became of its messages.
    pub counts: Counts,
}

/// The broker's own numbers of a queue.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct QueueLag {
    /// The queue.
    pub queue: String,
    /// Messages that wait for a consumer.
    pub ready: u64,
    /// Consumers of the queue, of all processes.
    pub consumers: u64,
    /// Messages in its dead-letter queue that wait for somebody to look at them.
    pub dead_lettered: u64,
}

impl Health {
    fn new(
        transport: TransportHealth,
        consumers: Vec<ConsumerHealth>,
        replies: Option<Readiness>,
        stopping: bool,
    ) -> Self {
        let TransportHealth { publish, consume } = transport;
        let consuming = consumers.iter().all(|it| it.readiness == Readiness::Consuming);
        let answered = replies.as_ref().is_none_or(|replies| *replies == Readiness::Consuming);
        let consumes = !consumers.is_empty() || replies.is_some();
        let connected = publish.is_up() && (!consumes || consume.is_up());
        let ready = connected && consuming && answered && !stopping;
        Self { ready, stopping, publish, consume, consumers, replies }
    }

    /// Why it is not ready, one line per part; empty if it is.
    #[must_use]
    pub fn reasons(&self) -> Vec<String> {
        let links = [("publishing", &self.publish), ("consuming", &self.consume)];
        let links = links.into_iter().filter(|(_, link)| !link.is_up());
        let consumers = self.consumers.iter();
        let consumers = consumers.filter(|consumer| consumer.readiness != Readiness::Consuming);
        let replies = self.replies.iter().filter(|it| **it != Readiness::Consuming);
        let stopping = self.stopping.then(|| "asked to stop".to_owned());
        stopping
            .into_iter()
            .chain(links.map(|(side, link)| format!("{side} connection {link}")))
            .chain(consumers.map(|it| format!("queue `{}` {}", it.queue, it.readiness)))
            .chain(replies.map(|readiness| format!("reply queue {readiness}")))
            .collect()
    }
}

impl fmt::Display for Health {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.ready {
            return f.write_str("ready");
        }
        write!(f, "not ready: {}", self.reasons().join("; "))
    }
}

/// Sees the health of a running app from elsewhere. Cheap to clone; it does not keep the app running.
#[derive(Clone, Debug)]
pub struct HealthWatch {
    transport: Arc<dyn Transport>,
    consumers: Arc<[ConsumerHandle]>,
    bridge: Bridge,
    leaving: watch::Receiver<bool>,
}

impl HealthWatch {
    /// How the app is now; an app that is gone is stopping.
    #[must_use]
    pub fn health(&self) -> Health {
        let consumers = self.consumers.iter().map(show).collect();
        let stopping = *self.leaving.borrow() || self.leaving.has_changed().is_err();
        Health::new(self.transport.health(), consumers, self.bridge.readiness(), stopping)
    }
}

fn show(consumer: &ConsumerHandle) -> ConsumerHealth {
    ConsumerHealth {
        queue: consumer.queue().to_owned(),
        readiness: consumer.readiness(),
        confirmed: consumer.activity().since_confirmed(),
        last_received: consumer.activity().since_received(),
        in_flight: consumer.activity().in_flight(),
        counts: consumer.counts(),
    }
}

impl Running {
    /// How the app is: both connections, and every consumer with what it last did.
    #[must_use]
    pub fn health(&self) -> Health {
        let consumers = self.consumers.iter().map(|it| show(&it.consumer)).collect();
        let stopping = *self.leaving.borrow();
        Health::new(self.transport.health(), consumers, self.bridge.readiness(), stopping)
    }

    /// The same report for somebody who does not own the app, such as an endpoint that a load balancer asks.
    #[must_use]
    pub fn health_watch(&self) -> HealthWatch {
        HealthWatch {
            transport: Arc::clone(&self.transport),
            consumers: self.consumers.iter().map(|it| it.consumer.clone()).collect(),
            bridge: self.bridge.clone(),
            leaving: self.leaving.subscribe(),
        }
    }

    /// True if the broker has confirmed every consumer and none was lost or paused since, and messages
    /// can be published. [`Running::health`] says why not.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        self.health().ready
    }

    /// Resolves as soon as [`Running::is_ready`] is true; it may take for ever, as an outage may.
    pub async fn until_ready(&self) {
        loop {
            for Supervised { consumer, .. } in &self.consumers {
                consumer.wait_for(|readiness| *readiness == Readiness::Consuming).await;
            }
            if self.is_ready() {
                return;
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }

    /// Stops to consume a queue until [`Running::resume`]: the subscription ends at the broker, handlers that
    /// run go on to their end, and what was fetched in advance goes back to the queue. Resolves when all of
    /// that is done. Meanwhile the app is not ready, with this reason.
    ///
    /// # Errors
    /// [`Error::UnknownQueue`] if this app does not consume the queue.
    pub async fn pause(&self, queue: &str, reason: &str) -> Result {
        self.supervised(queue)?.consumer.pause(reason).await;
        Ok(())
    }

    /// Consumes a paused queue again. Resolves with the first answer of the broker, good or bad.
    ///
    /// # Errors
    /// [`Error::UnknownQueue`] if this app does not consume the queue.
    pub async fn resume(&self, queue: &str) -> Result {
        self.supervised(queue)?.consumer.resume().await;
        Ok(())
    }

    /// Asks the broker how much waits in every queue that this app consumes.
    ///
    /// # Errors
    /// Those of [`Transport::queue_stats`](crate::transport::Transport::queue_stats).
    pub async fn lag(&self) -> Result<Vec<QueueLag>> {
        let mut lags = Vec::with_capacity(self.consumers.len());
        for Supervised { consumer, dead_letter } in &self.consumers {
            let stats = self.transport.queue_stats(consumer.queue()).await?;
            let dead = self.transport.queue_stats(dead_letter).await?;
            lags.push(QueueLag {
                queue: consumer.queue().to_owned(),
                ready: stats.map_or(0, |stats| stats.ready),
                consumers: stats.map_or(0, |stats| stats.consumers),
                dead_lettered: dead.map_or(0, |dead| dead.ready),
            });
        }
        Ok(lags)
    }

    fn supervised(&self, queue: &str) -> Result<&Supervised> {
        let found = self.consumers.iter().find(|it| it.consumer.queue() == queue);
        found.ok_or_else(|| Error::UnknownQueue {
            queue: queue.to_owned(),
            known: self.consumers.iter().map(|it| it.consumer.queue().to_owned()).collect(),
        })
    }
}
