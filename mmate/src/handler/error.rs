//! The error that a handler may return when it has no type of its own.

use std::error::Error as StdError;
use std::fmt;

/// Any error, boxed. `?` turns every error type into it; what it means for the message is found in
/// the error itself and in its sources (see [`classify`](crate::reliability::classify)).
///
/// It does not implement [`std::error::Error`], which is what lets `?` accept every type that does.
pub struct HandlerError(Box<dyn StdError + Send + Sync>);

/// The result of handlers and providers: `Result` alone, `Result<T>`, or `Result<T, E>`.
pub type HandlerResult<T = (), E = HandlerError> = Result<T, E>;

impl HandlerError {
    /// An error with a text.
    #[must_use]
    #[cold]
    pub fn msg(text: impl Into<String>) -> Self {
        Self(text.into().into())
    }

    /// The error itself.
    #[must_use]
    pub fn as_error(&self) -> &(dyn StdError + 'static) {
        self.0.as_ref()
    }

    /// The text of the error and of all its sources, on one line.
    #[must_use]
    pub fn chain(&self) -> String {
        let mut text = self.0.to_string();
        let mut source = self.0.source();
        while let Some(error) = source {
            let next = error.to_string();
            // Many errors repeat their source's text; saying it twice helps nobody.
            if !text.contains(&next) {
                text.push_str(": ");
                text.push_str(&next);
            }
            source = error.source();
        }
        text
    }

    #[cold]
    pub(crate) fn from_boxed(error: Box<dyn StdError + Send + Sync>) -> Self {
        Self(error)
    }
}

impl<E: StdError + Send + Sync + 'static> From<E> for HandlerError {
    #[cold]
    fn from(error: E) -> Self {
        Self(Box::new(error))
    }
}

impl From<HandlerError> for Box<dyn StdError + Send + Sync> {
    fn from(error: HandlerError) -> Self {
        error.0
    }
}

impl fmt::Display for HandlerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

impl fmt::Debug for HandlerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}
