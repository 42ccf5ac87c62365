//! The port for workflow instances: what is kept of each, and the calls that change it.

use std::fmt;
use std::time::Duration;

use async_trait::async_trait;
use jiff::{SignedDuration, Timestamp};
use uuid::Uuid;

use super::error::StoreError;
use super::words::{HistoryEvent, Wish, WorkflowStatus};

/// An instance that is to be kept.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct NewInstance {
    /// Its id.
    pub id: Uuid,
    /// The id of its workflow.
    pub workflow: String,
    /// The version of the workflow that it was started with, and will end on.
    pub version: u32,
    /// The hash of that version's graph of stages.
    pub graph: String,
    /// What the engine knows of it, the state included: JSON. Nothing that a store reads.
    pub book: String,
    /// When it was started.
    pub at: Timestamp,
    /// When somebody has to look at it if nothing has happened until then.
    pub due_at: Timestamp,
}

impl NewInstance {
    /// An instance at position 0, which is pending.
    #[must_use]
    pub fn new(id: Uuid, workflow: &str, version: u32, graph: &str, book: String) -> Self {
        let (at, due_at) = (Timestamp::UNIX_EPOCH, Timestamp::UNIX_EPOCH);
        Self {
            id,
            workflow: workflow.to_owned(),
            version,
            graph: graph.to_owned(),
            book,
            at,
            due_at,
        }
    }

    /// Says when it was started, and when somebody has to look at it.
    #[must_use]
    pub const fn times(mut self, at: Timestamp, due_at: Timestamp) -> Self {
        (self.at, self.due_at) = (at, due_at);
        self
    }
}

/// An instance as the store has it. Times are exact to the millisecond.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Instance {
    /// Its id.
    pub id: Uuid,
    /// The id of its workflow.
    pub workflow: String,
    /// The version of the workflow that it was started with, and will end on.
    pub version: u32,
    /// The hash of that version's graph of stages.
    pub graph: String,
    /// How far it is.
    pub status: WorkflowStatus,
    /// How many steps it has made, in either direction: every change is made from a known position.
    pub position: u64,
    /// What the engine knows of it, the state included: JSON.
    pub book: String,
    /// When it was started.
    pub created_at: Timestamp,
    /// When it was changed last; being claimed is no change.
    pub updated_at: Timestamp,
    /// When somebody has to look at it if nothing has happened until then; nothing once it has ended.
    pub due_at: Option<Timestamp>,
    /// Who works on it.
    pub owner: Option<String>,
    /// How often it was claimed at this position.
    pub claims: u32,
    /// What somebody wishes.
    pub wish: Option<Wish>,
    /// The address at which it waits for mail.
    pub awaits: Option<String>,
}

impl Instance {
    /// A new instance as it stands in a store.
    #[must_use]
    pub fn pending(new: &NewInstance) -> Self {
        Self {
            id: new.id,
            workflow: new.workflow.clone(),
            version: new.version,
            graph: new.graph.clone(),
            status: WorkflowStatus::Pending,
            position: 0,
            book: new.book.clone(),
            created_at: to_millis(new.at),
            updated_at: to_millis(new.at),
            due_at: Some(to_millis(new.due_at)),
            owner: None,
            claims: 0,
            wish: None,
            awaits: None,
        }
    }
}

/// The time without what is below a millisecond, which stores do not keep.
pub(super) fn to_millis(at: Timestamp) -> Timestamp {
    Timestamp::from_millisecond(at.as_millisecond()).unwrap_or(at)
}

/// How many instances are told of one piece of mail.
pub(super) const WAITING_MAX: usize = 1_000;

/// A moment that lies a while from another.
pub(super) fn after(at: Timestamp, wait: Duration) -> Timestamp {
    let wait = SignedDuration::try_from(wait).unwrap_or(SignedDuration::MAX);
    at.saturating_add(wait).unwrap_or(Timestamp::MAX)
}

/// When an instance is due that was due at `now`: see [`WorkflowStore::take_due`].
pub(super) fn due_again(now: Timestamp, updated_at: Timestamp, again: Duration) -> Timestamp {
    let now = to_millis(now);
    let unchanged = Duration::try_from(now.duration_since(updated_at)).unwrap_or_default();
    to_millis(after(now, unchanged.max(again)))
}

