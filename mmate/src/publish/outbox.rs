//! What a handler publishes, kept until the handler has succeeded.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use sha1::{Digest, Sha1};
use uuid::Uuid;

use super::encode::text;
use crate::contract::headers::{Headers, names};
use crate::contract::{Meta, Text};
use crate::transport::Outgoing;

/// How many messages one handler call may publish.
pub const OUTBOX_MESSAGES_MAX: usize = 10_000;

/// The message that is being handled: what its descendants inherit.
#[derive(Debug)]
pub struct Origin {
    meta: Meta,
    queue: Arc<str>,
    handler: &'static str,
    position: AtomicU32,
}

impl Origin {
    /// The origin for what `handler` publishes while it handles the message with this description, which
    /// came from `queue`.
    #[must_use]
    pub const fn new(meta: Meta, queue: Arc<str>, handler: &'static str) -> Self {
        Self { meta, queue, handler, position: AtomicU32::new(0) }
    }

    /// What is known about the message.
    #[must_use]
    pub const fn meta(&self) -> &Meta {
        &self.meta
    }

    /// Its id: the causation id of what is published.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.meta.id
    }

    /// Its correlation id, or its own id if it has none.
    #[must_use]
    pub fn correlation_id(&self) -> &Text {
        self.meta.correlation_id.as_ref().unwrap_or(&self.meta.id)
    }

    /// The id of the next message: the same for the same message, queue, handler and position, so that a
    /// redelivery publishes the same ids again. The queue tells services apart: functions of one name in
    /// two of them may handle the same event.
    pub(super) fn next_id(&self) -> Text {
        let position = self.position.fetch_add(1, Ordering::Relaxed);
        let message = Uuid::parse_str(self.id())
            .unwrap_or_else(|_| Uuid::new_v5(&Uuid::NAMESPACE_OID, self.id().as_bytes()));
        let parts = [self.queue.as_bytes(), self.handler.as_bytes(), &position.to_be_bytes()];
        text(derived(message, parts))
    }

    /// The trace context, and the headers that are marked to follow a flow, unless they are set.
    pub(super) fn inherit_into(&self, headers: &mut Headers, marked: &[String]) {
        let trace = [names::TRACEPARENT, names::TRACESTATE];
        for name in trace.into_iter().chain(marked.iter().map(String::as_str)) {
            if let Some(value) = self.meta.headers.get(name).filter(|value| value.is_scalar())
                && headers.get(name).is_none()
            {
                headers.set(name, value.clone());
            }
        }
    }
}

/// The UUID v5 of a message and a place. Not by `Uuid::new_v5`, whose SHA-1 does without what the processor has for it.
fn derived(message: Uuid, [queue, handler, position]: [&[u8]; 3]) -> Uuid {
    let mut hash = Sha1::new();
    // No name holds a control character, so no two places run together.
    for part in [message.as_bytes(), queue, b"\0", handler, b"\0", position] {
        hash.update(part);
    }
    let [bytes @ .., _, _, _, _]: [u8; 20] = hash.finalize().into();
    uuid::Builder::from_sha1_bytes(bytes).into_uuid()
}

/// Messages that leave only if the handler succeeds.
#[derive(Debug)]
pub struct Outbox {
    pub(super) origin: Origin,
    /// `None` once the handler has ended: what comes later would be lost in silence.
    messages: Mutex<Option<Vec<Outgoing>>>,
}

impl Outbox {
    /// An empty outbox.
    #[must_use]
    pub const fn new(origin: Origin) -> Self {
        Self { origin, messages: Mutex::new(Some(Vec::new())) }
    }

    /// The message that is being handled.
    #[must_use]
    pub const fn origin(&self) -> &Origin {
        &self.origin
    }

    /// Keeps messages, all or none of them.
    pub(crate) fn push(&self, new: Vec<Outgoing>) -> Result<(), &'static str> {
        let mut messages = self.messages.lock().unwrap_or_else(PoisonError::into_inner);
        let kept = messages.as_mut().ok_or(
            "the handler has already ended, so nothing can be published in its name; await what it starts, or take a \
             `Publisher` from the running app",
        )?;
        if kept.len() + new.len() > OUTBOX_MESSAGES_MAX {
            return Err("one handler call may publish at most 10,000 messages; split the work");
        }
        kept.extend(new);
        Ok(())
    }

    /// Takes what was published, and accepts nothing more.
    #[must_use]
    pub fn close(&self) -> Vec<Outgoing> {
        self.messages.lock().unwrap_or_else(PoisonError::into_inner).take().unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_derived_id_is_the_uuid_v5_of_message_and_place() {
        let message = Uuid::from_u128(7);
        let parts = [b"cmd.shop.Buy".as_slice(), b"buy", &3_u32.to_be_bytes()];
        assert_eq!(derived(message, parts), Uuid::new_v5(&message, &parts.join(&0)));
    }
}
