//! The stores of workflow instances: the behaviours of all, and what is so of databases alone.

mod postgres;
mod sqlite;

use std::sync::Arc;

use mmate::contract::Source;
use mmate::store::{MemoryStore, StoreError, WorkflowStore, connect};
use mmate::testing::stores;

/// A store that is opened by its URL.
fn by_url(
    url: String,
) -> impl Fn() -> std::future::Ready<Result<Arc<dyn WorkflowStore>, StoreError>> {
    move || std::future::ready(connect(&url, Source::system()))
}

/// Runs all behaviours; none is left out.
async fn ensure_every_behaviour<F>(open: F)
where
    F: Fn() -> std::future::Ready<Result<Arc<dyn WorkflowStore>, StoreError>>
        + Send
        + Sync
        + 'static,
{
    let report = stores::run(open, "").await;
    println!("{report}");
    assert!(report.is_ok(), "{report}");
    assert_eq!(report.passed().count(), stores::behaviours().len(), "{report}");
}

#[tokio::test]
async fn the_memory_store_shows_every_behaviour_in_real_time() {
    let store = MemoryStore::new(Source::system());
    ensure_every_behaviour(move || {
        let store: Arc<dyn WorkflowStore> = Arc::new(store.clone());
        std::future::ready(Ok(store))
    })
    .await;
}
