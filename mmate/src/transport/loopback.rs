//! A short way within the process: a transport whose queues also have a part in this process, which takes
//! messages that are marked for it.
//!
//! In: the calls of [`Transport`]. Out: the same calls of the transport behind it; and for messages that are
//! marked [`Outgoing::near`], those of a broker in this process. A subscription gives what comes from either
//! side, so that whoever consumes treats both alike: attempts, retries, limits, fates.
//!
//! # Crash window
//!
//! - A near message is gone with the process, which is also the one that sent it. What was made of it on the
//!   broker meanwhile (events, a copy that waits for another attempt) is there as always.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};

use async_trait::async_trait;

use super::memory::MemoryTransport;
use super::{
    Binding, Capabilities, Intake, Outgoing, PublishError, PublishErrorKind, Queue, QueueKind,
    QueueStats, Settlement, SubscribeOptions, Subscription, Tag, Topology, Transport,
    TransportError, TransportHealth,
};

/// Marks the tags of near deliveries. Brokers count tags from 1 and never get there.
const NEAR: u64 = 1 << 63;

/// A transport with a short way for near messages.
#[derive(Debug)]
pub struct Loopback {
    far: Arc<dyn Transport>,
    near: MemoryTransport,
    /// What was declared: the near part of a queue is made when it is consumed, so that no near message goes
    /// where nobody takes it.
    declared: Mutex<Topology>,
}

impl Loopback {
    /// Puts the short way before a transport.
    #[must_use]
    pub fn new(far: Arc<dyn Transport>) -> Self {
        Self { far, near: MemoryTransport::new(), declared: Mutex::default() }
    }

    /// Gives a message to a queue of this process; nothing if none takes it.
    async fn publish_near(&self, outgoing: &Outgoing) -> Option<Result<(), PublishError>> {
        let mut near = outgoing.clone().mandatory(true);
        // It would vanish without a word, since nothing here is parked. Requests have their deadline.
        near.properties.expiration_ms = None;
        match self.near.publish(near).await {
            Err(error)
                if matches!(
                    error.kind(),
                    PublishErrorKind::Unroutable
                        | PublishErrorKind::NoExchange
                        // More wait here than a queue of this process holds: the broker has more room.
                        | PublishErrorKind::Refused
                ) =>
            {
                None
            }
            published => Some(published),
        }
    }
}

impl Loopback {
    fn declared(&self) -> MutexGuard<'_, Topology> {
        self.declared.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn remember(&self, topology: &Topology) {
        let mut declared = self.declared();
        for exchange in &topology.exchanges {
            declared.exchange(exchange.name.clone(), exchange.kind);
        }
        for Binding { exchange, queue, pattern } in &topology.bindings {
            declared.bind(exchange.clone(), queue.clone(), pattern.clone());
        }
    }

    /// The near part of a queue: the same name and bindings. What fails for good is parked at the broker by
    /// confirmed copies, so near queues have no dead-letter queues.
    fn near_part(&self, queue: &str) -> Topology {
        let declared = self.declared();
        let bindings = declared.bindings.iter().filter(|binding| binding.queue == queue);
        Topology {
            exchanges: declared.exchanges.clone(),
            queues: vec![Queue::new(queue).kind(QueueKind::Classic)],
            bindings: bindings.cloned().collect(),
        }
    }
}

