//! A few connections, and waiting for one with a deadline.
//!
//! sqlx has a pool of its own; it asks the database before or after every use whether a connection is still good,
//! in a task of its own, which doubles the round trips of a store whose calls are one statement each. Here a
//! connection is good until it fails. One that fails, or whose call is given up, is never used again, and with a
//! connection that was lost all that wait unused are thrown away, as they were lost with it.

use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use sqlx::{ConnectOptions, Connection};
use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::time::{Instant, timeout};

use super::failure::Trouble;

/// How long a call waits for a connection, making one included.
const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(5);
/// How long a call takes at most, waiting for a connection included.
pub(in crate::store) const CALL_TIMEOUT: Duration = Duration::from_secs(10);
/// A connection that was not used for so long is asked whether it is still there: something between may have
/// forgotten it, and would say so only when the call's time is over.
const DOUBTFUL_AFTER: Duration = Duration::from_secs(30);
/// What such a question may take before another connection is made instead.
const DOUBT_TIMEOUT: Duration = Duration::from_secs(1);

/// Up to so many connections to one database, made when they are needed.
pub(in crate::store) struct Pool<C: Connection> {
    options: C::Options,
    places: Semaphore,
    /// The one that was used last is used first, so that those that are too many become doubtful.
    unused: Mutex<Vec<Unused<C>>>,
    closed: AtomicBool,
}

struct Unused<C> {
    connection: C,
    since: Instant,
}

/// A connection for one call. Dropped without [`Lease::end`], it is closed.
pub(in crate::store) struct Lease<'p, C: Connection> {
    pool: &'p Pool<C>,
    connection: C,
    _place: SemaphorePermit<'p>,
}

impl<C: Connection> Pool<C> {
    pub(in crate::store) fn new(options: C::Options, connections_max: usize) -> Self {
        Self {
            options,
            places: Semaphore::new(connections_max),
            unused: Mutex::default(),
            closed: AtomicBool::new(false),
        }
    }

    /// A connection, within [`ACQUIRE_TIMEOUT`].
    pub(in crate::store) async fn lease(&self) -> Result<Lease<'_, C>, Trouble> {
        let (begun, full) = (Instant::now(), Trouble::Full(ACQUIRE_TIMEOUT));
        let place = timeout(ACQUIRE_TIMEOUT, self.places.acquire()).await.map_err(|_| full)?;
        let place = place.map_err(|_| Trouble::Closed)?;
        let left = ACQUIRE_TIMEOUT.saturating_sub(begun.elapsed());
        let connection = timeout(left, self.connection()).await;
        let connection = connection.map_err(|_| Trouble::Late(ACQUIRE_TIMEOUT))??;
        Ok(Lease { pool: self, connection, _place: place })
    }

    async fn connection(&self) -> Result<C, Trouble> {
        while let Some(mut found) = self.take_unused() {
            if found.since.elapsed() < DOUBTFUL_AFTER {
                return Ok(found.connection);
            }
            if matches!(timeout(DOUBT_TIMEOUT, found.connection.ping()).await, Ok(Ok(()))) {
                return Ok(found.connection);
            }
        }
        Ok(self.options.connect().await?)
    }

    fn take_unused(&self) -> Option<Unused<C>> {
        self.unused().pop()
    }

    fn unused(&self) -> MutexGuard<'_, Vec<Unused<C>>> {
        self.unused.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Closes the connections; those in use, after their call.
    pub(in crate::store) async fn close(&self) {
        self.closed.store(true, Ordering::SeqCst);
        self.places.close();
        let unused = std::mem::take(&mut *self.unused());
        for Unused { connection, .. } in unused {
            // The database is told, if it listens; it finds out by itself otherwise.
            let _told = timeout(DOUBT_TIMEOUT, connection.close()).await;
        }
    }
}

impl<C: Connection> Lease<'_, C> {
    pub(in crate::store) const fn connection(&mut self) -> &mut C {
        &mut self.connection
    }

    /// Ends the call: the connection is used again if all went well.
    pub(in crate::store) fn end<T>(self, outcome: Result<T, sqlx::Error>) -> Result<T, Trouble> {
        let mut unused = self.pool.unused();
        match &outcome {
            Ok(_) if !self.pool.closed.load(Ordering::SeqCst) => {
                unused.push(Unused { connection: self.connection, since: Instant::now() });
            }
            Err(error) if is_loss(error) => unused.clear(),
            Ok(_) | Err(_) => {}
        }
        drop(unused);
        outcome.map_err(Trouble::Sql)
    }
}

/// Whether other connections are likely to be lost as well: PostgreSQL says why it ends one, if it can.
fn is_loss(error: &sqlx::Error) -> bool {
    match error {
        sqlx::Error::Io(_) => true,
        sqlx::Error::Database(error) => error.code().is_some_and(|code| code.starts_with("57P")),
        _ => false,
    }
}

impl<C: Connection> fmt::Debug for Pool<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Not the options, which hold the password.
        f.debug_struct("Pool").field("unused", &self.unused().len()).finish_non_exhaustive()
    }
}
