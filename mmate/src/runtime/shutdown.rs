//! Stopping by phases, and the report of it.

use std::fmt;
use std::time::Duration;

use crate::consume::Counts;

/// What stopping did.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ShutdownReport {
    /// True if every handler ended in time; otherwise some messages will come again.
    pub drained: bool,
    /// What became of the messages of the whole run.
    pub counts: Counts,
    /// Messages that were accepted by `publish_later` and did not reach the broker; each is logged with
    /// its id.
    pub unpublished: usize,
    /// How long it took.
    pub took: Duration,
}

impl ShutdownReport {
    pub(super) const fn new(drained: bool, counts: Counts, took: Duration) -> Self {
        Self { drained, counts, unpublished: 0, took }
    }

    pub(super) const fn unpublished(mut self, messages: usize) -> Self {
        self.unpublished = messages;
        self
    }
}

impl fmt::Display for ShutdownReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Counts {
            handled,
            retried,
            fallen_back,
            rejected,
            discarded,
            dead_lettered,
            abandoned,
            left,
        } = self.counts;
        let again = abandoned + left;
        let how = if self.drained {
            "everything in flight has ended"
        } else {
            "cut off; what was in flight comes again"
        };
        write!(
            f,
            "stopped in {:.1} s, {how}: {handled} handled, {fallen_back} fallen back, {retried} retried, {rejected} rejected, \
             {discarded} discarded, {dead_lettered} dead-lettered, {again} left for redelivery",
            self.took.as_secs_f64()
        )?;
        match self.unpublished {
            0 => Ok(()),
            count => write!(f, ", {count} not published"),
        }
    }
}

/// Notices when the process is asked to stop: Ctrl-C, or SIGTERM.
///
/// From its making on these no longer end the process by themselves, so it is made before anybody
/// is told that the service is up, and only where somebody listens to it.
#[derive(Debug)]
pub(crate) struct Signals {
    /// Nothing where the system refused: the default action then ends the process, which is as well.
    interrupt: Option<Interrupt>,
    #[cfg(unix)]
    terminate: Option<Interrupt>,
}

#[cfg(unix)]
type Interrupt = tokio::signal::unix::Signal;
#[cfg(windows)]
type Interrupt = tokio::signal::windows::CtrlC;

impl Signals {
    #[cfg(unix)]
    pub(crate) fn install() -> Self {
        use tokio::signal::unix::{SignalKind, signal};
        let install = |kind| signal(kind).ok();
        Self {
            interrupt: install(SignalKind::interrupt()),
            terminate: install(SignalKind::terminate()),
        }
    }

    #[cfg(windows)]
    pub(crate) fn install() -> Self {
        Self { interrupt: tokio::signal::windows::ctrl_c().ok() }
    }

    /// Resolves at the next signal, also one that came since the last call.
    pub(crate) async fn next(&mut self) {
        #[cfg(unix)]
        tokio::select! {
            () = received(self.interrupt.as_mut()) => {}
            () = received(self.terminate.as_mut()) => {}
        }
        #[cfg(windows)]
        received(self.interrupt.as_mut()).await;
    }
}

async fn received(signal: Option<&mut Interrupt>) {
    match signal {
        Some(signal) => {
            signal.recv().await;
        }
        None => std::future::pending().await,
    }
}
