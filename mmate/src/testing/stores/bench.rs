//! Where a check is done: stores, names and times of its own.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use tokio::time::{sleep, timeout};
use uuid::Uuid;

use super::Failure;
use crate::contract::Source;
use crate::store::{
    Claim, HistoryEvent, Instance, NewInstance, Save, Saved, StoreError, WorkflowStatus,
    WorkflowStore, WorkflowVersion,
};

/// How long something that must happen may take.
const DEADLINE: Duration = Duration::from_secs(10);
/// The pause between two looks.
const LOOK_AGAIN: Duration = Duration::from_millis(5);
/// Far longer than a check takes.
pub(super) const LEASE: Duration = Duration::from_secs(600);
/// The version of the workflow that instances have.
pub(super) const VERSION: u32 = 3;

type Opened = Result<Arc<dyn WorkflowStore>, StoreError>;
pub(super) type Open = Arc<dyn Fn() -> Pin<Box<dyn Future<Output = Opened> + Send>> + Send + Sync>;

/// The stores, names and times of one check.
pub struct Bench {
    open: Open,
    store: Arc<dyn WorkflowStore>,
    source: Source,
    /// Of this check alone: no other has the same.
    prefix: String,
    begin: Timestamp,
    opened: Mutex<Vec<Arc<dyn WorkflowStore>>>,
}

impl Bench {
    pub(super) async fn new(open: Open, number: i64) -> Result<Self, Failure> {
        let store = open().await?;
        store.prepare().await?;
        let source = Source::system();
        let run = source.id().simple().to_string();
        // Every check lies a day before the one before it, and looks at nothing that is later than its own day: what
        // those before have left was not started yet.
        let begin = source.now() - SignedDuration::from_hours(24 * (number + 1));
        let begin = Timestamp::from_millisecond(begin.as_millisecond()).unwrap_or(begin);
        let prefix = format!("c{number}-{}", &run[..12]);
        Ok(Self { open, store, source, prefix, begin, opened: Mutex::default() })
    }

    /// The store that most checks do with.
    pub(super) fn store(&self) -> &Arc<dyn WorkflowStore> {
        &self.store
    }

    /// Another store with the same data.
    pub(super) async fn other(&self) -> Result<Arc<dyn WorkflowStore>, Failure> {
        let store = (self.open)().await?;
        self.opened.lock().unwrap_or_else(PoisonError::into_inner).push(Arc::clone(&store));
        Ok(store)
    }

    pub(super) async fn close(&self) {
        let opened =
            std::mem::take(&mut *self.opened.lock().unwrap_or_else(PoisonError::into_inner));
        for store in opened {
            store.close().await;
        }
        self.store.close().await;
    }

    /// A name that no other check uses.
    pub(super) fn name(&self, what: &str) -> String {
        format!("{}-{what}", self.prefix)
    }

    pub(super) fn id(&self) -> Uuid {
        self.source.id()
    }

    /// So many seconds after the beginning of this check's day.
    pub(super) fn at(&self, seconds: i64) -> Timestamp {
        self.begin + SignedDuration::from_secs(seconds)
    }

    /// The workflow of this check, alone.
    pub(super) fn workflows(&self) -> [String; 1] {
        [self.name("workflow")]
    }

    /// The version of it that instances have.
    pub(super) fn versions(&self) -> [WorkflowVersion; 1] {
        [WorkflowVersion::new(&self.name("workflow"), VERSION)]
    }

    /// A new instance that was started at a time, and is due an hour later.
    pub(super) fn new_instance(&self, seconds: i64) -> NewInstance {
        let workflow = self.name("workflow");
        let book = format!("{{\"id\":{seconds}}}");
        NewInstance::new(self.id(), &workflow, VERSION, "graph-3", book)
            .times(self.at(seconds), self.at(seconds + 3600))
    }

    /// An instance that is in the store.
    pub(super) async fn started(&self, seconds: i64) -> Result<Instance, Failure> {
        let new = self.new_instance(seconds);
        super::ensure!(self.store.create(&new).await?, "a new instance was not kept");
        self.get(new.id).await
    }

    /// An instance that somebody works on who is alive.
    pub(super) async fn claimed(&self, owner: &str) -> Result<Instance, Failure> {
        let instance = self.started(0).await?;
        self.store.renew(owner, LEASE).await?;
        self.claim(&instance, owner).await
    }

    /// Claims where nothing is in the way.
    pub(super) async fn claim(
        &self,
        instance: &Instance,
        owner: &str,
    ) -> Result<Instance, Failure> {
        match self.store.claim(instance.id, instance.position, owner).await? {
            Claim::Taken(taken) => Ok(taken),
            other => Err(Failure::new(format!("a claim gave {other:?} instead of the instance"))),
        }
    }

    /// An instance that has come to its end at a time.
    pub(super) async fn ended(
        &self,
        seconds: i64,
        status: WorkflowStatus,
    ) -> Result<Instance, Failure> {
        self.end(&self.started(seconds).await?, seconds, status).await
    }

    /// Brings an instance to its end at a time.
    pub(super) async fn end(
        &self,
        instance: &Instance,
        seconds: i64,
        status: WorkflowStatus,
    ) -> Result<Instance, Failure> {
        let instance = self.claim(instance, &self.name("ender")).await?;
        let mut save = Save::of(&instance, instance.book.clone(), self.at(seconds));
        save.next = instance.position + 1;
        save.status = status;
        save.due_at = None;
        save.keep = false;
        self.saved(&save).await
    }

    /// Saves where nothing is in the way, and gives what is there afterwards.
    pub(super) async fn saved(&self, save: &Save) -> Result<Instance, Failure> {
        super::ensure_eq!(
            self.store.save(save).await?,
            Saved::Made,
            format!("the change {save:?}")
        );
        self.get(save.id).await
    }

    pub(super) async fn get(&self, id: Uuid) -> Result<Instance, Failure> {
        let found = self.store.get(id).await?;
        found.ok_or_else(|| Failure::new(format!("the instance {id} is not in the store")))
    }

    /// What happened to an instance, by its events.
    pub(super) async fn events(&self, id: Uuid) -> Result<Vec<HistoryEvent>, Failure> {
        Ok(self.store.history(id).await?.into_iter().map(|entry| entry.event).collect())
    }

    /// Looks until there is something to see.
    pub(super) async fn eventually<T, F>(
        &self,
        what: &str,
        mut look: impl FnMut() -> F + Send,
    ) -> Result<T, Failure>
    where
        F: Future<Output = Result<Option<T>, Failure>> + Send,
    {
        let looking = async {
            loop {
                if let Some(seen) = look().await? {
                    return Ok(seen);
                }
                sleep(LOOK_AGAIN).await;
            }
        };
        let late = || Failure::new(format!("{what}: not within {} s", DEADLINE.as_secs()));
        timeout(DEADLINE, looking).await.unwrap_or_else(|_| Err(late()))
    }
}

impl fmt::Debug for Bench {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Bench").field("prefix", &self.prefix).finish_non_exhaustive()
    }
}
