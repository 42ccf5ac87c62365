//! A process beside the test, read line by line.

use std::fs::{self, File};
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver};
use std::time::{Duration, Instant};

use mmate_tests::unique;
use xtask::servers::Guard;
use xtask::servers::process::ChildGroup;

/// How long anything may take on a busy machine.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// A program of `tests/foreign`.
pub(crate) fn foreign_program(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("foreign").join(name)
}

/// A process with its lines; killed on drop.
pub(crate) struct Program {
    pub(crate) child: ChildGroup,
    lines: Receiver<(Instant, String)>,
    seen: Vec<(Instant, String)>,
    log: PathBuf,
}

impl Program {
    /// Starts a command whose standard error goes to a file of its own in `folder`.
    pub(crate) fn start(guard: &Arc<Guard>, command: &mut Command, folder: &Path) -> Self {
        let log = folder.join(unique("log"));
        command.stdout(Stdio::piped()).stderr(File::create(&log).expect("a log"));
        let mut child = guard.spawn(command).expect("it starts");
        let output = child.take_stdout().expect("piped");
        let (sender, lines) = mpsc::channel();
        std::thread::spawn(move || {
            for line in BufReader::new(output).lines().map_while(Result::ok) {
                if sender.send((Instant::now(), line)).is_err() {
                    return;
                }
            }
        });
        Self { child, lines, seen: Vec::new(), log }
    }

    pub(crate) fn log(&self) -> String {
        fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// Reads on until a line is the one, which may have been seen before.
    pub(crate) fn wait_for(&mut self, what: &str, is: impl Fn(&str) -> bool) -> (Instant, String) {
        if let Some(found) = self.seen.iter().find(|(_, line)| is(line)) {
            return found.clone();
        }
        self.wait_for_another(what, is)
    }

    /// As [`wait_for`](Self::wait_for), for a line that starts with `start`.
    pub(crate) fn wait_for_start(&mut self, start: &str) -> String {
        self.wait_for(start, |line| line.starts_with(start)).1
    }

    /// Reads on until a new line is the one.
    pub(crate) fn wait_for_another(
        &mut self,
        what: &str,
        is: impl Fn(&str) -> bool,
    ) -> (Instant, String) {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            let Ok(line) = self.lines.recv_timeout(left) else {
                let seen: Vec<&str> = self.seen.iter().map(|(_, line)| line.as_str()).collect();
                panic!("{what} did not come; there was:\n{}\n{}", seen.join("\n"), self.log());
            };
            self.seen.push(line.clone());
            if is(&line.1) {
                return line;
            }
        }
    }

    /// Everything until now.
    pub(crate) fn all(&mut self) -> &[(Instant, String)] {
        self.seen.extend(self.lines.try_iter());
        &self.seen
    }

    /// Waits for the end: whether it was a good one, and what the process said on standard error.
    pub(crate) fn ended(mut self) -> (bool, String) {
        let status = self.child.wait(PATIENCE).expect("waited for");
        let status = status.unwrap_or_else(|| panic!("it does not end:\n{}", self.log()));
        (status.success(), self.log())
    }
}
