//! The port between Mmate and a broker, and the adapters behind it.
//!
//! In: [`Outgoing`] messages, a [`Topology`], subscriptions. Out: [`Delivery`] values and publish
//! outcomes. `publish` and `consume` call this room; it knows bytes, names and properties, never
//! types or handlers. [`memory`] is the reference implementation; `amqp` speaks to RabbitMQ.
//!
//! # Rules that every transport keeps
//!
//! - `publish` is `Ok` only when the broker holds the message and has a queue for it.
//! - A delivery that is not settled comes again, also after the loss of the connection.
//! - A delivery is settled on the subscription that gave it, or not at all.
//! - A lost subscription says so once, as [`Intake::Lost`], and is then over: the caller subscribes
//!   anew. It never ends in silence.
//! - Every wait on the network has a deadline.

#[cfg(feature = "amqp")]
pub mod amqp;
mod capabilities;
mod delivery;
mod error;
mod health;
mod loopback;
pub mod memory;
mod outgoing;
mod topology;

use std::fmt;
use std::task::{Context, Poll};

use async_trait::async_trait;

pub use capabilities::{Capabilities, Capability};
pub use delivery::{Delivery, Intake, Settlement, Tag};
pub use error::{PublishError, PublishErrorKind, TransportError, TransportErrorKind};
pub use health::{LinkHealth, TransportHealth};
pub use loopback::Loopback;
pub use outgoing::{Outgoing, Properties};
pub use topology::{Binding, Exchange, ExchangeKind, Queue, QueueKind, Topology};

/// How a queue is consumed.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct SubscribeOptions {
    /// The queue.
    pub queue: String,
    /// How many unsettled deliveries the broker may leave with this subscription; at least 1.
    pub prefetch: u16,
    /// The name under which the broker lists the consumer; unique per process and queue.
    pub consumer: String,
    /// True if the broker may forget a message once it has sent it. For a queue that ends with its one consumer, as a
    /// reply queue does: no message of it could come again to anybody, so remembering it is of no use.
    ///
    /// The consumer settles its deliveries all the same, since not every transport can do without; where one
    /// can, neither that nor the prefetch makes a difference.
    pub auto_ack: bool,
}

impl SubscribeOptions {
    /// Options for a queue; the consumer's name is the queue's.
    #[must_use]
    pub fn new(queue: impl Into<String>, prefetch: u16) -> Self {
        let queue = queue.into();
        Self { consumer: queue.clone(), queue, prefetch: prefetch.max(1), auto_ack: false }
    }

    /// Lets the broker forget what it has sent, see [`SubscribeOptions::auto_ack`].
    #[must_use]
    pub const fn auto_ack(mut self) -> Self {
        self.auto_ack = true;
        self
    }

    /// Sets the consumer's name.
    #[must_use]
    pub fn consumer(mut self, consumer: impl Into<String>) -> Self {
        self.consumer = consumer.into();
        self
    }
}

/// What a broker says about a queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct QueueStats {
    /// Messages that wait for a consumer.
    pub ready: u64,
    /// Consumers of the queue, of all processes.
    pub consumers: u64,
}

impl QueueStats {
    /// Figures of a queue.
    #[must_use]
    pub const fn new(ready: u64, consumers: u64) -> Self {
        Self { ready, consumers }
    }
}

