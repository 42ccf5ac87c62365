//! `cargo xtask soak`: a service under load while broker, network and service are hurt; every message is
//! followed to its end.
//!
//! The load comes from a foreign client and its outcome is collected by one, so that no mistake of ours hides
//! itself. Lost is what the broker confirmed to its publisher and what has no end; unexpected is an end that
//! the message does not allow.

mod bounded;
mod defects;
mod faults;
mod ledger;
mod programs;
mod round;
mod scene;
mod table;

use std::path::PathBuf;
use std::time::{Duration, Instant};
use std::{env, fs, io};

use xtask::servers::InstallPolicy;
use xtask::servers::{ForeignClient, Installation};

use self::faults::{CLUSTER_FAULTS, FAULTS, Fault};
use self::programs::lock;
use self::round::{Pace, Row};
use self::scene::{Props, Scene, Stage};
use super::Failure;
use super::command::{self, COMMAND_TIMEOUT, cargo};
use crate::interrupt;

/// When a queue loses its leader while it dead-letters, what it was moving may come minutes later (seen on 3.10
/// with retries in delay queues). It fits RabbitMQ's wait of three minutes for a confirm that went with the
/// leader (`dead_letter_worker_publisher_confirm_timeout`), and leaves room for it.
const CLUSTER_SETTLE_TIMEOUT: Duration = Duration::from_secs(240);
/// How long the collector gets for what the last service left.
const LAST_WORDS: Duration = Duration::from_secs(2);
const QUEUE_TYPES: [&str; 2] = ["quorum", "classic"];

#[derive(Debug, PartialEq, Eq)]
struct Options {
    time: Duration,
    queue_types: Vec<&'static str>,
    faults: Vec<&'static str>,
    rate: u32,
    publishers: u32,
    load: Duration,
    twice: bool,
    defects: bool,
    stage: Stage,
    rabbitmq: Option<PathBuf>,
    freeze: Duration,
    seed: u64,
}

pub(crate) use bounded::check;

/// Runs the task.
pub(crate) fn run(arguments: &[String]) -> Result<(), Failure> {
    let options = parse(arguments).map_err(|why| Failure::usage(&why))?;
    build()?;
    let client = ForeignClient::python(InstallPolicy::Install).required()?;
    let installation = match &options.rabbitmq {
        None => Installation::find_or_install(InstallPolicy::Install).required()?,
        Some(folder) => Installation::in_folder(folder).ok_or_else(|| {
            Failure::task("failed to find rabbitmq-server, rabbitmqctl and epmd in that folder")
        })?,
    };
    let props = props(client, installation, options.freeze, options.seed)?;
    println!("seed {}", options.seed);
    println!("programs write to {}", props.folder.display());
    let mut rows = Vec::new();
    for queue_type in &options.queue_types {
        soak(&options, &props, queue_type, &mut rows)?;
    }
    report(&rows)
}

/// Faults in turn until the time of a queue type is up.
fn soak(
    options: &Options,
    props: &Props,
    queue_type: &'static str,
    rows: &mut Vec<Row>,
) -> io::Result<()> {
    let time = options.time / u32::try_from(options.queue_types.len()).unwrap_or(1);
    let begun = Instant::now();
    let mut scene = Scene::start(props, options.stage, queue_type)?;
    if options.defects {
        rows.extend(defects::find_all(&mut scene)?);
        return Ok(());
    }
    let mut pace = Pace::new(options.rate, options.twice);
    (pace.publishers, pace.after) = (options.publishers, options.load);
    if options.stage == Stage::Cluster {
        pace.settle_timeout = CLUSTER_SETTLE_TIMEOUT;
    }
    println!("{}", table::HEADING);
    let first = rows.len();
    while rows.len() == first || begun.elapsed() < time {
        for fault in chosen(options) {
            if interrupt::is_requested() {
                return Ok(());
            }
            let row = round::run(&mut scene, fault, pace)?;
            println!("{}", table::lines(&row));
            rows.push(row);
        }
    }
    finish(scene, &mut rows[first..])
}

/// Ends the service in order, and judges again: a message may have come to a second end since.
fn finish(mut scene: Scene, rows: &mut [Row]) -> io::Result<()> {
    scene.end_first_service()?;
    scene.let_pass(LAST_WORDS);
    rows.iter_mut().for_each(|row| row.judge(&scene));
    let reported: Vec<usize> = rows.iter().map(|row| row.round).collect();
    let ledger = lock(&scene.ledger);
    let between = ledger.rounds().filter(|round| !reported.contains(round));
    if let Some(last) = rows.last_mut() {
        between.for_each(|round| last.tally.absorb(ledger.tally(round)));
    }
    Ok(())
}

fn chosen(options: &Options) -> Vec<Fault> {
    let all = match options.stage {
        Stage::Node => FAULTS,
        Stage::Cluster => CLUSTER_FAULTS,
    };
    let all = all.iter().copied();
    all.filter(|fault| options.faults.is_empty() || options.faults.contains(&fault.name)).collect()
}

