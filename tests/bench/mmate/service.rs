//! The service whose handler takes orders.

use std::sync::Arc;

use mmate::prelude::*;
use mmate::runtime::{AppBuilder, Running};
use mmate::transport::amqp::{AmqpConfig, AmqpTransport};
use mmate::transport::{QueueKind, Transport};

use crate::message::OrderPlaced;
use crate::meter::Meter;

/// The service's name.
pub(crate) const NAME: &str = "bench";

/// The queue of its one handler.
pub(crate) const QUEUE: &str = "bench.orders";

#[handler(queue = "bench.orders")]
async fn take_order(order: OrderPlaced, meter: State<Arc<Meter>>) {
    meter.take(order);
}

/// How the queue is kept and consumed, for both sides.
#[derive(Clone, Debug)]
pub(crate) struct Service {
    /// The broker.
    pub(crate) url: String,
    /// The kind of queue.
    pub(crate) kind: QueueKind,
    /// Messages that the broker may hand over in advance.
    pub(crate) prefetch: u16,
    /// Messages that are handled at a time.
    pub(crate) concurrency: u16,
}

impl Service {
    /// A service with the framework's own defaults for consuming.
    pub(crate) fn new(url: &str, kind: QueueKind) -> Self {
        Self { url: url.to_owned(), kind, prefetch: 100, concurrency: 10 }
    }

    /// Makes exchanges, queue and dead-letter queue.
    pub(crate) async fn declare(&self) -> crate::Result {
        let app = self.builder(&Arc::new(Meter::new(1))).build()?;
        let transport = AmqpTransport::connect(AmqpConfig::new(self.url.as_str())).await?;
        transport.declare(&app.plan().topology).await?;
        transport.close().await;
        Ok(())
    }

    /// Starts to handle what is in the queue.
    pub(crate) async fn start(&self, meter: &Arc<Meter>) -> crate::Result<Running> {
        Ok(self.builder(meter).start().await?)
    }

    /// Starts an app that only publishes.
    pub(crate) async fn start_publishing(&self) -> crate::Result<Running> {
        Ok(app(&self.url).publish_only().start().await?)
    }

    fn builder(&self, meter: &Arc<Meter>) -> AppBuilder {
        let kind = if self.kind == QueueKind::Classic { "classic" } else { "quorum" };
        app(&self.url)
            .handler::<take_order>()
            .provide(Arc::clone(meter))
            .config("queues.type", kind)
            .config("consume.prefetch", i64::from(self.prefetch))
            .config("consume.concurrency", i64::from(self.concurrency))
    }
}

/// The service with its handler, on a transport of one's own.
pub(crate) fn app_on(transport: Arc<dyn Transport>, meter: &Arc<Meter>) -> AppBuilder {
    app("memory://").transport(transport).handler::<take_order>().provide(Arc::clone(meter))
}

/// An app that only publishes, on a transport of one's own.
pub(crate) fn publisher_on(transport: Arc<dyn Transport>) -> AppBuilder {
    app("memory://").transport(transport).publish_only()
}

fn app(url: &str) -> AppBuilder {
    App::builder().name(NAME).config("url", url)
}
