//! `rabbitmqctl` against one node.

use std::fs::{self, File};
use std::io;
use std::time::Duration;

use super::RabbitNode;
use crate::servers::process::guarded;
use crate::servers::scratch::random_u64;

/// One call takes about two seconds, most of it for starting Erlang.
const CONTROL_TIMEOUT: Duration = Duration::from_secs(60);

impl RabbitNode {
    /// Runs `rabbitmqctl` for this node and gives what it printed.
    ///
    /// ```no_run
    /// # let node = xtask::servers::RabbitNode::start(&xtask::servers::StartOptions::default())?;
    /// let queues = node.ctl(&["--quiet", "list_queues", "name", "messages"])?;
    /// # Ok::<(), std::io::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// When the command fails, with what it printed, or takes more than a minute.
    pub fn ctl(&self, arguments: &[&str]) -> io::Result<String> {
        // Files instead of pipes: a full pipe would need a thread to empty it.
        let call = random_u64();
        let out = self.folder().join(format!("ctl-{call:016x}.out"));
        let err = self.folder().join(format!("ctl-{call:016x}.err"));
        let mut command = guarded(self.installation.ctl());
        self.set_environment(&mut command);
        command.args(["-n", &self.name]).args(arguments);
        let mut ctl =
            self.guard.spawn(command.stdout(File::create(&out)?).stderr(File::create(&err)?))?;
        let ended = ctl.wait(CONTROL_TIMEOUT)?;
        drop(ctl);
        let printed = String::from_utf8_lossy(&fs::read(&out)?).into_owned();
        let complaint = String::from_utf8_lossy(&fs::read(&err)?).into_owned();
        fs::remove_file(out)?;
        fs::remove_file(err)?;
        match ended {
            Some(status) if status.success() => Ok(printed),
            Some(status) => Err(failure(arguments, &format!("{status}: {printed}{complaint}"))),
            None => Err(failure(arguments, &format!("no end within {CONTROL_TIMEOUT:?}"))),
        }
    }
}

fn failure(arguments: &[&str], why: &str) -> io::Error {
    let command = arguments.join(" ");
    io::Error::other(format!("failed to run `rabbitmqctl {command}`: {why}"))
}
