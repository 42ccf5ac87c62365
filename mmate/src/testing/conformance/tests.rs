//! The suite against the broker in this process, and against broken ones.

use std::sync::Arc;

use super::*;
use crate::transport::memory::MemoryTransport;

fn memory() -> impl Fn() -> std::future::Ready<bench::Connected> + Send + Sync + 'static {
    let broker = MemoryTransport::new();
    move || std::future::ready(Ok(Arc::new(broker.clone()) as Arc<dyn Transport>))
}

#[tokio::test(start_paused = true)]
async fn the_memory_transport_shows_every_behaviour() {
    let report = run(memory(), "").await;
    assert!(report.is_ok(), "{report}");
    assert_eq!(report.passed().count(), behaviours().len(), "{report}");
}
