//! Parking: a message that failed for good goes to its dead-letter queue, or stays where it is.

use std::sync::Arc;

use tokio::sync::watch;

use super::alert::{Alert, Alerts};
use super::dead_letter::{Death, error_text};
use super::failure::Failure;
use super::settle::Decision;
use crate::observability::Fate;
use crate::publish::Publisher;
use crate::reliability::Backoff;
use crate::transport::{Outgoing, PublishErrorKind, Queue, Settlement, Topology, Transport};

/// Waits between attempts to reach the dead-letter queue.
const BACKOFF: Backoff = Backoff::exponential_ms(100, 30_000);

/// The way to a dead-letter queue.
#[derive(Clone, Debug)]
pub(super) struct Parking {
    pub(super) publisher: Publisher,
    pub(super) transport: Arc<dyn Transport>,
    /// The dead-letter queue.
    pub(super) queue: Queue,
    pub(super) alerts: Alerts,
    pub(super) stopping: watch::Receiver<bool>,
}

impl Parking {
    /// Moves a message to the dead-letter queue: the copy is confirmed before the original is
    /// acknowledged. Crash window: both exist for a moment; the redelivery is dead-lettered again.
    pub(super) async fn dead_letter(
        &self,
        failure: &Failure<'_>,
        reason: &'static str,
    ) -> Decision {
        let service = &self.publisher.encoder().service;
        let death = Death {
            reason,
            error: error_text(&failure.error),
            attempts: failure.attempt,
            queue: failure.queue,
            handler: &format!("{service}.{}", failure.handler),
            time: self.publisher.encoder().source.now(),
        };
        let copy = death.copy(failure.delivery, &self.queue.name);
        match self.publish(failure, copy).await {
            Parked::Yes => {}
            Parked::Stopped => return Decision::Leave,
            Parked::Never => {
                self.alerts.parked();
                failure.record(Fate::Moved, Some(reason));
                return Decision::Settle(Settlement::Reject);
            }
        }
        tracing::error!(
            queue = failure.queue,
            dead_letter_queue = %self.queue.name,
            message_id = failure.message_id(),
            reason,
            attempts = failure.attempt,
            error = %death.error,
            "dead-lettered"
        );
        failure.record(Fate::DeadLettered, Some(reason));
        self.alerts.parked();
        Decision::Settle(Settlement::Ack)
    }

    /// Publishes the copy, however long it takes: the original stays unacknowledged meanwhile.
    async fn publish(&self, failure: &Failure<'_>, copy: Outgoing) -> Parked {
        let mut stopping = self.stopping.clone();
        for attempt in 1.. {
            let Err(error) = self.publisher.forward(copy.clone()).await else { return Parked::Yes };
            tracing::warn!(
                queue = failure.queue,
                dead_letter_queue = %self.queue.name,
                message_id = failure.message_id(),
                %error,
                "could not be dead-lettered; the message stays unacknowledged until it is"
            );
            if attempt == 1 {
                self.alerts.raise(&Alert::ParkingFails {
                    queue: failure.queue.to_owned(),
                    dead_letter_queue: self.queue.name.clone(),
                    message_id: failure.message_id().to_owned(),
                    error: error.to_string(),
                });
            }
            match error.kind() {
                PublishErrorKind::Unroutable => self.declare().await,
                // Trying again cannot help: headers that fit no frame any more, a body over a limit. The
                // broker moves the message itself, without our headers.
                PublishErrorKind::TooLarge | PublishErrorKind::Invalid => return Parked::Never,
                _ => {}
            }
            let wait = tokio::time::sleep(BACKOFF.wait(attempt));
            tokio::select! {
                () = wait => {}
                _ = stopping.wait_for(|stop| *stop) => return Parked::Stopped,
            }
        }
        Parked::Stopped
    }

    /// Somebody deleted the queue: without it failed messages would pile up unacknowledged.
    async fn declare(&self) {
        let mut topology = Topology::default();
        topology.queue(self.queue.clone());
        if let Err(error) = self.transport.declare(&topology).await {
            tracing::error!(dead_letter_queue = %self.queue.name, %error, "could not be declared again");
        }
    }
}

/// What became of a copy for the dead-letter queue.
enum Parked {
    /// The broker has it.
    Yes,
    /// The app stops first.
    Stopped,
    /// It cannot be published, now or later.
    Never,
}
