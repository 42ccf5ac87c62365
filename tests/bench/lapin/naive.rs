//! Consuming as most programs do it: take a message, handle it, await its ack, take the next.

use std::sync::Arc;

use ::lapin::options::BasicAckOptions;
use futures_util::StreamExt;
use futures_util::future::BoxFuture;

use super::inlet::subscribe;
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
pub(crate) struct Naive {
    service: Service,
    order: OrderPlaced,
    scene: Arc<Scene>,
}

impl Naive {
    /// A program that has not begun.
    pub(crate) fn new(service: &Service, scene: &Arc<Scene>, order: &OrderPlaced) -> Self {
        Self { service: service.clone(), order: order.clone(), scene: Arc::clone(scene) }
    }
}

impl Program for Naive {
    fn name(&self) -> &'static str {
        "naive"
    }

    fn turn(&mut self, messages: u32) -> BoxFuture<'_, Result<Sample>> {
        Box::pin(async move {
            self.scene.fill(&self.order, messages).await?;
            let meter = Arc::new(Meter::new(messages));
            let running = tokio::spawn(run(self.service.clone(), Arc::clone(&meter)));
            let sample = meter.finish().await?;
            running.await??;
            Ok(sample)
        })
    }
}

async fn run(service: Service, meter: Arc<Meter>) -> Result {
    let connection = connect(&service.url).await?;
    let (_channel, mut consumer) = subscribe(&connection, QUEUE, service.prefetch).await?;
    while !meter.is_done() {
        let delivery = consumer.next().await.ok_or("the consumer ended")??;
        meter.take(decode(&delivery.data)?);
        delivery.ack(BasicAckOptions::default()).await?;
    }
    connection.close(200, "done".into()).await?;
    Ok(())
}
