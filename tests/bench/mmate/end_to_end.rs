//! Publishing while consuming, in one app.

use std::sync::Arc;

use futures_util::future::BoxFuture;

use super::publish::publish;
use super::service::Service;
use crate::Result;
use crate::broker::Scene;
use crate::figures::Sample;
use crate::message::OrderPlaced;
use crate::meter::Meter;
use crate::rounds::Program;

/// Publishes and consumes.
#[derive(Debug)]
pub(crate) struct EndToEnd {
    service: Service,
    order: OrderPlaced,
    scene: Arc<Scene>,
}

impl EndToEnd {
    /// A program that has not begun.
    pub(crate) fn new(service: &Service, scene: &Arc<Scene>, order: &OrderPlaced) -> Self {
        Self { service: service.clone(), order: order.clone(), scene: Arc::clone(scene) }
    }
}

impl Program for EndToEnd {
    fn name(&self) -> &'static str {
        "Mmate"
    }

    fn turn(&mut self, messages: u32) -> BoxFuture<'_, Result<Sample>> {
        Box::pin(async move {
            self.scene.purge().await?;
            let meter = Arc::new(Meter::new(messages));
            let app = self.service.start(&meter).await?;
            let (publisher, order) = (app.publisher().clone(), self.order.clone());
            let publishing =
                tokio::spawn(async move { publish(&publisher, &order, messages).await });
            let sample = meter.finish().await?;
            publishing.await??;
            app.stop().await;
            Ok(sample)
        })
    }
}
