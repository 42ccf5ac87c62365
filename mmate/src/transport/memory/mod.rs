//! The broker in this process: the reference for what a transport does, the default of an embedded
//! service, and the broker of tests.
//!
//! In: what [`Transport`] takes. Out: deliveries, by the rules of a real broker. `boot` and tests
//! make one; `publish` and `consume` call it as any transport.
//!
//! It has no threads and no tasks. Every operation is done when its call returns, under one short
//! lock, so the same operations in the same order have the same outcome. Time is tokio's: those who
//! wait for a message also watch for messages that expire, in any queue, and move them.
//!
//! ```
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! use mmate::contract::address::Address;
//! use mmate::transport::memory::MemoryTransport;
//! use mmate::transport::{Outgoing, Properties, Queue, Topology, Transport};
//!
//! let transport = MemoryTransport::new();
//! let mut topology = Topology::default();
//! topology.queue(Queue::new("orders"));
//! transport.declare(&topology).await?;
//!
//! let order = Outgoing::new(Address::queue("orders"), Properties::default(), "12 apples");
//! transport.publish(order).await?;
//! assert_eq!(transport.messages("orders").len(), 1);
//! # Ok(())
//! # }
//! ```

mod broker;
mod consumer;
mod declare;
mod delay;
mod dispatch;
mod exchange;
mod expiry;
mod inspect;
mod matching;
#[cfg(test)]
mod model;
mod queue;
mod slots;
mod subscription;
#[cfg(test)]
mod tests;

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use async_trait::async_trait;

use self::broker::{Broker, State};
pub use self::inspect::QueueSnapshot;
use self::subscription::MemorySubscription;
use super::{
    Capabilities, Capability, LinkHealth, Outgoing, PublishError, PublishErrorKind, QueueStats,
    SubscribeOptions, Subscription, Topology, Transport, TransportError, TransportErrorKind,
    TransportHealth,
};
use crate::contract::Source;

/// All but surviving the process.
const CAPABILITIES: Capabilities = Capabilities::new(&[
    Capability::TopicPatterns,
    Capability::CompetingConsumers,
    Capability::Broadcast,
    Capability::Priority,
    Capability::Ttl,
    Capability::DeadLetter,
    Capability::Delay,
    Capability::Confirms,
    Capability::Mandatory,
    Capability::LengthLimit,
    Capability::DeliveryCount,
]);

/// How much a broker in this process takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Limits {
    /// The most messages that wait in one queue, also where the queue itself allows more or has no
    /// limit. A publish beyond it is refused. 100,000 by default.
    pub queue_length_max: u64,
}

impl Limits {
    /// Sets the most messages that wait in one queue.
    #[must_use]
    pub const fn queue_length_max(mut self, max: u64) -> Self {
        self.queue_length_max = max;
        self
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self { queue_length_max: 100_000 }
    }
}

/// A connection to a broker in this process.
///
/// A clone is another connection to the same broker, as two services have one each: closing it, or
/// being given exclusive queues, does not concern the other.
pub struct MemoryTransport {
    broker: Arc<Broker>,
    connection: u64,
    /// Read and written with the broker's lock held, so nothing slips in behind a close.
    closed: AtomicBool,
}

impl MemoryTransport {
    /// The name of this transport in listings.
    pub const NAME: &'static str = "memory";

    /// What the broker in this process can do: all but survive its process.
    pub const CAPABILITIES: Capabilities = CAPABILITIES;

    /// A connection to a new broker with the default [`Limits`].
    #[must_use]
    pub fn new() -> Self {
        Self::with_limits(Limits::default())
    }

    /// A connection to a new broker with these limits.
    #[must_use]
    pub fn with_limits(limits: Limits) -> Self {
        Self {
            broker: Arc::new(Broker::new(limits)),
            connection: 0,
            closed: AtomicBool::new(false),
        }
    }

    /// Sets where the broker takes the wall time from that it writes into dead letters.
    #[must_use]
    pub fn source(self, source: Source) -> Self {
        self.broker.enter(|state| state.source = source);
        self
    }

    /// Does something with the broker unless this connection is closed.
    fn enter<R>(
        &self,
        operation: impl FnOnce(&mut State) -> Result<R, TransportError>,
    ) -> Result<R, TransportError> {
        self.broker.enter(|state| {
            if self.closed.load(Ordering::Relaxed) {
                return Err(TransportError::new(
                    TransportErrorKind::Closed,
                    "the transport was closed",
                ));
            }
            operation(state)
        })
    }
}

#[async_trait]
impl Transport for MemoryTransport {
    fn name(&self) -> &'static str {
        Self::NAME
    }

    fn capabilities(&self) -> Capabilities {
        CAPABILITIES
    }

    async fn declare(&self, topology: &Topology) -> Result<(), TransportError> {
        self.enter(|state| state.declare(topology, self.connection))
    }

    async fn publish(&self, outgoing: Outgoing) -> Result<(), PublishError> {
        // It is never pending by itself, and a task that only publishes must yield to those who
        // consume.
        tokio::task::coop::consume_budget().await;
        self.broker.enter(|state| {
            if self.closed.load(Ordering::Relaxed) {
                let text = "the transport was closed";
                return Err(PublishError::new(PublishErrorKind::Closed, outgoing.id(), text));
            }
            state.publish(outgoing)
        })
    }

    async fn subscribe(
        &self,
        options: SubscribeOptions,
    ) -> Result<Box<dyn Subscription>, TransportError> {
        let id = self.enter(|state| state.subscribe(&options, self.connection))?;
        let broker = Arc::clone(&self.broker);
        Ok(Box::new(MemorySubscription::new(broker, id)))
    }

    async fn queue_stats(&self, queue: &str) -> Result<Option<QueueStats>, TransportError> {
        self.enter(|state| {
            let queue = state.names.get(queue).map(|id| &state.queues[*id]);
            Ok(queue.map(|it| QueueStats::new(it.ready() as u64, it.rotation.len() as u64)))
        })
    }

    async fn delete_queue(&self, queue: &str) -> Result<(), TransportError> {
        self.enter(|state| {
            if let Some(&id) = state.names.get(queue) {
                state.check_owner(id, self.connection)?;
                state.remove_queue(id);
            }
            Ok(())
        })
    }

    fn health(&self) -> TransportHealth {
        let side = || match self.closed.load(Ordering::Relaxed) {
            true => LinkHealth::Down("the transport was closed".to_owned()),
            false => LinkHealth::Up,
        };
        TransportHealth::new(side(), side())
    }

    async fn close(&self) {
        self.broker.enter(|state| {
            if !self.closed.swap(true, Ordering::Relaxed) {
                state.disconnect(self.connection);
            }
        });
    }
}

impl Clone for MemoryTransport {
    fn clone(&self) -> Self {
        let connection = self.broker.enter(|state| {
            state.connections += 1;
            state.connections
        });
        Self { broker: Arc::clone(&self.broker), connection, closed: AtomicBool::new(false) }
    }
}

impl Default for MemoryTransport {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for MemoryTransport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryTransport")
            .field("connection", &self.connection)
            .field("closed", &self.closed)
            .finish_non_exhaustive()
    }
}
