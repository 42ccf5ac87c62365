//! Answers to whoever asked: the handler's reply, a refusal, or a word on how the message ended.

use std::future::{Future, ready};

use futures_util::FutureExt;
use futures_util::future::Either;
use tokio::time::Instant;

use crate::contract::acknowledgement::{ACKNOWLEDGEMENT, Acknowledgement, ProcessingOutcome};
use crate::contract::headers::names;
use crate::contract::refusal::ERROR_REPLY;
use crate::contract::{HeaderValue, Refusal};
use crate::handler::Answer;
use crate::publish::{Outbox, Publisher, erased};
use crate::transport::{Delivery, Outgoing, PublishError};

/// Something of an answer, or why it cannot leave.
type Sent<T> = Result<T, PublishError>;

/// Whoever waits for an answer to the message being handled.
#[derive(Clone, Copy, Debug)]
pub(super) struct Caller<'a> {
    /// The reply address.
    to: &'a str,
    outbox: &'a Outbox,
    delivery: &'a Delivery,
    queue: &'a str,
    /// When the handler was called, if it was.
    began: Option<Instant>,
}

/// Why a message is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum No {
    /// By a rule of the business, or because it comes too late: it is not kept.
    Rejected,
    /// It failed for good, and lies in the dead-letter queue.
    Failed,
}

impl<'a> Caller<'a> {
    /// The caller, if there is one whose address is known.
    pub(super) fn of(
        (queue, delivery): (&'a str, &'a Delivery),
        reply_to: Option<&'a str>,
        outbox: Option<&'a Outbox>,
        began: Option<Instant>,
    ) -> Option<Self> {
        let (to, outbox) = reply_to.zip(outbox)?;
        Some(Self { to, outbox, delivery, queue, began })
    }

    /// Sends what the handler answered. Without an answer there is nothing to send, unless the caller
    /// only wants to know that it is done.
    ///
    /// Not an `async fn`: what waits for the confirm is as small as can be, and nothing of the answer.
    pub(super) fn answer(
        &self,
        publisher: &'a Publisher,
        answer: Option<Answer>,
    ) -> impl Future<Output = Sent<()>> + Send + use<'a> {
        let reply = if self.wants_acknowledgement() {
            let refusal = answer.and_then(|answer| answer.refusal).as_deref().cloned();
            let outcome = refusal.map_or(ProcessingOutcome::Processed, ProcessingOutcome::Rejected);
            Some(self.acknowledgement(publisher, outcome))
        } else {
            answer.map(|answer| self.reply(publisher, answer.name, &*answer.payload))
        };
        match reply {
            Some(Ok(reply)) => Either::Left(publisher.depart(reply).map(|sent| sent.map(|_| ()))),
            Some(Err(error)) => Either::Right(ready(Err(error))),
            None => Either::Right(ready(Ok(()))),
        }
    }

    /// Says no. It is said once: if it cannot be sent, that is logged and the caller times out.
    pub(super) async fn refuse(self, publisher: &Publisher, no: No, refusal: Refusal) {
        let reply = match no {
            _ if !self.wants_acknowledgement() => self.reply(publisher, ERROR_REPLY, &refusal),
            No::Rejected => self.acknowledgement(publisher, ProcessingOutcome::Rejected(refusal)),
            No::Failed => self.acknowledgement(publisher, ProcessingOutcome::Failed(refusal)),
        };
        let sent = async { publisher.depart(reply?).await };
        if let Err(error) = sent.await {
            tracing::warn!(queue = self.queue, %error, "a refusal could not be answered; the caller will time out");
        }
    }

    fn has(&self, header: &str) -> bool {
        self.delivery.properties.headers.get(header) == Some(&HeaderValue::Bool(true))
    }

    fn wants_acknowledgement(&self) -> bool {
        self.has(names::ACKNOWLEDGE)
    }

    fn acknowledgement(&self, publisher: &Publisher, outcome: ProcessingOutcome) -> Sent<Outgoing> {
        let encoder = publisher.encoder();
        let meta = self.outbox.origin().meta();
        let mut acknowledgement = Acknowledgement::new(meta.id.to_string(), outcome);
        acknowledgement.processing_time = self.began.map(|began| began.elapsed());
        acknowledgement.processed_at = Some(encoder.source.now());
        acknowledgement.processor = format!("{}-{}", encoder.service, std::process::id());
        let payload = erased::Acknowledged { acknowledgement, message_type: &meta.message_type };
        self.reply(publisher, ACKNOWLEDGEMENT, &payload)
    }

    fn reply(
        &self,
        publisher: &Publisher,
        name: &'static str,
        payload: &dyn erased::Payload,
    ) -> Sent<Outgoing> {
        let origin = self.outbox.origin();
        let mut reply = publisher.encoder().encode_reply(name, payload, self.to, origin)?;
        // Clients of other families look at the property alone, and expect what they wrote there.
        if let Some(theirs) = &self.delivery.properties.correlation_id {
            reply.properties.correlation_id = Some(theirs.clone());
        }
        // Whoever asked may be in this process.
        reply.near = true;
        if self.has(names::GATHER) {
            reply.properties.headers.set(names::RESPONDER, self.queue);
        }
        Ok(reply)
    }
}
