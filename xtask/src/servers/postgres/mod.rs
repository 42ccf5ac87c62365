//! PostgreSQL: private servers for tests.
//!
//! In: nothing but a machine, as root or as anybody. Out: a [`PostgresServer`] on a port of its own, with nothing in
//! it. Its data is not meant to survive the machine (`fsync` is off), but survives the server.

mod install;
mod ready;
mod server;
mod shared;

pub use install::PostgresInstallation;
pub use server::PostgresServer;
pub use shared::{POSTGRES_URL_VARIABLE, TestPostgres};
