//! Publishing: sent, confirmed, and sent again through outages, up to the deadline.

use std::collections::HashSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use lapin::ExchangeKind;
use lapin::options::ExchangeDeclareOptions;
use lapin::types::{FieldTable, ShortString};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;

use super::config::AmqpConfig;
use super::confirms::{Lane, Parcel, Verdict, send_alone};
use super::convert::{to_amqp, wire_bytes};
use super::failure::{cause, code, codes};
use super::link::{Link, LinkState, Live};
use crate::transport::{Outgoing, PublishError, PublishErrorKind};

/// A body counts as one publish in flight per this many bytes begun.
const BODY_BYTES_PER_PERMIT: usize = 16 * 1024;

/// How many messages are sent on channels of their own at a time, see [`Publisher::alone`].
const ALONE_MAX: usize = 8;

/// The pause before something is tried again that is not waited for otherwise.
const RETRY_PAUSE: Duration = Duration::from_millis(20);

/// Sends messages over a link.
pub(super) struct Publisher {
    timeout: Duration,
    body_bytes_max: usize,
    permits_max: u32,
    in_flight: Arc<Semaphore>,
    alone: Semaphore,
    /// Exchanges that were there when they were last asked for.
    known: RwLock<HashSet<String>>,
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
    pub(super) async fn publish(
        &self,
        link: &Link,
        outgoing: Outgoing,
    ) -> Result<(), PublishError> {
        if self.closed.load(Ordering::Acquire) {
            return Err(failed(&outgoing, PublishErrorKind::Closed, "the transport is closed"));
        }
        let parcel = Arc::new(self.pack(outgoing)?);
        let mut last = String::new();
        let attempts = self.attempts(link, &parcel, &mut last);
        match tokio::time::timeout_at(Instant::now() + self.timeout, attempts).await {
            Ok(result) => result,
            Err(_) => Err(self.unknown(link, &parcel.outgoing, &last)),
        }
    }

    /// Lets no more messages in, and waits for the confirms of those that are on their way.
    /// False if the time was not enough.
    pub(super) async fn close(&self, limit: Duration) -> bool {
        self.closed.store(true, Ordering::Release);
        let all = self.in_flight.acquire_many(self.permits_max);
        let done = tokio::time::timeout(limit, all).await.is_ok();
        self.in_flight.close();
        done
    }

    /// Checks what can be checked before anything is sent.
    fn pack(&self, outgoing: Outgoing) -> Result<Parcel, PublishError> {
        let size = outgoing.body.len();
        if size > self.body_bytes_max {
            let text = format!(
                "its body has {size} bytes, more than the limit of {} (`message_bytes_max`); it was not sent",
                self.body_bytes_max
            );
            return Err(failed(&outgoing, PublishErrorKind::TooLarge, &text));
        }
        let invalid = |why: String| failed(&outgoing, PublishErrorKind::Invalid, &why);
        let short = |name: &str, what: &str| {
            ShortString::try_new(name).map_err(|_| {
                invalid(format!("its {what} has {} bytes; AMQP allows 255", name.len()))
            })
        };
        Ok(Parcel {
            exchange: short(&outgoing.address.exchange, "exchange")?,
            routing_key: short(&outgoing.address.routing_key, "routing key")?,
            properties: to_amqp(&outgoing.properties).map_err(invalid)?,
            outgoing,
        })
    }

    async fn attempts(
        &self,
        link: &Link,
        parcel: &Arc<Parcel>,
        last: &mut String,
    ) -> Result<(), PublishError> {
        let closed =
            || failed(&parcel.outgoing, PublishErrorKind::Closed, "the transport was closed");
        let mut alone = false;
        loop {
            let permit = self.permit(parcel).await.ok_or_else(closed)?;
            let usable = |live: &Live| live.lane.as_ref().is_some_and(|lane| !lane.is_dead());
            let live = link.next_live(usable).await.ok_or_else(closed)?;
            let attempt = if alone {
                self.alone(&live, parcel).await
            } else {
                self.together(&live, parcel, permit).await
            };
            match attempt {
                Ok(()) => return Ok(()),
                Err(Setback::Failed(error)) => return Err(error),
                // What was sent before the channel or connection ended may have arrived without its
                // confirm: this is where a message is published twice, with the same id.
                Err(Setback::Again(reason)) => *last = reason,
                Err(Setback::Alone) => alone = true,
            }
        }
    }