fn report(rows: &[Row]) -> Result<(), Failure> {
    println!("\n{}", table::HEADING);
    rows.iter().for_each(|row| println!("{}", table::lines(row)));
    let failed = rows.iter().filter(|row| !row.passed()).count();
    println!("{} rounds, {failed} failed", rows.len());
    if failed == 0 && !rows.is_empty() && !interrupt::is_requested() {
        Ok(())
    } else {
        Err(Failure::reported())
    }
}

fn parse(arguments: &[String]) -> Result<Options, String> {
    let mut options = Options {
        time: Duration::from_secs(0),
        queue_types: QUEUE_TYPES.to_vec(),
        faults: Vec::new(),
        rate: 60,
        publishers: 1,
        load: round::AFTER,
        twice: true,
        defects: false,
        stage: Stage::Node,
        rabbitmq: None,
        freeze: Duration::from_secs(90),
        seed: u64::from(std::process::id()),
    };
    let mut arguments = arguments.iter();
    while let Some(argument) = arguments.next() {
        let mut value = |what: &str| {
            arguments.next().cloned().ok_or_else(|| format!("{argument} takes {what}"))
        };
        let number = |text: String| {
            text.parse::<u32>().map_err(|_| format!("`{text}` is not a whole number"))
        };
        match argument.as_str() {
            "--minutes" => {
                options.time = Duration::from_secs(60) * number(value("a number of minutes")?)?;
            }
            "--rate" => options.rate = number(value("messages per second")?)?.max(1),
            "--publishers" => options.publishers = number(value("a number")?)?.max(1),
            "--load" => {
                options.load = Duration::from_secs(number(value("seconds")?)?.into());
            }
            "--queue-type" => {
                let name = value("quorum or classic")?;
                let known = QUEUE_TYPES.into_iter().find(|known| *known == name);
                options.queue_types = vec![known.ok_or("--queue-type takes quorum or classic")?];
            }
            "--fault" => {
                let name = value("the name of a fault")?;
                let all = || FAULTS.iter().chain(CLUSTER_FAULTS);
                let known = all().find(|fault| fault.name == name);
                let names: Vec<&str> = all().map(|fault| fault.name).collect();
                let known = known.ok_or(format!("--fault takes one of {}", names.join(", ")))?;
                options.faults.push(known.name);
            }
            "--seed" => options.seed = number(value("a number")?)?.into(),
            "--freeze" => {
                options.freeze = Duration::from_secs(number(value("seconds")?)?.into());
            }
            "--once" => options.twice = false,
            "--defects" => options.defects = true,
            "--rabbitmq" => options.rabbitmq = Some(value("a folder")?.into()),
            "--cluster" => {
                // A classic queue lives on one node; what happens to that one is the other stage.
                options.stage = Stage::Cluster;
                options.queue_types = vec!["quorum"];
            }
            other => return Err(format!("unknown option `{other}`; try `cargo xtask help`")),
        }
    }
    Ok(options)
}

/// Compiles the service, with the selection of packages that every call of cargo here has.
fn build() -> Result<(), Failure> {
    let guard = xtask::servers::Guard::new(None)?;
    let mut build = cargo(&["build", "--workspace", "--all-features", "--bin", "soak-service"]);
    match command::run(&guard, &mut build, COMMAND_TIMEOUT)?.failure {
        None => Ok(()),
        Some(why) => Err(Failure::task(&format!("failed to compile the soak service: {why}"))),
    }
}

fn props(
    client: ForeignClient,
    installation: Installation,
    freeze: Duration,
    seed: u64,
) -> io::Result<Props> {
    let target = target_folder()?;
    let folder = target.join("soak");
    fs::create_dir_all(&folder)?;
    Ok(Props {
        service: target.join("debug/soak-service"),
        client,
        installation,
        folder,
        heartbeat_seconds: 2,
        freeze,
        seed,
    })
}

/// This program is in a profile's folder of it.
fn target_folder() -> io::Result<PathBuf> {
    let this = env::current_exe()?;
    let target = this.parent().and_then(|profile| profile.parent());
    target.map(PathBuf::from).ok_or_else(|| io::Error::other("failed to find the target folder"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(arguments: &[&str]) -> Result<Options, String> {
        parse(&arguments.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>())
    }

    #[test]
    fn options_are_parsed() {
        let options = parsed(&["--minutes", "2", "--queue-type", "classic", "--fault", "none"]);
        let options = options.unwrap();
        assert_eq!(options.time, Duration::from_secs(120));
        assert_eq!((options.queue_types, options.faults), (vec!["classic"], vec!["none"]));
        assert!(options.twice && !options.defects && !parsed(&["--once"]).unwrap().twice);
        assert!(parsed(&["--fault", "rain"]).unwrap_err().contains("kill-broker"));
        assert!(parsed(&["--minutes", "some"]).is_err() && parsed(&["--rain"]).is_err());
    }
}
