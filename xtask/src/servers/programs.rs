//! The programs of this machine: where they are, and what they say.

use std::env;
use std::path::PathBuf;
use std::process::{Command, Stdio};

/// Where a program is looked for first.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Prefer {
    Listed,
    Path,
}

/// A program in one of the listed folders or on the PATH.
pub(crate) fn find_program(name: &str, listed: &[&str], prefer: Prefer) -> Option<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    let listed = listed.iter().map(PathBuf::from);
    let on_path = env::split_paths(&path);
    let folders: Vec<PathBuf> = match prefer {
        Prefer::Listed => listed.chain(on_path).collect(),
        Prefer::Path => on_path.chain(listed).collect(),
    };
    folders.into_iter().map(|folder| folder.join(name)).find(|file| file.is_file())
}

/// The trimmed output of a command that succeeded.
pub(crate) fn output_of(program: &str, arguments: &[&str]) -> Option<String> {
    let output = Command::new(program).args(arguments).stdin(Stdio::null()).output().ok()?;
    let text = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    output.status.success().then_some(text)
}

/// Whether a command can be started and succeeds; what it says is thrown away.
pub(crate) fn succeeds(command: &mut Command) -> bool {
    let quiet = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    quiet.status().is_ok_and(|status| status.success())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_that_is_nowhere_is_not_found() {
        assert_eq!(find_program("mmate-no-such-program", &["/"], Prefer::Path), None);
        assert!(find_program("sh", &["/bin"], Prefer::Listed).is_some());
    }

    #[test]
    fn a_program_that_cannot_be_started_does_not_succeed() {
        assert!(!succeeds(&mut Command::new("mmate-no-such-program")));
        assert!(succeeds(Command::new("sh").args(["-c", "exit 0"])));
        assert!(!succeeds(Command::new("sh").args(["-c", "exit 1"])));
    }
}
