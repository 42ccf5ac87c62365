//! Exchanges, queues and bindings as values.

use std::borrow::Cow;

/// How an exchange chooses queues.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ExchangeKind {
    /// By pattern: `*` is one word, `#` any number of words, also none.
    Topic,
    /// By equal key.
    Direct,
    /// To all.
    Fanout,
}

/// A durable exchange.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Exchange {
    /// The name.
    pub name: Cow<'static, str>,
    /// How it chooses queues.
    pub kind: ExchangeKind,
}

/// How a queue keeps its messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum QueueKind {
    /// Replicated over the cluster's nodes; counts deliveries. The default.
    Quorum,
    /// On one node; the only kind with priorities on every RabbitMQ version.
    Classic,
    /// On one node, for one connection, gone with it.
    Exclusive,
}

/// A queue.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct Queue {
    /// The name.
    pub name: String,
    /// How it keeps its messages.
    pub kind: QueueKind,
    /// Where the broker puts what is rejected or expires: the name of a queue.
    pub dead_letter: Option<String>,
    /// The highest priority that it distinguishes; classic queues only.
    pub max_priority: Option<u8>,
    /// The most messages that it holds; it refuses more.
    pub length_max: Option<u64>,
    /// After how many deliveries the broker gives a message up, where it counts: quorum queues of
    /// RabbitMQ. Unset leaves it to the broker: 20 from RabbitMQ 4 on, before that no limit.
    pub delivery_limit: Option<u32>,
}

impl Queue {
    /// A durable quorum queue without limits.
    #[must_use]
    pub fn new(name: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            kind: QueueKind::Quorum,
            dead_letter: None,
            max_priority: None,
            length_max: None,
            delivery_limit: None,
        }
    }

    /// Sets the kind.
    #[must_use]
    pub const fn kind(mut self, kind: QueueKind) -> Self {
        self.kind = kind;
        self
    }

    /// Sets the dead-letter queue.
    #[must_use]
    pub fn dead_letter(mut self, queue: impl Into<String>) -> Self {
        self.dead_letter = Some(queue.into());
        self
    }

    /// Distinguishes priorities from 0 to `max`.
    #[must_use]
    pub const fn max_priority(mut self, max: u8) -> Self {
        self.max_priority = Some(max);
        self
    }

    /// Limits the number of messages.
    #[must_use]
    pub const fn length_max(mut self, max: u64) -> Self {
        self.length_max = Some(max);
        self
    }

    /// Sets after how many deliveries the broker gives a message up.
    #[must_use]
    pub const fn delivery_limit(mut self, limit: u32) -> Self {
        self.delivery_limit = Some(limit);
        self
    }
}

/// Messages of an exchange whose key matches a pattern reach a queue.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Binding {
    /// The exchange.
    pub exchange: Cow<'static, str>,
    /// The queue.
    pub queue: String,
    /// The pattern or key.
    pub pattern: String,
}

/// What a service needs to exist on the broker, in the order in which it is declared.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Topology {
    /// Exchanges.
    pub exchanges: Vec<Exchange>,
    /// Queues.
    pub queues: Vec<Queue>,
    /// Bindings.
    pub bindings: Vec<Binding>,
}

impl Topology {
    /// Adds an exchange unless it is there.
    pub fn exchange(&mut self, name: impl Into<Cow<'static, str>>, kind: ExchangeKind) {
        let exchange = Exchange { name: name.into(), kind };
        if !self.exchanges.contains(&exchange) {
            self.exchanges.push(exchange);
        }
    }

    /// Adds a queue unless one of its name is there.
    pub fn queue(&mut self, queue: Queue) {
        if !self.queues.iter().any(|known| known.name == queue.name) {
            self.queues.push(queue);
        }
    }

    /// Adds a binding unless it is there.
    pub fn bind(
        &mut self,
        exchange: impl Into<Cow<'static, str>>,
        queue: impl Into<String>,
        pattern: impl Into<String>,
    ) {
        let binding =
            Binding { exchange: exchange.into(), queue: queue.into(), pattern: pattern.into() };
        if !self.bindings.contains(&binding) {
            self.bindings.push(binding);
        }
    }
}
