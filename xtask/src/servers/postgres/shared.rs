//! The PostgreSQL that a whole test run shares: one that was given, else a private server.

use std::{env, io};

use super::{PostgresInstallation, PostgresServer};

/// The environment variable that names the PostgreSQL of a test run: a database whose user may create others.
///
/// When it is already set, that server is used and none is started.
pub const POSTGRES_URL_VARIABLE: &str = "MMATE_TEST_POSTGRES_URL";

/// The PostgreSQL of a test run; a private server is stopped when this is dropped.
#[derive(Debug)]
pub enum TestPostgres {
    /// A server that [`POSTGRES_URL_VARIABLE`] names. It is not ours to stop.
    Given(String),
    /// A server started for this run. Boxed, because the other variant is a string.
    Private(Box<PostgresServer>),
}

impl TestPostgres {
    /// The server that the environment names, if it names one.
    #[must_use]
    pub fn given() -> Option<Self> {
        let url = env::var(POSTGRES_URL_VARIABLE).ok()?;
        (!url.is_empty()).then_some(Self::Given(url))
    }

    /// Takes the server that the environment names, else starts a private one.
    ///
    /// # Errors
    ///
    /// When PostgreSQL is not on this machine, or fails to start.
    pub fn given_or_start() -> io::Result<Self> {
        match Self::given() {
            Some(given) => Ok(given),
            None => PostgresServer::start().map(|server| Self::Private(Box::new(server))),
        }
    }

    /// As [`TestPostgres::given_or_start`], with the programs of this installation.
    ///
    /// # Errors
    ///
    /// When the server fails to start.
    pub fn start_from(installation: &PostgresInstallation) -> io::Result<Self> {
        PostgresServer::start_from(installation).map(|server| Self::Private(Box::new(server)))
    }

    /// Where clients connect.
    #[must_use]
    pub fn url(&self) -> String {
        match self {
            Self::Given(url) => url.clone(),
            Self::Private(server) => server.url(),
        }
    }
}
