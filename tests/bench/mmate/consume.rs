//! Consuming with a handler.

use std::sync::Arc;

use futures_util::future::BoxFuture;

use super::service::Service;
use crate::Result;
use crate::broker::Scene;
use crate::figures::Sample;
use crate::message::OrderPlaced;
use crate::meter::Meter;
use crate::rounds::Program;

/// Fills the queue and starts the service.
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
        "Mmate"
    }

    fn turn(&mut self, messages: u32) -> BoxFuture<'_, Result<Sample>> {
        Box::pin(async move {
            self.scene.fill(&self.order, messages).await?;
            let meter = Arc::new(Meter::new(messages));
            let app = self.service.start(&meter).await?;
            let sample = meter.finish().await?;
            app.stop().await;
            Ok(sample)
        })
    }
}
