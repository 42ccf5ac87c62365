//! Consuming with handlers in the consumer's own task, and coalesced acks.

use std::sync::Arc;

use ::lapin::message::Delivery;
use futures_util::future::BoxFuture;

use super::inlet::Inlet;
use super::wire::decode;
use crate::Result;
use crate::broker::{Scene, connect};
use crate::figures::Sample;
use crate::message::OrderPlaced;
use crate::meter::Meter;
use crate::mmate::service::{QUEUE, Service};
use crate::rounds::Program;

/// Fills the queue and consumes it.
#[derive(Debug)]
pub(crate) struct Consuming {
    service: Service,
    order: OrderPlaced,
    scene: Arc<Scene>,
}

impl Consuming {
    /// A program that has not begun.
    pub(crate) fn new(service: &Service, scene: &Arc<Scene>, order: &OrderPlaced) -> Self {
        Self { service: service.clone(), order: order.clone(), scene: Arc::clone(scene) }
    }
}

impl Program for Consuming {
    fn name(&self) -> &'static str {
        "hand-tuned"
    }

    fn turn(&mut self, messages: u32) -> BoxFuture<'_, Result<Sample>> {
        Box::pin(async move {
            self.scene.fill(&self.order, messages).await?;
            let meter = Arc::new(Meter::new(messages));
            // Mmate holds a second connection for publishing, so this program does too.
            let idle = connect(&self.service.url).await?;
            let inlet = open(&self.service).await?;
            let running =
                tokio::spawn(consume(inlet, self.service.concurrency, Arc::clone(&meter)));
            let sample = meter.finish().await?;
            running.await??;
            idle.close(200, "done".into()).await?;
            Ok(sample)
        })
    }
}

/// Begins to consume orders.
pub(crate) async fn open(service: &Service) -> Result<Inlet> {
    Inlet::open(&service.url, QUEUE, service.prefetch).await
}

/// Handles orders until the meter has seen the last one.
pub(crate) async fn consume(mut inlet: Inlet, concurrency: u16, meter: Arc<Meter>) -> Result {
    let handle = |delivery| handle(delivery, &meter);
    let is_done = || meter.is_done();
    if concurrency == 1 {
        inlet.one_by_one(handle, is_done).await?;
    } else {
        inlet.several(usize::from(concurrency), handle, is_done).await?;
    }
    inlet.close().await
}

/// Decodes a message and hands it to the user's code.
async fn handle(delivery: Delivery, meter: &Meter) -> Result<u64> {
    take_order(decode(&delivery.data)?, meter).await;
    Ok(delivery.delivery_tag)
}

async fn take_order(order: OrderPlaced, meter: &Meter) {
    meter.take(order);
}
