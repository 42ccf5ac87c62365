//! A node must not outlive the process that started it, however that process ends.

use std::io::{BufRead, BufReader, Read};
use std::path::PathBuf;
use std::process::{Child, ChildStdout, Command, Stdio};

use xtask::servers::process::wait_until;

use super::{PATIENCE, Traces, eventually};

/// A task that has started a server, with what it said about it.
struct Owner {
    process: Child,
    /// Held, because the owner has something to say in the end.
    _output: BufReader<ChildStdout>,
    traces: Traces,
}

fn start_owner(task: &str) -> Owner {
    let mut process = Command::new(env!("CARGO_BIN_EXE_xtask"))
        .arg(task)
        .stdout(Stdio::piped())
        .spawn()
        .expect("xtask starts");
    let mut output = BufReader::new(process.stdout.take().expect("a pipe"));
    let (mut pids, mut folder) = (Vec::new(), PathBuf::new());
    for line in output.by_ref().lines().map_while(Result::ok) {
        if let Some(numbers) = line.strip_prefix("processes: ") {
            pids = numbers.split(' ').map(|pid| pid.parse().expect("a number")).collect();
        } else if let Some(path) = line.strip_prefix("folder: ") {
            folder = PathBuf::from(path);
            break;
        }
    }
    let traces = Traces { pids, folder };
    assert!(!traces.pids.is_empty() && traces.are_all_there(), "{traces:?}");
    Owner { process, _output: output, traces }
}

#[test]
fn a_node_dies_with_its_killed_owner() {
    let mut owner = start_owner("broker");
    owner.process.kill().unwrap();
    owner.process.wait().unwrap();
    eventually("the node is gone", || owner.traces.are_all_gone());
}

/// Not only the processes: a server that is killed leaves shared memory behind, which stays until the machine ends.
#[test]
fn a_postgres_dies_with_its_killed_owner() {
    let mut owner = start_owner("postgres");
    let id = owner.traces.folder.join("data/postmaster.pid");
    let id = std::fs::read_to_string(id).expect("the server's own notes");
    // The seventh line has key and id of the segment.
    let line = id.lines().nth(6).expect("a segment").to_owned();
    let segment = line.split_whitespace().next_back().expect("its id").to_owned();
    let segments = || std::fs::read_to_string("/proc/sysvipc/shm").expect("a list of segments");
    let is_listed = || segments().split_whitespace().any(|word| word == segment);
    assert!(is_listed(), "{segment}: {}", segments());
    owner.process.kill().unwrap();
    owner.process.wait().unwrap();
    eventually("the server is gone", || owner.traces.are_all_gone() && !is_listed());
}

#[test]
fn an_owner_that_is_asked_to_end_stops_its_node_first() {
    stops_its_server_first("broker");
}

#[test]
fn an_owner_that_is_asked_to_end_stops_its_postgres_first() {
    stops_its_server_first("postgres");
}

fn stops_its_server_first(task: &str) {
    let mut owner = start_owner(task);
    let pid = owner.process.id().to_string();
    let sent = Command::new("sh")
        .args(["-c", "kill -s TERM \"$1\"", "sh", &pid])
        .status()
        .expect("a shell");
    assert!(sent.success());
    let status = wait_until(PATIENCE, || owner.process.try_wait()).expect("it ends");
    assert!(status.is_some_and(|status| status.success()), "{status:?}");
    assert!(owner.traces.are_all_gone(), "{:?}", owner.traces);
}
