//! The life of one private node.

use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use std::{fs, io};

use super::launch::{start_epmd, write_files};
use super::options::Ports;
use super::{Installation, StartOptions, answers_amqp};
use crate::servers::ports::{free_port, is_free};
use crate::servers::process::{ChildGroup, Guard, Signal, lock, wait_until};
use crate::servers::scratch::{ScratchFolder, random_u64};

/// Between looking for free ports and listening on them, somebody else may take one.
pub(super) const START_ATTEMPTS_MAX: u32 = 3;
/// A node needs about six seconds to end by itself.
const SHUT_DOWN_TIMEOUT: Duration = Duration::from_secs(30);
/// How many lines of each log go into an error message.
const LOG_LINES_MAX: usize = 30;

/// A RabbitMQ node that belongs to this value: dropping it kills the node, ends its port mapper
/// and removes its data. Should the owning process die, the same happens.
///
/// All methods take `&self`, so that tests can share a node.
#[derive(Debug)]
pub struct RabbitNode {
    // Fields are dropped in this order: processes first, then the guard, then the folder.
    node: Mutex<Option<ChildGroup>>,
    /// Shared by the nodes of a cluster, which find each other through it.
    epmd: Arc<ChildGroup>,
    pub(super) guard: Arc<Guard>,
    pub(super) folder: ScratchFolder,
    pub(super) installation: Installation,
    options: StartOptions,
    pub(super) name: String,
    pub(super) ports: Ports,
}

/// What a node shares with those it is to find.
#[derive(Debug)]
pub(super) struct Surroundings {
    pub(super) name: String,
    pub(super) cookie: String,
    pub(super) epmd_port: u16,
    /// A port mapper that runs already.
    pub(super) epmd: Option<Arc<ChildGroup>>,
}

impl Surroundings {
    pub(super) fn alone() -> io::Result<Self> {
        Ok(Self { name: node_name(), cookie: cookie(), epmd_port: free_port()?, epmd: None })
    }
}

/// A name that no other node has.
pub(super) fn node_name() -> String {
    format!("mmate-{:016x}@localhost", random_u64())
}

/// The secret by which nodes, and `rabbitmqctl`, know each other.
pub(super) fn cookie() -> String {
    format!("{:016x}{:016x}", random_u64(), random_u64())
}

impl RabbitNode {
    /// Starts a node and waits until it answers AMQP.
    ///
    /// # Errors
    ///
    /// When RabbitMQ is not on this machine, or when the node does not answer in time; the
    /// message then quotes its logs.
    pub fn start(options: &StartOptions) -> io::Result<Self> {
        let installation = match options.installation.clone() {
            Some(installation) => installation,
            None => {
                Installation::find_or_install(crate::servers::InstallPolicy::FindOnly).required()?
            }
        };
        let mut attempt = 1;
        loop {
            let node = Self::prepare(installation.clone(), options, Surroundings::alone()?)?;
            match node.start_again() {
                Ok(()) => return Ok(node),
                Err(_) if attempt < START_ATTEMPTS_MAX && node.lost_a_port() => attempt += 1,
                Err(error) => return Err(error),
            }
        }
    }

    /// Where clients connect, as the user `guest`.
    #[must_use]
    pub fn amqp_url(&self) -> String {
        format!("amqp://guest:guest@127.0.0.1:{}/%2f", self.ports.amqp)
    }

    /// Where clients connect with TLS, if [`StartOptions::tls`] asked for it.
    #[must_use]
    pub fn amqps_url(&self) -> Option<String> {
        let port = self.ports.tls;
        self.options.tls.as_ref().map(|_| format!("amqps://guest:guest@localhost:{port}/%2f"))
    }

    /// The management interface, if [`StartOptions::management`] asked for it.
    #[must_use]
    pub fn management_url(&self) -> Option<String> {
        let port = self.ports.management;
        self.options.management.then(|| format!("http://guest:guest@127.0.0.1:{port}"))
    }

