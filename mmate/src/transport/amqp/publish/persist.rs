//! Messages that could not be sent at once, or whose first attempt confirmed nothing: tried until they are due.

use std::sync::{Arc, PoisonError};
use std::time::Duration;

use lapin::ExchangeKind;
use lapin::options::ExchangeDeclareOptions;
use lapin::types::{FieldTable, ShortString};
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::{Instant, timeout_at};

use super::errors::{closed, failed, nacked, no_exchange};
use super::{Attempt, Publisher, Setback, check_sendable, hand_over, is_usable};
use crate::transport::amqp::confirms::{Lane, frame_room, send_alone};
use crate::transport::amqp::failure::{cause, code, codes};
use crate::transport::amqp::link::{Link, Live};
use crate::transport::amqp::verdict::{Ticket, Verdict};
use crate::transport::{Outgoing, PublishError, PublishErrorKind};

/// The pause before something is tried again that is not waited for otherwise.
const RETRY_PAUSE: Duration = Duration::from_millis(20);

/// The pauses before a message that the broker refused is sent again, each time on a channel of its own.
///
/// A full queue refuses; but so does a quorum queue whose leader has gone, until another one leads. A
/// channel that first published to the queue while its leader's node was down goes on to refuse for as
/// long as that node is away (seen with RabbitMQ 3.10), so a refusal is final only on a fresh one.
const REFUSED_PAUSES: [Duration; 3] =
    [Duration::from_millis(50), Duration::from_millis(500), Duration::from_secs(2)];

impl Publisher {
    /// Goes on with a message until it is due: after a first attempt, or for one that has to wait for it.
    pub(super) async fn persist(
        &self,
        link: &Link,
        outgoing: &Outgoing,
        first: Option<(Arc<Live>, Attempt)>,
        due: Option<Instant>,
    ) -> Result<(), PublishError> {
        let mut last = None;
        let attempts = self.attempts(link, outgoing, first, &mut last);
        let Some(due) = due else { return attempts.await };
        match timeout_at(due, attempts).await {
            Ok(result) => result,
            Err(_) => Err(self.unknown(link, outgoing, last)),
        }
    }

    async fn attempts(
        &self,
        link: &Link,
        outgoing: &Outgoing,
        mut first: Option<(Arc<Live>, Attempt)>,
        last: &mut Option<String>,
    ) -> Result<(), PublishError> {
        let mut alone = false;
        let mut refusals = REFUSED_PAUSES.iter();
        let mut refused_by = None;
        loop {
            let (live, attempt) = match first.take() {
                Some(first) => first,
                None => {
                    let Some(next) = self.attempt(link, outgoing, alone).await else {
                        return Err(closed(link, outgoing, last.is_some()));
                    };
                    next
                }
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

    /// One more attempt, as soon as there is a place and a connection; nothing once the transport is closed.
    async fn attempt(
        &self,
        link: &Link,
        outgoing: &Outgoing,
        alone: bool,
    ) -> Option<(Arc<Live>, Attempt)> {
        let in_flight = Arc::clone(&self.in_flight);
        let permit = in_flight.acquire_many_owned(self.weight(outgoing)).await.ok()?;
        let live = link.next_live(is_usable).await?;
        let attempt = if alone {
            self.alone(link, &live, outgoing).await
        } else {
            self.together(link, &live, outgoing, permit).await
        };
        Some((live, attempt))
    }

    /// Sends a message on the channel that all share.
    async fn together(
        &self,
        link: &Link,
        live: &Live,
        outgoing: &Outgoing,
        permit: OwnedSemaphorePermit,
    ) -> Attempt {
        if !self.knows(&outgoing.address.exchange) {
            self.find_exchange(live, outgoing).await?;
        }
        let ticket = Ticket::new(outgoing.clone());
        let verdict = hand_over(live, &ticket, permit, None)?.await;
        self.judge(link, outgoing, verdict)
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
    #[cold]
    pub(super) fn after_failure(&self, outgoing: &Outgoing, error: &lapin::Error) -> Setback {
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
    async fn alone(&self, link: &Link, live: &Live, outgoing: &Outgoing) -> Attempt {
        let Ok(_turn) = self.alone.acquire().await else {
            return Err(Setback::Again("closed".to_owned()));
        };
        let connection = &live.established.connection;
        check_sendable(outgoing, frame_room(connection)).map_err(Setback::Failed)?;
        let error = match send_alone(connection, outgoing).await {
            Verdict::Failed(error) => error,
            verdict => return self.judge(link, outgoing, verdict),
        };
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

#[cfg(test)]
mod tests {
    use super::*;

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
}
