//! Failures of a call that are not errors of the handler's own.

use std::any::Any;
use std::fmt;
use std::time::Duration;

use crate::reliability::{ErrorClass, ErrorEntry, MessageError};
use crate::transport::{PublishError, PublishErrorKind};

/// What of the user's was called, for errors: `handler` or `stage`, and its name.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Callee(pub(crate) &'static str, pub(crate) &'static str);

impl fmt::Display for Callee {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} `{}`", self.0, self.1)
    }
}

/// The handler or stage panicked. The message is retried like any failed one; the process goes on.
#[derive(Debug)]
pub struct Panicked {
    callee: Callee,
    text: String,
}

impl Panicked {
    #[cold]
    pub(crate) fn new(callee: Callee, payload: &(dyn Any + Send)) -> Self {
        let text = payload
            .downcast_ref::<&str>()
            .map(|text| (*text).to_owned())
            .or_else(|| payload.downcast_ref::<String>().cloned())
            .unwrap_or_else(|| "no text".to_owned());
        Self { callee, text }
    }
}

impl fmt::Display for Panicked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} panicked: {}", self.callee, self.text)
    }
}

impl std::error::Error for Panicked {}

/// The handler was not called: its circuit breaker is open.
#[derive(Debug)]
pub struct BreakerOpen {
    pub(super) handler: &'static str,
    pub(super) breaker: &'static str,
}

impl fmt::Display for BreakerOpen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { handler, breaker } = self;
        write!(f, "handler `{handler}` was not called: circuit breaker `{breaker}` is open")
    }
}

impl std::error::Error for BreakerOpen {}

impl MessageError for BreakerOpen {
    fn class(&self) -> ErrorClass {
        ErrorClass::Transient
    }
}

/// The handler or stage did not end in time and was cancelled, or its turn did not come in time (`cache`).
#[derive(Debug)]
pub struct TimedOut {
    pub(super) callee: Callee,
    pub(super) limit: Duration,
    /// False if all its time went by in line behind equal queries.
    pub(super) called: bool,
}

impl fmt::Display for TimedOut {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { callee, limit, called } = self;
        if *called {
            return write!(f, "{callee} did not end within {limit:?} and was cancelled");
        }
        write!(
            f,
            "{callee} was not called: the equal queries before this one, for whose answer it waited, took \
             longer than {limit:?}"
        )
    }
}

impl std::error::Error for TimedOut {}

impl MessageError for TimedOut {
    fn class(&self) -> ErrorClass {
        ErrorClass::Transient
    }
}

impl MessageError for PublishError {
    fn class(&self) -> ErrorClass {
        match self.kind() {
            PublishErrorKind::Invalid | PublishErrorKind::TooLarge => ErrorClass::Permanent,
            PublishErrorKind::Unknown => ErrorClass::Transient,
            // A queue may be bound, or have room again, a moment later.
            _ => ErrorClass::System,
        }
    }
}

inventory::submit!(ErrorEntry::of::<BreakerOpen>());
inventory::submit!(ErrorEntry::of::<TimedOut>());
inventory::submit!(ErrorEntry::of::<PublishError>());
