//! What is known while a message is being handled.

use std::any::Any;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::watch;
use tokio::time::Instant;

use super::resources::Resources;
use crate::contract::envelope::{Meta, Payload};
use crate::contract::headers::names;
#[cfg(feature = "validation")]
use crate::contract::validate::Validator;
use crate::contract::{DecodeError, Headers, Message, Text};
use crate::publish::{Origin, Outbox};
use crate::transport::Outgoing;

/// Facts about the message being handled and about this attempt. Cheap to clone.
#[derive(Clone)]
pub struct Context(Arc<ContextParts>);

pub(crate) struct ContextParts {
    pub(crate) reply_to: Option<Text>,
    pub(crate) queue: Arc<str>,
    pub(crate) handler: &'static str,
    pub(crate) is_fallback: bool,
    pub(crate) attempt: u32,
    pub(crate) began: Instant,
    pub(crate) deadline: Instant,
    pub(crate) request_deadline: Option<Instant>,
    pub(crate) resources: Resources,
    pub(crate) outbox: Arc<Outbox>,
    pub(crate) stopping: watch::Receiver<bool>,
    /// What a room to the right says about this call, known here by its type alone.
    pub(crate) extension: Option<Arc<dyn Any + Send + Sync>>,
}

impl Context {
    pub(crate) fn new(parts: ContextParts) -> Self {
        Self(Arc::new(parts))
    }

    /// The message's id.
    #[must_use]
    pub fn message_id(&self) -> &str {
        &self.meta().id
    }

    /// The type's name on the wire.
    #[must_use]
    pub fn message_type(&self) -> &str {
        &self.meta().message_type
    }

    /// When the message was made.
    #[must_use]
    pub fn timestamp(&self) -> Timestamp {
        self.meta().timestamp
    }

    /// What the message belongs to: the same for all messages of one flow.
    #[must_use]
    pub fn correlation_id(&self) -> &str {
        self.0.outbox.origin().correlation_id()
    }

    /// The id of the message that caused this one.
    #[must_use]
    pub fn causation_id(&self) -> Option<&str> {
        let Meta { causation_id, headers, .. } = self.meta();
        causation_id.as_deref().or_else(|| headers.text(names::MIRROR_CAUSATION_ID))
    }

    /// Where an answer goes, if somebody waits for one.
    #[must_use]
    pub fn reply_to(&self) -> Option<&str> {
        self.0.reply_to.as_deref()
    }

    /// The headers of the envelope and of the transport; the envelope's win.
    #[must_use]
    pub fn headers(&self) -> &Headers {
        &self.meta().headers
    }

    /// The queue that the message came from.
    #[must_use]
    pub fn queue(&self) -> &str {
        &self.0.queue
    }

    /// The name of the handler function.
    #[must_use]
    pub fn handler(&self) -> &str {
        self.0.handler
    }

    /// True if the fallback is being called, in the place of its handler.
    #[must_use]
    pub fn is_fallback(&self) -> bool {
        self.0.is_fallback
    }

    /// How many times the message was handed to a handler, this time included.
    #[must_use]
    pub fn attempt(&self) -> u32 {
        self.0.attempt
    }

    /// The time that is left for this call.
    #[must_use]
    pub fn remaining(&self) -> Duration {
        self.0.deadline.saturating_duration_since(Instant::now())
    }

    /// How long whoever asked still waits for the answer; nothing if nobody asked, or did not say. Zero
    /// once the time is over: the answer would be thrown away.
    ///
    /// What a handler asks of others with [`Bridge`](crate::bridge::Bridge) waits no longer than this
    /// unless it says so.
    #[must_use]
    pub fn request_remaining(&self) -> Option<Duration> {
        let deadline = self.0.request_deadline?;
        Some(deadline.saturating_duration_since(Instant::now()))
    }

