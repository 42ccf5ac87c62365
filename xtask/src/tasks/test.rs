//! `cargo xtask test`: everything that CI checks, in order.

use std::path::PathBuf;
use std::process::Command;
use std::sync::Arc;
use std::{env, io};

use xtask::servers::InstallPolicy;
use xtask::servers::{
    AMQP_URL_VARIABLE, ForeignClient, Guard, POSTGRES_URL_VARIABLE, TestBroker, TestPostgres,
};

use super::command::{self, COMMAND_TIMEOUT, Finished, cargo, workspace_root};
use super::results::Counts;
use super::steps::{Step, Verdict, run_all, summarize};
use super::{Failure, broker, postgres, soak};

/// Every call of cargo selects the same packages and features; otherwise features of shared
/// dependencies would add up differently, and each call would build them anew.
const SELECTION: [&str; 2] = ["--workspace", "--all-features"];
/// What a build script takes, a service without a broker, without macros, an HTTP edge alone, with tests, and with
/// a database of either kind.
const FEATURE_SETS: [&str; 8] =
    ["macros", "runtime", "runtime,validation", "amqp", "http", "testing", "sqlite", "postgres"];
/// All but benchmarks.
const TEST_TARGETS: [&str; 2] = ["--tests", "--examples"];
const EXAMPLE: &str = "ecommerce";

const STEPS: [Step<Run>; 11] = [
    Step { name: "format", title: "cargo fmt", needs: &[], action: format },
    Step { name: "lint", title: "cargo clippy", needs: &[], action: lint },
    Step {
        name: "features",
        title: "the library with fewer features",
        needs: &[],
        action: features,
    },
    Step { name: "build", title: "compile all tests", needs: &[], action: build },
    Step { name: "broker", title: "start RabbitMQ", needs: &[], action: start_broker },
    Step { name: "postgres", title: "start PostgreSQL", needs: &[], action: start_postgres },
    Step {
        name: "test",
        title: "unit, integration, ui and example tests",
        needs: &["build", "broker", "postgres"],
        action: test,
    },
    Step {
        name: "faults",
        title: "broker, network and service are hurt under load",
        needs: &["build"],
        action: faults,
    },
    Step {
        name: "doctest",
        title: "examples in documentation",
        needs: &["build"],
        action: doctest,
    },
    Step { name: "doc", title: "documentation without warnings", needs: &[], action: doc },
    Step {
        name: "example",
        title: "run the ecommerce example",
        needs: &["build", "broker"],
        action: example,
    },
];

/// What the steps of one run share.
#[derive(Debug)]
struct Run {
    guard: Arc<Guard>,
    policy: InstallPolicy,
    broker: Option<TestBroker>,
    postgres: Option<TestPostgres>,
}

#[derive(Debug, PartialEq, Eq)]
struct Options {
    only: Option<String>,
    policy: InstallPolicy,
}

/// Runs the task.
pub(crate) fn run(arguments: &[String]) -> Result<(), Failure> {
    let options = parse(arguments).map_err(|why| Failure::usage(&why))?;
    let steps = select(options.only.as_deref());
    let (guard, policy) = (Guard::new(None)?, options.policy);
    let mut run = Run { guard, policy, broker: None, postgres: None };
    let records = run_all(&steps, &mut run);
    // Stopped before the summary, whose last line must be the last line.
    drop(run);
    if summarize(&records) && !crate::interrupt::is_requested() {
        Ok(())
    } else {
        Err(Failure::reported())
    }
}

fn parse(arguments: &[String]) -> Result<Options, String> {
    let mut options = Options { only: None, policy: InstallPolicy::Install };
    let mut arguments = arguments.iter();
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "--no-broker-install" => options.policy = InstallPolicy::FindOnly,
            "--only" => {
                let name = arguments.next().filter(|name| STEPS.iter().any(|s| s.name == **name));
                let names = STEPS.map(|step| step.name).join(", ");
                options.only =
                    Some(name.ok_or(format!("--only takes one of these: {names}"))?.clone());
            }
            other => return Err(format!("unknown option `{other}`; try `cargo xtask help`")),
        }
    }
    Ok(options)
}

/// All steps, or one step after what it needs.
fn select(only: Option<&str>) -> Vec<&'static Step<Run>> {
    const ALL: &[Step<Run>] = &STEPS;
    let wanted = ALL.iter().find(|step| Some(step.name) == only);
    ALL.iter()
        .filter(|step| {
            wanted
                .is_none_or(|wanted| wanted.name == step.name || wanted.needs.contains(&step.name))
        })
        .collect()
}

impl Run {
    fn command(&self, command: &mut Command) -> (Verdict, Counts) {
        if let Some(broker) = &self.broker {
            command.env(AMQP_URL_VARIABLE, broker.url());
        }
        if let Some(postgres) = &self.postgres {
            command.env(POSTGRES_URL_VARIABLE, postgres.url());
        }
        verdict(command::run(&self.guard, command, COMMAND_TIMEOUT))
    }
}

fn verdict(outcome: io::Result<Finished>) -> (Verdict, Counts) {
    match outcome {
        Ok(Finished { failure: None, counts }) => (Verdict::Passed, counts),
        Ok(Finished { failure: Some(why), counts }) => (Verdict::Failed(why), counts),
        Err(error) => (Verdict::Failed(error.to_string()), Counts::default()),
    }
}

fn format(run: &mut Run) -> (Verdict, Counts) {
    run.command(&mut cargo(&["fmt", "--all", "--check"]))
}

