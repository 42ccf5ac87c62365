//! Planted defects: a transport that breaks one promise, between the service and the real one. The fault
//! suite must find each of them; a suite that stays green with them proves nothing.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use async_trait::async_trait;
use mmate::handler::HandlerError;
use mmate::transport::amqp::{AmqpConfig, AmqpTransport};
use mmate::transport::{
    Capabilities, Delivery, Intake, Outgoing, PublishError, QueueStats, Settlement,
    SubscribeOptions, Subscription, Tag, Topology, Transport, TransportError, TransportHealth,
};

/// How long a publish that was called done is really still here.
const HELD_BACK: Duration = Duration::from_millis(150);

/// A promise that is broken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Defect {
    /// A delivery is acknowledged when it comes, before it is handled.
    AckFirst,
    /// A publish is called done before the broker has confirmed it.
    FalseConfirm,
    /// What a lost channel held is acknowledged on the next one.
    StaleAck,
    /// A lost consumer is never reported.
    SilentLoss,
}

/// The transport with the defect that `SOAK_DEFECT` names, if it names one.
pub(crate) async fn asked() -> Result<Option<Arc<dyn Transport>>, HandlerError> {
    let Ok(name) = std::env::var("SOAK_DEFECT") else { return Ok(None) };
    let defect = match name.as_str() {
        "ack-first" => Defect::AckFirst,
        "false-confirm" => Defect::FalseConfirm,
        "stale-ack" => Defect::StaleAck,
        "silent-loss" => Defect::SilentLoss,
        _ => return Err(HandlerError::msg("SOAK_DEFECT names no defect")),
    };
    let url = std::env::var("MMATE_URL")?;
    let inner = Arc::new(AmqpTransport::connect(AmqpConfig::new(url)).await?);
    Ok(Some(Arc::new(Defective { defect, inner })))
}

#[derive(Debug)]
struct Defective {
    defect: Defect,
    inner: Arc<AmqpTransport>,
}

/// The tags that the last subscription of a queue left unsettled.
type Leftover = Arc<Mutex<BTreeSet<u64>>>;

fn lock(leftover: &Leftover) -> MutexGuard<'_, BTreeSet<u64>> {
    leftover.lock().unwrap_or_else(PoisonError::into_inner)
}

#[async_trait]
impl Transport for Defective {
    fn name(&self) -> &'static str {
        "defective"
    }

    fn capabilities(&self) -> Capabilities {
        self.inner.capabilities()
    }

    async fn declare(&self, topology: &Topology) -> Result<(), TransportError> {
        self.inner.declare(topology).await
    }

    async fn publish(&self, outgoing: Outgoing) -> Result<(), PublishError> {
        if self.defect != Defect::FalseConfirm {
            return self.inner.publish(outgoing).await;
        }
        let inner = Arc::clone(&self.inner);
        drop(tokio::spawn(async move {
            tokio::time::sleep(HELD_BACK).await;
            inner.publish(outgoing).await
        }));
        Ok(())
    }

    async fn subscribe(
        &self,
        options: SubscribeOptions,
    ) -> Result<Box<dyn Subscription>, TransportError> {
        let leftover = leftover_of(&options.queue);
        let stale = std::mem::take(&mut *lock(&leftover));
        let inner = self.inner.subscribe(options).await?;
        Ok(Box::new(DefectiveSubscription { defect: self.defect, inner, leftover, stale }))
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

fn leftover_of(queue: &str) -> Leftover {
    static ALL: Mutex<Vec<(String, Leftover)>> = Mutex::new(Vec::new());
    let mut all = ALL.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some((_, leftover)) = all.iter().find(|(name, _)| name == queue) {
        return Arc::clone(leftover);
    }
    let leftover = Leftover::default();
    all.push((queue.to_owned(), Arc::clone(&leftover)));
    leftover
}

#[derive(Debug)]
struct DefectiveSubscription {
    defect: Defect,
    inner: Box<dyn Subscription>,
    leftover: Leftover,
    /// Tags of the channel before, which mean other messages on this one.
    stale: BTreeSet<u64>,
}

impl DefectiveSubscription {
    fn took(&mut self, delivery: &Delivery) {
        let Tag(number) = delivery.tag;
        let at_once = match self.defect {
            Defect::AckFirst => true,
            Defect::StaleAck => self.stale.contains(&number),
            Defect::FalseConfirm | Defect::SilentLoss => false,
        };
        if at_once {
            self.inner.settle(delivery.tag, Settlement::Ack);
        } else {
            lock(&self.leftover).insert(number);
        }
    }
}

impl Subscription for DefectiveSubscription {
    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Intake> {
        match ready!(self.inner.poll_next(cx)) {
            Intake::Delivery(delivery) => {
                self.took(&delivery);
                Poll::Ready(Intake::Delivery(delivery))
            }
            Intake::Lost(_) if self.defect == Defect::SilentLoss => Poll::Pending,
            intake => Poll::Ready(intake),
        }
    }

    fn settle(&mut self, tag: Tag, settlement: Settlement) {
        let first = lock(&self.leftover).remove(&tag.0);
        // A tag that was acknowledged before may not be acknowledged twice: the broker would tell.
        if first {
            self.inner.settle(tag, settlement);
        }
    }

    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), TransportError>> {
        self.inner.poll_flush(cx)
    }

    fn poll_drive(&mut self, cx: &mut Context<'_>) -> Poll<TransportError> {
        self.inner.poll_drive(cx)
    }

    fn poll_cancel(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), TransportError>> {
        self.inner.poll_cancel(cx)
    }
}
