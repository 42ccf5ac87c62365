//! Looking at a queue: take, hold, decide, give back.

use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use crate::transport::{
    Delivery, Intake, Settlement, SubscribeOptions, Subscription, Tag, Transport, TransportError,
    TransportErrorKind,
};

/// How long a look waits for a message that was there when it began, and that somebody else may have
/// taken meanwhile.
const READ_PAUSE_MAX: Duration = Duration::from_secs(5);

/// How long the end of a look waits until the broker has put everything back.
const RETURN_WAIT_MAX: Duration = Duration::from_secs(2);

const RETURN_POLL: Duration = Duration::from_millis(20);

/// Deliveries of a queue that are held until they are settled or given back.
#[derive(Debug)]
pub(super) struct Look {
    transport: Arc<dyn Transport>,
    queue: String,
    subscription: Option<Box<dyn Subscription>>,
    /// How many messages waited when it began.
    pub(super) waiting: u64,
    /// How many of them it has seen.
    pub(super) looked_at: u64,
    /// How many it holds.
    held: u64,
}

impl Look {
    /// Shows `see` at most `most` messages, and never more than waited at the beginning: a message that
    /// comes back to the queue meanwhile stands behind those, so none is seen twice.
    pub(super) async fn begin(
        transport: &Arc<dyn Transport>,
        queue: &str,
        most: u16,
        mut see: impl FnMut(Delivery) -> ControlFlow<()>,
    ) -> Result<Self, TransportError> {
        let waiting = waiting(&**transport, queue).await?;
        let mut look = Self {
            transport: Arc::clone(transport),
            queue: queue.to_owned(),
            subscription: None,
            waiting,
            looked_at: 0,
            held: 0,
        };
        // The prefetch has room for all: what is not settled blocks nothing.
        let prefetch = u16::try_from(waiting).unwrap_or(u16::MAX).min(most);
        if prefetch == 0 {
            return Ok(look);
        }
        let options = SubscribeOptions::new(queue, prefetch).consumer("dead-letter-tools");
        let mut subscription = transport.subscribe(options).await?;
        while look.looked_at < u64::from(prefetch) {
            match tokio::time::timeout(READ_PAUSE_MAX, subscription.next()).await {
                Ok(Intake::Delivery(delivery)) => {
                    look.looked_at += 1;
                    look.held += 1;
                    if see(delivery).is_break() {
                        break;
                    }
                }
                Ok(Intake::Lost(error)) => return Err(error),
                Ok(Intake::Ended) | Err(_) => break,
            }
        }
        look.subscription = Some(subscription);
        Ok(look)
    }

    /// Waits. What is settled makes room for messages that came later; they are held as well and not
    /// looked at, so that whoever looks at the queue's consumers sees that somebody is at it.
    pub(super) async fn wait_until(&mut self, moment: Instant) -> Result<(), TransportError> {
        let Some(subscription) = &mut self.subscription else { return Ok(()) };
        while moment > Instant::now() {
            match tokio::time::timeout_at(moment, subscription.next()).await {
                Ok(Intake::Delivery(_)) => self.held += 1,
                Ok(Intake::Lost(error)) => return Err(error),
                Ok(Intake::Ended) | Err(_) => break,
            }
        }
        Ok(())
    }

    /// Decides the fate of one message, and waits until that is written.
    pub(super) async fn decide(
        &mut self,
        tag: Tag,
        settlement: Settlement,
    ) -> Result<(), TransportError> {
        if let Some(subscription) = &mut self.subscription {
            subscription.settle(tag, settlement);
            subscription.flush().await?;
            self.held -= 1;
        }
        Ok(())
    }

    /// Gives back what was not settled. A process that ends before does so too: the broker takes back
    /// what its connection held.
    pub(super) async fn end(self) -> Result<(), TransportError> {
        drop(self.subscription);
        // The broker takes it back in its own time; who looks again at once would see nothing.
        let until = Instant::now() + RETURN_WAIT_MAX;
        while self.held > 0
            && waiting(&*self.transport, &self.queue).await? < self.held
            && Instant::now() < until
        {
            tokio::time::sleep(RETURN_POLL).await;
        }
        Ok(())
    }
}

/// How many messages wait in a queue that must exist.
pub(super) async fn waiting(transport: &dyn Transport, queue: &str) -> Result<u64, TransportError> {
    match transport.queue_stats(queue).await? {
        Some(stats) => Ok(stats.ready),
        None => Err(TransportError::new(
            TransportErrorKind::NotFound,
            format!("there is no queue `{queue}`; the service declares it when it starts"),
        )),
    }
}
