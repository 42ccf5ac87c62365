//! `cargo xtask <task>`: what developers and CI run.

mod interrupt;
mod tasks;

use std::env;
use std::process::ExitCode;

use tasks::{Failure, bench, broker, build_cost, postgres, soak, test};

const USAGE: &str = "\
Usage: cargo xtask <task> [options]

Tasks:
  test [--only STEP] [--no-broker-install]
                        everything that CI checks, against a private RabbitMQ node and PostgreSQL server;
                        STEP is one of: format lint features build broker postgres test faults doctest doc
                        example
  bench [ARGUMENT..]    the benchmarks, in release mode, against a private RabbitMQ node
  flows hops|many [ARGUMENT..]
                        what workflows cost, in release mode, against private servers
  build-cost [--handlers N]..
                        build time and binary size of a generated service, by number of handlers
  soak [--minutes N] [--rate N] [--queue-type quorum|classic] [--fault NAME].. [--once] [--seed N]
       [--publishers N] [--load SECONDS] [--freeze SECONDS] [--cluster] [--defects] [--rabbitmq FOLDER]
                        a service under load while broker, network and service are hurt, each
                        message followed to its end: N minutes, at least one turn of all faults;
                        --load is how long each round goes on after the recovery;
                        --cluster hurts the nodes of a cluster of three;
                        --defects plants defects instead, each of which must be found;
                        --rabbitmq takes rabbitmq-server, rabbitmqctl and epmd from that folder
  broker [--management] starts a RabbitMQ node, prints its URL, stops it on Ctrl-C
  postgres              starts a PostgreSQL server, prints its URL, stops it on Ctrl-C
  help                  this text

RabbitMQ is used when it is on this machine, else `test`, `bench` and `broker` install it with
apt-get (as root or with passwordless sudo; not with --no-broker-install). So do `test` and
`postgres` with PostgreSQL, `test` and `soak` with Python and pika, and `test` with Node, whose
amqplib npm puts into the target folder. With the environment variable MMATE_TEST_AMQP_URL set,
`test` and `bench` use that broker and start none; likewise `test` with MMATE_TEST_POSTGRES_URL.";

fn main() -> ExitCode {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let (task, rest) = match arguments.split_first() {
        Some((task, rest)) => (task.as_str(), rest),
        None => ("help", &[][..]),
    };
    match run(task, rest) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            if let Some(message) = &failure.message {
                eprintln!("xtask: {message}");
            }
            ExitCode::from(failure.exit_code)
        }
    }
}

fn run(task: &str, rest: &[String]) -> Result<(), Failure> {
    if let "help" | "--help" | "-h" = task {
        println!("{USAGE}");
        return Ok(());
    }
    interrupt::listen()?;
    match task {
        "test" => test::run(rest),
        "bench" => bench::run(rest),
        "flows" => bench::flows(rest),
        "broker" => broker::run(rest),
        "postgres" => postgres::run(rest),
        "soak" => soak::run(rest),
        "build-cost" => build_cost::run(rest),
        _ => Err(Failure::usage(&format!("there is no task `{task}`; try `cargo xtask help`"))),
    }
}
