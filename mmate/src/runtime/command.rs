//! The command line that every service has: `run check routes topology schemas config ledger dlq workflows`.

mod dead_letters;
mod workflows;

use std::future::Future;
use std::io::IsTerminal;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::OnceLock;

use clap::{Arg, ArgAction, ArgMatches};

use super::app::{App, Running};
use super::builder::AppBuilder;
use super::listing;
use super::service::ServiceInfo;
use crate::contract::export::write_schemas;
use crate::contract::registered_messages;
use crate::error::{Error, Result};

/// What the process was asked to do.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Command {
    Run { wait: bool },
    Check,
    Routes,
    Topology,
    Schemas { out: PathBuf },
    Ledger { dir: Option<PathBuf>, json: bool },
    Config,
    DeadLetters(dead_letters::Request),
    Workflows(workflows::Request),
}

static COMMAND: OnceLock<Command> = OnceLock::new();
static FLAGS: OnceLock<Vec<&'static str>> = OnceLock::new();

/// The program's own flags that stand on its command line.
pub(super) fn given_flags() -> &'static [&'static str] {
    FLAGS.get().map_or(&[], Vec::as_slice)
}

/// Boots everything that is linked into the program, and runs until a signal asks to stop.
///
/// Under `#[mmate::main]` it does what the command line says instead, such as `check` or `routes`.
///
/// # Errors
/// Everything that is wrong, as one list, before any message is taken.
pub async fn run() -> Result {
    App::builder().registered().run().await
}

/// What `#[mmate::main]` calls: command line, logs, runtime, the user's body, the exit code.
pub(crate) fn main<F>(service: ServiceInfo, body: impl FnOnce() -> F) -> ExitCode
where
    F: Future,
    F::Output: MainResult,
{
    service.make_current();
    let read = |matches: ArgMatches| {
        let _ = FLAGS.set(flags_in(&matches, service));
        from_matches(&matches)
    };
    let command = match parser(service).try_get_matches().and_then(read) {
        Ok(command) => command,
        Err(error) => {
            let _ = error.print();
            return ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(2));
        }
    };
    let _ = COMMAND.set(command);
    install_logs(service.log);
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    if let Some(threads) = service.worker_threads {
        builder.worker_threads(threads.max(1));
    }
    match builder.enable_all().build() {
        Ok(runtime) => runtime.block_on(body()).into_exit_code(),
        Err(error) => {
            eprintln!("error: the runtime could not be started: {error}");
            ExitCode::FAILURE
        }
    }
}

/// What `async fn main` may return.
#[diagnostic::on_unimplemented(
    message = "`main` cannot return `{Self}`",
    label = "not a result of a program",
    note = "return nothing, `mmate::Result`, an `ExitCode`, or a `Result` of these with any error type"
)]
pub trait MainResult {
    /// The exit code; an error is printed.
    fn into_exit_code(self) -> ExitCode;
}

#[diagnostic::do_not_recommend]
impl MainResult for () {
    fn into_exit_code(self) -> ExitCode {
        ExitCode::SUCCESS
    }
}

#[diagnostic::do_not_recommend]
impl MainResult for ExitCode {
    fn into_exit_code(self) -> ExitCode {
        self
    }
}

#[diagnostic::do_not_recommend]
impl<T: MainResult, E: Into<Box<dyn std::error::Error + Send + Sync>>> MainResult
    for std::result::Result<T, E>
{
    fn into_exit_code(self) -> ExitCode {
        match self {
            Ok(value) => value.into_exit_code(),
            Err(error) => {
                eprintln!(
                    "error: {}",
                    crate::handler::HandlerError::from_boxed(error.into()).chain()
                );
                ExitCode::FAILURE
            }
        }
    }
}

