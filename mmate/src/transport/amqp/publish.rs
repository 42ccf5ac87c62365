//! Publishing: sent, confirmed, and sent again through outages, up to the deadline.
//!
//! Nearly every message is sent at once and confirmed, and its way is short. All others go to [`persist`].

mod errors;
mod persist;

use std::collections::HashSet;
use std::future::Future;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use foldhash::fast::RandomState;
use lapin::types::MAX_SHORT_STRING_LENGTH;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, timeout};

use self::errors::{MAYBE, failed, unroutable};
use super::config::AmqpConfig;
use super::confirms::{Lane, Submission};
use super::convert::wire_bytes;
use super::link::{Link, LinkState, Live};
use super::verdict::{Submitted, Ticket, Verdict};
use crate::transport::{Outgoing, PublishError, PublishErrorKind};

/// A body counts as one publish in flight per this many bytes begun.
const BODY_BYTES_PER_PERMIT: usize = 16 * 1024;

/// How many messages are sent on channels of their own at a time, see [`Publisher::alone`].
const ALONE_MAX: usize = 8;

/// Sends messages over a link.
pub(super) struct Publisher {
    timeout: Duration,
    body_bytes_max: usize,
    permits_max: u32,
    in_flight: Arc<Semaphore>,
    alone: Semaphore,
    /// Exchanges that were there when they were last asked for.
    known: RwLock<HashSet<String, RandomState>>,
    closed: AtomicBool,
}

/// How an attempt ended that did not confirm the message.
enum Setback {
    /// For good.
    Failed(PublishError),
    /// Once more, together with all others.
    Again(String),
    /// Once more, on a channel of its own.
    Alone,
    /// Once more after a pause, unless that was tried already.
    Refused,
}

type Attempt = Result<(), Setback>;

impl Publisher {
    pub(super) fn new(config: &AmqpConfig) -> Self {
        let permits_max = config.publish_in_flight_max.max(1);
        Self {
            timeout: config.publish_timeout,
            body_bytes_max: config.message_bytes_max,
            permits_max,
            in_flight: Arc::new(Semaphore::new(permits_max as usize)),
            alone: Semaphore::new(ALONE_MAX),
            known: RwLock::default(),
            closed: AtomicBool::new(false),
        }
    }

    /// Remembers that an exchange is there.
    pub(super) fn learn(&self, exchange: &str) {
        let mut known = self.known.write().unwrap_or_else(PoisonError::into_inner);
        if !known.contains(exchange) {
            known.insert(exchange.to_owned());
        }
    }

    /// Publishes and waits for the verdict.
    ///
    /// The message is in its ticket already, and the future has a place for the ticket alone: an `async fn` would have two.
    /// What few messages need has futures of its own.
    #[expect(clippy::manual_async_fn, reason = "see above")]
    pub(super) fn publish<'a>(
        &'a self,
        link: &'a Link,
        ticket: Arc<Ticket>,
    ) -> impl Future<Output = Result<(), PublishError>> + Send + 'a {
        async move {
            self.check(&ticket.outgoing)?;
            // Unless whoever waits for something else has a limit of their own, and a timer for it.
            let hurried = !ticket.outgoing.unhurried;
            let due = hurried.then(|| Instant::now().checked_add(self.timeout)).flatten();
            let persist = |first| Box::pin(self.persist(link, &ticket.outgoing, first, due));
            let Some((live, permit)) = self.at_once(link, &ticket.outgoing) else {
                return persist(None).await;
            };
            let submitted = match hand_over(&live, &ticket, permit, due) {
                Ok(submitted) => submitted,
                Err(setback) => return persist(Some((Arc::clone(&live), Err(setback)))).await,
            };
            let verdict = submitted.await;
            match self.judge(link, &ticket.outgoing, verdict) {
                Ok(()) => Ok(()),
                setback => persist(Some((live, setback))).await,
            }
        }
    }

    /// Lets no more messages in, and waits for the confirms of those that are on their way.
    /// False if the time was not enough.
    pub(super) async fn close(&self, limit: Duration) -> bool {
        self.closed.store(true, Ordering::Release);
        let all = self.in_flight.acquire_many(self.permits_max);
        let done = timeout(limit, all).await.is_ok();
        self.in_flight.close();
        done
    }

    /// Checks what can be checked before anything is done with a message.
    fn check(&self, outgoing: &Outgoing) -> Result<(), PublishError> {
        if self.closed.load(Ordering::Acquire) {
            let text = "the transport is closed";
            return Err(failed(outgoing, PublishErrorKind::Closed, text));
        }
        let (size, max) = (outgoing.body.len(), self.body_bytes_max);
        if size <= max {
            return Ok(());
        }
        let text = format!(
            "its body has {size} bytes, more than the limit of {max} (`message_bytes_max`); it was not sent"
        );
        Err(failed(outgoing, PublishErrorKind::TooLarge, &text))
    }

    /// A connection and a place for a message that can be sent without any wait, as nearly all can.
    fn at_once(
        &self,
        link: &Link,
        outgoing: &Outgoing,
    ) -> Option<(Arc<Live>, OwnedSemaphorePermit)> {
        if !self.knows(&outgoing.address.exchange) {
            return None;
        }
        let permit =
            Arc::clone(&self.in_flight).try_acquire_many_owned(self.weight(outgoing)).ok()?;
        Some((link.live_now(is_usable)?, permit))
    }

    /// How much of what may be in flight a message takes.
    fn weight(&self, outgoing: &Outgoing) -> u32 {
        let weight = outgoing.body.len().div_ceil(BODY_BYTES_PER_PERMIT);
        u32::try_from(weight).unwrap_or(u32::MAX).clamp(1, self.permits_max)
    }

    fn judge(&self, link: &Link, outgoing: &Outgoing, verdict: Verdict) -> Attempt {
        match verdict {
            Verdict::Confirmed => Ok(()),
            Verdict::Returned(text) => Err(Setback::Failed(unroutable(outgoing, &text))),
            Verdict::Nacked => Err(Setback::Refused),
            Verdict::Failed(error) => Err(self.after_failure(outgoing, &error)),
            Verdict::Overdue => Err(Setback::Failed(self.unknown(link, outgoing, None))),
        }
    }

    fn knows(&self, exchange: &str) -> bool {
        exchange.is_empty() || {
            let known = self.known.read().unwrap_or_else(PoisonError::into_inner);
            known.contains(exchange)
        }
    }

    #[cold]
    fn unknown(&self, link: &Link, outgoing: &Outgoing, last: Option<String>) -> PublishError {
        let reason = match link.state() {
            LinkState::Down(reason) => reason.to_string(),
            LinkState::Closed => "the transport is closed".to_owned(),
            LinkState::Up(live) if live.established.connection.status().blocked() => {
                "the broker takes no messages (low on memory or disk)".to_owned()
            }
            LinkState::Up(_) => last.unwrap_or_else(|| "the broker did not confirm it".to_owned()),
        };
        let text = format!(
            "no confirm from RabbitMQ at {} within {:?}: {reason}; {MAYBE}",
            link.place(),
            self.timeout
        );
        failed(outgoing, PublishErrorKind::Unknown, &text)
    }
}

