//! Without a broker: the framework's own cost.

use std::sync::Arc;

use futures_util::future::BoxFuture;
use mmate::transport::Transport;
use mmate::transport::memory::{Limits, MemoryTransport};

use super::service::app_on;
use crate::Result;
use crate::figures::Sample;
use crate::message::OrderPlaced;
use crate::meter::Meter;
use crate::rounds::Program;

/// Publishes and handles in one process.
#[derive(Debug)]
pub(crate) struct InMemory {
    order: OrderPlaced,
}

impl InMemory {
    /// A program that has not begun.
    pub(crate) const fn new(order: OrderPlaced) -> Self {
        Self { order }
    }
}

impl Program for InMemory {
    fn name(&self) -> &'static str {
        "Mmate, in memory"
    }

    fn turn(&mut self, messages: u32) -> BoxFuture<'_, Result<Sample>> {
        Box::pin(async move {
            let meter = Arc::new(Meter::new(messages));
            let app = app_on(transport(messages), &meter).start().await?;
            let (publisher, order) = (app.publisher().clone(), self.order.clone());
            let publishing = tokio::spawn(async move {
                for _ in 0..messages {
                    publisher.publish(std::hint::black_box(order.clone())).await?;
                }
                Ok::<_, crate::Error>(())
            });
            let sample = meter.finish().await?;
            publishing.await??;
            app.stop().await;
            Ok(sample)
        })
    }
}

/// A broker in this process that can hold all messages.
pub(crate) fn transport(messages: u32) -> Arc<dyn Transport> {
    Arc::new(MemoryTransport::with_limits(Limits::default().queue_length_max(messages.into())))
}
