//! Sending dead letters back.

use std::time::Duration;

use tokio::time::Instant;

use super::selection::Selection;
use super::tools::{DeadLetters, Held, Outcome, interrupted};
use crate::consume::forget_death;
use crate::contract::address::Address;
use crate::transport::{Outgoing, Settlement, Topology, TransportError, TransportErrorKind};

/// The bodies that a replay by copies holds at a time, in bytes. It sends back no more in one go.
const COPY_BYTES_MAX: usize = 64 * 1024 * 1024;

impl DeadLetters {
    /// Sends dead letters back to the queue that they failed in, at most
    /// [`DeadLetters::rate_per_second`]. Attempts count from 1 again. A message that fails once more comes
    /// back to this queue, and is not looked at again by the same call.
    ///
    /// The broker moves each message in one step, so a process that is killed meanwhile loses nothing and
    /// doubles nothing: what it has not moved is in this queue as before. Only where several queues share
    /// this one, and for broadcasts, a copy is published and confirmed before the dead letter is removed;
    /// a process that ends between the two leaves a message that is handled and still here. Such a replay
    /// holds at most 64 MiB of bodies, and takes no more in one go.
    ///
    /// RabbitMQ ends a channel that holds a delivery for long (`consumer_timeout`, 30 minutes by default).
    /// A replay that takes longer ends with an error and can be repeated; a count keeps it shorter.
    ///
    /// # Errors
    /// Before anything is moved: if this queue or the one to go back to does not exist, or if this queue
    /// exists without the way back. Later, if the connection is lost: the text says how many have left.
    pub async fn replay(&self, selection: &Selection) -> Result<Outcome, TransportError> {
        match self.queue.way_back() {
            Some(origin) => self.move_back(origin, selection).await,
            None => self.copy_back(selection).await,
        }
    }

    async fn move_back(
        &self,
        origin: &str,
        selection: &Selection,
    ) -> Result<Outcome, TransportError> {
        self.count().await?;
        self.check_origin(origin).await?;
        // To reject is to move only where the broker knows whereto, and else to destroy. A queue that was
        // declared otherwise is found out here.
        let mut topology = Topology::default();
        topology.queue(self.queue.queue.clone());
        self.transport.declare(&topology).await?;
        let (mut look, chosen) = self.choose(selection, |delivery, _| delivery.tag).await?;
        let mut pace = Pace::new(self.rate_per_second);
        let mut moved = 0;
        for tag in &chosen {
            let waited = look.wait_until(pace.turn()).await;
            waited.map_err(|error| interrupted(&error, moved, chosen.len()))?;
            // No crash window: until the broker has this word the message is here, and then it is there.
            let settled = look.decide(*tag, Settlement::Reject).await;
            settled.map_err(|error| interrupted(&error, moved, chosen.len()))?;
            moved += 1;
        }
        self.outcome(look, moved, 0).await
    }

    async fn copy_back(&self, selection: &Selection) -> Result<Outcome, TransportError> {
        let mut held_bytes: usize = 0;
        let keep = |delivery: crate::transport::Delivery, letter| {
            held_bytes = held_bytes.saturating_add(delivery.body.len());
            ((delivery.tag, letter, delivery), held_bytes < COPY_BYTES_MAX)
        };
        let (mut look, chosen): (_, Vec<Held>) = self.choose_while(selection, keep).await?;
        let total = chosen.len();
        let mut origins: Vec<&str> =
            chosen.iter().filter_map(|(_, letter, _)| letter.queue.as_deref()).collect();
        origins.sort_unstable();
        origins.dedup();
        for origin in origins {
            self.check_origin(origin).await?;
        }
        let mut pace = Pace::new(self.rate_per_second);
        let (mut moved, mut without_origin) = (0, 0);
        for (tag, letter, delivery) in chosen {
            let Some(origin) = letter.queue else {
                without_origin += 1;
                continue;
            };
            let waited = look.wait_until(pace.turn()).await;
            waited.map_err(|error| interrupted(&error, moved, total))?;
            let mut properties = delivery.properties;
            forget_death(&mut properties.headers);
            properties.expiration_ms = None;
            let copy = Outgoing::new(Address::queue(origin), properties, delivery.body);
            let published = self.transport.publish(copy).await.map_err(|error| {
                let text = error.to_string();
                TransportError::new(TransportErrorKind::Other, text).with_source(error)
            });
            // Crash window: the copy is confirmed and the dead letter is still here. The next replay
            // publishes the same id again, which an idempotent consumer sees once. Never the other way
            // round: what is acknowledged has a confirmed copy.
            let settled = match published {
                Ok(()) => look.decide(tag, Settlement::Ack).await,
                Err(error) => Err(error),
            };
            settled.map_err(|error| interrupted(&error, moved, total))?;
            moved += 1;
        }
        self.outcome(look, moved, without_origin).await
    }

    /// Says that there is nowhere to go back to while nothing has moved.
    async fn check_origin(&self, origin: &str) -> Result<(), TransportError> {
        if self.transport.queue_stats(origin).await?.is_some() {
            return Ok(());
        }
        let parked = &self.queue.queue.name;
        let text = format!(
            "the dead letters in `{parked}` come from queue `{origin}`, which does not exist; nothing was moved. Start \
             the service, which declares it, or throw them away with `dlq purge`"
        );

        Err(TransportError::new(TransportErrorKind::NotFound, text))
    }
}

/// How late a turn may be for the next ones to make up for it: timers are no finer than a millisecond,
/// and a high rate would never be reached.
const CATCH_UP_MAX: Duration = Duration::from_millis(20);

/// Keeps to a rate. Time that was lost otherwise is not made up for by a burst.
struct Pace {
    period: Duration,
    next: Instant,
}

impl Pace {
    fn new(rate_per_second: u32) -> Self {
        Self { period: Duration::from_secs(1) / rate_per_second.max(1), next: Instant::now() }
    }

    /// When the next one may go.
    fn turn(&mut self) -> Instant {
        let now = Instant::now();
        let turn = now.checked_sub(CATCH_UP_MAX).map_or(self.next, |late| self.next.max(late));
        self.next = turn + self.period;
        turn
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn the_first_goes_at_once_and_the_others_keep_the_rate() {
        let began = Instant::now();
        let mut pace = Pace::new(4);
        for _ in 0..9 {
            tokio::time::sleep_until(pace.turn()).await;
        }
        assert_eq!(began.elapsed().as_millis(), 2_000);
        tokio::time::sleep(Duration::from_secs(60)).await;
        let late = Instant::now();
        tokio::time::sleep_until(pace.turn()).await;
        tokio::time::sleep_until(pace.turn()).await;
        assert_eq!(late.elapsed().as_millis(), 230, "lost time is not made up for");
    }
}
