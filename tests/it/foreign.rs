//! Requests and replies between Mmate and clients that share no code with it: Python's pika and Node's amqplib.

mod clients;
mod services;

use std::fs;
use std::path::PathBuf;
use std::sync::{Arc, OnceLock};

use mmate_tests::{amqp_url, unique};
use xtask::servers::{ForeignClient, Guard, InstallPolicy};

use super::program::{Program, foreign_program};

/// A client from elsewhere.
#[derive(Clone, Copy, Debug)]
enum Language {
    Python,
    Node,
}

impl Language {
    const ALL: [Self; 2] = [Self::Python, Self::Node];

    /// Looked for once, also in vain: it takes a moment, and all tests need it.
    fn client(self) -> &'static ForeignClient {
        type Found = OnceLock<Result<ForeignClient, String>>;
        static PYTHON: Found = OnceLock::new();
        static NODE: Found = OnceLock::new();
        let (found, find): (&Found, fn(_) -> _) = match self {
            Self::Python => (&PYTHON, ForeignClient::python),
            Self::Node => (&NODE, ForeignClient::node),
        };
        let find = || find(InstallPolicy::FindOnly).required().map_err(|error| error.to_string());
        found.get_or_init(find).as_ref().expect("a client that knows nothing of Mmate")
    }

    /// Starts a program of `tests/foreign`, named without its extension, on the broker of the test run.
    fn start(self, program: &str, arguments: &[&str]) -> Program {
        let extension = match self {
            Self::Python => "py",
            Self::Node => "js",
        };
        let path = foreign_program(&format!("{program}.{extension}"));
        let mut command = self.client().command(&path);
        command.arg(amqp_url()).args(arguments);
        let (guard, logs) = guard();
        Program::start(guard, &mut command, logs)
    }
}

/// One for all programs, because it is a process of its own; with the folder of their logs, which it removes.
fn guard() -> &'static (Arc<Guard>, PathBuf) {
    static GUARD: OnceLock<(Arc<Guard>, PathBuf)> = OnceLock::new();
    GUARD.get_or_init(|| {
        let logs = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(unique("foreign"));
        fs::create_dir_all(&logs).expect("a folder for logs");
        (Guard::new(Some(&logs)).expect("a shell"), logs)
    })
}