fn is_usable(live: &Live) -> bool {
    live.lane.as_ref().is_some_and(|lane| !lane.is_dead())
}

/// Queues the frames of a message.
fn hand_over<'a>(
    live: &'a Live,
    ticket: &'a Arc<Ticket>,
    permit: OwnedSemaphorePermit,
    due: Option<Instant>,
) -> Result<Submitted<'a, Lane>, Setback> {
    let Some(lane) = &live.lane else {
        return Err(Setback::Again("no channel".to_owned()));
    };
    check_sendable(&ticket.outgoing, lane.properties_bytes_max()).map_err(Setback::Failed)?;
    let submitted = lane.submit(ticket, Submission { permit, due });
    submitted.ok_or_else(|| Setback::Again("the channel was closed".to_owned()))
}

/// Checks what the library takes for granted of a message.
fn check_sendable(outgoing: &Outgoing, properties_bytes_max: usize) -> Result<(), PublishError> {
    let Outgoing { address, properties, .. } = outgoing;
    let invalid = |why: &str| failed(outgoing, PublishErrorKind::Invalid, why);
    let size = wire_bytes(properties).map_err(|why| invalid(&why))?;
    if size > properties_bytes_max {
        let text = format!(
            "its properties and headers take {size} bytes; a frame of this connection has room for {properties_bytes_max}; it was not sent"
        );
        return Err(failed(outgoing, PublishErrorKind::TooLarge, &text));
    }
    for (name, what) in [(&*address.exchange, "exchange"), (&*address.routing_key, "routing key")] {
        if name.len() > MAX_SHORT_STRING_LENGTH {
            return Err(invalid(&format!("its {what} has {} bytes; AMQP allows 255", name.len())));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::contract::address::Address;
    use crate::transport::Properties;

    #[test]
    fn what_cannot_be_sent_is_refused_before() {
        let mut config = AmqpConfig::new("amqp://localhost");
        config.message_bytes_max = 10;
        let publisher = Publisher::new(&config);
        let outgoing = |body: &'static [u8], key: String| {
            let properties = Properties {
                message_id: Some("id-1".into()),
                message_type: Some("T".into()),
                ..Properties::default()
            };
            Outgoing::new(Address::queue(key), properties, body)
        };
        let error = publisher.check(&outgoing(&[0; 11], "q".to_owned())).unwrap_err();
        assert_eq!(error.kind(), PublishErrorKind::TooLarge);
        assert_eq!(
            error.to_string(),
            "message `id-1`: failed to publish `T` to queue `q`: its body has 11 bytes, more than the limit of 10 (`message_bytes_max`); it was not sent"
        );
        let error = check_sendable(&outgoing(&[], "k".repeat(256)), 1000).unwrap_err();
        assert_eq!(error.kind(), PublishErrorKind::Invalid);
        let good = outgoing(&[0; 10], "q".to_owned());
        assert!(publisher.check(&good).is_ok() && check_sendable(&good, 1000).is_ok());
        let error = check_sendable(&good, 10).unwrap_err();
        assert_eq!(error.kind(), PublishErrorKind::TooLarge);
    }

    fn bytes<A, B, C, F>(_: fn(A, B, C) -> F) -> usize {
        size_of::<F>()
    }

    /// The message itself is in its ticket.
    #[test]
    fn a_publish_that_waits_for_its_confirm_keeps_no_message() {
        let publish = bytes(Publisher::publish);
        assert!(publish <= size_of::<Outgoing>() / 3, "{publish} bytes");
    }
}
