//! `cargo xtask broker`: a RabbitMQ node to play with.

use std::io::{self, Write};
use std::time::Duration;

use xtask::servers::InstallPolicy;
use xtask::servers::process::wait_until;
use xtask::servers::{Installation, RabbitNode, StartOptions, TestBroker};

use super::Failure;
use crate::interrupt;

/// How long one look for an interruption takes; there is no limit on the whole.
const LOOK: Duration = Duration::from_secs(60);

/// Runs the task.
pub(crate) fn run(arguments: &[String]) -> Result<(), Failure> {
    let management = match arguments {
        [] => false,
        [option] if option == "--management" => true,
        _ => return Err(Failure::usage("`broker` takes only --management")),
    };
    let installation = Some(Installation::find_or_install(InstallPolicy::Install).required()?);
    let options = StartOptions { management, installation, ..StartOptions::default() };
    let node = RabbitNode::start(&options)?;
    // Whoever reads this may be gone already; the node is up nevertheless.
    let _ = introduce(&node);
    while wait_until(LOOK, || Ok(interrupt::is_requested().then_some(())))?.is_none() {}
    drop(node);
    println!("RabbitMQ stopped, its data is removed.");
    Ok(())
}

/// The broker that the environment names, else a node with room for load.
pub(crate) fn given_or_start(policy: InstallPolicy) -> io::Result<TestBroker> {
    if let Some(given) = TestBroker::given() {
        // Not the URL: it may hold a password.
        println!("using the broker that {} names", xtask::servers::AMQP_URL_VARIABLE);
        return Ok(given);
    }
    let installation = Some(Installation::find_or_install(policy).required()?);
    // Publishers that are faster than consumers must not be blocked by the default of tests.
    let extra_config = "vm_memory_high_watermark.absolute = 2GiB".to_owned();
    let options = StartOptions { installation, extra_config, ..StartOptions::default() };
    let broker = TestBroker::given_or_start(&options)?;
    println!("RabbitMQ is ready: {}", broker.url());
    Ok(broker)
}

fn introduce(node: &RabbitNode) -> io::Result<()> {
    let mut out = io::stdout().lock();
    let pid = node.pid().unwrap_or_default();
    writeln!(out, "RabbitMQ is ready: {}", node.amqp_url())?;
    if let Some(url) = node.management_url() {
        writeln!(out, "management: {url}")?;
    }
    writeln!(out, "processes: {pid} {}", node.epmd_pid())?;
    writeln!(out, "folder: {}", node.folder().display())?;
    writeln!(out, "Try it in another terminal: MMATE_URL={} cargo run", node.amqp_url())?;
    writeln!(out, "Ctrl-C stops it and removes its data.")?;
    out.flush()
}
