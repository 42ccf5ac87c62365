//! Publishing: sent, confirmed, and sent again through outages, up to the deadline.

use std::collections::HashSet;
use std::future::Future;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use foldhash::fast::RandomState;
use lapin::ExchangeKind;
use lapin::options::ExchangeDeclareOptions;
use lapin::types::{FieldTable, ShortString};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;

use super::config::AmqpConfig;
use super::confirms::{Lane, Parcel, frame_room, send_alone};
use super::convert::{to_amqp, wire_bytes};
use super::failure::{cause, code, codes};
use super::link::{Link, LinkState, Live};
use super::verdict::Verdict;
use crate::transport::{Outgoing, PublishError, PublishErrorKind};

/// A body counts as one publish in flight per this many bytes begun.
const BODY_BYTES_PER_PERMIT: usize = 16 * 1024;

/// How many messages are sent on channels of their own at a time, see [`Publisher::alone`].
const ALONE_MAX: usize = 8;

/// The pause before something is tried again that is not waited for otherwise.
const RETRY_PAUSE: Duration = Duration::from_millis(20);

/// The pauses before a message that the broker refused is sent again, each time on a channel of its own.
///
/// A full queue refuses; but so does a quorum queue whose leader has gone, until another one leads. A
/// channel that first published to the queue while its leader's node was down goes on to refuse for as
/// long as that node is away (seen with RabbitMQ 3.10), so a refusal is final only on a fresh one.
const REFUSED_PAUSES: [Duration; 3] =
    [Duration::from_millis(50), Duration::from_millis(500), Duration::from_secs(2)];

