//! The fault suite of `cargo xtask test`: the most important faults, and the planted defects.

use std::io;
use std::thread;
use std::time::Duration;

use xtask::servers::InstallPolicy;
use xtask::servers::{Availability, ForeignClient, Installation};

use super::faults::{CLUSTER_FAULTS, FAULTS, Fault};
use super::round::{self, Pace, Row};
use super::scene::{Props, Scene, Stage};
use super::{defects, finish, props, table};
use crate::interrupt;
use crate::tasks::results::Counts;
use crate::tasks::steps::Verdict;

const RATE: u32 = 40;
const SETTLE_TIMEOUT: Duration = Duration::from_secs(60);
const FREEZE: Duration = Duration::from_secs(8);
/// A run that fails can be repeated.
const SEED: u64 = 20_261;

// "none" comes first: it makes the delay queues, which are made when first needed, and a broker that is
// killed in the first second of a queue's life may forget it.
const QUORUM: &[&str] = &[
    "none",
    "kill-broker",
    "reset-steps",
    "channel-404",
    "channel-406",
    "kill-service",
    "crash-windows",
];
const CLASSIC: &[&str] = &["none", "kill-broker", "delete-queues", "rolling-services", "half-open"];

/// Runs the suite. Skipped, with the reason, where there is no foreign client.
pub(crate) fn check(policy: InstallPolicy) -> (Verdict, Counts) {
    let client = match ForeignClient::python(policy) {
        Availability::Ready(client) => client,
        Availability::Skipped { reason } => return (Verdict::Skipped(reason), Counts::default()),
    };
    let props = Installation::find_or_install(policy)
        .required()
        .and_then(|installation| props(client, installation, FREEZE, SEED));
    let rows = match props.and_then(|props| all(&props)) {
        Ok(rows) => rows,
        Err(error) => return (Verdict::Failed(error.to_string()), Counts::default()),
    };
    println!("\n{}", table::HEADING);
    rows.iter().for_each(|row| println!("{}", table::lines(row)));
    let count = |passed| rows.iter().filter(|row| row.passed() == passed).count() as u64;
    let counts = Counts { passed: count(true), failed: count(false), skipped: 0 };
    let names = |faults: &'static [Fault]| faults.iter().map(|fault| fault.name);
    let rest: Vec<&str> = names(FAULTS).filter(|name| is_left(name)).collect();
    println!("only in `cargo xtask soak`: {}", rest.join(", "));
    let cluster: Vec<&str> = names(CLUSTER_FAULTS).collect();
    println!("only in `cargo xtask soak --cluster`: {}", cluster.join(", "));
    match counts.failed {
        0 if !interrupt::is_requested() => (Verdict::Passed, counts),
        0 => (Verdict::Failed("interrupted".to_owned()), counts),
        _ => (Verdict::Failed("see the table above".to_owned()), counts),
    }
}

fn is_left(name: &str) -> bool {
    !QUORUM.contains(&name) && !CLASSIC.contains(&name)
}

/// Three scenes at a time: most of what they do is waiting.
fn all(props: &Props) -> io::Result<Vec<Row>> {
    let scenes: [Box<dyn Fn() -> io::Result<Vec<Row>> + Sync>; 3] = [
        Box::new(|| turn(props, "quorum", QUORUM)),
        Box::new(|| turn(props, "classic", CLASSIC)),
        Box::new(|| defects::find_all(&mut Scene::start(props, Stage::Node, "classic")?)),
    ];
    let outcomes: Vec<io::Result<Vec<Row>>> = thread::scope(|scope| {
        let running: Vec<_> = scenes.iter().map(|scene| scope.spawn(scene)).collect();
        let ended = running.into_iter().map(thread::ScopedJoinHandle::join);
        ended
            .map(|ended| ended.unwrap_or_else(|_| Err(io::Error::other("a scene panicked"))))
            .collect()
    });
    let mut rows = Vec::new();
    for outcome in outcomes {
        rows.extend(outcome?);
    }
    Ok(rows)
}

fn turn(props: &Props, queue_type: &'static str, names: &[&str]) -> io::Result<Vec<Row>> {
    let mut scene = Scene::start(props, Stage::Node, queue_type)?;
    let mut rows = Vec::new();
    for fault in FAULTS.iter().filter(|fault| names.contains(&fault.name)) {
        if interrupt::is_requested() {
            return Ok(rows);
        }
        let pace = Pace { settle_timeout: SETTLE_TIMEOUT, ..Pace::new(RATE, true) };
        rows.push(round::run(&mut scene, *fault, pace)?);
        // What follows would fail for the same reason, slowly.
        if rows.last().is_some_and(|row| !row.passed()) {
            break;
        }
    }
    finish(scene, &mut rows)?;
    Ok(rows)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_faults_that_are_named_exist() {
        for name in QUORUM.iter().chain(CLASSIC) {
            assert!(FAULTS.iter().any(|fault| fault.name == *name), "{name}");
        }
        assert!(is_left("memory-alarm"));
    }
}