    /// True once the service has begun to stop. A long loop looks at it and ends early with an error,
    /// so that the message comes again elsewhere.
    #[must_use]
    pub fn is_stopping(&self) -> bool {
        *self.0.stopping.borrow()
    }

    /// Waits until the service begins to stop.
    pub async fn stopping(&self) {
        let mut stopping = self.0.stopping.clone();
        // An error means that the runtime is gone, which is as stopped as it can be.
        let _ = stopping.wait_for(|stop| *stop).await;
    }

    pub(crate) fn parts(&self) -> &ContextParts {
        &self.0
    }

    /// The same call, about which a room to the right has more to say.
    pub(crate) fn extended<T: Send + Sync + 'static>(
        &self,
        extension: T,
        handler: &'static str,
        deadline: Instant,
        outbox: Arc<Outbox>,
    ) -> Self {
        let ContextParts { reply_to, queue, attempt, request_deadline, .. } = &*self.0;
        Self::new(ContextParts {
            reply_to: reply_to.clone(),
            queue: Arc::clone(queue),
            handler,
            is_fallback: false,
            attempt: *attempt,
            began: Instant::now(),
            deadline,
            request_deadline: *request_deadline,
            resources: self.0.resources.clone(),
            outbox,
            stopping: self.0.stopping.clone(),
            extension: Some(Arc::new(extension)),
        })
    }

    /// What was said about this call.
    pub(crate) fn extension<T: Send + Sync + 'static>(&self) -> Option<Arc<T>> {
        Arc::clone(self.0.extension.as_ref()?).downcast().ok()
    }

    /// Keeps a message that leaves only if the handler succeeds.
    ///
    /// # Errors
    /// Says why none can be kept any more.
    pub(crate) fn keep(&self, outgoing: Outgoing) -> Result<(), &'static str> {
        self.0.outbox.push(vec![outgoing])
    }

    /// What the app offers.
    pub(crate) fn resources(&self) -> &Resources {
        &self.0.resources
    }

    /// What follows from the message.
    pub(crate) fn origin(&self) -> &Origin {
        self.0.outbox.origin()
    }

    /// Kept once, by the outbox: what is published takes after it too.
    pub(crate) fn meta(&self) -> &Meta {
        self.0.outbox.origin().meta()
    }
}

impl fmt::Debug for Context {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Context")
            .field("message_id", &self.message_id())
            .field("message_type", &self.message_type())
            .field("queue", &self.queue())
            .field("handler", &self.handler())
            .field("attempt", &self.attempt())
            .finish_non_exhaustive()
    }
}

/// One call of a handler: the payload's text and the context. The shim takes its arguments from it.
#[derive(Clone, Copy, Debug)]
pub struct Call<'a> {
    payload: Payload<'a>,
    context: &'a Context,
    #[cfg(feature = "validation")]
    validator: Option<&'a Validator>,
}

impl<'a> Call<'a> {
    pub(crate) const fn new(payload: Payload<'a>, context: &'a Context) -> Self {
        Self {
            payload,
            context,
            #[cfg(feature = "validation")]
            validator: None,
        }
    }

    /// Checks the payload against its schema once it has been decoded.
    #[cfg(feature = "validation")]
    pub(crate) const fn validated_by(mut self, validator: Option<&'a Validator>) -> Self {
        self.validator = validator;
        self
    }

    /// The context.
    #[must_use]
    pub const fn context(&self) -> &Context {
        self.context
    }

    /// The payload's text.
    ///
    /// # Errors
    /// If the body is no JSON.
    pub(crate) fn payload(&self) -> Result<&'a str, DecodeError> {
        self.payload.checked()
    }

    /// Decoding comes first: what does not fit the type is said with its place in the text.
    pub(super) fn message<M: Message>(&self) -> Result<M, DecodeError> {
        let message = self.payload.message()?;
        #[cfg(feature = "validation")]
        if let Some(validator) = self.validator {
            validator.check(self.payload.as_str())?;
        }
        Ok(message)
    }
}
