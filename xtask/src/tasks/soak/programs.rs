//! The processes of a scene: the service, the foreign publisher and the foreign collector, with what they say.

use std::collections::BTreeMap;
use std::fs::OpenOptions;
use std::io::{self, BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use xtask::servers::process::{ChildGroup, Signal, guarded, wait_until};
use xtask::servers::{ForeignClient, Guard};

use super::ledger::{Fate, Ledger};
use crate::tasks::command::workspace_root;

/// How long a program may take to end when it is asked to.
const END_TIMEOUT: Duration = Duration::from_secs(75);

pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A running program whose lines are read as they come. Killed on drop.
#[derive(Debug)]
pub(super) struct Program {
    child: Arc<Mutex<ChildGroup>>,
    reader: Option<thread::JoinHandle<()>>,
}

impl Program {
    fn start(
        guard: &Arc<Guard>,
        mut command: std::process::Command,
        log: &Path,
        mut on_line: impl FnMut(&str) + Send + 'static,
    ) -> io::Result<Self> {
        let log = OpenOptions::new().create(true).append(true).open(log)?;
        let mut child = guard.spawn(command.stdout(Stdio::piped()).stderr(log))?;
        let reader = child.take_stdout().map(|output| {
            thread::spawn(move || {
                for line in BufReader::new(output).lines().map_while(Result::ok) {
                    on_line(&line);
                }
            })
        });
        Ok(Self { child: Arc::new(Mutex::new(child)), reader })
    }

    pub(super) fn kill(&self) -> io::Result<()> {
        lock(&self.child).kill()
    }

    /// Something that kills the program, for another thread.
    pub(super) fn killer(&self) -> Box<dyn FnOnce() + Send> {
        let child = Arc::clone(&self.child);
        // What cannot be killed is reported by the next wait for it.
        Box::new(move || drop(lock(&child).kill()))
    }

    fn is_running(&self) -> io::Result<bool> {
        Ok(lock(&self.child).try_wait()?.is_none())
    }

    pub(super) fn ask_to_end(&self) -> io::Result<()> {
        lock(&self.child).signal(Signal::Terminate)
    }

    /// Asks it to end, and waits for it. Gives whether it ended well and in time.
    pub(super) fn terminate(mut self) -> io::Result<bool> {
        self.ask_to_end()?;
        let ended = wait_until(END_TIMEOUT, || lock(&self.child).try_wait())?;
        if let Some(reader) = self.reader.take().filter(|_| ended.is_some()) {
            // Its last lines count.
            drop(reader.join());
        }
        Ok(ended.is_some_and(|status| status.success()))
    }
}

/// What a service said of itself last.
#[derive(Debug, Default, Clone)]
pub(super) struct Health {
    pub(super) ready: bool,
    pub(super) reason: String,
    /// The report of its shutdown.
    pub(super) stopped: Option<String>,
}

/// How services are started.
#[derive(Debug, Clone)]
pub(super) struct ServicePlan {
    pub(super) program: PathBuf,
    pub(super) url: String,
    pub(super) queue_type: &'static str,
    pub(super) defect: Option<&'static str>,
    /// Milliseconds between publishes of its own; none without.
    pub(super) own_every_ms: Option<u32>,
    pub(super) log: PathBuf,
}

/// A running service.
#[derive(Debug)]
pub(super) struct Service {
    pub(super) program: Program,
    health: Arc<Mutex<Health>>,
}

impl Service {
    pub(super) fn start(
        guard: &Arc<Guard>,
        plan: &ServicePlan,
        ledger: &Arc<Mutex<Ledger>>,
    ) -> io::Result<Self> {
        let mut command = guarded(&plan.program);
        command.env("MMATE_URL", &plan.url).env("MMATE_LOG", "info");
        // A single fault may cut the connection 22 times under one slow message, which is no message that
        // kills its process.
        command.env("MMATE_CONSUME_REDELIVERIES_MAX", "200");
        if plan.queue_type != "quorum" {
            command.env("MMATE_QUEUES_TYPE", plan.queue_type);
        }
        if let Some(defect) = plan.defect {
            command.env("SOAK_DEFECT", defect);
        }
        if let Some(pause) = plan.own_every_ms {
            command.env("SOAK_OWN_EVERY_MS", pause.to_string());
        }
        if let Some(folder) = plan.log.parent() {
            command.current_dir(folder);
        }
        let health = Arc::new(Mutex::new(Health::default()));
        let (seen, ledger) = (Arc::clone(&health), Arc::clone(ledger));
        let program = Program::start(guard, command, &plan.log, move |line| {
            let (word, rest) = line.split_once(' ').unwrap_or((line, ""));
            match word {
                "ready" => *lock(&seen) = Health { ready: true, ..Health::default() },
                "unready" => *lock(&seen) = Health { reason: rest.to_owned(), ..Health::default() },
                "stopped" => lock(&seen).stopped = Some(line.to_owned()),
                "run" => lock(&ledger).ran(),
                "discard" => lock(&ledger).ended(rest, Fate::Discarded, false),
                "A" => lock(&ledger).attempted(rest),
                "C" => lock(&ledger).confirmed(rest),
                _ => {}
            }
        })?;
        Ok(Self { program, health })
    }

    pub(super) fn is_running(&self) -> bool {
        self.program.is_running().unwrap_or(false)
    }

    /// Asks it to end and waits. Gives whether it ended well, and its last words.
    pub(super) fn terminate(self) -> io::Result<(bool, Health)> {
        let ended_well = self.program.terminate()?;
        let health = lock(&self.health).clone();
        Ok((ended_well, health))
    }

    /// What it says of itself; not ready once its process is gone.
    pub(super) fn health(&self) -> Health {
        let health = lock(&self.health).clone();
        if self.is_running() {
            return health;
        }
        Health { ready: false, reason: "its process has ended".to_owned(), ..health }
    }
}

/// What the collector said of itself last.
#[derive(Debug, Default)]
pub(super) struct Collected {
    pub(super) up: bool,
    /// Waiting messages of each queue, and when that was.
    pub(super) depths: BTreeMap<String, (u64, Instant)>,
}

/// The foreign collector.
#[derive(Debug)]
pub(super) struct Collector {
    program: Program,
    pub(super) state: Arc<Mutex<Collected>>,
}

/// What the service's dead letters and work are in.
pub(super) const WORK_QUEUES: [&str; 5] =
    ["cmd.soak.Work", "cmd.soak.Plain", "cmd.soak.Timed", "qry.soak.Ask", "evt.soak.Happened.soak"];

impl Collector {
    pub(super) fn start(
        guard: &Arc<Guard>,
        client: &ForeignClient,
        url: &str,
        queue_type: &str,
        log: &Path,
        ledger: &Arc<Mutex<Ledger>>,
    ) -> io::Result<Self> {
        let mut command = client.command(&foreign_program("collector.py"));
        command.args([url, queue_type]);
        command.args(WORK_QUEUES.map(|queue| format!("dlq.{queue}")));
        command.arg("--").args(WORK_QUEUES);
        let state = Arc::new(Mutex::new(Collected::default()));
        let (seen, ledger) = (Arc::clone(&state), Arc::clone(ledger));
        let program = Program::start(guard, command, log, move |line| {
            let words: Vec<&str> = line.split(' ').collect();
            match words.as_slice() {
                ["up"] => lock(&seen).up = true,
                ["down", ..] => lock(&seen).up = false,
                ["Q", queue, ready] => {
                    let ready = ready.parse().unwrap_or(0);
                    lock(&seen).depths.insert((*queue).to_owned(), (ready, Instant::now()));
                }
                _ => note_end(&words, &mut lock(&ledger)),
            }
        })?;
        Ok(Self { program, state })
    }
}

impl Collector {
    /// Without it nothing can be said about anything.
    pub(super) fn must_run(&self) -> io::Result<()> {
        match self.program.is_running()? {
            true => Ok(()),
            false => Err(io::Error::other("the collector has ended; its log says why")),
        }
    }
}

fn note_end(words: &[&str], ledger: &mut Ledger) {
    match words {
        ["D", id, message_id, _attempt, again] => {
            ledger.ended(id, Fate::Done, *again == "1");
            ledger.result(id, message_id);
        }
        ["R", id, kind, again] => {
            ledger.ended(id, Fate::Replied((*kind).to_owned()), *again == "1");
        }
        ["P", id, _queue, reason, _attempts, again] => {
            ledger.ended(id, Fate::Parked((*reason).to_owned()), *again == "1");
        }
        _ => ledger.incident(format!("the collector said `{}`", words.join(" "))),
    }
}

/// Starts the foreign publisher.
pub(super) fn publisher(
    guard: &Arc<Guard>,
    client: &ForeignClient,
    arguments: &[String],
    log: &Path,
    ledger: &Arc<Mutex<Ledger>>,
) -> io::Result<Program> {
    let mut command = client.command(&foreign_program("publisher.py"));
    command.args(arguments);
    let ledger = Arc::clone(ledger);
    Program::start(guard, command, log, move |line| match line.split_once(' ') {
        Some(("A", id)) => lock(&ledger).attempted(id),
        Some(("C", id)) => lock(&ledger).confirmed(id),
        _ => {}
    })
}

fn foreign_program(name: &str) -> PathBuf {
    workspace_root().join("tests/foreign").join(name)
}