const MAYBE: &str = "it may or may not have arrived, publish it again with the same id";

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
    /// Not an `async fn`: the message is put behind a pointer first, which keeps the future small.
    pub(super) fn publish<'a>(
        &'a self,
        link: &'a Link,
        outgoing: Outgoing,
    ) -> impl Future<Output = Result<(), PublishError>> + Send + 'a {
        let check = self.check(&outgoing);
        let outgoing = Arc::new(outgoing);
        async move {
            check?;
            let mut last = None;
            let attempts = self.attempts(link, &outgoing, &mut last);
            if outgoing.unhurried {
                // Whoever waits for something else has a limit of their own, and a timer for it.
                return attempts.await;
            }
            match timeout(self.timeout, attempts).await {
                Ok(result) => result,
                Err(_) => Err(self.unknown(link, &outgoing, last)),
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

    async fn attempts(
        &self,
        link: &Link,
        outgoing: &Arc<Outgoing>,
        last: &mut Option<String>,
    ) -> Result<(), PublishError> {
        let mut alone = false;
        let mut refusals = REFUSED_PAUSES.iter();
        let mut refused_by = None;
        loop {
            let Some(permit) = self.permit(outgoing).await else {
                return Err(closed(link, outgoing, last.is_some()));
            };
            let usable = |live: &Live| live.lane.as_ref().is_some_and(|lane| !lane.is_dead());
            let Some(live) = link.next_live(usable).await else {
                return Err(closed(link, outgoing, last.is_some()));
            };
            let attempt = if alone {
                Box::pin(self.alone(&live, outgoing)).await
            } else {
                self.together(&live, outgoing, permit).await
            };
            match attempt {
                Ok(()) => {
                    // A fresh channel takes what the shared one refused.
                    refused_by.iter().for_each(|lane: &Arc<Lane>| lane.retire());
                    return Ok(());
                }
                Err(Setback::Failed(error)) => return Err(error),
                // What was sent before the channel or connection ended may have arrived without its
                // confirm: this is where a message is published twice, with the same id.
                Err(Setback::Again(reason)) => *last = Some(reason),
                Err(Setback::Alone) => alone = true,
                Err(Setback::Refused) => {
                    let Some(pause) = refusals.next() else { return Err(nacked(outgoing)) };
                    if !alone {
                        (alone, refused_by) = (true, live.lane.clone());
                    }
                    tokio::time::sleep(*pause).await;
                }
            }
        }
    }

    async fn permit(&self, outgoing: &Outgoing) -> Option<OwnedSemaphorePermit> {
        let weight = outgoing.body.len().div_ceil(BODY_BYTES_PER_PERMIT);
        let weight = u32::try_from(weight).unwrap_or(u32::MAX).clamp(1, self.permits_max);
        Arc::clone(&self.in_flight).acquire_many_owned(weight).await.ok()
    }

    /// Sends a message on the channel that all share.
    async fn together(
        &self,
        live: &Live,
        outgoing: &Arc<Outgoing>,
        permit: OwnedSemaphorePermit,
    ) -> Attempt {
        let Some(lane) = &live.lane else {
            return Err(Setback::Again("no channel".to_owned()));
        };
        if !self.knows(&outgoing.address.exchange) {
            // Boxed: the rare way must not swell the future of each publish.
            Box::pin(self.find_exchange(live, outgoing)).await?;
        }
        let parcel = pack(outgoing, lane.properties_bytes_max()).map_err(Setback::Failed)?;
        let Ok(submitted) = lane.submit(outgoing, parcel, permit) else {
            return Err(Setback::Again("the channel was closed".to_owned()));
        };
        match submitted.await {
            Verdict::Confirmed => Ok(()),
            Verdict::Returned(text) => Err(Setback::Failed(unroutable(outgoing, &text))),
            Verdict::Nacked => Err(Setback::Refused),
            Verdict::Failed(error) => Err(self.after_failure(outgoing, &error)),
        }
    }

    fn knows(&self, exchange: &str) -> bool {
        exchange.is_empty() || {
            let known = self.known.read().unwrap_or_else(PoisonError::into_inner);
            known.contains(exchange)
        }
    }

    /// Asks once whether an exchange is there. A message to one that is missing closes the channel
    /// for everybody, so that is not left to chance.
    async fn find_exchange(&self, live: &Live, outgoing: &Outgoing) -> Attempt {
        let name = &*outgoing.address.exchange;
        let ask = async {
            let channel = live.established.connection.create_channel().await?;
            let passive =
                ExchangeDeclareOptions { passive: true, ..ExchangeDeclareOptions::default() };
            let exchange = ShortString::from(name);
            channel
                .exchange_declare(exchange, ExchangeKind::Topic, passive, FieldTable::default())
                .await
        };
        match ask.await {
            Ok(()) => {
                self.learn(name);
                Ok(())
            }
            Err(error) => match code(&error) {
                Some(codes::NOT_FOUND) => Err(Setback::Failed(no_exchange(outgoing))),
                // Without the right to ask, the publish itself must show it, where it harms nobody.
                Some(_) if error.is_amqp_soft_error() => Err(Setback::Alone),
                _ => Err(again_later(&error).await),
            },
        }
    }

    /// What to do with a message whose channel ended before its confirm.
    fn after_failure(&self, outgoing: &Outgoing, error: &lapin::Error) -> Setback {
        if !error.is_amqp_soft_error() {
            return Setback::Again(cause(error));
        }
        // The broker closed the channel because of one message; the others are innocent. It names
        // the exchange at most, so the suspects go on alone, and only the guilty one fails there.
        let text = cause(error);
        match culprit(&text) {
            Some(exchange) if exchange != outgoing.address.exchange => Setback::Again(text),
            Some(exchange) => {
                self.known.write().unwrap_or_else(PoisonError::into_inner).remove(exchange);
                Setback::Alone
            }
            None => Setback::Alone,
        }
    }

    /// Sends a message on a channel of its own, where the broker's answer is certainly about it. Its
    /// place among other messages is lost.
    async fn alone(&self, live: &Live, outgoing: &Arc<Outgoing>) -> Attempt {
        let Ok(_turn) = self.alone.acquire().await else {
            return Err(Setback::Again("closed".to_owned()));
        };
        let connection = &live.established.connection;
        let parcel = pack(outgoing, frame_room(connection)).map_err(Setback::Failed)?;
        match send_alone(connection, outgoing, parcel).await {
            Ok(Verdict::Confirmed) => Ok(()),
            Ok(Verdict::Returned(text)) => Err(Setback::Failed(unroutable(outgoing, &text))),
            Ok(Verdict::Nacked) => Err(Setback::Refused),
            Ok(Verdict::Failed(error)) | Err(error) => {
                let text = cause(&error);
                match code(&error) {
                    Some(codes::NOT_FOUND) => Err(Setback::Failed(no_exchange(outgoing))),
                    Some(_) if error.is_amqp_soft_error() && text.contains("message size") => {
                        Err(Setback::Failed(failed(outgoing, PublishErrorKind::TooLarge, &text)))
                    }
                    Some(_) if error.is_amqp_soft_error() => {
                        let text = format!("the broker refused it: {text}");
                        Err(Setback::Failed(failed(outgoing, PublishErrorKind::Refused, &text)))
                    }
                    _ => Err(again_later(&error).await),
                }
            }
        }
    }

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

/// Puts a message into the library's words.
fn pack(outgoing: &Outgoing, properties_bytes_max: usize) -> Result<Parcel, PublishError> {
    let size = wire_bytes(&outgoing.properties);
    if size > properties_bytes_max {
        let text = format!(
            "its properties and headers take {size} bytes; a frame of this connection has room for {properties_bytes_max}; it was not sent"
        );
        return Err(failed(outgoing, PublishErrorKind::TooLarge, &text));
    }
    let invalid = |why: String| failed(outgoing, PublishErrorKind::Invalid, &why);
    let short = |name: &str, what: &str| {
        ShortString::try_new(name)
            .map_err(|_| invalid(format!("its {what} has {} bytes; AMQP allows 255", name.len())))
    };
    Ok(Parcel {
        exchange: short(&outgoing.address.exchange, "exchange")?,
        routing_key: short(&outgoing.address.routing_key, "routing key")?,
        properties: Box::new(to_amqp(&outgoing.properties).map_err(invalid)?),
    })
}

/// A failure that the shared channel has not noticed, so that trying at once would spin.
async fn again_later(error: &lapin::Error) -> Setback {
    tokio::time::sleep(RETRY_PAUSE).await;
    Setback::Again(cause(error))
}

/// The exchange that the broker's text names.
fn culprit(text: &str) -> Option<&str> {
    let (_, after) = text.split_once("exchange '")?;
    after.split_once('\'').map(|(name, _)| name)
}

/// The error of a message that the transport was closed under. One that was sent may have arrived.
fn closed(link: &Link, outgoing: &Outgoing, sent: bool) -> PublishError {
    if !sent {
        let text = "the transport was closed before it was sent";
        return failed(outgoing, PublishErrorKind::Closed, text);
    }
    let text = format!(
        "no confirm from RabbitMQ at {} before the transport was closed; {MAYBE}",
        link.place()
    );
    failed(outgoing, PublishErrorKind::Unknown, &text)
}

fn unroutable(outgoing: &Outgoing, reply: &str) -> PublishError {
    let text = format!(
        "no queue takes it ({reply}): no binding matches its routing key, or the queue does not exist"
    );
    failed(outgoing, PublishErrorKind::Unroutable, &text)
}

fn nacked(outgoing: &Outgoing) -> PublishError {
    let text = "the broker refused it again and again: a queue is full, or cannot store it";
    failed(outgoing, PublishErrorKind::Refused, text)
}

fn no_exchange(outgoing: &Outgoing) -> PublishError {
    let text = "there is no such exchange; declare it before publishing";
    failed(outgoing, PublishErrorKind::NoExchange, text)
}

/// An error that names type and address; the id stands before it.
fn failed(outgoing: &Outgoing, kind: PublishErrorKind, why: &str) -> PublishError {
    let message_type = outgoing.properties.message_type.as_deref().unwrap_or("-");
    let key = &outgoing.address.routing_key;
    let to = match &*outgoing.address.exchange {
        "" => format!("queue `{key}`"),
        exchange => format!("exchange `{exchange}` with key `{key}`"),
    };
    let text = format!("failed to publish `{message_type}` to {to}: {why}");
    PublishError::new(kind, outgoing.id(), text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::contract::address::Address;
    use crate::transport::Properties;

    #[test]
    fn the_exchange_is_read_from_the_brokers_text() {
        for (text, expected) in [
            ("NOT_FOUND - no exchange 'gone' in vhost '/'", Some("gone")),
            (
                "ACCESS_REFUSED - access to exchange 'x' in vhost '/' refused for user 'u'",
                Some("x"),
            ),
            ("PRECONDITION_FAILED - invalid expiration 'soon'", None),
        ] {
            assert_eq!(culprit(text), expected);
        }
    }

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
        let error = pack(&outgoing(&[], "k".repeat(256)), 1000).err().unwrap();
        assert_eq!(error.kind(), PublishErrorKind::Invalid);
        let good = outgoing(&[0; 10], "q".to_owned());
        assert!(publisher.check(&good).is_ok() && pack(&good, 1000).is_ok());
        let error = pack(&good, 10).err().unwrap();
        assert_eq!(error.kind(), PublishErrorKind::TooLarge);
    }
}
