//! The error of booting and running an app.

use std::fmt;

use crate::transport::TransportError;

/// What kept an app from starting or running.
#[derive(Debug)]
#[non_exhaustive]
pub enum Error {
    /// The boot was refused; the list is complete.
    Boot(BootErrors),
    /// The broker could not be used.
    Transport(TransportError),
    /// A command of the program's own command line failed.
    Command(String),
    /// The app does not consume this queue.
    UnknownQueue {
        /// The queue that was asked for.
        queue: String,
        /// Those that it consumes.
        known: Vec<String>,
    },
}

/// The result of [`run`](crate::run).
pub type Result<T = (), E = Error> = std::result::Result<T, E>;

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Boot(errors) => errors.fmt(f),
            Self::Transport(error) => error.fmt(f),
            Self::Command(text) => f.write_str(text),
            Self::UnknownQueue { queue, known } => {
                write!(f, "this app does not consume queue `{queue}`; it consumes ")?;
                if known.is_empty() { f.write_str("none") } else { f.write_str(&known.join(", ")) }
            }
        }
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Transport(error) => error.source(),
            Self::Boot(_) | Self::Command(_) | Self::UnknownQueue { .. } => None,
        }
    }
}

impl From<TransportError> for Error {
    fn from(error: TransportError) -> Self {
        Self::Transport(error)
    }
}

impl From<BootErrors> for Error {
    fn from(errors: BootErrors) -> Self {
        Self::Boot(errors)
    }
}

/// Everything that is wrong with an app, each with its place and the way out.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BootErrors(Vec<String>);

impl BootErrors {
    /// Adds a mistake.
    pub fn push(&mut self, mistake: impl Into<String>) {
        self.0.push(mistake.into());
    }

    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(String::as_str)
    }

    /// True if nothing is wrong.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Gives `value` if nothing is wrong.
    ///
    /// # Errors
    /// The list, if there is anything in it.
    pub fn or<T>(self, value: T) -> std::result::Result<T, Self> {
        if self.is_empty() { Ok(value) } else { Err(self) }
    }
}

impl fmt::Display for BootErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let count = self.0.len();
        write!(
            f,
            "the service does not start: {count} mistake{}",
            if count == 1 { "" } else { "s" }
        )?;
        for (index, mistake) in self.0.iter().enumerate() {
            let mut lines = mistake.lines();
            write!(f, "\n  {}. {}", index + 1, lines.next().unwrap_or_default())?;
            for line in lines {
                write!(f, "\n     {line}")?;
            }
        }
        Ok(())
    }
}

impl std::error::Error for BootErrors {}
