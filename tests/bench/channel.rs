//! A bare tokio channel that carries decoded messages: as little as two tasks can do.

use std::sync::Arc;

use futures_util::future::BoxFuture;
use tokio::sync::mpsc;

use crate::Result;
use crate::figures::Sample;
use crate::message::OrderPlaced;
use crate::meter::Meter;
use crate::rounds::Program;

/// Messages that wait in the channel.
const CAPACITY: usize = 1_024;

/// Sends and receives in one process.
#[derive(Debug)]
pub(crate) struct BareChannel {
    order: OrderPlaced,
}

impl BareChannel {
    /// A program that has not begun.
    pub(crate) const fn new(order: OrderPlaced) -> Self {
        Self { order }
    }
}

impl Program for BareChannel {
    fn name(&self) -> &'static str {
        "bare tokio channel"
    }

    fn turn(&mut self, messages: u32) -> BoxFuture<'_, Result<Sample>> {
        Box::pin(async move {
            let meter = Arc::new(Meter::new(messages));
            let (sender, mut receiver) = mpsc::channel(CAPACITY);
            let (order, seen) = (self.order.clone(), Arc::clone(&meter));
            let sending = tokio::spawn(async move {
                for _ in 0..messages {
                    sender.send(std::hint::black_box(order.clone())).await?;
                }
                Ok::<_, crate::Error>(())
            });
            let receiving = tokio::spawn(async move {
                while let Some(order) = receiver.recv().await {
                    seen.take(order);
                }
            });
            let sample = meter.finish().await?;
            sending.await??;
            receiving.await?;
            Ok(sample)
        })
    }
}
