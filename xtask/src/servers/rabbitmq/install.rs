//! Where RabbitMQ is on this machine, and how it gets there.

use std::fs;
use std::path::{Path, PathBuf};

use crate::servers::Availability;
use crate::servers::packages::{self, InstallPolicy};
use crate::servers::programs::{Prefer, find_program};

/// Debian's `rabbitmq-server` on the PATH changes the user and the folders; the script below
/// `/usr/lib` is the one it wraps, and the one other systems put on the PATH.
const SERVER_FOLDERS: [&str; 3] =
    ["/usr/lib/rabbitmq/bin", "/opt/homebrew/sbin", "/opt/rabbitmq/sbin"];
const EPMD_FOLDERS: [&str; 2] = ["/usr/lib/erlang/bin", "/usr/local/lib/erlang/bin"];
const WHAT_TO_DO: &str = "install RabbitMQ (Debian and Ubuntu: `apt-get install rabbitmq-server`), \
    or set MMATE_TEST_AMQP_URL to the URL of a running broker";

/// The programs of a RabbitMQ and of its Erlang.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Installation {
    scripts: PathBuf,
    epmd: PathBuf,
}

impl Installation {
    /// Finds RabbitMQ on this machine.
    #[must_use]
    pub fn find() -> Option<Self> {
        let scripts = find_program("rabbitmq-server", &SERVER_FOLDERS, Prefer::Listed)?;
        let epmd = find_program("epmd", &EPMD_FOLDERS, Prefer::Path)?;
        // The scripts look for each other beside the real file, not beside a link to it.
        let scripts = fs::canonicalize(scripts).ok()?.parent()?.to_path_buf();
        Some(Self { scripts, epmd })
    }

    /// A RabbitMQ whose `rabbitmq-server`, `rabbitmqctl` and `epmd` are in one folder: another version than
    /// the machine's, for example scripts that enter a chroot.
    #[must_use]
    pub fn in_folder(folder: &Path) -> Option<Self> {
        let scripts = fs::canonicalize(folder).ok()?;
        let there = |name| scripts.join(name).is_file();
        let complete = ["rabbitmq-server", "rabbitmqctl", "epmd"].into_iter().all(there);
        complete.then(|| Self { epmd: scripts.join("epmd"), scripts })
    }

    /// Finds RabbitMQ, else installs it if `policy` lets it.
    pub fn find_or_install(policy: InstallPolicy) -> Availability<Self> {
        if let Some(found) = Self::find() {
            return Availability::Ready(found);
        }
        let tried = match policy {
            InstallPolicy::Install => packages::install(&["rabbitmq-server"]),
            InstallPolicy::FindOnly => Ok(()),
        };
        match (tried, Self::find()) {
            (_, Some(installed)) => Availability::Ready(installed),
            (Ok(()), None) => skipped("failed to find RabbitMQ"),
            (Err(error), None) => skipped(&error.to_string()),
        }
    }

    /// The script that becomes the node.
    pub(super) fn server(&self) -> PathBuf {
        self.scripts.join("rabbitmq-server")
    }

    pub(super) fn ctl(&self) -> PathBuf {
        self.scripts.join("rabbitmqctl")
    }

    pub(super) fn epmd(&self) -> &Path {
        &self.epmd
    }
}

fn skipped(what: &str) -> Availability<Installation> {
    Availability::Skipped { reason: format!("{what}: {WHAT_TO_DO}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn absence_says_what_to_do() {
        let reason = skipped("failed to find RabbitMQ").required().unwrap_err().to_string();
        assert!(reason.contains("apt-get install rabbitmq-server"), "{reason}");
        assert!(reason.contains("MMATE_TEST_AMQP_URL"), "{reason}");
    }
}
