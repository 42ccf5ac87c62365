//! Measures Mmate beside what can be had without it, in interleaved rounds.
//!
//! In: the options of [`options`] and the broker of `MMATE_TEST_AMQP_URL`. Out: one table with
//! medians, quartiles, ratios and the bound that each ratio is held against.
//!
//! Every case is a contest: the same messages, the same queue, the same connections, once with a
//! hand-tuned lapin program (`lapin`), once with Mmate's public API (`mmate`). Figures hold only
//! against their neighbours in the same run, so the ratio is taken within each round.

mod alike;
mod asks;
mod broker;
mod callers;
mod cases;
mod channel;
mod figures;
mod lapin;
mod message;
mod meter;
mod mmate;
mod options;
mod question;
mod rounds;
mod statistics;
mod table;

use std::process::ExitCode;
use std::time::{Duration, Instant};

use self::cases::Case;
use self::options::{Group, Mode, Options};
use self::rounds::{Budget, Outcome};
use self::table::Table;

/// Where the broker is; `cargo xtask bench` sets it.
const URL_VARIABLE: &str = "MMATE_TEST_AMQP_URL";

/// Both sides run on a runtime of this many workers.
const WORKERS: usize = 2;

type Error = Box<dyn std::error::Error + Send + Sync>;
type Result<T = ()> = std::result::Result<T, Error>;

fn main() -> ExitCode {
    let options = match Options::from_arguments(std::env::args().skip(1)) {
        Ok(options) => options,
        Err(wrong) => {
            eprintln!("{wrong}\n\n{}", options::USAGE);
            return ExitCode::from(2);
        }
    };
    match run(&options) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("failed to measure: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(options: &Options) -> Result {
    match &options.mode {
        Mode::Help => {
            println!("{}", options::USAGE);
            Ok(())
        }
        Mode::Profile(consumed) => mmate::profile::run(options.messages, *consumed),
        Mode::Measure => on_workers(measure(options.clone())),
    }
}

fn on_workers(work: impl Future<Output = Result> + Send + 'static) -> Result {
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(WORKERS).enable_all().build()?;
    // In a task of its own: the main thread is no worker and would be a third one.
    runtime.block_on(async move { tokio::spawn(work).await })?
}

/// The broker's URL, if there is one.
fn given_url() -> Option<String> {
    std::env::var(URL_VARIABLE).ok()
}

async fn measure(options: Options) -> Result {
    let url = match given_url() {
        Some(url) => Some(url),
        None if options.groups() == [Group::Memory] => None,
        None => return Err(no_broker()),
    };
    print_conditions(&options, url.as_deref()).await?;
    let planned = cases::plan(&options, url.as_deref().unwrap_or_default());
    let mut budget = Budget::new(options.time_max, planned.len());
    let mut table = Table::default();
    let began = Instant::now();
    let mut outcome = Ok(());
    for case in planned {
        eprintln!("{} ..", case.title());
        match run_case(&case, &options, budget.share()).await {
            Ok(measured) => table.add(&measured),
            // What was measured before is worth showing.
            Err(error) => {
                outcome = Err(error);
                break;
            }
        }
    }
    println!("{table}");
    println!("took {} s", began.elapsed().as_secs());
    outcome
}

fn no_broker() -> Error {
    format!("{URL_VARIABLE} names no broker").into()
}

async fn run_case(case: &Case, options: &Options, time: Duration) -> Result<Outcome> {
    let mut contest = case.open().await?;
    if let Some(program) = &options.program {
        contest = contest.alone(program)?;
    }
    contest.run(options, time).await
}

async fn print_conditions(options: &Options, url: Option<&str>) -> Result {
    let broker = match url {
        Some(url) => broker::version(url).await?,
        None => "none".to_owned(),
    };
    let cores = std::thread::available_parallelism()?;
    let profile = if cfg!(debug_assertions) { "debug (figures mean nothing)" } else { "release" };
    let load = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    let load = load.split(' ').next().unwrap_or("unknown");
    println!(
        "conditions: {} rounds of {} messages after one round of warm-up, {} s at most; broker {broker}; {cores} cores, \
         {WORKERS} workers, load {load} at the start; {profile} build",
        options.rounds,
        options.messages,
        options.time_max.as_secs(),
    );
    Ok(())
}
