//! What a broker can answer instead of "yes".

use std::error::Error as StdError;
use std::fmt;

type Source = Box<dyn StdError + Send + Sync>;

/// What went wrong with a transport.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum TransportErrorKind {
    /// The broker cannot be reached.
    Unreachable,
    /// The broker refused the user or the password.
    Credentials,
    /// There is no such virtual host, or no right to use it.
    VirtualHost,
    /// TLS could not be set up.
    Tls,
    /// It cannot be meant: a URL that cannot be read, a name that is too long.
    Invalid,
    /// An exchange or a queue exists with other arguments.
    Mismatch,
    /// There is no such queue.
    NotFound,
    /// A right is missing.
    Forbidden,
    /// The connection, channel or consumer is gone; it can be made again.
    Lost,
    /// The broker did not answer in time.
    Timeout,
    /// The transport was closed by its owner.
    Closed,
    /// The broker answered something unexpected.
    Other,
}

/// A failure of a transport. Its text names host, port and queue, never a password.
#[derive(Debug)]
pub struct TransportError {
    kind: TransportErrorKind,
    message: String,
    source: Option<Source>,
}

impl TransportError {
    /// An error with a text that a person can act on.
    #[must_use]
    #[cold]
    pub fn new(kind: TransportErrorKind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into(), source: None }
    }

    /// Adds the cause.
    #[must_use]
    pub fn with_source(mut self, source: impl Into<Source>) -> Self {
        self.source = Some(source.into());
        self
    }

    /// What went wrong.
    #[must_use]
    pub const fn kind(&self) -> TransportErrorKind {
        self.kind
    }

    /// True if trying again later can help.
    #[must_use]
    pub const fn is_transient(&self) -> bool {
        use TransportErrorKind as Kind;
        matches!(self.kind, Kind::Unreachable | Kind::Lost | Kind::Timeout | Kind::Other)
    }
}

impl fmt::Display for TransportError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl StdError for TransportError {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.source.as_deref().map(|source| source as _)
    }
}

/// What became of a publish that did not succeed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum PublishErrorKind {
    /// No queue takes the message. It was not kept anywhere.
    Unroutable,
    /// The broker refused the message, for example because a queue is full.
    Refused,
    /// There is no such exchange.
    NoExchange,
    /// The message is larger than the limit. It was not sent.
    TooLarge,
    /// The message cannot be written or breaks its own schema. It was not sent.
    Invalid,
    /// The deadline passed: the message may or may not have arrived. Publish again with the same id.
    Unknown,
    /// The transport was closed.
    Closed,
}

/// A publish that did not succeed. Its text names type, address and id.
#[derive(Debug)]
pub struct PublishError {
    kind: PublishErrorKind,
    id: String,
    message: String,
    source: Option<Source>,
}

impl PublishError {
    /// An error of the message with this id.
    #[must_use]
    #[cold]
    pub fn new(kind: PublishErrorKind, id: impl Into<String>, message: impl Into<String>) -> Self {
        Self { kind, id: id.into(), message: message.into(), source: None }
    }

    /// Adds the cause.
    #[must_use]
    pub fn with_source(mut self, source: impl Into<Source>) -> Self {
        self.source = Some(source.into());
        self
    }

    /// What became of the message.
    #[must_use]
    pub const fn kind(&self) -> PublishErrorKind {
        self.kind
    }

    /// The id of the message, by which to publish it again.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.id
    }
}

impl fmt::Display for PublishError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "message `{}`: {}", self.id, self.message)
    }
}

impl StdError for PublishError {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.source.as_deref().map(|source| source as _)
    }
}
