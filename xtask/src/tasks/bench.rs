//! `cargo xtask bench`: the benchmarks, in release mode, against a private node.

use std::fs;
use std::time::Duration;

use xtask::servers::InstallPolicy;
use xtask::servers::{AMQP_URL_VARIABLE, Guard};

use super::command::{cargo, run as run_command, workspace_root};
use super::{Failure, broker};

const PACKAGE: &str = "mmate-tests";
const PROGRAM: &str = "bench";
/// Benchmarks are run by people, who may want many rounds.
const BENCH_TIMEOUT: Duration = Duration::from_secs(6 * 60 * 60);

/// Runs the task; the arguments are the benchmark program's own.
pub(crate) fn run(arguments: &[String]) -> Result<(), Failure> {
    let manifest = fs::read_to_string(workspace_root().join("tests/Cargo.toml"))?;
    if !has_program(&manifest) {
        let message = format!("{PACKAGE} has no program `{PROGRAM}` yet: nothing to run");
        return Err(Failure::task(&message));
    }
    let guard = Guard::new(None)?;
    let broker = broker::given_or_start(InstallPolicy::Install)?;
    let mut command = cargo(&["run", "--release", "--all-features"]);
    command.args(["--package", PACKAGE, "--bin", PROGRAM, "--"]).args(arguments);
    let finished =
        run_command(&guard, command.env(AMQP_URL_VARIABLE, broker.url()), BENCH_TIMEOUT)?;
    drop(broker);
    match finished.failure {
        None => Ok(()),
        Some(_) if crate::interrupt::is_requested() => Err(Failure::reported()),
        Some(why) => Err(Failure::task(&format!("the benchmarks failed: {why}"))),
    }
}

/// Whether a manifest has a `[[bin]]` section with the program's name.
fn has_program(manifest: &str) -> bool {
    let name = format!("\"{PROGRAM}\"");
    manifest.split("\n[").filter(|section| section.starts_with("[bin]]")).any(|section| {
        let settings = section.lines().filter_map(|line| line.split_once('='));
        settings.map(|(key, value)| (key.trim(), value.trim())).any(|pair| pair == ("name", &*name))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_program_of_that_name_counts() {
        assert!(has_program("[package]\n\n[[bin]]\nname = \"bench\"\npath = \"bench/main.rs\"\n"));
        assert!(!has_program("[package]\n\n[[bench]]\nname = \"bench\"\n"));
        assert!(!has_program("[package]\n\n[[bin]]\nname = \"other\"\n"));
    }
}
