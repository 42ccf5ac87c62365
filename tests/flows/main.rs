//! What a workflow costs: its steps beside hand-written ones, and very many instances at once.
//!
//! In: the broker of `MMATE_TEST_AMQP_URL` and the database of `MMATE_TEST_POSTGRES_URL`; `cargo xtask flows` starts both.
//! Out: lines with figures.
//!
//! `hops [--rounds N] [--instances N]` compares, in interleaved rounds, three stages of a workflow with three hand-written
//! hops (consume, publish with confirm, acknowledge) that carry the same bytes: once with the state in the messages alone,
//! once with PostgreSQL, where the hand-written hop makes one update of a row. `many [--instances N]` starts very many
//! instances of a workflow of three stages and waits for all of them.

mod by_hand;
mod hops;
mod many;
mod workflow;

use std::process::ExitCode;

type Error = Box<dyn std::error::Error + Send + Sync>;
type Result<T = ()> = std::result::Result<T, Error>;

/// Both sides run on a runtime of this many workers.
const WORKERS: usize = 2;

const USAGE: &str = "flows hops [--rounds N] [--instances N] | flows many [--instances N]";

/// Where the servers are.
#[derive(Clone, Debug)]
struct Servers {
    amqp: String,
    postgres: String,
}

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match run(&arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("failed to measure: {error}\n{USAGE}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &[String]) -> Result {
    let variable = |name: &str| std::env::var(name).map_err(|_| format!("{name} is not set"));
    let servers = Servers {
        amqp: variable("MMATE_TEST_AMQP_URL")?,
        postgres: variable("MMATE_TEST_POSTGRES_URL")?,
    };
    let number = |name: &str, default: u32| -> Result<u32> {
        let place = arguments.iter().position(|argument| argument == name);
        let Some(place) = place else { return Ok(default) };
        let text = arguments.get(place + 1).ok_or_else(|| format!("`{name}` needs a number"))?;
        Ok(text.parse()?)
    };
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(WORKERS).enable_all().build()?;
    let load = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    println!(
        "{WORKERS} workers, load {} at the start",
        load.split(' ').next().unwrap_or("unknown")
    );
    match arguments.first().map(String::as_str) {
        Some("hops") => {
            let (rounds, instances) = (number("--rounds", 5)?, number("--instances", 2_000)?);
            let measuring = hops::run(servers, rounds, instances);
            runtime.block_on(async { tokio::spawn(measuring).await })?
        }
        Some("many") => {
            let measuring = many::run(servers, number("--instances", 100_000)?);
            runtime.block_on(async { tokio::spawn(measuring).await })?
        }
        _ => Err("say `hops` or `many`".into()),
    }
}