/// What came of a wish to work on an instance.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Claim {
    /// It is whoever asked that works on it now; `claims` counts this claim.
    Taken(Instance),
    /// Somebody else works on it, and was alive when last heard of.
    Busy,
    /// It is not at that position, or has ended: as it stands.
    Elsewhere(Instance),
    /// There is no such instance.
    Unknown,
}

/// What came of a change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum Saved {
    /// It is made.
    Made,
    /// Nothing is changed: the instance is no longer at that position, or somebody else works on it.
    TooLate,
    /// Nothing is changed: the mail that it reads is not there, or was read by another.
    MailGone,
}

/// A change of an instance, by whoever works on it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Save {
    /// The instance.
    pub id: Uuid,
    /// The position that it has.
    pub position: u64,
    /// Who works on it.
    pub owner: String,
    /// The position that it gets; the same if no step is made. A new one begins with no claims.
    pub next: u64,
    /// How far it is.
    pub status: WorkflowStatus,
    /// What the engine knows of it.
    pub book: String,
    /// When it was changed.
    pub at: Timestamp,
    /// When somebody has to look at it; nothing once it has ended.
    pub due_at: Option<Timestamp>,
    /// Whether whoever works on it goes on. Otherwise it is free afterwards.
    pub keep: bool,
    /// Whether the wish is fulfilled.
    pub fulfilled: bool,
    /// The address at which it waits for mail from now on.
    pub awaits: Option<String>,
    /// The mail that it reads with this change, by address and id: of several that read it, the first that saves.
    pub read: Option<(String, String)>,
    /// What happened; `seq` is given by the store.
    pub history: Vec<HistoryEntry>,
}

impl Save {
    /// A change of `instance` at a time, which stays at its position and keeps its owner.
    ///
    /// The instance has an owner, since it was claimed; one without is changed by nobody.
    #[must_use]
    pub fn of(instance: &Instance, book: String, at: Timestamp) -> Self {
        Self {
            id: instance.id,
            position: instance.position,
            owner: instance.owner.clone().unwrap_or_default(),
            next: instance.position,
            status: instance.status,
            book,
            at,
            due_at: instance.due_at,
            keep: true,
            fulfilled: false,
            awaits: None,
            read: None,
            history: Vec::new(),
        }
    }
}

/// A line of an instance's history.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct HistoryEntry {
    /// Its place in the history, from 1.
    pub seq: u64,
    /// The position of the instance at that time.
    pub position: u64,
    /// The stage, or nothing if it concerns the whole.
    pub stage: String,
    /// What happened.
    pub event: HistoryEvent,
    /// Which attempt it was, from 1; 0 where there was none.
    pub attempt: u32,
    /// When.
    pub at: Timestamp,
    /// How long it took; milliseconds are kept.
    pub took: Duration,
    /// Why, if there is a reason: no payload, no credentials.
    pub reason: Option<String>,
}

impl HistoryEntry {
    /// A line for a stage, or for the whole if `stage` is empty.
    #[must_use]
    pub fn new(position: u64, stage: &str, event: HistoryEvent, at: Timestamp) -> Self {
        let (stage, took) = (stage.to_owned(), Duration::ZERO);
        Self { seq: 0, position, stage, event, attempt: 0, at, took, reason: None }
    }

    /// Says which attempt it was.
    #[must_use]
    pub const fn attempt(mut self, attempt: u32) -> Self {
        self.attempt = attempt;
        self
    }

    /// Says how long it took.
    #[must_use]
    pub const fn took(mut self, took: Duration) -> Self {
        self.took = took;
        self
    }

    /// Says why.
    #[must_use]
    pub fn because(mut self, reason: impl Into<String>) -> Self {
        self.reason = Some(reason.into());
        self
    }
}

