//! Runs one command: its output is shown as it comes, its test results are counted, its time is
//! bounded, and it is killed when the task is interrupted.

use std::ffi::OsStr;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver};
use std::time::Duration;
use std::{env, thread};

use xtask::servers::Guard;
use xtask::servers::process::{guarded, wait_until};

use super::results::Counts;
use crate::interrupt;

/// Well below what CI allows the whole to take.
pub(crate) const COMMAND_TIMEOUT: Duration = Duration::from_secs(45 * 60);
/// A process that the command left behind may keep its output open.
const LAST_OUTPUT_TIMEOUT: Duration = Duration::from_secs(10);

/// What a command came to.
#[derive(Debug)]
pub(crate) struct Finished {
    /// Why the command failed, if it did.
    pub(crate) failure: Option<String>,
    pub(crate) counts: Counts,
}

/// The root folder of the workspace.
pub(crate) fn workspace_root() -> PathBuf {
    let package = Path::new(env!("CARGO_MANIFEST_DIR"));
    package.parent().unwrap_or(package).to_path_buf()
}

/// The cargo that runs this task, in the root of the workspace.
pub(crate) fn cargo<S: AsRef<OsStr>>(arguments: &[S]) -> Command {
    let mut command = program(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.args(arguments);
    command
}

/// A program in the root of the workspace, with the environment that cargo was started in.
pub(crate) fn program(path: impl AsRef<OsStr>) -> Command {
    let mut command = guarded(path);
    command.current_dir(workspace_root());
    // `cargo run` describes this package to this process. Some build scripts look at that and
    // would run again whenever cargo is called with and without this task in turn.
    for (name, _) in env::vars_os() {
        if name.to_str().is_some_and(describes_a_package) {
            command.env_remove(name);
        }
    }
    command
}

fn describes_a_package(variable: &str) -> bool {
    ["CARGO_PKG_", "CARGO_MANIFEST_"].iter().any(|prefix| variable.starts_with(prefix))
}

/// Runs a command to its end, to its time limit, or to the interruption of the task.
pub(crate) fn run(
    guard: &Arc<Guard>,
    command: &mut Command,
    timeout: Duration,
) -> io::Result<Finished> {
    let mut child = guard.spawn(command.stdout(Stdio::piped()))?;
    let results = child.take_stdout().map(show_and_count);
    let end = wait_until(timeout, || {
        if interrupt::is_requested() {
            return Ok(Some(End::Interrupted));
        }
        Ok(child.try_wait()?.map(End::Exited))
    })?;
    child.kill()?;
    let counts = results.and_then(|results| results.recv_timeout(LAST_OUTPUT_TIMEOUT).ok());
    let failure = match end {
        Some(End::Exited(status)) if status.success() => None,
        Some(End::Exited(status)) => Some(status.to_string()),
        Some(End::Interrupted) => Some("interrupted".to_owned()),
        None => Some(format!("killed after {} minutes", timeout.as_secs() / 60)),
    };
    Ok(Finished { failure, counts: counts.unwrap_or_default() })
}

enum End {
    Exited(ExitStatus),
    Interrupted,
}

/// Shows output as it comes; the counts of all result lines come when it ends.
fn show_and_count(output: impl Read + Send + 'static) -> Receiver<Counts> {
    let (sender, receiver) = mpsc::channel();
    thread::spawn(move || {
        let _ = sender.send(copy_and_count(BufReader::new(output), &mut io::stdout()));
    });
    receiver
}

fn copy_and_count(mut from: impl BufRead, to: &mut impl Write) -> Counts {
    let mut counts = Counts::default();
    let mut line = Vec::new();
    while from.read_until(b'\n', &mut line).is_ok_and(|length| length > 0) {
        if let Some(more) = Counts::of_line(&String::from_utf8_lossy(&line)) {
            counts += more;
        }
        // Nobody may be reading any more; the command must be able to go on nevertheless.
        let _ = to.write_all(&line).and_then(|()| to.flush());
        line.clear();
    }
    counts
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run_shell(script: &str, timeout: Duration) -> Finished {
        let guard = Guard::new(None).unwrap();
        run(&guard, program("sh").args(["-c", script]), timeout).unwrap()
    }

    #[test]
    fn all_output_is_shown_and_its_result_lines_are_counted() {
        // Kept from the real output, where an outer run would count it.
        let output = b"test a ... ok\n\
            test result: FAILED. 2 passed; 1 failed; 4 ignored; 0 measured\n\xff\n\
            test result: ok. 3 passed; 0 failed; 0 ignored; 0 measured";
        let mut shown = Vec::new();
        let counts = copy_and_count(&output[..], &mut shown);
        assert_eq!(counts, Counts { passed: 5, failed: 1, skipped: 4 });
        assert_eq!(shown, output);
    }

    #[test]
    fn an_exit_code_is_reported() {
        let finished = run_shell("exit 3", COMMAND_TIMEOUT);
        assert_eq!(finished.failure.unwrap(), "exit status: 3");
    }

    #[test]
    fn a_command_that_takes_too_long_is_killed_and_reported() {
        let finished = run_shell("sleep 600", Duration::from_millis(100));
        assert_eq!(finished.failure.unwrap(), "killed after 0 minutes");
    }

    #[test]
    fn a_command_that_is_missing_is_a_failure() {
        let guard = Guard::new(None).unwrap();
        let missing = run(&guard, &mut program("mmate-no-such-program"), COMMAND_TIMEOUT);
        assert!(missing.unwrap().failure.is_some());
    }
}
