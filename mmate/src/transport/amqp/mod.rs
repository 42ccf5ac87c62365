//! RabbitMQ, through lapin. No other room knows that library.
//!
//! In: the calls of [`Transport`]. Out: AMQP 0-9-1 frames. Two connections are kept by tasks of
//! their own (`link`): one publishes and declares, one consumes. `publish` and `confirms` send;
//! `subscription` and `ack` receive; `declare` makes queues; `convert` maps properties.
//!
//! The library's own recovery stays off, since it cannot say when a consumer is gone: a lost
//! connection is made again here, and its subscriptions report [`Intake::Lost`].
//!
//! [`Intake::Lost`]: crate::transport::Intake::Lost
//!
//! # Crash windows
//!
//! - The broker has a message, and the connection ends before its confirm: it is published again,
//!   with the same id. Twice, never lost.
//! - A delivery is done, and the process or connection ends before its acknowledgement is written
//!   (at most ten times [`AmqpConfig::ack_delay`] and half the prefetch later): it comes again.

mod ack;
#[cfg(test)]
mod ack_model;
mod board;
mod config;
mod confirms;
mod connect;
mod convert;
mod courier;
mod declare;
mod delay;
mod exclusive;
mod failover;
mod failure;
mod link;
mod mismatch;
mod publish;
mod subscribe;
mod subscription;
mod url;
mod verdict;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use futures_util::future::BoxFuture;
use lapin::options::{QueueDeclareOptions, QueueDeleteOptions};
use lapin::types::FieldTable;

pub use self::config::AmqpConfig;
pub use self::url::redacted_url;

use self::declare::{Item, declare_all};
use self::delay::{DelayQueues, Step};
use self::exclusive::ExclusiveQueues;
use self::failover::Brokers;
use self::failure::{short, within};
use self::link::{Link, LinkOptions, LinkState, Live, Role};
use self::publish::Publisher;
use self::verdict::Ticket;
use super::{
    Capabilities, Capability, LinkHealth, Outgoing, PublishError, PublishErrorKind, QueueKind,
    QueueStats, SubscribeOptions, Subscription, Topology, Transport, TransportError,
    TransportErrorKind, TransportHealth,
};

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
    Capability::Durable,
]);

/// A RabbitMQ broker, by two connections that are made again whenever they are lost.
///
/// It needs a tokio runtime. Dropping it closes both connections in the background;
/// [`Transport::close`] does so and waits.
pub struct AmqpTransport {
    config: AmqpConfig,
    connect_timeout: Duration,
    publishing: Link,
    consuming: Link,
    publisher: Publisher,
    exclusive: ExclusiveQueues,
    delays: DelayQueues,
}

/// How the two connections are now; for readiness.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct AmqpState {
    /// Nothing while the publishing connection is up; else why it is not.
    pub publish_down: Option<String>,
    /// Nothing while the consuming connection is up; else why it is not.
    pub consume_down: Option<String>,
}

/// Why a broker stops to take messages.
const BLOCKED: &str =
    "RabbitMQ takes no messages (it is low on memory or disk); publishes wait until it does";

/// What the library's own log lines begin with. They hold whole messages: payloads, at times logins.
pub(crate) const LIBRARY_LOG: &str = "lapin";

impl AmqpTransport {
    /// What RabbitMQ can do: all that the port knows.
    pub const CAPABILITIES: Capabilities = CAPABILITIES;

    /// Connects to a broker, or says within the connect timeout why it cannot.
    ///
    /// # Errors
    /// [`Unreachable`], [`Timeout`] from a port that does not answer, [`Credentials`],
    /// [`VirtualHost`], [`Tls`], or [`Invalid`] for a URL that cannot be read. The text names host,
    /// port, cause and what to do, never the password.
    ///
    /// [`Unreachable`]: crate::transport::TransportErrorKind::Unreachable
    /// [`Timeout`]: crate::transport::TransportErrorKind::Timeout
    /// [`Credentials`]: crate::transport::TransportErrorKind::Credentials
    /// [`VirtualHost`]: crate::transport::TransportErrorKind::VirtualHost
    /// [`Tls`]: crate::transport::TransportErrorKind::Tls
    /// [`Invalid`]: crate::transport::TransportErrorKind::Invalid
    pub async fn connect(config: AmqpConfig) -> Result<Self, TransportError> {
        let brokers = Arc::new(Brokers::new(&config)?);
        let (publish, consume) = tokio::try_join!(
            brokers.establish(Role::Publish.name(), 0),
            brokers.establish(Role::Consume.name(), 0),
        )?;
        let options = LinkOptions {
            call_timeout: config.call_timeout,
            publish_timeout: config.publish_timeout,
            publish_places: config.publish_in_flight_max,
            close_timeout: config.close_timeout,
            delay_min: config.reconnect_delay_min,
            delay_max: config.reconnect_delay_max,
        };
        let keep = |role, first| Link::start(Arc::clone(&brokers), role, options, first);
        let connect_timeout = brokers.connect_timeout();
        let publishing = keep(Role::Publish, publish);
        let consuming = keep(Role::Consume, consume);
        // Lost again at once is an outage as any other, and shows in the state.
        let _ = tokio::join!(publishing.live(connect_timeout), consuming.live(connect_timeout));
        let publisher = Publisher::new(&config);
        let exclusive = ExclusiveQueues::default();
        let delays = DelayQueues::default();
        Ok(Self { config, connect_timeout, publishing, consuming, publisher, exclusive, delays })
    }