/// A message for instances: an event that one may wait for, the answer to what one has asked.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Mail {
    /// The workflow for whose instances it is kept, and which removes it one day ([`WorkflowStore::purge_mail`]).
    pub workflow: String,
    /// What instances wait at: the type and key of an event, the id of a request. Up to
    /// [`ADDRESS_BYTES_MAX`](Self::ADDRESS_BYTES_MAX), without NUL.
    pub address: String,
    /// The message's id; the same message is kept once per address. Up to [`ID_BYTES_MAX`](Self::ID_BYTES_MAX),
    /// without NUL.
    pub id: String,
    /// The payload: JSON. Nothing that a store reads.
    pub body: String,
    /// When it came.
    pub at: Timestamp,
}

impl Mail {
    /// How long an address may be: databases look mail up by it.
    pub const ADDRESS_BYTES_MAX: usize = 1_500;
    /// How long an id may be, for the same reason.
    pub const ID_BYTES_MAX: usize = 500;

    /// A message for whoever of a workflow waits at `address`.
    #[must_use]
    pub fn new(workflow: &str, address: &str, id: &str, body: String, at: Timestamp) -> Self {
        let (workflow, address) = (workflow.to_owned(), address.to_owned());
        Self { workflow, address, id: id.to_owned(), body, at }
    }
}

/// Which instances are to be listed: those for which everything holds that is said.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct InstanceFilter {
    /// Of one of these workflows; of any if there is none.
    pub workflows: Vec<String>,
    /// In one of these states; of any if there is none.
    pub statuses: Vec<WorkflowStatus>,
    /// Started then or later.
    pub since: Option<Timestamp>,
    /// Started before.
    pub before: Option<Timestamp>,
    /// At most so many, the newest first; 100 if not said, at most 10,000.
    pub limit: Option<u32>,
}

impl InstanceFilter {
    /// How many are listed if nothing is said.
    pub const LIMIT: u32 = 100;
    /// How many are listed at most.
    pub const LIMIT_MAX: u32 = 10_000;

    /// How many are listed.
    #[must_use]
    pub fn limit(&self) -> u32 {
        self.limit.unwrap_or(Self::LIMIT).min(Self::LIMIT_MAX)
    }
}

/// A version of a workflow with instances that have not ended.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub struct LiveVersion {
    /// The workflow.
    pub workflow: String,
    /// The version.
    pub version: u32,
    /// The hash of its graph.
    pub graph: String,
    /// How many instances.
    pub instances: u64,
    /// One of them, for a message.
    pub example: Uuid,
}

impl LiveVersion {
    /// A version with so many instances, one of which is `example`.
    #[must_use]
    pub fn new(workflow: &str, version: u32, graph: &str, instances: u64, example: Uuid) -> Self {
        Self { workflow: workflow.to_owned(), version, graph: graph.to_owned(), instances, example }
    }
}

/// A version of a workflow that a program has: instances of it are its own to look after.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub struct WorkflowVersion {
    /// The workflow.
    pub workflow: String,
    /// The version.
    pub version: u32,
}

impl WorkflowVersion {
    /// A version of a workflow.
    #[must_use]
    pub fn new(workflow: &str, version: u32) -> Self {
        Self { workflow: workflow.to_owned(), version }
    }
}