    /// The port of the plain AMQP listener.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.ports.amqp
    }

    /// The node's name in the cluster and to `rabbitmqctl`.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The process of the node, if it is running.
    #[must_use]
    pub fn pid(&self) -> Option<u32> {
        lock(&self.node).as_ref().map(ChildGroup::pid)
    }

    /// The process of the node's own Erlang port mapper.
    #[must_use]
    pub fn epmd_pid(&self) -> u32 {
        self.epmd.pid()
    }

    /// The folder with the node's data and logs.
    #[must_use]
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Kills the node with `SIGKILL`, as a power cut would; its data stays.
    ///
    /// # Errors
    ///
    /// When the process cannot be killed.
    pub fn kill(&self) -> io::Result<()> {
        match lock(&self.node).take() {
            Some(mut node) => node.kill(),
            None => Ok(()),
        }
    }

    /// Lets the node end by itself, and kills it if it takes too long; its data stays.
    ///
    /// # Errors
    ///
    /// When the process cannot be ended.
    pub fn shut_down(&self) -> io::Result<()> {
        let Some(mut node) = lock(&self.node).take() else {
            return Ok(());
        };
        // A frozen process takes no SIGTERM.
        node.signal(Signal::Continue)?;
        node.signal(Signal::Terminate)?;
        match node.wait(SHUT_DOWN_TIMEOUT)? {
            Some(_) => Ok(()),
            None => node.kill(),
        }
    }

    /// Starts a killed or shut down node on the same ports with the same data, and waits until
    /// it answers. Nothing happens when it is running.
    ///
    /// # Errors
    ///
    /// When the node does not answer in time; the message then quotes its logs.
    pub fn start_again(&self) -> io::Result<()> {
        let mut slot = lock(&self.node);
        if slot.is_some() {
            return Ok(());
        }
        let mut node = self.spawn_node()?;
        self.wait_until_ready(&mut node)?;
        *slot = Some(node);
        Ok(())
    }

    /// Shuts the node down and starts it again.
    ///
    /// # Errors
    ///
    /// When either fails.
    pub fn restart(&self) -> io::Result<()> {
        self.shut_down()?;
        self.start_again()
    }

    /// Freezes the node with `SIGSTOP`: connections stay open and nobody answers.
    ///
    /// # Errors
    ///
    /// When the signal cannot be sent.
    pub fn pause(&self) -> io::Result<()> {
        self.signal(Signal::Stop)
    }

    /// Lets a frozen node go on.
    ///
    /// # Errors
    ///
    /// When the signal cannot be sent.
    pub fn resume(&self) -> io::Result<()> {
        self.signal(Signal::Continue)
    }

    /// Shuts the node down and removes everything it had. Dropping does so too, but kills.
    ///
    /// # Errors
    ///
    /// When the process cannot be ended.
    pub fn stop(self) -> io::Result<()> {
        self.shut_down()
    }

    pub(super) fn prepare(
        installation: Installation,
        options: &StartOptions,
        surroundings: Surroundings,
    ) -> io::Result<Self> {
        let Surroundings { name, cookie, epmd_port, epmd } = surroundings;
        let ports = Ports {
            amqp: free_port()?,
            distribution: free_port()?,
            epmd: epmd_port,
            management: free_port()?,
            tls: free_port()?,
        };
        let folder = ScratchFolder::create("rabbitmq")?;
        write_files(folder.path(), options, &ports, &cookie)?;
        let guard = Guard::new(Some(folder.path()))?;
        let epmd = match epmd {
            Some(running) => running,
            None => Arc::new(start_epmd(&guard, &installation, epmd_port)?),
        };
        let node = Mutex::new(None);
        Ok(Self { node, epmd, guard, folder, installation, options: options.clone(), name, ports })
    }

    /// The port mapper, for further nodes of the same cluster.
    pub(super) fn epmd(&self) -> Arc<ChildGroup> {
        Arc::clone(&self.epmd)
    }

    /// Starts the process if it does not run, without waiting for an answer.
    pub(super) fn begin(&self) -> io::Result<()> {
        let mut slot = lock(&self.node);
        if slot.is_none() {
            *slot = Some(self.spawn_node()?);
        }
        Ok(())
    }

    /// Waits for a node that [`RabbitNode::begin`] started.
    pub(super) fn answer(&self) -> io::Result<()> {
        match lock(&self.node).as_mut() {
            Some(node) => self.wait_until_ready(node),
            None => Err(io::Error::other("failed to wait for the node: start it first")),
        }
    }

    fn wait_until_ready(&self, node: &mut ChildGroup) -> io::Result<()> {
        let timeout = self.options.ready_timeout;
        let outcome = wait_until(timeout, || {
            if let Some(status) = node.try_wait()? {
                return Ok(Some(Err(format!("it ended with {status}"))));
            }
            Ok(answers_amqp(self.ports.amqp).then_some(Ok(())))
        })?;
        match outcome {
            Some(Ok(())) => Ok(()),
            Some(Err(why)) => Err(self.start_error(&why)),
            None => Err(self.start_error(&format!("no answer within {timeout:?}"))),
        }
    }

    fn start_error(&self, why: &str) -> io::Error {
        let mut message = format!("failed to start RabbitMQ: {why}");
        let log = format!("log/{}.log", self.name);
        for file in ["stdout", "stderr", log.as_str()] {
            let bytes = fs::read(self.folder.path().join(file)).unwrap_or_default();
            let excerpt = complaints(&String::from_utf8_lossy(&bytes));
            if !excerpt.is_empty() {
                message += &format!("\n--- {file} ---\n{excerpt}");
            }
        }
        io::Error::other(message)
    }

    pub(super) fn lost_a_port(&self) -> bool {
        let Ports { amqp, distribution, management, tls, .. } = self.ports;
        ![amqp, distribution, management, tls].into_iter().all(is_free)
    }

    fn signal(&self, signal: Signal) -> io::Result<()> {
        match lock(&self.node).as_ref() {
            Some(node) => node.signal(signal),
            None => Err(io::Error::other("failed to signal the node: start it again first")),
        }
    }
}

/// The first lines of a log that speak of an error. Erlang reports the cause first, and then at
/// length that everything above it failed too.
fn complaints(log: &str) -> String {
    let lines = log.lines().filter(|line| line.to_ascii_lowercase().contains("error"));
    lines.take(LOG_LINES_MAX).collect::<Vec<_>>().join("\n")
}
