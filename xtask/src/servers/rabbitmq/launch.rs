//! The processes and files that make up a node.

use std::env;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::net::{Ipv4Addr, TcpStream};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use super::options::Ports;
use super::{Installation, RabbitNode, StartOptions};
use crate::servers::process::{ChildGroup, Guard, guarded, wait_until};

const EPMD_TIMEOUT: Duration = Duration::from_secs(20);

impl RabbitNode {
    /// Starts the process of the node and does not wait for it.
    pub(super) fn spawn_node(&self) -> io::Result<ChildGroup> {
        let path = self.folder.path();
        let mut command = guarded(self.installation.server());
        self.set_environment(&mut command);
        command.stdout(File::create(path.join("stdout"))?);
        command.stderr(File::create(path.join("stderr"))?);
        self.guard.spawn(&mut command)
    }

    /// The whole environment of the node and of `rabbitmqctl`. Inherited settings of another
    /// node would lead them astray, so they start from nothing.
    pub(super) fn set_environment(&self, command: &mut Command) {
        let path = self.folder.path();
        let file_of = |name: &str| path.join(name);
        let loopback = "-kernel inet_dist_use_interface {127,0,0,1}";
        command
            .env_clear()
            .env("PATH", env::var_os("PATH").unwrap_or_default())
            .env("LC_ALL", "C.UTF-8")
            .env("HOME", path)
            .env("ERL_EPMD_PORT", self.ports.epmd.to_string())
            .env("ERL_EPMD_ADDRESS", "127.0.0.1")
            .env("ERL_CRASH_DUMP_SECONDS", "0")
            // The script then becomes the node instead of waiting for it: the child is the node.
            .env("RUNNING_UNDER_SYSTEMD", "true")
            .env("RABBITMQ_NODENAME", &self.name)
            .env("RABBITMQ_DIST_PORT", self.ports.distribution.to_string())
            .env("RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS", format!("-start_epmd false {loopback}"))
            .env("RABBITMQ_CTL_ERL_ARGS", format!("-start_epmd false {loopback}"))
            .env("RABBITMQ_CONF_ENV_FILE", "/dev/null")
            .env("RABBITMQ_CONFIG_FILE", file_of("rabbitmq"))
            .env("RABBITMQ_ENABLED_PLUGINS_FILE", file_of("enabled_plugins"))
            .env("RABBITMQ_FEATURE_FLAGS_FILE", file_of("feature_flags"))
            .env("RABBITMQ_GENERATED_CONFIG_DIR", file_of("generated"))
            .env("RABBITMQ_LOG_BASE", file_of("log"))
            .env("RABBITMQ_MNESIA_BASE", file_of("data"))
            .env("RABBITMQ_PID_FILE", file_of("pid"))
            .env("RABBITMQ_PLUGINS_EXPAND_DIR", file_of("plugins"))
            .env("RABBITMQ_SCHEMA_DIR", file_of("schema"))
            .current_dir(path);
    }
}

pub(super) fn write_files(
    folder: &Path,
    options: &StartOptions,
    ports: &Ports,
    cookie: &str,
) -> io::Result<()> {
    fs::write(folder.join("rabbitmq.conf"), options.config_text(ports))?;
    fs::write(folder.join("enabled_plugins"), options.enabled_plugins_text())?;
    for name in ["data", "generated", "log", "schema"] {
        fs::create_dir(folder.join(name))?;
    }
    // Erlang refuses a cookie that others may read.
    let mut options = OpenOptions::new();
    let mut file =
        options.write(true).create_new(true).mode(0o400).open(folder.join(".erlang.cookie"))?;
    write!(file, "{cookie}")
}

/// Starts the port mapper in the foreground. Left to itself, Erlang starts one as a daemon, whose
/// process nobody knows and which stays for good.
pub(super) fn start_epmd(
    guard: &Arc<Guard>,
    installation: &Installation,
    port: u16,
) -> io::Result<ChildGroup> {
    let mut command = guarded(installation.epmd());
    command.args(["-address", "127.0.0.1", "-port"]).arg(port.to_string());
    let mut epmd = guard.spawn(command.stdout(Stdio::null()).stderr(Stdio::null()))?;
    let listening = wait_until(EPMD_TIMEOUT, || {
        if let Some(status) = epmd.try_wait()? {
            return Err(io::Error::other(format!("failed to start epmd: it ended with {status}")));
        }
        Ok(TcpStream::connect((Ipv4Addr::LOCALHOST, port)).ok())
    })?;
    match listening {
        Some(_) => Ok(epmd),
        None => Err(io::Error::other(format!("failed to start epmd: no answer on port {port}"))),
    }
}
