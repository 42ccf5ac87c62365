//! The broken connection.

use std::borrow::Cow;

use async_trait::async_trait;
use futures_util::future::pending;

use super::{Fault, Faulty, FaultySubscription, lock};
use crate::transport::{
    Binding, Capabilities, ExchangeKind, Intake, Outgoing, PublishError, PublishErrorKind,
    QueueKind, QueueStats, Settlement, SubscribeOptions, Subscription, Topology, Transport,
    TransportError, TransportErrorKind,
};

#[async_trait]
impl Transport for Faulty {
    fn name(&self) -> &'static str {
        "faulty"
    }

    fn capabilities(&self) -> Capabilities {
        self.inner.capabilities()
    }

    async fn declare(&self, topology: &Topology) -> Result<(), TransportError> {
        if self.fault == Fault::DeclareRecreates {
            for queue in &topology.queues {
                self.inner.delete_queue(&queue.name).await?;
            }
        }
        let outcome = self.inner.declare(&self.twisted(topology)).await;
        let kept = std::mem::take(&mut *lock(&self.shared.unroutable));
        for outgoing in kept {
            drop(self.inner.publish(outgoing).await);
        }
        match outcome {
            Err(error) if error.kind() == TransportErrorKind::Mismatch => self.mismatch(error),
            outcome => outcome,
        }
    }

    async fn publish(&self, outgoing: Outgoing) -> Result<(), PublishError> {
        let refusal = |kind| PublishError::new(kind, outgoing.id(), "by a defect");
        let (full, broken) = {
            let state = lock(&self.state);
            (state.full, state.broken)
        };
        if full {
            return Err(refusal(PublishErrorKind::Refused));
        }
        if broken {
            return Err(refusal(PublishErrorKind::Unknown));
        }
        let kept = outgoing.clone();
        let mut outcome = Ok(());
        for outgoing in self.sent(outgoing) {
            let transport = match self.fault {
                Fault::PublishesAfterClose => &self.spare,
                _ => &self.inner,
            };
            outcome = outcome.and(transport.publish(outgoing).await);
        }
        match outcome {
            Err(error) => self.publish_failed(error, kept).await,
            Ok(()) => Ok(()),
        }
    }

    async fn subscribe(
        &self,
        mut options: SubscribeOptions,
    ) -> Result<Box<dyn Subscription>, TransportError> {
        let prefetch = options.prefetch;
        let transport = match self.fault {
            Fault::SubscribesAfterClose => &self.spare,
            _ => &self.inner,
        };
        match self.fault {
            Fault::IgnoresPrefetch => options.prefetch = 1_000,
            Fault::CreatesMissingQueues => {
                let mut topology = Topology::default();
                topology.queue(crate::transport::Queue::new(&options.queue));
                drop(self.inner.declare(&topology).await);
            }
            _ => {}
        }
        let queue = options.queue.clone();
        let inner = transport.subscribe(options).await?;
        let spare = self.spare.clone();
        Ok(Box::new(FaultySubscription::new(self.fault, inner, spare, queue, prefetch)))
    }

    async fn queue_stats(&self, queue: &str) -> Result<Option<QueueStats>, TransportError> {
        match self.fault {
            Fault::StatsOfNothing => Ok(Some(QueueStats::new(0, 0))),
            _ => self.inner.queue_stats(queue).await,
        }
    }

    async fn delete_queue(&self, queue: &str) -> Result<(), TransportError> {
        let missing = self.inner.queue_stats(queue).await?.is_none();
        match self.fault {
            Fault::DeleteKeeps => Ok(()),
            Fault::DeleteInsists if missing => {
                Err(TransportError::new(TransportErrorKind::NotFound, "no such queue"))
            }
            _ => self.inner.delete_queue(queue).await,
        }
    }

    async fn close(&self) {
        let again = std::mem::replace(&mut lock(&self.state).closed, true);
        match self.fault {
            Fault::HangsOnSecondClose if again => pending().await,
            Fault::ClosesEverybody => {
                let all = std::mem::take(&mut *lock(&self.shared.connections));
                for connection in all {
                    connection.close().await;
                }
            }
            _ => {}
        }
        self.inner.close().await;
    }
}

impl Faulty {
    fn mismatch(&self, error: TransportError) -> Result<(), TransportError> {
        match self.fault {
            Fault::IgnoresMismatch => return Ok(()),
            Fault::TerseMismatch => return Err(TransportError::new(error.kind(), "mismatch")),
            Fault::MismatchBreaksConnection => lock(&self.state).broken = true,
            _ => {}
        }
        Err(error)
    }

