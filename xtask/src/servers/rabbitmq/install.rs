//! Where RabbitMQ is on this machine, and how it gets there.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;
use std::{env, fs, io};

use crate::servers::Availability;
use crate::servers::process::{Guard, guarded};

/// Debian's `rabbitmq-server` on the PATH changes the user and the folders; the script below
/// `/usr/lib` is the one it wraps, and the one other systems put on the PATH.
const SERVER_FOLDERS: [&str; 3] =
    ["/usr/lib/rabbitmq/bin", "/opt/homebrew/sbin", "/opt/rabbitmq/sbin"];
const EPMD_FOLDERS: [&str; 2] = ["/usr/lib/erlang/bin", "/usr/local/lib/erlang/bin"];
const INSTALL_TIMEOUT: Duration = Duration::from_secs(15 * 60);
const WHAT_TO_DO: &str = "install RabbitMQ (Debian and Ubuntu: `apt-get install rabbitmq-server`), \
    or set MMATE_TEST_AMQP_URL to the URL of a running broker";

/// Installs quietly: no service is started, by a policy that exists only meanwhile unless the
/// machine has its own. A run level of 1 says the same to older tools.
const APT_SCRIPT: &str = r"
set -e
policy=/usr/sbin/policy-rc.d
if [ ! -e $policy ]; then
    trap 'rm -f $policy' EXIT
    trap 'exit 1' HUP INT TERM
    printf '#!/bin/sh\nexit 101\n' > $policy
    chmod 755 $policy
fi
export RUNLEVEL=1 DEBIAN_FRONTEND=noninteractive
wait_for_others='-o DPkg::Lock::Timeout=300'
apt-get $wait_for_others update
apt-get $wait_for_others install -y --no-install-recommends rabbitmq-server
";

/// What may be done when RabbitMQ is not found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum InstallPolicy {
    /// Install it with the system's package manager, as root or with passwordless `sudo`.
    Install,
    /// Leave the machine as it is.
    FindOnly,
}

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
            InstallPolicy::Install => install(),
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

#[derive(Clone, Copy, PartialEq, Eq)]
enum Prefer {
    Listed,
    Path,
}

fn find_program(name: &str, listed: &[&str], prefer: Prefer) -> Option<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    let listed = listed.iter().map(PathBuf::from);
    let on_path = env::split_paths(&path);
    let folders: Vec<PathBuf> = match prefer {
        Prefer::Listed => listed.chain(on_path).collect(),
        Prefer::Path => on_path.chain(listed).collect(),
    };
    folders.into_iter().map(|folder| folder.join(name)).find(|file| file.is_file())
}

fn install() -> io::Result<()> {
    let failed = |why: &str| io::Error::other(format!("failed to install RabbitMQ ({why})"));
    if find_program("apt-get", &["/usr/bin"], Prefer::Path).is_none() {
        return Err(failed("there is no apt-get"));
    }
    let mut command = if output_of("id", &["-u"]).as_deref() == Some("0") {
        guarded("sh")
    } else if output_of("sudo", &["-n", "true"]).is_some() {
        let mut sudo = guarded("sudo");
        sudo.args(["-n", "sh"]);
        sudo
    } else {
        return Err(failed("this needs root or passwordless sudo"));
    };
    let mut apt = Guard::new(None)?.spawn(command.args(["-c", APT_SCRIPT]))?;
    match apt.wait(INSTALL_TIMEOUT)? {
        Some(status) if status.success() => Ok(()),
        Some(_) => Err(failed("apt-get failed, see above")),
        None => Err(failed("apt-get took more than 15 minutes")),
    }
}

/// The trimmed output of a command that succeeded.
fn output_of(program: &str, arguments: &[&str]) -> Option<String> {
    let output = Command::new(program).args(arguments).stdin(Stdio::null()).output().ok()?;
    let text = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    output.status.success().then_some(text)
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

    #[test]
    fn a_program_that_is_nowhere_is_not_found() {
        assert_eq!(find_program("mmate-no-such-program", &["/"], Prefer::Path), None);
        assert!(find_program("sh", &["/bin"], Prefer::Listed).is_some());
    }
}
