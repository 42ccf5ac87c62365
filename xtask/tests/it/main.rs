//! Private servers against the real programs.

mod owner;
mod postgres;
mod servers;

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use xtask::servers::process::wait_until;

/// Far longer than anything here takes; a hang becomes a failure.
const PATIENCE: Duration = Duration::from_secs(60);

/// What must be gone in the end.
#[derive(Debug)]
struct Traces {
    pids: Vec<u32>,
    folder: PathBuf,
}

impl Traces {
    fn are_all_there(&self) -> bool {
        self.folder.is_dir() && self.pids.iter().all(|pid| is_alive(*pid))
    }

    fn are_all_gone(&self) -> bool {
        !self.folder.exists() && !self.pids.iter().any(|pid| is_alive(*pid))
    }
}

/// Whether the process exists; one that is dead but not yet waited for does not count. Reads
/// `/proc`, so these tests are for Linux.
fn is_alive(pid: u32) -> bool {
    let Ok(stat) = fs::read_to_string(Path::new("/proc").join(pid.to_string()).join("stat")) else {
        return false;
    };
    // The state follows the name, which is in parentheses.
    stat.rsplit_once(") ").is_some_and(|(_, rest)| !rest.starts_with('Z'))
}

fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let seen = wait_until(PATIENCE, || Ok(holds().then_some(()))).expect("nothing to fail");
    assert!(seen.is_some(), "not within {PATIENCE:?}: {what}");
}
