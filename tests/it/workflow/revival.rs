//! A process that nobody knows to be alive any more, because the store does not answer in time.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use mmate::contract::Source;
use mmate::prelude::*;
use mmate::store::{
    Claim, HistoryEntry, Instance, InstanceFilter, LiveVersion, Mail, MemoryStore, NewInstance,
    Save, Saved, StoreError, Wish, WorkflowStatus, WorkflowStore, WorkflowVersion,
};
use mmate::workflow::WorkflowErrorKind;
use uuid::Uuid;

use super::{Trip, World};

/// A store that takes so many milliseconds to hear that a process is alive.
#[derive(Clone, Debug)]
struct Hesitant(MemoryStore, Arc<AtomicU64>);

macro_rules! as_before {
    ($($name:ident($($arg:ident: $type:ty),*) -> $ok:ty;)*) => {
        #[async_trait]
        impl WorkflowStore for Hesitant {
            fn name(&self) -> &'static str {
                self.0.name()
            }

            async fn renew(&self, owner: &str, lease: Duration) -> Result<(), StoreError> {
                tokio::time::sleep(Duration::from_millis(self.1.load(Ordering::Relaxed))).await;
                self.0.renew(owner, lease).await
            }

            async fn close(&self) {
                self.0.close().await;
            }

            $(async fn $name(&self, $($arg: $type),*) -> Result<$ok, StoreError> {
                self.0.$name($($arg),*).await
            })*
        }
    };
}

as_before! {
    prepare() -> ();
    create(new: &NewInstance) -> bool;
    get(id: Uuid) -> Option<Instance>;
    claim(id: Uuid, position: u64, owner: &str) -> Claim;
    save(save: &Save) -> Saved;
    release(id: Uuid, owner: &str) -> ();
    retire(owner: &str) -> ();
    wish(id: Uuid, wish: Wish, at: Timestamp) -> Option<Instance>;
    take_due(of: &[WorkflowVersion], now: Timestamp, again: Duration, limit: u32) -> Vec<Instance>;
    list(filter: &InstanceFilter) -> Vec<Instance>;
    history(id: Uuid) -> Vec<HistoryEntry>;
    live_versions() -> Vec<LiveVersion>;
    purge(of: &[String], ended_before: Timestamp, limit: u32) -> u64;
    post(mail: &Mail) -> Vec<Instance>;
    mail(address: &str) -> Option<Mail>;
    purge_mail(of: &[String], before: Timestamp, limit: u32) -> u64;
}

/// A database answers after a while, and never at once: also then the process comes back to life.
#[tokio::test(start_paused = true)]
async fn a_process_that_was_taken_for_dead_goes_on_once_the_store_answers() {
    let (world, takes) = (World::default(), Arc::new(AtomicU64::new(5)));
    let store = Hesitant(MemoryStore::new(Source::system()), Arc::clone(&takes));
    let app = TestApp::builder().workflow::<Trip>().provide(world.clone());
    let app = app.workflow_store(Arc::new(store) as Arc<dyn WorkflowStore>);
    let app = app.config("workflows.lease", "3s").start().await.unwrap();
    takes.store(60_000, Ordering::Relaxed);
    app.advance(Duration::from_secs(10)).await;
    let workflows = app.workflows();
    let run = workflows.start(Trip::new("A", &[])).await.unwrap();
    let early = workflows.wait(run.id, "10s").await.unwrap_err();
    assert_eq!(early.kind(), WorkflowErrorKind::Timeout);
    assert!(world.seen().is_empty(), "others may take what it works on: {:?}", world.seen());
    takes.store(5, Ordering::Relaxed);
    let ended = workflows.wait(run.id, "60s").await.unwrap();
    assert_eq!(ended.status, WorkflowStatus::Completed);
    assert_eq!(world.seen(), ["flight", "hotel", "insure", "tell"]);
}
