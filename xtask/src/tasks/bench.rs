//! `cargo xtask bench` and `cargo xtask flows`: programs that measure, in release mode, against private servers.

use std::fs;
use std::time::Duration;

use xtask::servers::InstallPolicy;
use xtask::servers::{AMQP_URL_VARIABLE, Guard, POSTGRES_URL_VARIABLE};

use super::command::{cargo, run as run_command, workspace_root};
use super::{Failure, broker, postgres};

const PACKAGE: &str = "mmate-tests";
/// Benchmarks are run by people, who may want many rounds.
const BENCH_TIMEOUT: Duration = Duration::from_secs(6 * 60 * 60);

/// Runs the benchmarks; the arguments are the program's own.
pub(crate) fn run(arguments: &[String]) -> Result<(), Failure> {
    measure("bench", arguments, false)
}

/// Measures workflows, which need a database too; the arguments are the program's own.
pub(crate) fn flows(arguments: &[String]) -> Result<(), Failure> {
    measure("flows", arguments, true)
}

fn measure(program: &str, arguments: &[String], with_database: bool) -> Result<(), Failure> {
    let manifest = fs::read_to_string(workspace_root().join("tests/Cargo.toml"))?;
    if !has_program(&manifest, program) {
        let message = format!("{PACKAGE} has no program `{program}` yet: nothing to run");
        return Err(Failure::task(&message));
    }
    let guard = Guard::new(None)?;
    let broker = broker::given_or_start(InstallPolicy::Install)?;
    let database = match with_database {
        true => Some(postgres::given_or_start(InstallPolicy::Install)?),
        false => None,
    };
    let mut command = cargo(&["run", "--release", "--all-features"]);
    command.args(["--package", PACKAGE, "--bin", program, "--"]).args(arguments);
    if let Some(database) = &database {
        command.env(POSTGRES_URL_VARIABLE, database.url());
    }
    let finished =
        run_command(&guard, command.env(AMQP_URL_VARIABLE, broker.url()), BENCH_TIMEOUT)?;
    drop((broker, database));
    match finished.failure {
        None => Ok(()),
        Some(_) if crate::interrupt::is_requested() => Err(Failure::reported()),
        Some(why) => Err(Failure::task(&format!("`{program}` failed: {why}"))),
    }
}

/// Whether a manifest has a `[[bin]]` section with the program's name.
fn has_program(manifest: &str, program: &str) -> bool {
    let name = format!("\"{program}\"");
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
        assert!(has_program(
            "[package]\n\n[[bin]]\nname = \"bench\"\npath = \"bench/main.rs\"\n",
            "bench"
        ));
        assert!(!has_program("[package]\n\n[[bench]]\nname = \"bench\"\n", "bench"));
        assert!(!has_program("[package]\n\n[[bin]]\nname = \"other\"\n", "bench"));
    }
}
