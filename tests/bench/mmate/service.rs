//! The service whose handler takes orders, or answers questions about them.

use std::sync::Arc;

use mmate::prelude::*;
use mmate::runtime::{AppBuilder, Running};
use mmate::transport::amqp::{AmqpConfig, AmqpTransport};
use mmate::transport::{QueueKind, Transport};

use super::asking::price_order;
use crate::message::OrderPlaced;
use crate::meter::Meter;

/// The service's name.
pub(crate) const NAME: &str = "bench";

/// The queue of the handler that takes orders.
pub(crate) const QUEUE: &str = "bench.orders";

/// The queue of the handler that answers questions.
const QUESTIONS: &str = "bench.questions";

/// Messages that the broker may hand to the responder in advance.
const QUESTIONS_PREFETCH: u16 = 500;

/// What the service does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Work {
    /// It takes orders.
    Orders,
    /// It answers questions.
    Questions,
}

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
    /// What it does with them.
    pub(crate) work: Work,
}

impl Service {
    /// A service with the framework's own defaults for consuming.
    pub(crate) fn new(url: &str, kind: QueueKind) -> Self {
        Self { url: url.to_owned(), kind, prefetch: 100, concurrency: 10, work: Work::Orders }
    }

    /// A service that answers so many questions at a time.
    pub(crate) fn of_questions(url: &str, kind: QueueKind, concurrency: u16) -> Self {
        let (prefetch, work) = (QUESTIONS_PREFETCH, Work::Questions);
        Self { prefetch, concurrency, work, ..Self::new(url, kind) }
    }

    /// The queue of its one handler.
    pub(crate) const fn queue(&self) -> &'static str {
        match self.work {
            Work::Orders => QUEUE,
            Work::Questions => QUESTIONS,
        }
    }

    /// Makes exchanges, queue and dead-letter queue.
    pub(crate) async fn declare(&self) -> crate::Result {
        let app = match self.work {
            Work::Orders => self.builder(&Arc::new(Meter::new(1))).build()?,
            Work::Questions => self.settings().handler::<price_order>().build()?,
        };
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

    /// Starts to answer questions.
    pub(crate) async fn start_answering(&self) -> crate::Result<Running> {
        Ok(self.settings().handler::<price_order>().start().await?)
    }

    /// Starts an app that asks, so many questions at a time.
    pub(crate) async fn start_asking(&self, at_a_time: u16) -> crate::Result<Running> {
        let asking = app(&self.url).publish_only();
        Ok(asking.config("bridge.max_concurrent", i64::from(at_a_time)).start().await?)
    }

    fn builder(&self, meter: &Arc<Meter>) -> AppBuilder {
        self.settings().handler::<take_order>().provide(Arc::clone(meter))
    }

    fn settings(&self) -> AppBuilder {
        let kind = if self.kind == QueueKind::Classic { "classic" } else { "quorum" };
        app(&self.url)
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
