//! Why a request was not answered as hoped.

use std::error::Error as StdError;
use std::fmt;

use crate::contract::refusal::codes;
use crate::contract::{DecodeError, Refusal, Text};
use crate::reliability::{ErrorClass, ErrorEntry, MessageError};
use crate::transport::{PublishError, PublishErrorKind};

/// What became of a request that has no reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum AskErrorKind {
    /// The peer answered, and said no: see [`AskError::refusal`].
    Refused,
    /// Nobody answered in time. The request was delivered to a queue; whether it was handled, is, or will
    /// be refused as too late, is not known.
    Timeout,
    /// Too many requests of this process wait for their replies; this one was not sent.
    Overloaded,
    /// No queue takes the request, so nobody will ever answer. It was not kept anywhere.
    NoListener,
    /// The connection was lost, or this process stops, before the reply came: the request may have been
    /// handled or not, and its reply may be lost. Asking again with the same id ([`AskError::id`]) is safe
    /// where the handler is idempotent.
    Unknown,
    /// A reply came, and it is not of the type that the request names, or cannot be read. The request
    /// was handled.
    BadReply,
    /// The request was not sent: the connection was down all the time, the bridge is closed, or the
    /// publish was refused.
    NotSent,
    /// Fewer replies came than the gathering needs.
    TooFew,
    /// The request cannot be written, breaks its schema, or is too large. It was not sent.
    Invalid,
}

/// A request without a reply of its type. The text names the request's type and id.
#[derive(Debug)]
pub struct AskError(Box<Inner>);

#[derive(Debug)]
struct Inner {
    kind: AskErrorKind,
    request: &'static str,
    id: Text,
    message: String,
    refusal: Option<Refusal>,
    source: Option<Box<dyn StdError + Send + Sync>>,
}

/// A request, for errors about it.
#[derive(Clone, Debug)]
pub(super) struct Asked {
    /// The type's name on the wire.
    pub(super) request: &'static str,
    /// The message's id.
    pub(super) id: Text,
}

impl Asked {
    #[cold]
    pub(super) fn error(&self, kind: AskErrorKind, message: impl Into<String>) -> AskError {
        AskError(Box::new(Inner {
            kind,
            request: self.request,
            id: self.id.clone(),
            message: message.into(),
            refusal: None,
            source: None,
        }))
    }

    /// The peer's own word. That the deadline was over is the same to whoever asked, wherever it was seen.
    #[cold]
    pub(super) fn refused(&self, refusal: Refusal) -> AskError {
        let kind = if refusal.code == codes::DEADLINE_EXCEEDED {
            AskErrorKind::Timeout
        } else {
            AskErrorKind::Refused
        };
        let mut error = self.error(kind, refusal.to_string());
        error.0.refusal = Some(refusal);
        error
    }

    #[cold]
    pub(super) fn bad_reply(&self, error: DecodeError) -> AskError {
        let text = format!("the reply cannot be read: {error}");
        self.error(AskErrorKind::BadReply, text).because(error)
    }

    #[cold]
    pub(super) fn not_published(&self, error: PublishError) -> AskError {
        let kind = match error.kind() {
            PublishErrorKind::Unroutable => AskErrorKind::NoListener,
            PublishErrorKind::Unknown => AskErrorKind::Unknown,
            PublishErrorKind::Invalid | PublishErrorKind::TooLarge => AskErrorKind::Invalid,
            _ => AskErrorKind::NotSent,
        };
        self.error(kind, error.to_string()).because(error)
    }
}

impl AskError {
    fn because(mut self, source: impl StdError + Send + Sync + 'static) -> Self {
        self.0.source = Some(Box::new(source));
        self
    }

    /// What became of the request.
    #[must_use]
    pub const fn kind(&self) -> AskErrorKind {
        self.0.kind
    }

    /// The peer's code where the peer refused, such as `BLOCKED`; else the kind as a code of the same
    /// form, such as `TIMEOUT`.
    #[must_use]
    pub fn code(&self) -> &str {
        match (&self.0.refusal, self.0.kind) {
            (Some(refusal), _) => &refusal.code,
            (None, AskErrorKind::Refused) => "REFUSED",
            (None, AskErrorKind::Timeout) => "TIMEOUT",
            (None, AskErrorKind::Overloaded) => "OVERLOADED",
            (None, AskErrorKind::NoListener) => "NO_LISTENER",
            (None, AskErrorKind::Unknown) => "UNKNOWN",
            (None, AskErrorKind::BadReply) => "BAD_REPLY",
            (None, AskErrorKind::NotSent) => "NOT_SENT",
            (None, AskErrorKind::TooFew) => "TOO_FEW",
            (None, AskErrorKind::Invalid) => "INVALID",
        }
    }

    /// What the peer said, if it said no.
    #[must_use]
    pub fn refusal(&self) -> Option<&Refusal> {
        self.0.refusal.as_ref()
    }

    /// The request's id: asking again with it lets an idempotent handler see one request.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.0.id
    }
}

impl fmt::Display for AskError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Inner { request, id, message, .. } = &*self.0;
        write!(f, "request `{request}` `{id}`: {message}")
    }
}

impl StdError for AskError {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.0.source.as_deref().map(|source| source as _)
    }
}

/// What it means for the message whose handler asked, where the handler passes it on with `?`.
impl MessageError for AskError {
    fn class(&self) -> ErrorClass {
        match self.kind() {
            // The same question would get the same answer.
            AskErrorKind::Refused | AskErrorKind::BadReply | AskErrorKind::Invalid => {
                ErrorClass::Permanent
            }
            AskErrorKind::Timeout
            | AskErrorKind::Overloaded
            | AskErrorKind::Unknown
            | AskErrorKind::TooFew => ErrorClass::Transient,
            // A queue may be bound, or the broker back, a moment later.
            AskErrorKind::NoListener | AskErrorKind::NotSent => ErrorClass::System,
        }
    }

    fn outcome_is_unknown(&self) -> bool {
        match self.kind() {
            AskErrorKind::Timeout
            | AskErrorKind::Unknown
            | AskErrorKind::BadReply
            | AskErrorKind::TooFew => true,
            AskErrorKind::Refused => self.refusal().is_some_and(Refusal::is_failure),
            AskErrorKind::Overloaded
            | AskErrorKind::NoListener
            | AskErrorKind::NotSent
            | AskErrorKind::Invalid => false,
        }
    }
}

inventory::submit!(ErrorEntry::of::<AskError>());
