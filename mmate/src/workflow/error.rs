//! Why a workflow could not be started, looked at or changed.

use std::fmt;

use uuid::Uuid;

use crate::reliability::{ErrorClass, ErrorEntry, MessageError};
use crate::store::StoreError;

/// What kind of failure it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum WorkflowErrorKind {
    /// It cannot be meant: a state that is no JSON, a text that is no duration.
    Invalid,
    /// This service has no such workflow.
    Unknown,
    /// There is no such instance.
    NotFound,
    /// The instance has got too far for it, or not far enough.
    TooLate,
    /// The time to wait is over, and the instance goes on.
    Timeout,
    /// The instance is stuck: somebody has to look at it.
    Stuck,
    /// Without a store instances are in their messages alone.
    NoStore,
    /// The store did not answer, or holds what cannot be read.
    Store,
    /// The broker did not take the message that says so. With a store it is said again later.
    Unannounced,
}

/// A workflow could not be started, looked at or changed. Its text says what to do.
#[derive(Debug)]
pub struct WorkflowError {
    kind: WorkflowErrorKind,
    message: String,
    source: Option<StoreError>,
}

impl WorkflowError {
    pub(super) fn new(kind: WorkflowErrorKind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into(), source: None }
    }

    pub(crate) fn not_found(id: Uuid) -> Self {
        Self::new(WorkflowErrorKind::NotFound, format!("there is no instance `{id}`"))
    }

    pub(crate) fn unknown(workflow: &str) -> Self {
        let text = format!(
            "this service has no workflow `{workflow}`; take it with `.registered()` or `.workflow::<..>()`"
        );
        Self::new(WorkflowErrorKind::Unknown, text)
    }

    /// What kind of failure it was.
    #[must_use]
    pub const fn kind(&self) -> WorkflowErrorKind {
        self.kind
    }
}

impl From<StoreError> for WorkflowError {
    fn from(error: StoreError) -> Self {
        let message = "the workflow store does not answer".to_owned();
        Self { kind: WorkflowErrorKind::Store, message, source: Some(error) }
    }
}

impl fmt::Display for WorkflowError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.source {
            Some(source) => write!(f, "{}: {source}", self.message),
            None => f.write_str(&self.message),
        }
    }
}

impl std::error::Error for WorkflowError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.source.as_ref().map(|source| source as _)
    }
}

impl MessageError for WorkflowError {
    fn class(&self) -> ErrorClass {
        match self.kind {
            WorkflowErrorKind::Invalid => ErrorClass::Permanent,
            WorkflowErrorKind::Timeout => ErrorClass::Transient,
            WorkflowErrorKind::Store | WorkflowErrorKind::Unannounced => ErrorClass::System,
            _ => ErrorClass::Unknown,
        }
    }
}

inventory::submit!(ErrorEntry::of::<WorkflowError>());