    async fn permit(&self, parcel: &Parcel) -> Option<OwnedSemaphorePermit> {
        let weight = parcel.outgoing.body.len().div_ceil(BODY_BYTES_PER_PERMIT);
        let weight = u32::try_from(weight).unwrap_or(u32::MAX).clamp(1, self.permits_max);
        Arc::clone(&self.in_flight).acquire_many_owned(weight).await.ok()
    }

    /// Sends a message on the channel that all share.
    async fn together(
        &self,
        live: &Live,
        parcel: &Arc<Parcel>,
        permit: OwnedSemaphorePermit,
    ) -> Attempt {
        let Some(lane) = &live.lane else {
            return Err(Setback::Again("no channel".to_owned()));
        };
        fits(parcel, lane).map_err(Setback::Failed)?;
        self.find_exchange(live, parcel).await?;
        let Ok(verdict) = lane.submit(parcel, permit) else {
            return Err(Setback::Again("the channel was closed".to_owned()));
        };
        match verdict.await {
            Ok(Verdict::Confirmed) => Ok(()),
            Ok(Verdict::Returned(text)) => Err(Setback::Failed(unroutable(parcel, &text))),
            Ok(Verdict::Nacked) => Err(Setback::Failed(nacked(parcel))),
            Ok(Verdict::Failed(error)) => Err(self.after_failure(parcel, &error)),
            Err(_) => Err(Setback::Again("the channel was closed".to_owned())),
        }
    }

    /// Asks once whether an exchange is there. A message to one that is missing closes the channel
    /// for everybody, so that is not left to chance.
    async fn find_exchange(&self, live: &Live, parcel: &Parcel) -> Attempt {
        let name = parcel.exchange.as_str();
        let known = name.is_empty()
            || self.known.read().unwrap_or_else(PoisonError::into_inner).contains(name);
        if known {
            return Ok(());
        }
        let ask = async {
            let channel = live.established.connection.create_channel().await?;
            let passive =
                ExchangeDeclareOptions { passive: true, ..ExchangeDeclareOptions::default() };
            let exchange = parcel.exchange.clone();
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
                Some(codes::NOT_FOUND) => Err(Setback::Failed(no_exchange(parcel))),
                // Without the right to ask, the publish itself must show it, where it harms nobody.
                Some(_) if error.is_amqp_soft_error() => Err(Setback::Alone),
                _ => Err(again_later(&error).await),
            },
        }
    }

    /// What to do with a message whose channel ended before its confirm.
    fn after_failure(&self, parcel: &Parcel, error: &lapin::Error) -> Setback {
        if !error.is_amqp_soft_error() {
            return Setback::Again(cause(error));
        }
        // The broker closed the channel because of one message; the others are innocent. It names
        // the exchange at most, so the suspects go on alone, and only the guilty one fails there.
        let text = cause(error);
        match culprit(&text) {
            Some(exchange) if exchange != parcel.exchange.as_str() => Setback::Again(text),
            Some(exchange) => {
                self.known.write().unwrap_or_else(PoisonError::into_inner).remove(exchange);
                Setback::Alone
            }
            None => Setback::Alone,
        }
    }

    /// Sends a message on a channel of its own, where the broker's answer is certainly about it.
    async fn alone(&self, live: &Live, parcel: &Arc<Parcel>) -> Attempt {
        let Ok(_turn) = self.alone.acquire().await else {
            return Err(Setback::Again("closed".to_owned()));
        };
        match send_alone(&live.established.connection, parcel).await {
            Ok(Verdict::Confirmed) => Ok(()),
            Ok(Verdict::Returned(text)) => Err(Setback::Failed(unroutable(parcel, &text))),
            Ok(Verdict::Nacked) => Err(Setback::Failed(nacked(parcel))),
            Ok(Verdict::Failed(error)) | Err(error) => {
                let text = cause(&error);
                match code(&error) {
                    Some(codes::NOT_FOUND) => Err(Setback::Failed(no_exchange(parcel))),
                    Some(_) if error.is_amqp_soft_error() && text.contains("message size") => {
                        Err(Setback::Failed(failed(
                            &parcel.outgoing,
                            PublishErrorKind::TooLarge,
                            &text,
                        )))
                    }
                    Some(_) if error.is_amqp_soft_error() => {
                        let text = format!("the broker refused it: {text}");
                        Err(Setback::Failed(failed(
                            &parcel.outgoing,
                            PublishErrorKind::Refused,
                            &text,
                        )))
                    }
                    _ => Err(again_later(&error).await),
                }
            }
        }
    }

    fn unknown(&self, link: &Link, outgoing: &Outgoing, last: &str) -> PublishError {
        let reason = match link.state() {
            LinkState::Down(reason) => reason.to_string(),
            LinkState::Closed => "the transport was closed".to_owned(),
            LinkState::Up(live) if live.established.connection.status().blocked() => {
                "the broker takes no messages (low on memory or disk)".to_owned()
            }
            LinkState::Up(_) if !last.is_empty() => last.to_owned(),
            LinkState::Up(_) => "the broker did not confirm it".to_owned(),
        };
        let text = format!(
            "not confirmed by RabbitMQ at {} within {:?}: {reason}; it may or may not have arrived, publish it again with the same id",
            link.place(),
            self.timeout
        );
        failed(outgoing, PublishErrorKind::Unknown, &text)
    }
}