    /// What is really sent for a message.
    fn sent(&self, mut outgoing: Outgoing) -> Vec<Outgoing> {
        match self.fault {
            Fault::Duplicates => return vec![outgoing.clone(), outgoing],
            Fault::SkipsEmptyBodies if outgoing.body.is_empty() => return Vec::new(),
            Fault::ConfirmsEarly => {
                return lock(&self.state).pending.replace(outgoing).into_iter().collect();
            }
            Fault::Reorders => {
                let mut state = lock(&self.state);
                let Some(held) = state.pending.take() else {
                    state.pending = Some(outgoing);
                    return Vec::new();
                };
                return vec![outgoing, held];
            }
            Fault::DelaysNothing => outgoing.delay = None,
            Fault::DelaysInLine if outgoing.delay.is_some() => {
                let mut state = lock(&self.state);
                outgoing.delay = outgoing.delay.max(state.longest_delay);
                state.longest_delay = outgoing.delay;
            }
            Fault::AlwaysMandatory => outgoing.mandatory = true,
            Fault::KeepsExpired => outgoing.properties.expiration_ms = None,
            Fault::ExpiresAtOnce if outgoing.properties.expiration_ms.is_some() => {
                outgoing.properties.expiration_ms = Some(1);
            }
            Fault::DefaultReachesFirstQueue if outgoing.address.exchange.is_empty() => {
                if let Some(queue) = &*lock(&self.shared.first_queue) {
                    outgoing.address.routing_key = queue.into();
                }
            }
            _ => {}
        }
        vec![outgoing]
    }

    async fn publish_failed(
        &self,
        error: PublishError,
        outgoing: Outgoing,
    ) -> Result<(), PublishError> {
        match (self.fault, error.kind()) {
            (Fault::LosesUnroutable, PublishErrorKind::Unroutable)
            | (Fault::IgnoresMissingExchange, PublishErrorKind::NoExchange) => return Ok(()),
            (Fault::KeepsUnroutable, PublishErrorKind::Unroutable) => {
                lock(&self.shared.unroutable).push(outgoing);
            }
            (Fault::StaysFull, PublishErrorKind::Refused) => lock(&self.state).full = true,
            (Fault::DropsOldest, PublishErrorKind::Refused) => {
                let options = SubscribeOptions::new(&outgoing.address.routing_key, 1);
                if let Ok(mut thief) = self.spare.subscribe(options).await
                    && let Intake::Delivery(delivery) = thief.next().await
                {
                    thief.settle(delivery.tag, Settlement::Ack);
                }
            }
            _ => {}
        }
        Err(error)
    }

    /// What is really declared for a topology.
    fn twisted(&self, topology: &Topology) -> Topology {
        let mut topology = topology.clone();
        for exchange in &mut topology.exchanges {
            exchange.kind = match (self.fault, exchange.kind) {
                (Fault::DirectIsTopic, ExchangeKind::Direct) => ExchangeKind::Topic,
                (Fault::FanoutIsDirect, ExchangeKind::Fanout) => ExchangeKind::Direct,
                (_, kind) => kind,
            };
        }
        for queue in &mut topology.queues {
            lock(&self.shared.first_queue).get_or_insert_with(|| queue.name.clone());
            match self.fault {
                Fault::IgnoresPriority => queue.max_priority = None,
                Fault::IgnoresLength => queue.length_max = None,
                Fault::ExclusiveIsShared if queue.kind == QueueKind::Exclusive => {
                    queue.kind = QueueKind::Quorum;
                }
                _ => {}
            }
        }
        if self.fault == Fault::OneQueuePerPattern {
            topology.bindings.retain(|binding| self.is_first(binding));
        }
        for binding in &mut topology.bindings {
            binding.pattern = self.pattern(&binding.pattern).into_owned();
        }
        topology
    }

    fn is_first(&self, binding: &Binding) -> bool {
        let key = (binding.exchange.to_string(), binding.pattern.clone());
        let mut bound = lock(&self.shared.bound);
        *bound.entry(key).or_insert_with(|| binding.queue.clone()) == binding.queue
    }

    fn pattern<'a>(&self, pattern: &'a str) -> Cow<'a, str> {
        match self.fault {
            Fault::StarIsHash => pattern.replace('*', "#").into(),
            Fault::HashNeedsAWord => pattern.replace('#', "*.#").into(),
            Fault::HashIsStar => pattern.replace('#', "*").into(),
            Fault::HashOnlyAtTheEnd => pattern.replace("#.", "*.").into(),
            Fault::LiteralIsPrefix if !pattern.contains(['*', '#']) => {
                format!("{pattern}.#").into()
            }
            _ => pattern.into(),
        }
    }
}
