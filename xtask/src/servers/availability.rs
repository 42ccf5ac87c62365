//! Whether a server or client that some tests need can be had on this machine.

use std::io;

/// What looking for a server (and trying to install it) came to.
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use]
pub enum Availability<T> {
    /// It can be used, and this is how it is reached.
    Ready(T),
    /// It cannot be had here; the tests that need it are reported as skipped.
    Skipped {
        /// Why, and what a developer can do about it.
        reason: String,
    },
}

impl<T> Availability<T> {
    /// Turns absence into an error, for a server that no honest test run can do without.
    ///
    /// # Errors
    ///
    /// When the server was skipped; the message is the reason.
    pub fn required(self) -> io::Result<T> {
        match self {
            Self::Ready(server) => Ok(server),
            Self::Skipped { reason } => Err(io::Error::new(io::ErrorKind::NotFound, reason)),
        }
    }

    /// The reason, when the server cannot be had.
    pub fn skip_reason(&self) -> Option<&str> {
        match self {
            Self::Ready(_) => None,
            Self::Skipped { reason } => Some(reason),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn absence_of_a_required_server_is_an_error_that_says_why() {
        let absent: Availability<()> = Availability::Skipped { reason: "no node".to_owned() };
        assert_eq!(absent.skip_reason(), Some("no node"));
        assert_eq!(absent.required().unwrap_err().to_string(), "no node");
        assert_eq!(Availability::Ready(7).required().unwrap(), 7);
    }
}
