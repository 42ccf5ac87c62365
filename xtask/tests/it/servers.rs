//! The life of a private RabbitMQ node, against the real server.

use xtask::servers::rabbitmq::answers_amqp;
use xtask::servers::{RabbitCluster, RabbitNode, StartOptions};

use super::{Traces, eventually, is_alive};

fn start(options: &StartOptions) -> RabbitNode {
    RabbitNode::start(options).expect("the node starts")
}

fn traces(node: &RabbitNode) -> Traces {
    let pids = vec![node.pid().expect("it runs"), node.epmd_pid()];
    Traces { pids, folder: node.folder().to_path_buf() }
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
    assert!(node.ctl(&["--quiet", "list_vhosts"]).unwrap().contains("kept"));
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
    let traces = traces(&node);
    assert!(traces.are_all_there());
    // A frozen node must go as well.
    node.pause().unwrap();
    drop(node);
    assert!(traces.are_all_gone(), "{traces:?}");
}

#[test]
fn a_stopped_node_leaves_no_process_and_no_folder() {
    let node = start(&StartOptions { management: true, ..StartOptions::default() });
    assert!(node.management_url().is_some());
    let traces = traces(&node);
    node.stop().unwrap();
    assert!(traces.are_all_gone(), "{traces:?}");
}

#[test]
fn the_process_of_a_node_is_the_erlang_machine_itself() {
    let node = start(&StartOptions::default());
    let name = std::fs::read_to_string(format!("/proc/{}/comm", node.pid().unwrap())).unwrap();
    assert_eq!(name.trim(), "beam.smp");
}

#[test]
fn a_node_that_cannot_start_says_why() {
    let extra_config = "no_such_setting = 1".to_owned();
    let error = RabbitNode::start(&StartOptions { extra_config, ..StartOptions::default() });
    let text = error.unwrap_err().to_string();
    assert!(text.contains("failed to start RabbitMQ: it ended with"), "{text}");
    assert!(text.contains("no_such_setting"), "{text}");
}

#[test]
fn a_failing_control_command_is_an_error_with_its_output() {
    let node = start(&StartOptions::default());
    let text = node.ctl(&["delete_vhost", "absent"]).unwrap_err().to_string();
    assert!(text.contains("rabbitmqctl delete_vhost absent"), "{text}");
}

#[test]
fn three_nodes_form_a_cluster_that_leaves_nothing_behind() {
    let cluster = RabbitCluster::start(&StartOptions::default()).expect("the nodes start");
    let all: Vec<Traces> = cluster.nodes().iter().map(traces).collect();
    assert_eq!(cluster.amqp_urls().split(',').count(), 3);
    cluster.nodes()[0].kill().unwrap();
    let status = cluster.nodes()[1].ctl(&["cluster_status", "--formatter", "json"]).unwrap();
    for node in cluster.nodes() {
        assert!(status.contains(node.name()), "{status}");
    }
    cluster.nodes()[0].start_again().unwrap();
    assert!(answers_amqp(cluster.nodes()[0].port()));
    drop(cluster);
    assert!(all.iter().all(Traces::are_all_gone), "{all:?}");
}