fn lint(run: &mut Run) -> (Verdict, Counts) {
    let mut command = cargo(&["clippy", "--all-targets"]);
    run.command(command.args(SELECTION).args(["--", "-D", "warnings"]))
}

/// Features only add; each of these sets must compile without a warning.
fn features(run: &mut Run) -> (Verdict, Counts) {
    for features in FEATURE_SETS {
        let mut command = cargo(&["clippy", "--package", "mmate", "--no-default-features"]);
        let outcome = run.command(command.args(["--features", features, "--", "-D", "warnings"]));
        if outcome.0 != Verdict::Passed {
            return outcome;
        }
    }
    (Verdict::Passed, Counts::default())
}

/// Apart from `test`, so that its outcome tells whether the rest makes sense, and its duration
/// how long compiling took.
fn build(run: &mut Run) -> (Verdict, Counts) {
    let tests = run.command(cargo(&["test", "--no-run"]).args(SELECTION).args(TEST_TARGETS));
    if tests.0 != Verdict::Passed {
        return tests;
    }
    // An example with tests of its own is built above as a test only, and tests run the program.
    run.command(cargo(&["build", "--examples"]).args(SELECTION))
}

fn start_broker(run: &mut Run) -> (Verdict, Counts) {
    let verdict = match broker::given_or_start(run.policy) {
        Ok(broker) => {
            run.broker = Some(broker);
            Verdict::Passed
        }
        Err(error) => {
            eprintln!("{error}");
            Verdict::Failed("RabbitMQ is not available, see above".to_owned())
        }
    };
    (verdict, Counts::default())
}

fn start_postgres(run: &mut Run) -> (Verdict, Counts) {
    let verdict = match postgres::given_or_start(run.policy) {
        Ok(postgres) => {
            run.postgres = Some(postgres);
            Verdict::Passed
        }
        Err(error) => {
            eprintln!("{error}");
            Verdict::Failed("PostgreSQL is not available, see above".to_owned())
        }
    };
    (verdict, Counts::default())
}

fn test(run: &mut Run) -> (Verdict, Counts) {
    get_foreign_clients(run.policy);
    let mut command = cargo(&["test", "--no-fail-fast"]);
    run.command(command.args(SELECTION).args(TEST_TARGETS).env("MMATE_TEST_EXAMPLES_BUILT", "1"))
}

/// Before the tests, which do not change the machine. What cannot be had is said here and by each test that
/// needs it, which fails; the others are worth running.
fn get_foreign_clients(policy: InstallPolicy) {
    for client in [ForeignClient::python(policy), ForeignClient::node(policy)] {
        if let Some(reason) = client.skip_reason() {
            eprintln!("{reason}");
        }
    }
}

/// With brokers of its own, which it may kill.
fn faults(run: &mut Run) -> (Verdict, Counts) {
    soak::check(run.policy)
}

fn doctest(run: &mut Run) -> (Verdict, Counts) {
    run.command(cargo(&["test", "--no-fail-fast", "--doc"]).args(SELECTION))
}

fn doc(run: &mut Run) -> (Verdict, Counts) {
    run.command(cargo(&["doc", "--no-deps"]).args(SELECTION).env("RUSTDOCFLAGS", "-D warnings"))
}

fn example(run: &mut Run) -> (Verdict, Counts) {
    let source = workspace_root().join("examples").join(EXAMPLE).join("main.rs");
    if !source.is_file() {
        let reason = format!("there is no examples/{EXAMPLE}/main.rs");
        return (Verdict::Skipped(reason), Counts::default());
    }
    // `cargo run` selects one package, so features would add up differently.
    let built = run.command(cargo(&["build", "--examples"]).args(SELECTION));
    if built.0 != Verdict::Passed {
        return built;
    }
    match example_program() {
        Ok(path) => run.command(&mut command::program(path)),
        Err(error) => (Verdict::Failed(error.to_string()), Counts::default()),
    }
}

/// The built example, in `target/debug`; this program is in a folder beside it.
fn example_program() -> io::Result<PathBuf> {
    let this = env::current_exe()?;
    let target = this.parent().and_then(|profile| profile.parent());
    let path = target.map(|target| target.join("debug/examples").join(EXAMPLE));
    path.filter(|path| path.is_file())
        .ok_or_else(|| io::Error::other("failed to find the built example: run `cargo xtask`"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(arguments: &[&str]) -> Result<Options, String> {
        parse(&arguments.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>())
    }

    fn names(only: Option<&str>) -> Vec<&'static str> {
        select(only).iter().map(|step| step.name).collect()
    }

    #[test]
    fn options_are_parsed() {
        assert_eq!(parsed(&[]), Ok(Options { only: None, policy: InstallPolicy::Install }));
        let both = Options { only: Some("doc".to_owned()), policy: InstallPolicy::FindOnly };
        assert_eq!(parsed(&["--only", "doc", "--no-broker-install"]), Ok(both));
        assert!(parsed(&["--only"]).unwrap_err().contains("format, lint"));
        assert!(parsed(&["--only", "nonsense"]).is_err());
        assert!(parsed(&["--fast"]).unwrap_err().contains("--fast"));
    }

    #[test]
    fn one_step_brings_what_it_needs() {
        assert_eq!(names(Some("doc")), ["doc"]);
        assert_eq!(names(Some("test")), ["build", "broker", "postgres", "test"]);
        assert_eq!(names(None).len(), STEPS.len());
    }
}