    /// How the connections are now.
    #[must_use]
    pub fn state(&self) -> AmqpState {
        let down = |link: &Link| match link.state() {
            LinkState::Up(_) => None,
            LinkState::Down(reason) => Some(reason.to_string()),
            LinkState::Closed => Some("closed".to_owned()),
        };
        AmqpState { publish_down: down(&self.publishing), consume_down: down(&self.consuming) }
    }

    /// The connection on which a queue can be asked about: its owner's, if it is exclusive.
    async fn owner_of(&self, queue: &str) -> Result<Arc<Live>, TransportError> {
        let link =
            if self.exclusive.find(queue).is_some() { &self.consuming } else { &self.publishing };
        link.live(self.connect_timeout).await
    }

    /// Apart from the way of every message, which would move the message once more for it.
    #[cold]
    fn delayed(
        &self,
        outgoing: Outgoing,
        delay: Duration,
    ) -> BoxFuture<'_, Result<(), PublishError>> {
        Box::pin(self.publish_delayed(outgoing, delay))
    }

    /// Publishes to a delay queue, which passes it on to the queue that the routing key names.
    async fn publish_delayed(
        &self,
        mut outgoing: Outgoing,
        delay: Duration,
    ) -> Result<(), PublishError> {
        if !outgoing.address.exchange.is_empty() {
            let text = "only a message to a queue can be delayed, not one to an exchange";
            return Err(PublishError::new(PublishErrorKind::Invalid, outgoing.id(), text));
        }
        let step = Step::within(delay);
        outgoing.address.exchange = step.name().into();
        outgoing.delay = None;
        // It must reach the delay queue, and expire there by that queue's time alone.
        outgoing.mandatory = true;
        outgoing.properties.expiration_ms = None;
        outgoing.properties.headers.remove_broker_deaths();
        let mut again = true;
        loop {
            self.make_delay_queue(step).await.map_err(|error| {
                let text = format!("it cannot be delayed and was not sent: {error}");
                PublishError::new(PublishErrorKind::Refused, outgoing.id(), text).with_source(error)
            })?;
            match self.publisher.publish(&self.publishing, Ticket::new(outgoing.clone())).await {
                // Somebody deleted the queue or the exchange: made again, once.
                Err(error) if again && is_missing(error.kind()) => {
                    self.delays.forget(step);
                    again = false;
                }
                outcome => return outcome,
            }
        }
    }

    async fn make_delay_queue(&self, step: Step) -> Result<(), TransportError> {
        if self.delays.knows(step) {
            return Ok(());
        }
        let live = self.publishing.live(self.connect_timeout).await?;
        let connection = &live.established.connection;
        self.delays.declare(step, connection, self.config.call_timeout).await?;
        self.publisher.learn(&step.name());
        Ok(())
    }

    async fn declare_shared(&self, topology: &Topology) -> Result<(), TransportError> {
        let own = |name: &str| {
            let mut queues = topology.queues.iter();
            queues.any(|queue| queue.name == name && queue.kind == QueueKind::Exclusive)
        };
        let exchanges = topology.exchanges.iter().map(Item::Exchange);
        let queues = topology.queues.iter().filter(|queue| !own(&queue.name)).map(Item::Queue);
        let bindings = topology.bindings.iter().filter(|binding| !own(&binding.queue));
        let items: Vec<Item<'_>> =
            exchanges.chain(queues).chain(bindings.map(Item::Binding)).collect();
        let live = self.publishing.live(self.connect_timeout).await?;
        declare_all(&live.established.connection, &items, self.config.call_timeout).await
    }

    /// Declares exclusive queues where they are consumed.
    async fn declare_exclusive(&self, topology: &Topology) -> Result<(), TransportError> {
        let fresh = self.exclusive.remember(topology);
        if fresh.is_empty() {
            return Ok(());
        }
        let items: Vec<Item<'_>> = fresh.iter().flat_map(|queue| queue.items()).collect();
        let live = self.consuming.live(self.connect_timeout).await?;
        declare_all(&live.established.connection, &items, self.config.call_timeout).await
    }
}

