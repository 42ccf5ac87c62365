//! A transport that remembers what was published through it.

use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;

use super::faults::{Faults, Faulty};
use crate::contract::envelope;
use crate::contract::{Envelope, Message, Text};
use crate::transport::memory::MemoryTransport;
use crate::transport::{
    Capabilities, Outgoing, PublishError, QueueStats, SubscribeOptions, Subscription, Topology,
    Transport, TransportError, TransportHealth,
};

/// How many messages a test may publish: beyond it something runs in a circle.
pub(super) const RECORDED_MAX: usize = 1_000_000;

/// The in-memory transport, with a copy of everything that the broker has confirmed.
#[derive(Debug)]
pub(super) struct Recorder {
    pub(super) inner: MemoryTransport,
    published: Mutex<Vec<Outgoing>>,
    pub(super) faults: Arc<Faults>,
}

impl Recorder {
    pub(super) fn new(inner: MemoryTransport) -> Arc<Self> {
        Arc::new(Self { inner, published: Mutex::default(), faults: Arc::default() })
    }

    /// All messages of a type, in the order in which they were published. Copies that
    /// wait for another attempt or in dead-letter queues are no publishes.
    pub(super) fn captured<M: Message>(&self) -> Captured<M> {
        let published = self.published.lock().unwrap_or_else(PoisonError::into_inner);
        let is_copy = |outgoing: &Outgoing| {
            outgoing.delay.is_some() || outgoing.properties.headers.get("x-death-queue").is_some()
        };
        let messages = published
            .iter()
            .filter(|outgoing| {
                outgoing.properties.message_type.as_deref() == Some(M::INFO.name)
                    && !is_copy(outgoing)
            })
            .filter_map(|outgoing| envelope::decode(&outgoing.body).ok())
            .collect();
        let others = published
            .iter()
            .filter_map(|outgoing| outgoing.properties.message_type.as_ref().map(Text::to_string))
            .collect();
        Captured { messages, others }
    }
}

#[async_trait]
impl Transport for Recorder {
    fn name(&self) -> &'static str {
        self.inner.name()
    }

    fn capabilities(&self) -> Capabilities {
        self.inner.capabilities()
    }

    async fn declare(&self, topology: &Topology) -> Result<(), TransportError> {
        self.inner.declare(topology).await
    }

    async fn publish(&self, outgoing: Outgoing) -> Result<(), PublishError> {
        self.inner.publish(outgoing.clone()).await?;
        let mut published = self.published.lock().unwrap_or_else(PoisonError::into_inner);
        assert!(
            published.len() < RECORDED_MAX,
            "the test published over {RECORDED_MAX} messages: is there a circle?"
        );
        published.push(outgoing);
        Ok(())
    }

    async fn subscribe(
        &self,
        options: SubscribeOptions,
    ) -> Result<Box<dyn Subscription>, TransportError> {
        let queue = options.queue.clone();
        let inner = self.inner.subscribe(options).await?;
        Ok(Box::new(Faulty::new(inner, queue, Arc::clone(&self.faults))))
    }

    async fn queue_stats(&self, queue: &str) -> Result<Option<QueueStats>, TransportError> {
        self.inner.queue_stats(queue).await
    }

    async fn delete_queue(&self, queue: &str) -> Result<(), TransportError> {
        self.inner.delete_queue(queue).await
    }

    fn health(&self) -> TransportHealth {
        self.inner.health()
    }

    async fn close(&self) {
        self.inner.close().await;
    }
}

/// The messages of one type that were published so far.
#[derive(Debug)]
pub struct Captured<M> {
    messages: Vec<Envelope<M>>,
    others: Vec<String>,
}

impl<M: Message> Captured<M> {
    /// Asserts that there are none.
    ///
    /// # Panics
    /// If there are.
    #[track_caller]
    pub fn none(self) {
        assert!(
            self.messages.is_empty(),
            "expected no `{}`, and {} were published",
            M::INFO.name,
            self.messages.len()
        );
    }

    /// The only one.
    ///
    /// # Panics
    /// If there is none, or more than one.
    #[track_caller]
    #[expect(clippy::must_use_candidate, reason = "the assertion alone is of use, too")]
    pub fn one(self) -> Envelope<M> {
        let others = self.others.join("`, `");
        let mut messages = self.messages;
        assert!(
            messages.len() == 1,
            "expected one `{}`, got {}; published were `{others}`",
            M::INFO.name,
            messages.len()
        );
        messages.remove(0)
    }

    /// All of them, after asserting how many there are.
    ///
    /// # Panics
    /// If there are more or fewer.
    #[track_caller]
    #[expect(clippy::must_use_candidate, reason = "the assertion alone is of use, too")]
    pub fn exactly(self, count: usize) -> Vec<Envelope<M>> {
        let (name, got, others) = (M::INFO.name, self.messages.len(), self.others.join("`, `"));
        assert!(got == count, "expected {count} of `{name}`, got {got}; published were `{others}`");
        self.messages
    }

    /// All of them.
    #[must_use]
    pub fn all(self) -> Vec<Envelope<M>> {
        self.messages
    }

    /// How many there are.
    #[must_use]
    pub fn count(&self) -> usize {
        self.messages.len()
    }
}
