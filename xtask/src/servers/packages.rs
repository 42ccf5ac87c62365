//! The system's package manager, and whether it may be used.

use std::io;
use std::time::Duration;

use super::process::{Guard, guarded};
use super::programs::{Prefer, find_program, output_of};

const INSTALL_TIMEOUT: Duration = Duration::from_secs(15 * 60);

/// Installs quietly: no service is started, by a policy that exists only meanwhile unless the
/// machine has its own. A run level of 1 says the same to older tools.
const APT_SCRIPT: &str = r#"
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
apt-get $wait_for_others install -y --no-install-recommends "$@"
"#;

/// What may be done when a program is not found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum InstallPolicy {
    /// Install it with the system's package manager, as root or with passwordless `sudo`.
    Install,
    /// Leave the machine as it is.
    FindOnly,
}

/// Installs Debian packages; the error names them.
pub(crate) fn install(packages: &[&str]) -> io::Result<()> {
    let names = packages.join(" and ");
    let failed = |why: &str| io::Error::other(format!("failed to install {names} ({why})"));
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
    command.args(["-c", APT_SCRIPT, "mmate-install"]).args(packages);
    let mut apt = Guard::new(None)?.spawn(&mut command)?;
    match apt.wait(INSTALL_TIMEOUT)? {
        Some(status) if status.success() => Ok(()),
        Some(_) => Err(failed("apt-get failed, see above")),
        None => Err(failed("apt-get took more than 15 minutes")),
    }
}
