//! Consuming: handlers polled in the consumer's own task, acks at half the prefetch or after two
//! milliseconds without a message.

use std::pin::Pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use ::lapin::message::Delivery;
use ::lapin::options::{BasicConsumeOptions, BasicQosOptions};
use ::lapin::types::FieldTable;
use ::lapin::{Channel, Connection, Consumer};
use futures_util::future::BoxFuture;
use futures_util::stream::{FuturesUnordered, StreamExt};

use super::acks::Acks;
use super::wire::decode;
use crate::Result;
use crate::broker::{Scene, connect};
use crate::message::OrderPlaced;
use crate::meter::Meter;
use crate::mmate::service::{QUEUE, Service};
use crate::rounds::{Program, Sample};

/// How long a finished message waits for others once none comes.
const ACK_DELAY: Duration = Duration::from_millis(2);

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
            let inlet = Inlet::open(&self.service).await?;
            let running = tokio::spawn(inlet.run(self.service.concurrency, Arc::clone(&meter)));
            let sample = meter.finish().await?;
            running.await??;
            idle.close(200, "done".into()).await?;
            Ok(sample)
        })
    }
}

/// A consumer on a connection of its own.
#[derive(Debug)]
pub(crate) struct Inlet {
    connection: Connection,
    consumer: Consumer,
    acks: Acks,
}

impl Inlet {
    /// Connects and begins to consume.
    pub(crate) async fn open(service: &Service) -> Result<Self> {
        let connection = connect(&service.url).await?;
        let (channel, consumer) = subscribe(&connection, service.prefetch).await?;
        let acks = Acks::new(&channel, service.prefetch);
        Ok(Self { connection, consumer, acks })
    }

    /// Handles messages until the meter has seen the last one.
    pub(crate) async fn run(mut self, concurrency: u16, meter: Arc<Meter>) -> Result {
        if concurrency == 1 {
            self.one_by_one(&meter).await?;
        } else {
            self.several(usize::from(concurrency), &meter).await?;
        }
        self.acks.write().await?;
        self.connection.close(200, "done".into()).await?;
        Ok(())
    }

    async fn one_by_one(&mut self, meter: &Meter) -> Result {
        while !meter.is_done() {
            let delivery = self.next().await?;
            let tag = handle(delivery, meter).await?;
            self.acks.finish(tag);
            self.acks.write_if_due().await?;
        }
        Ok(())
    }

    async fn several(&mut self, concurrency: usize, meter: &Arc<Meter>) -> Result {
        let mut running: FuturesUnordered<Pin<Box<dyn Future<Output = Result<u64>> + Send>>> =
            FuturesUnordered::new();
        while !meter.is_done() {
            let delivery = tokio::select! {
                biased;
                Some(tag) = running.next(), if !running.is_empty() => {
                    self.acks.finish(tag?);
                    self.acks.write_if_due().await?;
                    continue;
                }
                delivery = self.next(), if running.len() < concurrency => delivery?,
            };
            let meter = Arc::clone(meter);
            let mut handling: Pin<Box<dyn Future<Output = Result<u64>> + Send>> =
                Box::pin(async move { handle(delivery, &meter).await });
            // Most handlers end in their first poll, and only the others are worth keeping.
            match futures_util::poll!(handling.as_mut()) {
                Poll::Ready(tag) => {
                    self.acks.finish(tag?);
                    self.acks.write_if_due().await?;
                }
                Poll::Pending => running.push(handling),
            }
        }
        Ok(())
    }

    /// The next delivery; writes the ack if none comes for a while.
    async fn next(&mut self) -> Result<Delivery> {
        if self.acks.has_finished() {
            // The timer is made only when nothing is here.
            let next = match futures_util::poll!(self.consumer.next()) {
                Poll::Ready(next) => Ok(next),
                Poll::Pending => tokio::time::timeout(ACK_DELAY, self.consumer.next()).await,
            };
            if let Ok(next) = next {
                return self.received(next);
            }
            self.acks.write().await?;
        }
        let next = self.consumer.next().await;
        self.received(next)
    }

    fn received(&mut self, next: Option<::lapin::Result<Delivery>>) -> Result<Delivery> {
        let delivery = next.ok_or("the consumer ended")??;
        self.acks.received();
        Ok(delivery)
    }
}

/// Begins to consume on a new channel.
pub(crate) async fn subscribe(
    connection: &Connection,
    prefetch: u16,
) -> Result<(Channel, Consumer)> {
    let channel = connection.create_channel().await?;
    channel.basic_qos(prefetch, BasicQosOptions::default()).await?;
    let options = BasicConsumeOptions::default();
    let consumer =
        channel.basic_consume(QUEUE.into(), "bench".into(), options, FieldTable::default()).await?;
    Ok((channel, consumer))
}

/// Decodes a message and hands it to the user's code.
async fn handle(delivery: Delivery, meter: &Meter) -> Result<u64> {
    take_order(decode(&delivery.data)?, meter).await;
    Ok(delivery.delivery_tag)
}

async fn take_order(order: OrderPlaced, meter: &Meter) {
    meter.take(order);
}
