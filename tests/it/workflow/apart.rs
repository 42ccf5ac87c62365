//! A broker in memory that passes for one of another process: the messages of the last life are still there, so nothing
//! is announced anew at the start of the next.

use async_trait::async_trait;
use mmate::transport::memory::MemoryTransport;
use mmate::transport::{
    Capabilities, Outgoing, PublishError, QueueStats, SubscribeOptions, Subscription, Topology,
    Transport, TransportError,
};

#[derive(Clone, Debug)]
pub(super) struct Apart(pub(super) MemoryTransport);

#[async_trait]
impl Transport for Apart {
    fn name(&self) -> &'static str {
        "apart"
    }

    fn capabilities(&self) -> Capabilities {
        self.0.capabilities()
    }

    async fn declare(&self, topology: &Topology) -> Result<(), TransportError> {
        self.0.declare(topology).await
    }

    async fn publish(&self, outgoing: Outgoing) -> Result<(), PublishError> {
        self.0.publish(outgoing).await
    }

    async fn subscribe(
        &self,
        options: SubscribeOptions,
    ) -> Result<Box<dyn Subscription>, TransportError> {
        self.0.subscribe(options).await
    }

    async fn queue_stats(&self, queue: &str) -> Result<Option<QueueStats>, TransportError> {
        self.0.queue_stats(queue).await
    }

    async fn delete_queue(&self, queue: &str) -> Result<(), TransportError> {
        self.0.delete_queue(queue).await
    }

    async fn close(&self) {
        self.0.close().await;
    }
}
