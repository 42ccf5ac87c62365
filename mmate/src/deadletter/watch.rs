//! Notices when dead letters pile up.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;

use super::tools::DeadLetterQueue;
use crate::consume::{Alert, Alerts};
use crate::transport::Transport;

/// The least time between two looks: a storm of dead letters must not become a storm of questions.
const PAUSE_MIN: Duration = Duration::from_secs(1);

/// Looks at the depth of dead-letter queues after something was parked, and every now and then: the
/// broker and other instances park messages too.
#[derive(Debug)]
pub struct DepthWatch {
    transport: Arc<dyn Transport>,
    queues: Vec<DeadLetterQueue>,
    threshold: u64,
    every: Duration,
    alerts: Alerts,
    /// The queues over the threshold that have been told of.
    over: BTreeSet<String>,
}

impl DepthWatch {
    /// A watch that has not begun. A threshold of 0 never alerts.
    #[must_use]
    pub const fn new(
        transport: Arc<dyn Transport>,
        queues: Vec<DeadLetterQueue>,
        threshold: u64,
        every: Duration,
        alerts: Alerts,
    ) -> Self {
        Self { transport, queues, threshold, every, alerts, over: BTreeSet::new() }
    }

    /// Watches until `stopping` says true.
    pub async fn run(mut self, mut stopping: watch::Receiver<bool>) {
        if self.threshold == 0 || self.queues.is_empty() {
            return;
        }
        let watching = async move {
            loop {
                tokio::select! {
                    () = self.alerts.next_parked() => {}
                    () = tokio::time::sleep(self.every) => {}
                }
                self.look().await;
                tokio::time::sleep(PAUSE_MIN).await;
            }
        };
        tokio::select! {
            () = watching => {}
            // An error means that the app is gone.
            _ = stopping.wait_for(|stop| *stop) => {}
        }
    }

    async fn look(&mut self) {
        for parked in &self.queues {
            let name = &parked.queue.name;
            let (count, consumers) = match self.transport.queue_stats(name).await {
                Ok(stats) => stats.map_or((0, 0), |stats| (stats.ready, stats.consumers)),
                Err(error) => {
                    // The connection is somebody else's alert.
                    tracing::debug!(dead_letter_queue = %name, %error, "its depth is unknown");
                    continue;
                }
            };
            if count < self.threshold {
                // A tool that looks at the queue holds what it sees, and gives it back.
                if consumers == 0 || parked.is_handled() {
                    self.over.remove(name);
                }
            } else if self.over.insert(name.clone()) {
                self.alerts.raise(&Alert::DeadLetters {
                    queue: parked.origins.join(", "),
                    dead_letter_queue: name.clone(),
                    count,
                    threshold: self.threshold,
                });
            }
        }
    }
}
