//! Answers to whoever asked: the handler's reply, a refusal, or a word on how the message ended.

use tokio::time::Instant;

use crate::contract::acknowledgement::{ACKNOWLEDGEMENT, Acknowledgement, ProcessingOutcome};
use crate::contract::headers::names;
use crate::contract::refusal::ERROR_REPLY;
use crate::contract::{HeaderValue, Refusal};
use crate::handler::Answer;
use crate::publish::{Outbox, Publisher, erased};
use crate::transport::{Delivery, PublishError};

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
    pub(super) async fn answer(
        self,
        publisher: &Publisher,
        answer: Option<&Answer>,
    ) -> Result<(), PublishError> {
        if self.wants_acknowledgement() {
            let refusal = answer.and_then(|answer| answer.refusal.as_deref()).cloned();
            let outcome = refusal.map_or(ProcessingOutcome::Processed, ProcessingOutcome::Rejected);
            return self.acknowledge(publisher, outcome).await;
        }
        match answer {
            Some(answer) => self.send(publisher, answer.name, &*answer.payload).await,
            None => Ok(()),
        }
    }

    /// Says no. It is said once: if it cannot be sent, that is logged and the caller times out.
    pub(super) async fn refuse(self, publisher: &Publisher, no: No, refusal: Refusal) {
        let sent = match no {
            _ if !self.wants_acknowledgement() => self.send(publisher, ERROR_REPLY, &refusal).await,
            No::Rejected => self.acknowledge(publisher, ProcessingOutcome::Rejected(refusal)).await,
            No::Failed => self.acknowledge(publisher, ProcessingOutcome::Failed(refusal)).await,
        };
        if let Err(error) = sent {
            tracing::warn!(queue = self.queue, %error, "a refusal could not be answered; the caller will time out");
        }
    }

    fn has(&self, header: &str) -> bool {
        self.delivery.properties.headers.get(header) == Some(&HeaderValue::Bool(true))
    }

    fn wants_acknowledgement(&self) -> bool {
        self.has(names::ACKNOWLEDGE)
    }

    async fn acknowledge(
        &self,
        publisher: &Publisher,
        outcome: ProcessingOutcome,
    ) -> Result<(), PublishError> {
        let encoder = publisher.encoder();
        let meta = self.outbox.origin().meta();
        let mut acknowledgement = Acknowledgement::new(meta.id.clone(), outcome);
        acknowledgement.processing_time = self.began.map(|began| began.elapsed());
        acknowledgement.processed_at = Some(encoder.source.now());
        acknowledgement.processor = format!("{}-{}", encoder.service, std::process::id());
        let payload = erased::Acknowledged { acknowledgement, message_type: &meta.message_type };
        self.send(publisher, ACKNOWLEDGEMENT, &payload).await
    }

    async fn send(
        &self,
        publisher: &Publisher,
        name: &'static str,
        payload: &dyn erased::Payload,
    ) -> Result<(), PublishError> {
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
        publisher.deliver(reply).await.map(|_| ())
    }
}
