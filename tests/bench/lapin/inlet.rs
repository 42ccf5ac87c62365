//! A consumer: handlers polled in its own task, acks at half the prefetch or after two milliseconds
//! without a message.

use std::pin::Pin;
use std::task::Poll;
use std::time::Duration;

use ::lapin::message::Delivery;
use ::lapin::options::{BasicConsumeOptions, BasicQosOptions};
use ::lapin::types::FieldTable;
use ::lapin::{Channel, Connection, Consumer};
use futures_util::stream::{FuturesUnordered, StreamExt};

use super::acks::Acks;
use crate::Result;
use crate::broker::connect;

/// How long a finished message waits for others once none comes.
const ACK_DELAY: Duration = Duration::from_millis(2);

/// A consumer on a connection of its own.
#[derive(Debug)]
pub(crate) struct Inlet {
    connection: Connection,
    consumer: Consumer,
    acks: Acks,
}

impl Inlet {
    /// Connects and begins to consume.
    pub(crate) async fn open(url: &str, queue: &str, prefetch: u16) -> Result<Self> {
        let connection = connect(url).await?;
        let (channel, consumer) = subscribe(&connection, queue, prefetch).await?;
        let acks = Acks::new(&channel, prefetch);
        Ok(Self { connection, consumer, acks })
    }

    /// Writes the last acks and ends the connection.
    pub(crate) async fn close(mut self) -> Result {
        self.acks.write().await?;
        self.connection.close(200, "done".into()).await?;
        Ok(())
    }

    /// Handles one message after the other until the work is done.
    pub(crate) async fn one_by_one<H: Future<Output = Result<u64>>>(
        &mut self,
        handle: impl Fn(Delivery) -> H,
        is_done: impl Fn() -> bool,
    ) -> Result {
        while !is_done() {
            let delivery = self.next().await?;
            let tag = handle(delivery).await?;
            self.acks.finish(tag);
            self.acks.write_if_due().await?;
        }
        Ok(())
    }

    /// Handles so many messages at a time until the work is done.
    pub(crate) async fn several<H: Future<Output = Result<u64>>>(
        &mut self,
        concurrency: usize,
        handle: impl Fn(Delivery) -> H,
        is_done: impl Fn() -> bool,
    ) -> Result {
        let mut running: FuturesUnordered<Pin<Box<H>>> = FuturesUnordered::new();
        while !is_done() {
            let delivery = tokio::select! {
                biased;
                Some(tag) = running.next(), if !running.is_empty() => {
                    self.acks.finish(tag?);
                    self.acks.write_if_due().await?;
                    continue;
                }
                delivery = self.next(), if running.len() < concurrency => delivery?,
            };
            let mut handling = Box::pin(handle(delivery));
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
    queue: &str,
    prefetch: u16,
) -> Result<(Channel, Consumer)> {
    let channel = connection.create_channel().await?;
    channel.basic_qos(prefetch, BasicQosOptions::default()).await?;
    let consumer = consume(&channel, queue, BasicConsumeOptions::default()).await?;
    Ok((channel, consumer))
}

/// Begins to consume what the broker forgets once it has sent it, on a new channel.
pub(crate) async fn subscribe_without_acks(
    connection: &Connection,
    queue: &str,
) -> Result<(Channel, Consumer)> {
    let channel = connection.create_channel().await?;
    let options = BasicConsumeOptions { no_ack: true, ..BasicConsumeOptions::default() };
    let consumer = consume(&channel, queue, options).await?;
    Ok((channel, consumer))
}

async fn consume(channel: &Channel, queue: &str, options: BasicConsumeOptions) -> Result<Consumer> {
    let arguments = FieldTable::default();
    Ok(channel.basic_consume(queue.into(), "bench".into(), options, arguments).await?)
}
