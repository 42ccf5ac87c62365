//! A client from elsewhere: Python's `pika`, which knows nothing of Mmate and shares no mistake with it.

use std::env;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use super::Availability;
use super::process::{Guard, guarded};
use super::scratch::random_u64;

const INSTALL_TIMEOUT: Duration = Duration::from_secs(3 * 60);
const WHAT_TO_DO: &str =
    "install Python 3 with pika (`python3 -m pip install pika`, or Debian's `python3-pika`)";
/// Pythons that may have pika; Debian's own one has Debian's packages, another one on the PATH has not.
const PYTHONS: [&str; 2] = ["python3", "/usr/bin/python3"];

/// A Python that can import `pika`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ForeignClient {
    python: PathBuf,
    /// Where pika is, if it is not among Python's own packages.
    packages: Option<PathBuf>,
}

impl ForeignClient {
    /// Finds Python with pika; else puts pika into the target folder with `pip`, which changes nothing
    /// on the machine.
    pub fn find_or_install() -> Availability<Self> {
        let pythons = || PYTHONS.iter().map(PathBuf::from);
        let folder = packages_folder();
        for python in pythons() {
            for packages in [None, folder.clone()] {
                let client = Self { python: python.clone(), packages };
                if client.can_import() {
                    return Availability::Ready(client);
                }
            }
        }
        let Some(folder) = folder else {
            return skipped("failed to find a folder for pika");
        };
        let mut why = "failed to find Python 3".to_owned();
        for python in pythons().filter(|python| runs(python)) {
            let client = Self { python: python.clone(), packages: Some(folder.clone()) };
            match install(&python, &folder) {
                Ok(()) if client.can_import() => return Availability::Ready(client),
                Ok(()) => why = "pip put pika where Python does not find it".to_owned(),
                Err(error) => why = format!("failed to install pika: {error}"),
            }
        }
        skipped(&why)
    }

    /// A command that runs a Python program; it is started by [`Guard::spawn`].
    #[must_use]
    pub fn command(&self, program: &Path) -> Command {
        let mut command = guarded(&self.python);
        if let Some(packages) = &self.packages {
            command.env("PYTHONPATH", packages);
        }
        command.arg("-u").arg("-B").arg(program);
        command
    }

    fn can_import(&self) -> bool {
        let mut command = Command::new(&self.python);
        if let Some(packages) = &self.packages {
            command.env("PYTHONPATH", packages);
        }
        succeeds(command.args(["-c", "import pika"]))
    }
}

fn skipped(why: &str) -> Availability<ForeignClient> {
    Availability::Skipped { reason: format!("{why}: {WHAT_TO_DO}") }
}

fn runs(python: &Path) -> bool {
    succeeds(Command::new(python).arg("--version"))
}

fn succeeds(command: &mut Command) -> bool {
    let quiet = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    quiet.status().is_ok_and(|status| status.success())
}

/// A folder below cargo's target folder, which cargo marks with a `CACHEDIR.TAG`.
fn packages_folder() -> Option<PathBuf> {
    let this = env::current_exe().ok()?;
    let target = this.ancestors().find(|folder| folder.join("CACHEDIR.TAG").is_file())?;
    Some(target.join("foreign"))
}

/// Installs beside the folder and renames, so that whoever looks finds all of it or nothing.
fn install(python: &Path, folder: &Path) -> io::Result<()> {
    let beside = folder.with_extension(format!("{:016x}", random_u64()));
    let mut command = guarded(python);
    command.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--target"]);
    // As root it warns of system packages, which `--target` does not touch.
    command.env("PIP_ROOT_USER_ACTION", "ignore");
    command.arg(&beside).arg("pika").stdout(Stdio::null());
    let ended = Guard::new(None)?.spawn(&mut command)?.wait(INSTALL_TIMEOUT)?;
    if !ended.is_some_and(|status| status.success()) {
        // Litter at worst; the error is what matters.
        let _ = fs::remove_dir_all(&beside);
        return Err(io::Error::other("pip failed, see above"));
    }
    match fs::rename(&beside, folder) {
        // Somebody else was faster, and theirs is as good.
        Err(_) if folder.is_dir() => fs::remove_dir_all(&beside),
        renamed => renamed,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn absence_says_what_to_do() {
        let reason = skipped("no Python").required().unwrap_err().to_string();
        assert!(reason.contains("no Python") && reason.contains("pip install pika"), "{reason}");
    }
}
