//! Databases of PostgreSQL for tests: the server of the run, or one for as long as tests need it.

use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use futures_util::FutureExt;
use sqlx::{AssertSqlSafe, Connection as _, Executor as _, PgConnection};
use xtask::servers::TestPostgres;

use crate::unique;

/// The server of the run if there is one, else one that ends with the last test that uses it.
fn server() -> Arc<TestPostgres> {
    static SHARED: Mutex<Weak<TestPostgres>> = Mutex::new(Weak::new());
    let mut shared = SHARED.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(server) = shared.upgrade() {
        return server;
    }
    let server = TestPostgres::given_or_start();
    let server = Arc::new(server.unwrap_or_else(|error| panic!("{error}")));
    *shared = Arc::downgrade(&server);
    server
}

/// The URL of another database on the same server.
#[must_use]
pub fn with_database(url: &str, database: &str) -> String {
    let (base, query) = url.split_once('?').map_or((url, ""), |(base, query)| (base, query));
    let start = base.find("://").map_or(0, |at| at + 3);
    let end = base[start..].find('/').map_or(base.len(), |at| start + at);
    let query = if query.is_empty() { String::new() } else { format!("?{query}") };
    format!("{}/{database}{query}", &base[..end])
}

/// Runs statements one after another, each by itself.
///
/// # Panics
/// If one fails.
pub async fn execute(url: &str, statements: &[&str]) {
    let mut connection = PgConnection::connect(url).await.expect("the test's PostgreSQL answers");
    for statement in statements {
        let done = connection.execute(AssertSqlSafe(*statement)).await;
        done.unwrap_or_else(|error| panic!("{statement}: {error}"));
    }
    connection.close().await.expect("the connection ends");
}

/// Runs a test with an empty database of its own, which is removed afterwards. Its texts are ordered as people do
/// and not byte by byte, as in most databases of this world.
///
/// # Panics
/// If the test does, or the server cannot be had.
pub async fn with_empty_database<F: Future<Output = ()>>(test: impl FnOnce(String) -> F) {
    let server = tokio::task::spawn_blocking(server).await.expect("the server starts");
    let (admin, name) = (server.url(), unique("mmate_test").replace('-', "_"));
    let create =
        format!("create database {name} template template0 locale_provider icu icu_locale 'en'");
    execute(&admin, &[&create]).await;
    let outcome = AssertUnwindSafe(test(with_database(&admin, &name))).catch_unwind().await;
    execute(&admin, &[&format!("drop database {name} with (force)")]).await;
    if let Err(panic) = outcome {
        std::panic::resume_unwind(panic);
    }
    // Not in the runtime's threads: it waits for the server to end.
    tokio::task::spawn_blocking(move || drop(server)).await.expect("the server ends");
}
