//! The life of a private PostgreSQL server, against the real one.

use std::net::{Ipv4Addr, TcpStream};

use xtask::servers::PostgresServer;

use super::{Traces, is_alive};

fn traces(server: &PostgresServer) -> Traces {
    let pids = vec![server.pid().expect("it runs")];
    Traces { pids, folder: server.folder().to_path_buf() }
}

fn listens(port: u16) -> bool {
    TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_ok()
}

#[test]
fn a_server_that_was_ended_starts_again_on_the_same_port() {
    let server = PostgresServer::start().expect("the server starts");
    let first = server.pid().unwrap();
    assert!(listens(server.port()));
    let end: [fn(&PostgresServer) -> std::io::Result<()>; 2] =
        [PostgresServer::shut_down, PostgresServer::kill];
    for end in end {
        end(&server).unwrap();
        assert_eq!(server.pid(), None);
        assert!(!is_alive(first) && !listens(server.port()));
        server.start_again().unwrap();
        assert!(server.pid().unwrap() != first && listens(server.port()));
    }
}

#[test]
fn a_dropped_server_leaves_no_process_and_no_folder() {
    let server = PostgresServer::start().expect("the server starts");
    let traces = traces(&server);
    assert!(traces.are_all_there());
    drop(server);
    assert!(traces.are_all_gone(), "{traces:?}");
}

#[test]
fn the_process_of_a_server_is_postgres_itself() {
    let server = PostgresServer::start().expect("the server starts");
    let name = std::fs::read_to_string(format!("/proc/{}/comm", server.pid().unwrap())).unwrap();
    assert_eq!(name.trim(), "postgres");
}