/// Logs to standard error, by `MMATE_LOG` like `info` or `warn,mmate=debug`, unless the program has
/// installed a subscriber of its own.
fn install_logs(default: &str) {
    use tracing_subscriber::filter::Targets;
    use tracing_subscriber::layer::SubscriberExt;
    use tracing_subscriber::util::SubscriberInitExt;

    let wanted = std::env::var("MMATE_LOG").unwrap_or_else(|_| default.to_owned());
    let filter: Targets = wanted.parse().unwrap_or_else(|_| {
        eprintln!("warning: MMATE_LOG is not like `info` or `warn,mmate=debug`; using `info`");
        Targets::new().with_default(tracing::Level::INFO)
    });
    // The AMQP library prints whole messages that come back, payload and all; the adapter says what
    // matters in its own words. Who names it in MMATE_LOG gets it.
    #[cfg(feature = "amqp")]
    let filter = match crate::transport::amqp::LIBRARY_LOG {
        named if wanted.contains(named) => filter,
        library => filter.with_target(library, None),
    };
    let colours = std::io::stderr().is_terminal();
    let lines = tracing_subscriber::fmt::layer().with_writer(std::io::stderr).with_ansi(colours);
    let _ = tracing_subscriber::registry().with(lines).with(filter).try_init();
}

fn parser(service: ServiceInfo) -> clap::Command {
    let wait = Arg::new("wait")
        .long("wait")
        .action(ArgAction::SetTrue)
        .help("Keep trying while the broker cannot be reached");
    let out = Arg::new("out")
        .long("out")
        .value_name("DIR")
        .required(true)
        .help("The folder for the schema files");
    let own = || {
        let of = |&(name, help): &(&'static str, &'static str)| {
            Arg::new(name).long(name).action(ArgAction::SetTrue).help(help)
        };
        service.flags.iter().map(of)
    };
    clap::Command::new(service.name)
        .version(service.version)
        .about("A Mmate service; without a command it runs")
        .arg(wait.clone())
        .args(own())
        .subcommand(
            clap::Command::new("run")
                .about("Run until a signal asks to stop (the default)")
                .arg(wait)
                .args(own()),
        )
        .subcommand(clap::Command::new("check").about("Make all boot checks and take no message"))
        .subcommand(clap::Command::new("routes").about("List handlers, queues and options"))
        .subcommand(
            clap::Command::new("topology").about("List what would be declared on the broker"),
        )
        .subcommand(
            clap::Command::new("schemas").about("Write the JSON schema of every message").arg(out),
        )
        .subcommand(super::ledger::command())
        .subcommand(clap::Command::new("config").about("Show each value and where it came from"))
        .subcommand(dead_letters::parser())
        .subcommand(workflows::parser())
}

/// The program's own flags that were given, before or after the word `run`.
fn flags_in(matches: &ArgMatches, service: ServiceInfo) -> Vec<&'static str> {
    let run = matches.subcommand_matches("run");
    let given = |name: &str| matches.get_flag(name) || run.is_some_and(|run| run.get_flag(name));
    service.flags.iter().map(|(name, _)| *name).filter(|name| given(name)).collect()
}

fn from_matches(matches: &ArgMatches) -> Result<Command, clap::Error> {
    Ok(match matches.subcommand() {
        Some(("check", _)) => Command::Check,
        Some(("routes", _)) => Command::Routes,
        Some(("topology", _)) => Command::Topology,
        Some(("config", _)) => Command::Config,
        Some(("dlq", wanted)) => Command::DeadLetters(dead_letters::request(wanted)?),
        Some(("workflows", wanted)) => Command::Workflows(workflows::request(wanted)),
        Some(("ledger", ledger)) => Command::Ledger {
            dir: ledger.get_one::<String>("dir").map(PathBuf::from),
            json: ledger.get_flag("json"),
        },
        Some(("schemas", schemas)) => Command::Schemas {
            out: schemas.get_one::<String>("out").map(PathBuf::from).unwrap_or_default(),
        },
        Some((_, run)) => Command::Run { wait: run.get_flag("wait") || matches.get_flag("wait") },
        None => Command::Run { wait: matches.get_flag("wait") },
    })
}