const fn is_missing(kind: PublishErrorKind) -> bool {
    matches!(kind, PublishErrorKind::Unroutable | PublishErrorKind::NoExchange)
}

#[async_trait]
impl Transport for AmqpTransport {
    fn name(&self) -> &'static str {
        "rabbitmq"
    }

    fn capabilities(&self) -> Capabilities {
        CAPABILITIES
    }

    async fn declare(&self, topology: &Topology) -> Result<(), TransportError> {
        self.declare_shared(topology).await?;
        for exchange in &topology.exchanges {
            self.publisher.learn(&exchange.name);
        }
        self.declare_exclusive(topology).await
    }

    /// Written out instead of an `async fn`, whose future would keep two places for the message.
    fn publish<'a, 'async_trait>(
        &'a self,
        outgoing: Outgoing,
    ) -> BoxFuture<'async_trait, Result<(), PublishError>>
    where
        'a: 'async_trait,
    {
        if let Some(delay) = outgoing.delay {
            return self.delayed(outgoing, delay);
        }
        Box::pin(self.publisher.publish(&self.publishing, Ticket::new(outgoing)))
    }

    async fn subscribe(
        &self,
        options: SubscribeOptions,
    ) -> Result<Box<dyn Subscription>, TransportError> {
        let live = self.consuming.live(self.connect_timeout).await?;
        let owned = self.exclusive.find(&options.queue);
        let established = &live.established;
        let subscription =
            subscribe::subscribe(established, options, owned, &self.consuming, &self.config)
                .await?;
        Ok(Box::new(subscription))
    }

    async fn queue_stats(&self, queue: &str) -> Result<Option<QueueStats>, TransportError> {
        let live = self.owner_of(queue).await?;
        let name = short(queue, "queue's name")?;
        let passive = QueueDeclareOptions { passive: true, ..QueueDeclareOptions::default() };
        // A channel of its own: asking for a queue that is missing closes it.
        let ask = async {
            let channel = live.established.connection.create_channel().await?;
            channel.queue_declare(name, passive, FieldTable::default()).await
        };
        let doing = format!("ask about queue `{queue}`");
        match within(self.config.call_timeout, &doing, ask).await {
            Ok(found) => Ok(Some(QueueStats::new(
                found.message_count().into(),
                found.consumer_count().into(),
            ))),
            Err(error) if error.kind() == TransportErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    async fn delete_queue(&self, queue: &str) -> Result<(), TransportError> {
        let live = self.owner_of(queue).await?;
        self.exclusive.forget(queue);
        let name = short(queue, "queue's name")?;
        let delete = async {
            let channel = live.established.connection.create_channel().await?;
            channel.queue_delete(name, QueueDeleteOptions::default()).await
        };
        within(self.config.call_timeout, &format!("delete queue `{queue}`"), delete).await?;
        Ok(())
    }

    fn health(&self) -> TransportHealth {
        let side = |link: &Link| match link.state() {
            LinkState::Up(live) if live.established.connection.status().blocked() => {
                LinkHealth::Blocked(BLOCKED.to_owned())
            }
            LinkState::Up(_) => LinkHealth::Up,
            LinkState::Down(reason) => LinkHealth::Down(reason.to_string()),
            LinkState::Closed => LinkHealth::Down("the transport is closed".to_owned()),
        };
        TransportHealth::new(side(&self.publishing), side(&self.consuming))
    }

    async fn close(&self) {
        let limit = self.config.close_timeout;
        if !self.publisher.close(limit).await {
            tracing::warn!(
                broker = self.publishing.place(),
                "closing with publishes that are not confirmed"
            );
        }
        // One more second for the task that closes: the broker's answer has the same limit.
        let limit = limit + Duration::from_secs(1);
        tokio::join!(self.publishing.close(limit), self.consuming.close(limit));
    }
}

impl fmt::Debug for AmqpTransport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AmqpTransport")
            .field("config", &self.config)
            .field("state", &self.state())
            .finish_non_exhaustive()
    }
}
