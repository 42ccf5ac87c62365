//! The stores of workflow instances: the behaviours of all, and what is so of databases alone.

mod postgres;
mod sqlite;

use std::sync::Arc;

use mmate::contract::Source;
use mmate::store::{MemoryStore, NewInstance, StoreError, StoreErrorKind, WorkflowStore, connect};
use mmate::testing::stores;
use uuid::Uuid;

pub(crate) use sqlite::Folder;

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

/// Ten processes that start at the same time, on a database in which there is nothing yet.
async fn ensure_prepared_at_once<F>(open: F)
where
    F: Fn() -> std::future::Ready<Result<Arc<dyn WorkflowStore>, StoreError>>,
{
    let mut all = Vec::new();
    for _ in 0..10 {
        all.push(open().await.unwrap());
    }
    let preparing: Vec<_> = all
        .iter()
        .map(|store| {
            let store = Arc::clone(store);
            tokio::spawn(async move { store.prepare().await })
        })
        .collect();
    for prepared in preparing {
        prepared.await.unwrap().unwrap();
    }
    for store in all {
        assert!(store.live_versions().await.unwrap().is_empty());
        store.close().await;
    }
}

fn instance() -> NewInstance {
    NewInstance::new(Uuid::from_u128(7), "order", 1, "graph", "{}".to_owned())
}

/// Checks what an error says, and that it does not say the password.
fn ensure(error: &StoreError, kind: StoreErrorKind, words: &[&str]) {
    let text = error.to_string();
    assert_eq!(error.kind(), kind, "{text}");
    for word in words {
        assert!(text.contains(word), "`{word}` is not in: {text}");
    }
    assert!(!format!("{text}{error:?}").contains("hunter2"), "{error:?}");
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
