//! Child processes that cannot outlive their owner.
//!
//! Each child leads a process group of its own, so that a signal reaches exactly it and the
//! processes it started, and so that Ctrl-C in a terminal reaches only the owner, which then
//! stops its children in order. A [`Guard`] kills the groups that are left when the owner is gone.

use std::ffi::OsStr;
use std::io::{self, Write};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

/// How often a condition is looked at while waiting for it.
const POLL_INTERVAL: Duration = Duration::from_millis(20);
/// How long the watcher may take to end the rest and to remove the folder.
const WATCHER_END_TIMEOUT: Duration = Duration::from_secs(15);
const SHELL: &str = "/bin/sh";

/// Waits for a word before it becomes the program. An owner that dies between starting a child
/// and reporting it to the watcher closes the pipe, and the program never runs.
const GATE_SCRIPT: &str = r#"read -r go && exec "$@" </dev/null"#;

/// Reads `watch PID`, `polite PID` and `forget PID` until the pipe closes, which is when the owner stops or
/// dies in whatever way; then kills what is still watched and removes the folder, if any. Those that
/// are to be treated politely get SIGINT and five seconds first.
const WATCHER_SCRIPT: &str = r#"
trap '' HUP INT TERM
pids= polite=
while read -r verb pid; do
    [ "$verb" = polite ] && polite="$polite $pid" && continue
    rest=
    for p in $pids; do [ "$p" = "$pid" ] || rest="$rest $p"; done
    pids=$rest
    [ "$verb" = watch ] && pids="$pids $pid"
done
for p in $pids; do
    looks=0
    case " $polite " in *" $p "*) kill -s INT -- "-$p" ;; *) looks=50 ;; esac
    while [ "$looks" -lt 50 ] && kill -s 0 -- "-$p"; do
        looks=$((looks + 1))
        sleep 0.1
    done
    kill -s KILL -- "-$p"
done
tries=0
while [ -n "$1" ] && [ "$tries" -lt 10 ]; do
    # A process that is not quite dead may still write, so one removal may not be enough.
    rm -rf -- "$1" && exit
    tries=$((tries + 1))
    sleep 1
done
"#;

/// Ends the child processes it watches when it is dropped or when the owner process dies.
///
/// `PR_SET_PDEATHSIG` would not do: it follows the thread that started the child, and a test's
/// thread ends long before a node that tests share.
#[derive(Debug)]
pub struct Guard {
    watcher: Child,
    orders: Mutex<Option<ChildStdin>>,
}

impl Guard {
    /// Starts the watcher; `folder`, if any, is removed after the last process was killed.
    ///
    /// # Errors
    ///
    /// When the shell that watches cannot be started.
    pub fn new(folder: Option<&Path>) -> io::Result<Arc<Self>> {
        let mut watcher = Command::new(SHELL)
            .args(["-c", WATCHER_SCRIPT, "mmate-watcher"])
            .arg(folder.map_or(OsStr::new(""), Path::as_os_str))
            .current_dir("/")
            .stdin(Stdio::piped())
            // Inherited output would keep the pipe of whoever reads the owner's output open.
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .process_group(0)
            .spawn()?;
        let orders = Mutex::new(watcher.stdin.take());
        Ok(Arc::new(Self { watcher, orders }))
    }

    /// Starts a command made by [`guarded`] in a process group of its own.
    ///
    /// # Errors
    ///
    /// When the process cannot be started or the watcher is gone.
    pub fn spawn(self: &Arc<Self>, command: &mut Command) -> io::Result<ChildGroup> {
        let mut child = command.stdin(Stdio::piped()).process_group(0).spawn()?;
        let gate = child.stdin.take();
        // From here on, dropping the group on an early return ends the child.
        let group = ChildGroup { child, guard: Arc::clone(self), status: None };
        self.order("watch", group.pid())?;
        if let Some(mut gate) = gate {
            gate.write_all(b"go\n")?;
        }
        Ok(group)
    }

    /// Has a child that is left when the owner is gone be asked to end, by `SIGINT`, before it is killed.
    ///
    /// # Errors
    ///
    /// When the watcher is gone.
    pub fn be_polite(&self, child: &ChildGroup) -> io::Result<()> {
        self.order("polite", child.pid())
    }

    fn order(&self, verb: &str, pid: u32) -> io::Result<()> {
        match lock(&self.orders).as_mut() {
            Some(orders) => writeln!(orders, "{verb} {pid}"),
            None => Ok(()),
        }
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        drop(lock(&self.orders).take());
        let ended = wait_until(WATCHER_END_TIMEOUT, || self.watcher.try_wait());
        debug_assert!(ended.is_ok(), "the watcher is our child");
    }
}

