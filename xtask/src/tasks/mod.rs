//! One file per task, and what tasks share: running a command and reading its test results.

pub(crate) mod bench;
pub(crate) mod broker;
pub(crate) mod build_cost;
mod command;
pub(crate) mod postgres;
mod results;
pub(crate) mod soak;
mod steps;
pub(crate) mod test;

use std::io;

use crate::interrupt;

/// Why a task did not succeed, and the exit code that says so.
#[derive(Debug)]
pub(crate) struct Failure {
    /// `None` when everything was said already.
    pub(crate) message: Option<String>,
    pub(crate) exit_code: u8,
}

impl Failure {
    pub(crate) fn usage(message: &str) -> Self {
        Self { message: Some(message.to_owned()), exit_code: 2 }
    }

    pub(crate) fn task(message: &str) -> Self {
        Self { message: Some(message.to_owned()), exit_code: 1 }
    }

    /// The task printed what is wrong itself.
    pub(crate) fn reported() -> Self {
        Self {
            message: None,
            exit_code: if interrupt::is_requested() { interrupt::EXIT_CODE } else { 1 },
        }
    }
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        Self::task(&error.to_string())
    }
}
