//! Publishing while consuming: one connection for each, as the broker's makers advise.

use std::sync::Arc;

use ::lapin::options::ConfirmSelectOptions;
use futures_util::future::BoxFuture;

use super::consume::{consume, open};
use super::publish::publish;
use super::wire::Dress;
use crate::Result;
use crate::broker::{Scene, connect};
use crate::figures::Sample;
use crate::message::OrderPlaced;
use crate::meter::Meter;
use crate::mmate::service::Service;
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
        "hand-tuned"
    }

    fn turn(&mut self, messages: u32) -> BoxFuture<'_, Result<Sample>> {
        Box::pin(async move {
            self.scene.purge().await?;
            let meter = Arc::new(Meter::new(messages));
            let inlet = open(&self.service).await?;
            let connection = connect(&self.service.url).await?;
            let channel = connection.create_channel().await?;
            channel.confirm_select(ConfirmSelectOptions::default()).await?;
            let consuming =
                tokio::spawn(consume(inlet, self.service.concurrency, Arc::clone(&meter)));
            // The channel outlives the task: the library does not close a connection gladly while one
            // of its channels is being closed.
            let (outlet, order) = (channel.clone(), self.order.clone());
            let publishing =
                tokio::spawn(async move { publish(&outlet, &order, messages, Dress::MMATE).await });
            let sample = meter.finish().await?;
            publishing.await??;
            consuming.await??;
            connection.close(200, "done".into()).await?;
            drop(channel);
            Ok(sample)
        })
    }
}