fn fits(parcel: &Parcel, lane: &Lane) -> Result<(), PublishError> {
    let (size, max) = (wire_bytes(&parcel.outgoing.properties), lane.properties_bytes_max());
    if size <= max {
        return Ok(());
    }
    let text = format!(
        "its properties and headers take {size} bytes; a frame of this connection has room for {max}; it was not sent"
    );
    Err(failed(&parcel.outgoing, PublishErrorKind::TooLarge, &text))
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

fn unroutable(parcel: &Parcel, reply: &str) -> PublishError {
    let text = format!(
        "no queue takes it ({reply}): no binding matches its routing key, or the queue does not exist"
    );
    failed(&parcel.outgoing, PublishErrorKind::Unroutable, &text)
}

fn nacked(parcel: &Parcel) -> PublishError {
    let text = "the broker refused it: a queue is full, or could not store it";
    failed(&parcel.outgoing, PublishErrorKind::Refused, text)
}

fn no_exchange(parcel: &Parcel) -> PublishError {
    let text = "there is no such exchange; declare it before publishing";
    failed(&parcel.outgoing, PublishErrorKind::NoExchange, text)
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
                message_id: Some("id-1".to_owned()),
                message_type: Some("T".to_owned()),
                ..Properties::default()
            };
            Outgoing::new(Address::queue(key), properties, body)
        };
        let error = publisher.pack(outgoing(&[0; 11], "q".to_owned())).err().unwrap();
        assert_eq!(error.kind(), PublishErrorKind::TooLarge);
        assert_eq!(
            error.to_string(),
            "message `id-1`: failed to publish `T` to queue `q`: its body has 11 bytes, more than the limit of 10 (`message_bytes_max`); it was not sent"
        );
        let error = publisher.pack(outgoing(&[], "k".repeat(256))).err().unwrap();
        assert_eq!(error.kind(), PublishErrorKind::Invalid);
        assert!(publisher.pack(outgoing(&[0; 10], "q".to_owned())).is_ok());
    }
}
