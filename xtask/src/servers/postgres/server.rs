//! The life of one private server.

use std::fs::{self, File};
use std::io;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use super::PostgresInstallation;
use super::ready::answers;
use crate::servers::InstallPolicy;
use crate::servers::ports::{free_port, is_free};
use crate::servers::process::{ChildGroup, Guard, Signal, lock, wait_until};
use crate::servers::scratch::ScratchFolder;

/// Between looking for a free port and listening on it, somebody else may take it.
const START_ATTEMPTS_MAX: u32 = 3;
/// It takes a second on an idle machine.
const INIT_TIMEOUT: Duration = Duration::from_secs(120);
/// It takes less than a second on an idle machine.
const READY_TIMEOUT: Duration = Duration::from_secs(60);
/// It takes a tenth of a second on an idle machine.
const SHUT_DOWN_TIMEOUT: Duration = Duration::from_secs(20);
const LOG_LINES_MAX: usize = 30;
/// The user of the database, who may do anything and needs no password.
const USER: &str = "mmate";

/// A PostgreSQL server that belongs to this value: dropping it shuts the server down and removes its data. Should
/// the owning process die, the same happens.
///
/// All methods take `&self`, so that tests can share a server.
///
/// ```no_run
/// let server = xtask::servers::PostgresServer::start()?;
/// println!("connect to {}", server.url());
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Debug)]
pub struct PostgresServer {
    // Fields are dropped in this order: the process first, then the guard, then the folder.
    process: Mutex<Option<ChildGroup>>,
    guard: Arc<Guard>,
    folder: ScratchFolder,
    installation: PostgresInstallation,
    port: u16,
}

impl PostgresServer {
    /// Starts a server and waits until it lets clients in.
    ///
    /// # Errors
    ///
    /// When PostgreSQL is not on this machine, or the server does not answer in time; the message then quotes
    /// its log.
    pub fn start() -> io::Result<Self> {
        let found = PostgresInstallation::find_or_install(InstallPolicy::FindOnly);
        Self::start_from(&found.required()?)
    }

    /// As [`PostgresServer::start`], with the programs of this installation.
    ///
    /// # Errors
    ///
    /// When the server does not answer in time; the message then quotes its log.
    pub fn start_from(installation: &PostgresInstallation) -> io::Result<Self> {
        let mut attempt = 1;
        loop {
            let server = Self::prepare(installation.clone())?;
            match server.start_again() {
                Ok(()) => return Ok(server),
                Err(_) if attempt < START_ATTEMPTS_MAX && !is_free(server.port) => attempt += 1,
                Err(error) => return Err(error),
            }
        }
    }

    /// Where clients connect: the database `postgres`, as a user who may create others.
    #[must_use]
    pub fn url(&self) -> String {
        format!("postgres://{USER}:{USER}@127.0.0.1:{}/postgres", self.port)
    }

    /// The port on loopback.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The server's process, if it is running.
    #[must_use]
    pub fn pid(&self) -> Option<u32> {
        lock(&self.process).as_ref().map(ChildGroup::pid)
    }

    /// The folder with the server's data, log and socket.
    #[must_use]
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Ends the server and all connections; its data stays.
    ///
    /// # Errors
    ///
    /// When the process cannot be ended.
    pub fn shut_down(&self) -> io::Result<()> {
        let Some(mut process) = lock(&self.process).take() else { return Ok(()) };
        // Not SIGTERM, which waits for the clients to leave by themselves.
        process.signal(Signal::Interrupt)?;
        match process.wait(SHUT_DOWN_TIMEOUT)? {
            Some(_) => Ok(()),
            None => process.kill(),
        }
    }

    /// Kills the server with `SIGKILL`, and waits until nothing listens on its port any more; its data stays.
    ///
    /// # Errors
    ///
    /// When the process cannot be killed, or its port is not free within 20 s.
    pub fn kill(&self) -> io::Result<()> {
        let Some(mut process) = lock(&self.process).take() else { return Ok(()) };
        process.kill()?;
        // The processes that it had for its clients hold the port, too, and end a moment later.
        let freed = wait_until(SHUT_DOWN_TIMEOUT, || Ok(is_free(self.port).then_some(())))?;
        freed.ok_or_else(|| {
            let text = format!("port {} is not free after the server was killed", self.port);
            io::Error::new(io::ErrorKind::TimedOut, text)
        })
    }

