//! Ctrl-C and SIGTERM end the task in order: what runs is killed, servers are stopped.

use std::io;
use std::process;
use std::sync::atomic::{AtomicBool, Ordering};

/// What a shell reports for a command that Ctrl-C ended.
pub(crate) const EXIT_CODE: u8 = 130;

static INTERRUPTED: AtomicBool = AtomicBool::new(false);

/// Starts to listen for Ctrl-C, SIGTERM and SIGHUP.
pub(crate) fn listen() -> io::Result<()> {
    let handler = || {
        // The second time somebody is in a hurry. Guards clean up after this process.
        if INTERRUPTED.swap(true, Ordering::SeqCst) {
            process::exit(i32::from(EXIT_CODE));
        }
    };
    ctrlc::set_handler(handler).map_err(io::Error::other)
}

/// Whether the task was asked to end. Whoever waits for something looks here too.
pub(crate) fn is_requested() -> bool {
    INTERRUPTED.load(Ordering::SeqCst)
}
