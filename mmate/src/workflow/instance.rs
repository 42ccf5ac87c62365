//! What is known of an instance outside of the engine: its id, how far it is, how it ended.

use std::fmt;
use std::marker::PhantomData;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use uuid::Uuid;

use crate::store::{Instance, WorkflowStatus};

/// The id of an instance, which knows the type of its state.
pub struct InstanceId<W>(Uuid, PhantomData<fn() -> W>);

/// An instance that was started, by this call or before.
#[derive(Debug)]
#[non_exhaustive]
pub struct Run<W> {
    /// Its id.
    pub id: InstanceId<W>,
    /// Whether it was this call that started it.
    pub begun: Begun,
}

/// Whether a call has started an instance. Only a call that gave an id of its own can find another answer than `Now`, or
/// `Later`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Begun {
    /// Yes: it is durable.
    Now,
    /// No: there was one with this id already, which is as it was. Whether it began with the same state is not looked at.
    Before,
    /// Nobody knows yet. Inside a handler an instance begins once the handler has succeeded; without a store its message
    /// is all there is of it.
    Later,
}

/// An instance that has come to its end.
#[derive(Debug)]
#[non_exhaustive]
pub struct Ended<W> {
    /// Its id.
    pub id: InstanceId<W>,
    /// How it ended.
    pub status: WorkflowStatus,
    /// The state at the end.
    pub state: W,
    /// Why it went back, unless it is completed.
    pub failure: Option<Failure>,
}

/// Why an instance went back.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Failure {
    /// The stage that failed; empty if the instance was cancelled or its time was over.
    pub stage: String,
    /// The text of its error.
    pub error: String,
}

/// How far an instance is.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct InstanceView {
    /// As the store has it.
    pub instance: Instance,
    /// The stage that runs, waits or is undone next; empty at the end.
    pub stage: String,
    /// The state: JSON.
    pub state: Box<RawValue>,
    /// Why it goes back, or went.
    pub failure: Option<Failure>,
}

impl<W> Ended<W> {
    /// The state, if every stage is done.
    ///
    /// # Errors
    /// Itself, if it is anything but completed.
    pub fn completed(self) -> Result<W, Self> {
        if self.status == WorkflowStatus::Completed { Ok(self.state) } else { Err(self) }
    }
}

impl<W> InstanceId<W> {
    /// The id itself.
    #[must_use]
    pub const fn uuid(self) -> Uuid {
        self.0
    }
}

impl<W> Clone for InstanceId<W> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<W> Copy for InstanceId<W> {}

impl<W> From<Uuid> for InstanceId<W> {
    fn from(id: Uuid) -> Self {
        Self(id, PhantomData)
    }
}

impl<W> From<InstanceId<W>> for Uuid {
    fn from(id: InstanceId<W>) -> Self {
        id.0
    }
}

impl<W> PartialEq for InstanceId<W> {
    fn eq(&self, other: &Self) -> bool {
        self.0 == other.0
    }
}

impl<W> Eq for InstanceId<W> {}

impl<W> fmt::Display for InstanceId<W> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl<W> fmt::Debug for InstanceId<W> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl Failure {
    pub(super) fn new(stage: &str, error: &str) -> Self {
        Self { stage: stage.to_owned(), error: error.to_owned() }
    }

    /// Whether no stage failed: it was cancelled, or its time was over.
    #[must_use]
    pub const fn is_from_outside(&self) -> bool {
        self.stage.is_empty()
    }
}
