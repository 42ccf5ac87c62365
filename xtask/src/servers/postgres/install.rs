//! Where PostgreSQL is on this machine, and how it gets there.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::servers::Availability;
use crate::servers::packages::{self, InstallPolicy};
use crate::servers::process::guarded;
use crate::servers::programs::{Prefer, find_program, output_of, succeeds};

/// Folders of versions, each with its programs in `bin`. Debian does not put the server on the PATH.
const VERSION_FOLDERS: [&str; 3] = ["/usr/lib/postgresql", "/usr/pgsql", "/opt/homebrew/opt"];
/// PostgreSQL refuses to run as root. This user comes with the package.
const USER: &str = "postgres";
const WHAT_TO_DO: &str = "install PostgreSQL (Debian and Ubuntu: `apt-get install postgresql`), \
    or set MMATE_TEST_POSTGRES_URL to the URL of a database whose user may create databases";

/// The programs of a PostgreSQL, and who runs them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PostgresInstallation {
    programs: PathBuf,
    /// Nobody else but the current user if there is none.
    user: Option<&'static str>,
}

impl PostgresInstallation {
    /// Finds PostgreSQL on this machine: the latest version of several.
    #[must_use]
    pub fn find() -> Option<Self> {
        let versions = VERSION_FOLDERS.iter().flat_map(|folder| programs_below(Path::new(folder)));
        let latest = versions.max_by_key(|programs| version_of(programs));
        let on_path = || {
            let initdb = find_program("initdb", &[], Prefer::Path)?;
            // The programs look for each other beside the real file, not beside a link to it.
            fs::canonicalize(initdb).ok()?.parent().map(Path::to_path_buf)
        };
        let programs = latest.or_else(on_path).filter(|programs| is_complete(programs))?;
        let is_root = output_of("id", &["-u"]).as_deref() == Some("0");
        let user = is_root.then_some(USER);
        let can_run = user.is_none_or(|user| succeeds(Command::new("id").args(["-u", user])));
        can_run.then_some(Self { programs, user })
    }

    /// Finds PostgreSQL, else installs it if `policy` lets it.
    pub fn find_or_install(policy: InstallPolicy) -> Availability<Self> {
        if let Some(found) = Self::find() {
            return Availability::Ready(found);
        }
        let tried = match policy {
            InstallPolicy::Install => packages::install(&["postgresql"]),
            InstallPolicy::FindOnly => Ok(()),
        };
        match (tried, Self::find()) {
            (_, Some(installed)) => Availability::Ready(installed),
            (Ok(()), None) => skipped("failed to find PostgreSQL"),
            (Err(error), None) => skipped(&error.to_string()),
        }
    }

    /// The user who must own the data, if it is not the current one.
    pub(super) fn user(&self) -> Option<&'static str> {
        self.user
    }

    /// One of the programs, to be started by a guard as the user that runs them.
    pub(super) fn command(&self, program: &str) -> Command {
        let program = self.programs.join(program);
        let Some(user) = self.user else { return guarded(program) };
        // It becomes the program, so that the child is the server.
        let mut command = guarded("setpriv");
        command.args(["--reuid", user, "--regid", user, "--init-groups", "--"]).arg(program);
        command
    }
}

fn is_complete(programs: &Path) -> bool {
    ["initdb", "postgres"].into_iter().all(|name| programs.join(name).is_file())
}

/// `FOLDER/15/bin` and `FOLDER/postgresql@17/bin`.
fn programs_below(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let programs = entries.map(|entry| entry.path().join("bin"));
    programs.filter(|programs| is_complete(programs)).collect()
}

/// The number that ends the name of a version's folder.
fn version_of(programs: &Path) -> Option<u32> {
    let name = programs.parent()?.file_name()?.to_str()?;
    let digits = name.rfind(|c: char| !c.is_ascii_digit()).map_or(0, |at| at + 1);
    name.get(digits..)?.parse().ok()
}

fn skipped(what: &str) -> Availability<PostgresInstallation> {
    Availability::Skipped { reason: format!("{what}: {WHAT_TO_DO}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn absence_says_what_to_do() {
        let reason = skipped("failed to find PostgreSQL").required().unwrap_err().to_string();
        assert!(reason.contains("apt-get install postgresql"), "{reason}");
        assert!(reason.contains("MMATE_TEST_POSTGRES_URL"), "{reason}");
    }

    #[test]
    fn the_version_is_the_number_at_the_end() {
        let version = |path: &str| version_of(Path::new(path));
        assert_eq!(version("/usr/lib/postgresql/15/bin"), Some(15));
        assert_eq!(version("/opt/homebrew/opt/postgresql@9/bin"), Some(9));
        assert_eq!(version("/usr/local/bin"), None);
        assert!(version("/usr/lib/postgresql/9/bin") < version("/usr/lib/postgresql/15/bin"));
    }
}
