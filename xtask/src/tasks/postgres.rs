//! `cargo xtask postgres`: a PostgreSQL server to develop against.

use std::io::{self, Write};
use std::time::Duration;

use xtask::servers::process::wait_until;
use xtask::servers::{InstallPolicy, PostgresInstallation, PostgresServer, TestPostgres};

use super::Failure;
use crate::interrupt;

/// How long one look for an interruption takes; there is no limit on the whole.
const LOOK: Duration = Duration::from_secs(60);

/// Runs the task.
pub(crate) fn run(arguments: &[String]) -> Result<(), Failure> {
    if !arguments.is_empty() {
        return Err(Failure::usage("`postgres` takes no options"));
    }
    let found = PostgresInstallation::find_or_install(InstallPolicy::Install).required()?;
    let server = PostgresServer::start_from(&found)?;
    // Whoever reads this may be gone already; the server is up nevertheless.
    let _ = introduce(&server);
    while wait_until(LOOK, || Ok(interrupt::is_requested().then_some(())))?.is_none() {}
    drop(server);
    println!("PostgreSQL stopped, its data is removed.");
    Ok(())
}

/// The server that the environment names, else a private one.
pub(crate) fn given_or_start(policy: InstallPolicy) -> io::Result<TestPostgres> {
    if let Some(given) = TestPostgres::given() {
        // Not the URL: it may hold a password.
        println!("using the PostgreSQL that {} names", xtask::servers::POSTGRES_URL_VARIABLE);
        return Ok(given);
    }
    let found = PostgresInstallation::find_or_install(policy).required()?;
    let server = TestPostgres::start_from(&found)?;
    println!("PostgreSQL is ready: {}", server.url());
    Ok(server)
}

fn introduce(server: &PostgresServer) -> io::Result<()> {
    let mut out = io::stdout().lock();
    writeln!(out, "PostgreSQL is ready: {}", server.url())?;
    writeln!(out, "processes: {}", server.pid().unwrap_or_default())?;
    writeln!(out, "folder: {}", server.folder().display())?;
    writeln!(out, "Ctrl-C stops it and removes its data.")?;
    out.flush()
}