#[async_trait]
impl Transport for Loopback {
    fn name(&self) -> &'static str {
        self.far.name()
    }

    fn capabilities(&self) -> Capabilities {
        self.far.capabilities()
    }

    async fn declare(&self, topology: &Topology) -> Result<(), TransportError> {
        self.far.declare(topology).await?;
        self.remember(topology);
        Ok(())
    }

    async fn publish(&self, outgoing: Outgoing) -> Result<(), PublishError> {
        if outgoing.near
            && let Some(published) = self.publish_near(&outgoing).await
        {
            return published;
        }
        self.far.publish(outgoing).await
    }

    async fn subscribe(
        &self,
        options: SubscribeOptions,
    ) -> Result<Box<dyn Subscription>, TransportError> {
        let far = self.far.subscribe(options.clone()).await?;
        self.near.declare(&self.near_part(&options.queue)).await?;
        let near = self.near.subscribe(options).await?;
        Ok(Box::new(Both { near, far, near_first: true, near_ended: false, far_ended: false }))
    }

    async fn queue_stats(&self, queue: &str) -> Result<Option<QueueStats>, TransportError> {
        self.far.queue_stats(queue).await
    }

    async fn delete_queue(&self, queue: &str) -> Result<(), TransportError> {
        self.declared().bindings.retain(|binding| binding.queue != queue);
        self.near.delete_queue(queue).await?;
        self.far.delete_queue(queue).await
    }

    fn health(&self) -> TransportHealth {
        self.far.health()
    }

    async fn close(&self) {
        self.near.close().await;
        self.far.close().await;
    }
}

/// A subscription of both parts of a queue.
#[derive(Debug)]
struct Both {
    near: Box<dyn Subscription>,
    far: Box<dyn Subscription>,
    /// Whose turn it is: neither side is to wait because the other has plenty.
    near_first: bool,
    near_ended: bool,
    far_ended: bool,
}

impl Both {
    fn poll_near(&mut self, cx: &mut Context<'_>) -> Poll<Intake> {
        if self.near_ended {
            return Poll::Pending;
        }
        match self.near.poll_next(cx) {
            Poll::Ready(Intake::Delivery(mut delivery)) => {
                delivery.tag = Tag(delivery.tag.0 | NEAR);
                Poll::Ready(Intake::Delivery(delivery))
            }
            Poll::Ready(Intake::Ended) => {
                self.near_ended = true;
                self.ended()
            }
            other => other,
        }
    }

    fn poll_far(&mut self, cx: &mut Context<'_>) -> Poll<Intake> {
        if self.far_ended {
            return Poll::Pending;
        }
        match self.far.poll_next(cx) {
            Poll::Ready(Intake::Ended) => {
                self.far_ended = true;
                self.ended()
            }
            other => other,
        }
    }

    fn ended(&self) -> Poll<Intake> {
        if self.near_ended && self.far_ended { Poll::Ready(Intake::Ended) } else { Poll::Pending }
    }
}

impl Subscription for Both {
    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Intake> {
        self.near_first = !self.near_first;
        let first = if self.near_first { self.poll_near(cx) } else { self.poll_far(cx) };
        if first.is_ready() {
            return first;
        }
        if self.near_first { self.poll_far(cx) } else { self.poll_near(cx) }
    }

    fn settle(&mut self, tag: Tag, settlement: Settlement) {
        if tag.0 & NEAR == 0 {
            self.far.settle(tag, settlement);
        } else {
            self.near.settle(Tag(tag.0 & !NEAR), settlement);
        }
    }

    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), TransportError>> {
        both(self.near.poll_flush(cx), self.far.poll_flush(cx))
    }

    fn poll_drive(&mut self, cx: &mut Context<'_>) -> Poll<TransportError> {
        match self.near.poll_drive(cx) {
            Poll::Ready(error) => Poll::Ready(error),
            Poll::Pending => self.far.poll_drive(cx),
        }
    }

    fn poll_cancel(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), TransportError>> {
        both(self.near.poll_cancel(cx), self.far.poll_cancel(cx))
    }
}

/// Ready when both are; at once with an error.
fn both(
    near: Poll<Result<(), TransportError>>,
    far: Poll<Result<(), TransportError>>,
) -> Poll<Result<(), TransportError>> {
    match (near, far) {
        (Poll::Ready(Err(error)), _) | (_, Poll::Ready(Err(error))) => Poll::Ready(Err(error)),
        (Poll::Ready(Ok(())), Poll::Ready(Ok(()))) => Poll::Ready(Ok(())),
        _ => Poll::Pending,
    }
}