/// Does what the command line says with an app; gives it if it is to run.
pub(super) async fn execute(builder: AppBuilder) -> Result<Option<Running>> {
    let command = COMMAND.get().cloned().unwrap_or(Command::Run { wait: false });
    if let Command::Schemas { out } = &command {
        // Schemas need no handler and no valid configuration.
        let written = write_schemas(out, &registered_messages()).map_err(|error| {
            Error::Command(format!("the schemas were not written to `{}`: {error}", out.display()))
        })?;
        println!("{}: {written}", out.display());
        return Ok(None);
    }
    if let Command::Ledger { dir: Some(dir), json } = &command {
        // A folder that is named needs no handler and no valid configuration either.
        print!("{}", super::ledger::show(dir, *json)?);
        return Ok(None);
    }
    let app = builder.build()?;
    match command {
        Command::Run { wait } => return start(app, wait).await.map(Some),
        Command::Check => check(app).await?,
        Command::Routes => {
            print!("{}{}", listing::routes(app.plan()), listing::workflows(app.graphs()));
        }
        Command::Ledger { json, .. } => {
            print!("{}", super::ledger::show_configured(app.settings(), json)?);
        }
        Command::Topology => print!("{}", listing::topology(&app.plan().topology)),
        Command::DeadLetters(request) => dead_letters::execute(&app, request).await?,
        Command::Workflows(request) => workflows::execute(&app, request).await?,
        Command::Config | Command::Schemas { .. } => print!("{}", listing::config(app.config())),
    }
    Ok(None)
}

async fn check(app: App) -> Result {
    let handlers = app.plan().handlers().len();
    let notes: String = app.graphs().iter().map(listing::uncovered).collect();
    app.check().await?;
    println!("everything is in order: {handlers} handlers");
    print!("{notes}");
    Ok(())
}

async fn start(mut app: App, wait: bool) -> Result<Running> {
    if wait {
        app.keep_waiting();
    }
    let (service, version) = (app.settings().service.clone(), app.settings().version.clone());
    let (handlers, queues) = (app.plan().handlers().len(), app.plan().queues.len());
    let running = app.start().await?;
    let transport = running.transport().name();
    tracing::info!(%service, %version, transport, handlers, queues, "consuming");
    Ok(running)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(arguments: &[&str]) -> Command {
        let service = ServiceInfo::new("orders", "1.0.0");
        let all = std::iter::once("orders").chain(arguments.iter().copied());
        from_matches(&parser(service).try_get_matches_from(all).unwrap()).unwrap()
    }

    #[test]
    fn without_a_command_the_service_runs() {
        assert_eq!(parse(&[]), Command::Run { wait: false });
        assert_eq!(parse(&["--wait"]), Command::Run { wait: true });
        assert_eq!(parse(&["run", "--wait"]), Command::Run { wait: true });
        assert_eq!(parse(&["schemas", "--out", "x"]), Command::Schemas { out: "x".into() });
        assert_eq!(parse(&["check"]), Command::Check);
    }

    #[test]
    fn flags_of_the_program_stand_before_or_after_run_and_nowhere_else() {
        let service = ServiceInfo::new("shop", "1.0.0").flags(&[("dry-run", "Change nothing")]);
        let given = |arguments: &[&str]| {
            let all = std::iter::once("shop").chain(arguments.iter().copied());
            let matches = parser(service).try_get_matches_from(all).ok()?;
            Some(flags_in(&matches, service))
        };
        assert_eq!(given(&[]), Some(vec![]));
        assert_eq!(given(&["--dry-run"]), Some(vec!["dry-run"]));
        assert_eq!(given(&["run", "--dry-run"]), Some(vec!["dry-run"]));
        assert_eq!(given(&["run", "--dry"]), None);
        assert_eq!(given(&["check", "--dry-run"]), None);
    }
}