    /// Starts a server that was ended on the same port with the same data, and waits until it answers. Nothing
    /// happens when it is running.
    ///
    /// # Errors
    ///
    /// When it does not answer in time; the message then quotes its log.
    pub fn start_again(&self) -> io::Result<()> {
        let mut slot = lock(&self.process);
        if slot.is_some() {
            return Ok(());
        }
        let mut process = self.spawn()?;
        let outcome = wait_until(READY_TIMEOUT, || {
            if let Some(status) = process.try_wait()? {
                return Ok(Some(Err(format!("it ended with {status}"))));
            }
            Ok(answers(self.port, USER).then_some(Ok(())))
        })?;
        match outcome {
            Some(Ok(())) => {
                *slot = Some(process);
                Ok(())
            }
            Some(Err(why)) => Err(self.failure(&why)),
            None => Err(self.failure(&format!("no answer within {READY_TIMEOUT:?}"))),
        }
    }

    fn prepare(installation: PostgresInstallation) -> io::Result<Self> {
        let folder = ScratchFolder::create("postgres")?;
        if let Some(user) = installation.user() {
            give(folder.path(), user)?;
        }
        let guard = Guard::new(Some(folder.path()))?;
        let port = free_port()?;
        let server = Self { process: Mutex::new(None), guard, folder, installation, port };
        server.init()?;
        Ok(server)
    }

    /// Makes the files of an empty server.
    fn init(&self) -> io::Result<()> {
        let mut command = self.command("initdb", "init.log")?;
        command.args(["--username", USER, "--auth", "trust", "--encoding", "UTF8"]);
        command.args(["--locale", "C", "--no-sync", "--pgdata"]).arg(self.data());
        let mut init = self.guard.spawn(&mut command)?;
        match init.wait(INIT_TIMEOUT)? {
            Some(status) if status.success() => Ok(()),
            Some(status) => Err(self.failure(&format!("initdb ended with {status}"))),
            None => Err(self.failure(&format!("initdb took more than {INIT_TIMEOUT:?}"))),
        }
    }

    fn spawn(&self) -> io::Result<ChildGroup> {
        let mut command = self.command("postgres", "server.log")?;
        command.arg("-D").arg(self.data()).args(["-p", &self.port.to_string()]);
        let socket = format!("unix_socket_directories={}", self.folder().display());
        for setting in [
            "listen_addresses=127.0.0.1",
            &socket,
            // Nobody minds if the data is gone after a crash of the machine.
            "fsync=off",
            "full_page_writes=off",
            // Many tests at once, each with some connections.
            "max_connections=300",
        ] {
            command.args(["-c", setting]);
        }
        let server = self.guard.spawn(&mut command)?;
        // A killed server leaves a segment of shared memory to the machine for good.
        self.guard.be_polite(&server)?;
        Ok(server)
    }

    /// A program in an environment without settings of other servers, its output in a file of the folder.
    fn command(&self, program: &str, log: &str) -> io::Result<Command> {
        let mut command = self.installation.command(program);
        let log = File::options().create(true).append(true).open(self.folder().join(log))?;
        command
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("LC_ALL", "C")
            .env("TZ", "UTC")
            .env("HOME", self.folder())
            .current_dir(self.folder())
            .stdout(log.try_clone()?)
            .stderr(log);
        Ok(command)
    }

    fn data(&self) -> std::path::PathBuf {
        self.folder().join("data")
    }

    fn failure(&self, why: &str) -> io::Error {
        let mut message = format!("failed to start PostgreSQL: {why}");
        for file in ["init.log", "server.log"] {
            let bytes = fs::read(self.folder().join(file)).unwrap_or_default();
            let text = String::from_utf8_lossy(&bytes);
            let lines: Vec<&str> = text.lines().collect();
            let last = &lines[lines.len().saturating_sub(LOG_LINES_MAX)..];
            if !last.is_empty() {
                message += &format!("\n--- {file} ---\n{}", last.join("\n"));
            }
        }
        io::Error::other(message)
    }
}

impl Drop for PostgresServer {
    fn drop(&mut self) {
        // As politely as the guard would. What does not end by itself is killed with the fields.
        let _ = self.shut_down();
    }
}

/// Makes a folder somebody else's.
fn give(folder: &Path, user: &str) -> io::Result<()> {
    let mut command = Command::new("chown");
    let status = command.arg(user).arg(folder).stdin(Stdio::null()).status()?;
    if status.success() {
        return Ok(());
    }
    Err(io::Error::other(format!("failed to give {} to the user {user}", folder.display())))
}
