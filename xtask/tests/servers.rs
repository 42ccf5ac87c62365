//! The life of a private RabbitMQ node, against the real server.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use xtask::servers::process::wait_until;
use xtask::servers::rabbitmq::answers_amqp;
use xtask::servers::{RabbitNode, StartOptions};

/// Far longer than anything here takes; a hang becomes a failure.
const PATIENCE: Duration = Duration::from_secs(60);

fn start(options: &StartOptions) -> RabbitNode {
    RabbitNode::start(options).expect("the node starts")
}

fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let seen = wait_until(PATIENCE, || Ok(holds().then_some(()))).expect("nothing to fail");
    assert!(seen.is_some(), "not within {PATIENCE:?}: {what}");
}

/// Whether the process exists; one that is dead but not yet waited for does not count.
fn is_alive(pid: u32) -> bool {
    let output = Command::new("ps")
        .args(["-o", "stat=", "-p", &pid.to_string()])
        .output()
        .expect("ps runs");
    let state = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    !state.is_empty() && !state.starts_with('Z')
}

fn assert_nothing_is_left(pids: &[u32], folder: &Path) {
    let left: Vec<_> = pids.iter().filter(|pid| is_alive(**pid)).collect();
    assert!(left.is_empty(), "processes {left:?} are left");
    assert!(!folder.exists(), "{} is left", folder.display());
}

#[test]
fn a_killed_node_starts_again_on_the_same_port_with_its_data() {
    let node = start(&StartOptions::default());
    let (port, first_pid) = (node.port(), node.pid().unwrap());
    assert!(answers_amqp(port));
    node.ctl(&["add_vhost", "kept"]).unwrap();

    node.kill().unwrap();
    assert_eq!(node.pid(), None);
    assert!(!is_alive(first_pid) && !answers_amqp(port));

    node.start_again().unwrap();
    assert_ne!(node.pid().unwrap(), first_pid);
    assert!(answers_amqp(port));
    assert!(
        node.ctl(&["--quiet", "list_vhosts"])
            .unwrap()
            .contains("kept")
    );
}

#[test]
fn a_frozen_node_is_silent_until_it_goes_on() {
    let node = start(&StartOptions::default());
    node.pause().unwrap();
    assert!(!answers_amqp(node.port()));
    node.resume().unwrap();
    eventually("the node answers again", || answers_amqp(node.port()));
}

#[test]
fn a_dropped_node_leaves_no_process_and_no_folder() {
    let node = start(&StartOptions::default());
    let (pids, folder) = (
        [node.pid().unwrap(), node.epmd_pid()],
        node.folder().to_path_buf(),
    );
    assert!(folder.exists() && pids.iter().all(|pid| is_alive(*pid)));
    // A frozen node must go as well.
    node.pause().unwrap();
    drop(node);
    assert_nothing_is_left(&pids, &folder);
}

#[test]
fn a_stopped_node_leaves_no_process_and_no_folder() {
    let node = start(&StartOptions {
        management: true,
        ..StartOptions::default()
    });
    assert!(node.management_url().is_some());
    let (pids, folder) = (
        [node.pid().unwrap(), node.epmd_pid()],
        node.folder().to_path_buf(),
    );
    node.stop().unwrap();
    assert_nothing_is_left(&pids, &folder);
}

#[test]
fn a_node_that_cannot_start_says_why() {
    let extra_config = "no_such_setting = 1".to_owned();
    let error = RabbitNode::start(&StartOptions {
        extra_config,
        ..StartOptions::default()
    });
    let text = error.unwrap_err().to_string();
    assert!(
        text.contains("failed to start RabbitMQ: it ended with"),
        "{text}"
    );
    assert!(text.contains("no_such_setting"), "{text}");
}

#[test]
fn a_failing_control_command_is_an_error_with_its_output() {
    let node = start(&StartOptions::default());
    let text = node
        .ctl(&["delete_vhost", "absent"])
        .unwrap_err()
        .to_string();
    assert!(text.contains("rabbitmqctl delete_vhost absent"), "{text}");
}