/// Where instances of workflows are kept: of one service, or of several that share a database. Each names the workflows
/// that are its own where a call concerns more than one instance.
#[async_trait]
pub trait WorkflowStore: fmt::Debug + Send + Sync + 'static {
    /// A short name for listings: `memory`, `sqlite`, `postgres`.
    fn name(&self) -> &'static str;

    /// Makes the tables, or brings them up to this version.
    ///
    /// # Errors
    /// If the database cannot be used, or was made by a later version.
    async fn prepare(&self) -> Result<(), StoreError>;

    /// Keeps a new instance with the first line of its history, [`HistoryEvent::Started`]. False if there is one
    /// with this id already, which stays as it is.
    ///
    /// # Errors
    /// If it is not known to be kept.
    async fn create(&self, new: &NewInstance) -> Result<bool, StoreError>;

    /// An instance by its id.
    ///
    /// # Errors
    /// If the database does not say.
    async fn get(&self, id: Uuid) -> Result<Option<Instance>, StoreError>;

    /// Makes `owner` the one who works on an instance, if it is at `position`, has not ended, and nobody else who
    /// is alive works on it ([`WorkflowStore::renew`]). Whoever asks again gets it again.
    ///
    /// # Errors
    /// If the database does not say; then nobody knows who works on it until the next claim.
    async fn claim(&self, id: Uuid, position: u64, owner: &str) -> Result<Claim, StoreError>;

    /// Changes an instance and reads mail, both or neither.
    ///
    /// # Errors
    /// If nobody knows whether it is changed. The same change again is then told that it is not made, if it was.
    async fn save(&self, save: &Save) -> Result<Saved, StoreError>;

    /// Lets an instance go that `owner` works on, as if it had not been claimed: nothing was begun. The claim is not
    /// counted any more. Nothing if `owner` does not work on it.
    ///
    /// # Errors
    /// If the database does not say.
    async fn release(&self, id: Uuid, owner: &str) -> Result<(), StoreError>;

    /// Says that `owner` is alive, for so long from now by the store's own clock.
    ///
    /// # Errors
    /// If the database does not say.
    async fn renew(&self, owner: &str, lease: Duration) -> Result<(), StoreError>;

    /// Says that `owner` has ended: what it worked on is free.
    ///
    /// # Errors
    /// If the database does not say.
    async fn retire(&self, owner: &str) -> Result<(), StoreError>;

    /// Notes what somebody wishes, and makes the instance due; a later wish takes the place of an earlier one. Gives the instance as it stands
    /// afterwards, or nothing if there is none; one that has ended keeps no wish.
    ///
    /// # Errors
    /// If the database does not say.
    async fn wish(
        &self,
        id: Uuid,
        wish: Wish,
        at: Timestamp,
    ) -> Result<Option<Instance>, StoreError>;

    /// Takes up to `limit` instances of these versions that are due at `now`, those first that are due the longest.
    /// Each is given to one caller, and is due again after it has been unchanged for twice as long, but not before
    /// `again` from now. Those of other versions stay as they are: others look after them.
    ///
    /// # Errors
    /// If the database does not say.
    async fn take_due(
        &self,
        of: &[WorkflowVersion],
        now: Timestamp,
        again: Duration,
        limit: u32,
    ) -> Result<Vec<Instance>, StoreError>;

    /// Instances, the newest first.
    ///
    /// # Errors
    /// If the database does not say.
    async fn list(&self, filter: &InstanceFilter) -> Result<Vec<Instance>, StoreError>;

    /// What happened to an instance, in order.
    ///
    /// # Errors
    /// If the database does not say.
    async fn history(&self, id: Uuid) -> Result<Vec<HistoryEntry>, StoreError>;

    /// Versions that have instances which have not ended, in order.
    ///
    /// # Errors
    /// If the database does not say.
    async fn live_versions(&self) -> Result<Vec<LiveVersion>, StoreError>;

    /// Removes up to `limit` instances of these workflows, of any version, that ended before a time, with their
    /// history, the oldest first; says how many.
    ///
    /// # Errors
    /// If the database does not say.
    async fn purge(
        &self,
        of: &[String],
        ended_before: Timestamp,
        limit: u32,
    ) -> Result<u64, StoreError>;

    /// Keeps mail, once per address and id, and gives the instances that wait at its address: up to 1,000. Of mail
    /// that was read already nobody hears.
    ///
    /// Mail is kept whether or not one waits: it may come before the instance has got that far. Of what was read
    /// ([`Save::read`]) address and id are kept, so that it is known when it comes again; the body is not.
    ///
    /// # Errors
    /// If it is not known to be kept.
    async fn post(&self, mail: &Mail) -> Result<Vec<Instance>, StoreError>;

    /// The oldest mail at an address that nobody has read.
    ///
    /// # Errors
    /// If the database does not say.
    async fn mail(&self, address: &str) -> Result<Option<Mail>, StoreError>;

    /// Removes up to `limit` pieces of mail for these workflows that came before a time, read or not, the oldest
    /// first; says how many. What comes again after that is new.
    ///
    /// # Errors
    /// If the database does not say.
    async fn purge_mail(
        &self,
        of: &[String],
        before: Timestamp,
        limit: u32,
    ) -> Result<u64, StoreError>;

    /// Ends the connections. Nothing can be asked afterwards.
    async fn close(&self);
}
