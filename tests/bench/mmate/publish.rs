//! Publishing with confirms through a `Publisher`.

use std::sync::Arc;
use std::sync::atomic::AtomicU32;

use futures_util::future::BoxFuture;
use futures_util::stream::{FuturesUnordered, TryStreamExt};
use mmate::prelude::Publisher;
use mmate::runtime::Running;

use super::service::Service;
use crate::Result;
use crate::broker::Scene;
use crate::figures::Sample;
use crate::lapin::publish::{WINDOW, take};
use crate::message::OrderPlaced;
use crate::rounds::Program;

/// Publishes through an app that stays connected.
#[derive(Debug)]
pub(crate) struct Publishing {
    at_once: bool,
    app: Running,
    scene: Arc<Scene>,
    order: OrderPlaced,
}

impl Publishing {
    /// Many callers, each of which awaits its own publish.
    pub(crate) async fn each(
        service: &Service,
        scene: &Arc<Scene>,
        order: &OrderPlaced,
    ) -> Result<Self> {
        let app = service.start_publishing().await?;
        Ok(Self { at_once: false, app, scene: Arc::clone(scene), order: order.clone() })
    }

    /// One caller with one wait for all.
    pub(crate) async fn all(
        service: &Service,
        scene: &Arc<Scene>,
        order: &OrderPlaced,
    ) -> Result<Self> {
        Ok(Self { at_once: true, ..Self::each(service, scene, order).await? })
    }

    /// Publishes so many messages and waits for their confirms.
    pub(crate) async fn publish(&self, messages: u32) -> Result {
        let (publisher, order) = (self.app.publisher(), &self.order);
        if self.at_once {
            publisher.publish_all((0..messages).map(|_| order.clone())).await?;
            return Ok(());
        }
        publish(publisher, order, messages).await
    }
}

impl Program for Publishing {
    fn name(&self) -> &'static str {
        if self.at_once { "Mmate, publish_all" } else { "Mmate" }
    }

    fn turn(&mut self, messages: u32) -> BoxFuture<'_, Result<Sample>> {
        Box::pin(async move {
            let sample = Sample::of(messages, self.publish(messages)).await?;
            self.scene.purge().await?;
            Ok(sample)
        })
    }
}

/// Publishes so many orders, as many at a time as the hand-written program has in its window.
pub(crate) async fn publish(publisher: &Publisher, order: &OrderPlaced, messages: u32) -> Result {
    let left = AtomicU32::new(messages);
    let caller = || async {
        while take(&left) {
            publisher.publish(std::hint::black_box(order.clone())).await?;
        }
        Ok(())
    };
    let callers: FuturesUnordered<_> = (0..WINDOW.min(messages)).map(|_| caller()).collect();
    callers.try_collect().await
}
