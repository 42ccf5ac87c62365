//! Waiting until a quorum queue would survive a power cut.

use std::path::Path;
use std::time::Duration;
use std::{fs, io};

use super::RabbitNode;
use crate::servers::process::wait_until;

/// It takes about half a second.
const REGISTERED_TIMEOUT: Duration = Duration::from_secs(20);

impl RabbitNode {
    /// Waits until the node has written down that it has this quorum queue (of the virtual host `/`).
    ///
    /// RabbitMQ 3.10 (ra 2.2.0) keeps the list of its quorum queues in a file that it writes with a
    /// delay. A node that is killed before, which is within about a second of the queue's creation,
    /// starts the queue anew: empty, and on a single node without ever electing a leader ("leader
    /// not known" in its log). `rabbitmqctl eval 'ra:trigger_election({NAME, node()}).'` gives it
    /// one; what was in it is lost. No client can prevent that, so who kills nodes waits here first.
    ///
    /// # Errors
    ///
    /// When the queue is not written down within 20 s.
    pub fn wait_until_registered(&self, queue: &str) -> io::Result<()> {
        let name = format!("%2F_{queue}");
        let look = || Ok(registers(self.folder(), name.as_bytes()).then_some(()));
        wait_until(REGISTERED_TIMEOUT, look)?.ok_or_else(|| {
            let text = format!("the quorum queue `{queue}` was not registered on disk within 20 s");
            io::Error::new(io::ErrorKind::TimedOut, text)
        })
    }
}

impl RabbitNode {
    /// Makes the node write down now what it knows of queues, exchanges and bindings: they are kept in
    /// tables that are written with a delay, and a node that is killed before forgets the newest.
    ///
    /// # Errors
    ///
    /// When the node does not answer.
    pub fn write_down(&self) -> io::Result<()> {
        let write = "mnesia:sync_log(), [dets:sync(Table) || Table <- dets:all()].";
        self.ctl(&["eval", write]).map(drop)
    }

    /// Waits until the node has written down all quorum queues that it has, as
    /// [`RabbitNode::wait_until_registered`] does for one.
    ///
    /// # Errors
    ///
    /// When one of them is not written down within 20 s.
    pub fn wait_until_all_registered(&self) -> io::Result<()> {
        let look = || Ok(all_registered(&self.folder().join("data")).then_some(()));
        wait_until(REGISTERED_TIMEOUT, look)?.ok_or_else(|| {
            let text = "a quorum queue was not registered on disk within 20 s";
            io::Error::new(io::ErrorKind::TimedOut, text)
        })
    }
}

/// A queue is a folder with a `config`, named by an identifier that `names.dets` beside it repeats.
fn all_registered(folder: &Path) -> bool {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    entries.map(|entry| entry.path()).filter(|path| path.is_dir()).all(|path| {
        let name = path.file_name().unwrap_or_default().as_encoded_bytes().to_vec();
        if path.join("config").is_file() && folder.join("names.dets").is_file() {
            let names = fs::read(folder.join("names.dets")).unwrap_or_default();
            return names.windows(name.len()).any(|part| part == name);
        }
        all_registered(&path)
    })
}

/// Looks for the name in every `names.dets` below the folder.
fn registers(folder: &Path, name: &[u8]) -> bool {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    entries.map(|entry| entry.path()).any(|path| {
        if path.is_dir() {
            return registers(&path, name);
        }
        path.file_name().is_some_and(|file| file == "names.dets")
            && fs::read(&path).is_ok_and(|text| text.windows(name.len()).any(|part| part == name))
    })
}
