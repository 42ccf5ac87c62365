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
    /// How long it took.
    pub took: Duration,
}

impl ShutdownReport {
    pub(super) const fn new(drained: bool, counts: Counts, took: Duration) -> Self {
        Self { drained, counts, took }
    }
}

impl fmt::Display for ShutdownReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Counts { handled, retried, rejected, discarded, dead_lettered, abandoned } =
            self.counts;
        let how = if self.drained {
            "everything in flight has ended"
        } else {
            "cut off; what was in flight comes again"
        };
        write!(
            f,
            "stopped in {:.1} s, {how}: {handled} handled, {retried} retried, {rejected} rejected, {discarded} discarded, \
             {dead_lettered} dead-lettered, {abandoned} left for redelivery",
            self.took.as_secs_f64()
        )
    }
}

/// Resolves when the process is asked to stop: Ctrl-C, or SIGTERM.
pub(super) async fn signal() {
    let interrupt = async {
        // Without a handler the default action of the signal ends the process, which is as well.
        if tokio::signal::ctrl_c().await.is_err() {
            std::future::pending::<()>().await;
        }
    };
    tokio::select! {
        () = interrupt => {}
        () = terminate() => {}
    }
}

#[cfg(unix)]
async fn terminate() {
    use tokio::signal::unix::{SignalKind, signal};
    match signal(SignalKind::terminate()) {
        Ok(mut signals) => {
            signals.recv().await;
        }
        Err(_) => std::future::pending().await,
    }
}

#[cfg(not(unix))]
async fn terminate() {
    std::future::pending().await
}