/// A command that [`Guard::spawn`] runs; arguments and environment are added as to any command.
pub fn guarded(program: impl AsRef<OsStr>) -> Command {
    let mut command = Command::new(SHELL);
    command.args(["-c", GATE_SCRIPT, "mmate-gate"]).arg(program);
    command
}

/// The signals that servers are sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Signal {
    /// Asks to end (`SIGTERM`).
    Terminate,
    /// Asks to end as Ctrl-C does (`SIGINT`).
    Interrupt,
    /// Ends at once (`SIGKILL`).
    Kill,
    /// Freezes (`SIGSTOP`).
    Stop,
    /// Lets go on after [`Signal::Stop`] (`SIGCONT`).
    Continue,
}

impl Signal {
    fn name(self) -> &'static str {
        match self {
            Self::Terminate => "TERM",
            Self::Interrupt => "INT",
            Self::Kill => "KILL",
            Self::Stop => "STOP",
            Self::Continue => "CONT",
        }
    }
}

/// A child process and the processes it started, killed on drop.
#[derive(Debug)]
pub struct ChildGroup {
    child: Child,
    guard: Arc<Guard>,
    status: Option<ExitStatus>,
}

impl ChildGroup {
    /// The process id of the child, which is the id of its group too.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// The child's standard output, if it was piped and not yet taken.
    pub fn take_stdout(&mut self) -> Option<std::process::ChildStdout> {
        self.child.stdout.take()
    }

    /// Sends a signal to the whole group; nothing happens once the child was waited for.
    ///
    /// # Errors
    ///
    /// When the signal cannot be sent.
    pub fn signal(&self, signal: Signal) -> io::Result<()> {
        if self.status.is_some() {
            return Ok(());
        }
        // The shell's own `kill`: slim images have no /bin/kill.
        let sent = Command::new(SHELL)
            .args(["-c", r#"kill -s "$1" -- "-$2""#, "mmate-kill", signal.name()])
            .arg(self.pid().to_string())
            .stdin(Stdio::null())
            .stderr(Stdio::null())
            .status()?;
        if sent.success() {
            return Ok(());
        }
        let (name, pid) = (signal.name(), self.pid());
        Err(io::Error::other(format!("failed to send SIG{name} to process group {pid}")))
    }

    /// The exit status, if the child has ended.
    ///
    /// # Errors
    ///
    /// When the operating system cannot tell.
    pub fn try_wait(&mut self) -> io::Result<Option<ExitStatus>> {
        if self.status.is_none() {
            self.status = self.child.try_wait()?;
            if self.status.is_some() {
                // The number may now be given to another process, which must not be killed.
                let _ = self.guard.order("forget", self.child.id());
            }
        }
        Ok(self.status)
    }

    /// Waits for the child to end, but not longer than `timeout`.
    ///
    /// # Errors
    ///
    /// When the operating system cannot tell.
    pub fn wait(&mut self, timeout: Duration) -> io::Result<Option<ExitStatus>> {
        wait_until(timeout, || self.try_wait())
    }

    /// Kills the group and waits until the child is gone, not only its ports.
    ///
    /// # Errors
    ///
    /// When the child does not end although it was killed.
    pub fn kill(&mut self) -> io::Result<()> {
        if self.try_wait()?.is_some() {
            return Ok(());
        }
        // The group takes the helpers along; the child alone is killed even if that fails.
        let _ = self.signal(Signal::Kill);
        self.child.kill()?;
        match self.wait(WATCHER_END_TIMEOUT)? {
            Some(_) => Ok(()),
            None => Err(io::Error::other(format!("failed to kill process {}", self.pid()))),
        }
    }
}

impl Drop for ChildGroup {
    fn drop(&mut self) {
        // What cannot be killed here is left to the watcher.
        let _ = self.kill();
    }
}

/// Looks until there is something to see or the time is up, which gives `None`.
///
/// # Errors
///
/// The first error of `look`.
pub fn wait_until<T>(
    timeout: Duration,
    mut look: impl FnMut() -> io::Result<Option<T>>,
) -> io::Result<Option<T>> {
    let deadline = Instant::now() + timeout;
    loop {
        if let Some(seen) = look()? {
            return Ok(Some(seen));
        }
        if Instant::now() >= deadline {
            return Ok(None);
        }
        thread::sleep(POLL_INTERVAL);
    }
}

/// Locks; a panic elsewhere must not keep servers from being stopped.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
