//! The suite against the store in this process, and against broken ones.

use super::*;
use crate::contract::Source;
use crate::store::MemoryStore;

fn memory() -> impl Fn() -> std::future::Ready<Result<Arc<dyn WorkflowStore>, StoreError>> {
    let began = tokio::time::Instant::now();
    let store = MemoryStore::new(Source::seeded(1, move || began.elapsed()));
    move || std::future::ready(Ok(Arc::new(store.clone()) as Arc<dyn WorkflowStore>))
}

#[tokio::test(start_paused = true)]
async fn the_memory_store_shows_every_behaviour() {
    let report = run(memory(), "").await;
    assert!(report.is_ok(), "{report}");
    assert_eq!(report.passed().count(), behaviours().len(), "{report}");
}