/// A connection to a broker, or a broker in this process.
#[async_trait]
pub trait Transport: Send + Sync + fmt::Debug + 'static {
    /// A short name for listings: `memory`, `rabbitmq`.
    fn name(&self) -> &'static str;

    /// What the broker can do; the boot refuses what it cannot.
    fn capabilities(&self) -> Capabilities;

    /// Makes exchanges, queues and bindings, or finds them as described.
    ///
    /// # Errors
    /// [`TransportErrorKind::Mismatch`] if one exists with other arguments: the text shows both
    /// sides and the way out. Connection errors as of any call.
    async fn declare(&self, topology: &Topology) -> Result<(), TransportError>;

    /// Publishes and waits until the broker has confirmed.
    ///
    /// During an outage it waits and sends again with the same id, up to the publish deadline, so a
    /// message may arrive twice and is never lost in silence.
    ///
    /// # Errors
    /// [`PublishErrorKind::Unroutable`] if no queue takes it and `mandatory` is set;
    /// [`PublishErrorKind::Unknown`] if the deadline passed without a word from the broker.
    async fn publish(&self, outgoing: Outgoing) -> Result<(), PublishError>;

    /// Starts to consume a queue. `Ok` means that the broker has confirmed the consumer.
    ///
    /// # Errors
    /// [`TransportErrorKind::NotFound`] if there is no such queue.
    async fn subscribe(
        &self,
        options: SubscribeOptions,
    ) -> Result<Box<dyn Subscription>, TransportError>;

    /// Asks the broker about a queue; nothing if there is no such queue.
    ///
    /// # Errors
    /// Connection errors as of any call.
    async fn queue_stats(&self, queue: &str) -> Result<Option<QueueStats>, TransportError>;

    /// Removes a queue and what is in it; removing one that does not exist is no error.
    ///
    /// # Errors
    /// Connection errors as of any call.
    async fn delete_queue(&self, queue: &str) -> Result<(), TransportError>;

    /// How the connections are now; read from memory, without asking the broker. Quiet is healthy.
    fn health(&self) -> TransportHealth {
        TransportHealth::up()
    }

    /// Closes all connections. Unsettled deliveries go back to their queues.
    async fn close(&self);
}

/// A running consumer of one queue.
///
/// Polled, not awaited: the consumer loop drives it together with the handlers that are running.
pub trait Subscription: Send + fmt::Debug {
    /// The next delivery, or the loss of the subscription. Also writes settlements that wait.
    ///
    /// After [`Intake::Lost`] or [`Intake::Ended`] it is not to be polled again.
    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Intake>;

    /// Decides the fate of a delivery. Queued; [`Subscription::poll_flush`] writes it.
    ///
    /// Settling after the loss does nothing: the delivery will come again.
    fn settle(&mut self, tag: Tag, settlement: Settlement);

    /// Writes all queued settlements; ready when none is left unwritten.
    ///
    /// # Errors
    /// If they could not be written: their deliveries will come again.
    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), TransportError>>;

    /// Writes the settlements that are due, without asking for a delivery; ready only with an error. A
    /// transport may hold settlements back for a moment, to write several as one.
    fn poll_drive(&mut self, cx: &mut Context<'_>) -> Poll<TransportError> {
        match self.poll_flush(cx) {
            Poll::Ready(Err(error)) => Poll::Ready(error),
            Poll::Ready(Ok(())) | Poll::Pending => Poll::Pending,
        }
    }

    /// Tells the broker to send nothing more; ready when it has agreed. Deliveries that are already
    /// here stay valid and can be settled. Those that were received and not yet given to the caller
    /// go back to the queue when the subscription is dropped.
    ///
    /// # Errors
    /// If the subscription was lost meanwhile.
    fn poll_cancel(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), TransportError>>;
}

impl dyn Subscription {
    /// Awaits [`Subscription::poll_next`].
    pub async fn next(&mut self) -> Intake {
        std::future::poll_fn(|cx| self.poll_next(cx)).await
    }

    /// Awaits [`Subscription::poll_flush`].
    ///
    /// # Errors
    /// As [`Subscription::poll_flush`].
    pub async fn flush(&mut self) -> Result<(), TransportError> {
        std::future::poll_fn(|cx| self.poll_flush(cx)).await
    }

    /// Awaits [`Subscription::poll_cancel`].
    ///
    /// # Errors
    /// As [`Subscription::poll_cancel`].
    pub async fn cancel(&mut self) -> Result<(), TransportError> {
        std::future::poll_fn(|cx| self.poll_cancel(cx)).await
    }
}
