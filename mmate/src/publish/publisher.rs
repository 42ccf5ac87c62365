//! The publisher that services and handlers hold.

use std::any::Any;
use std::fmt;
use std::future::{Future, IntoFuture, ready};
use std::pin::Pin;
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll};

use futures_util::future::BoxFuture;
use futures_util::stream::{self, StreamExt};

use super::batch::{self, BatchError, PUBLISH_WINDOW};
use super::encode::Encoder;
use super::later::{Accepted, FlushError, Later, PublishLater};
use super::options::{IntoDuration, PublishOptions};
use super::outbox::{Origin, Outbox};
use super::outlet::{Departure, Outlet, fate_of};
use crate::contract::{Command, Event, HeaderValue, Message, Text};
use crate::observability::{Ledger, Note};
use crate::transport::{Outgoing, PublishError, PublishErrorKind, Transport};

/// Publishes events and sends commands. Cheap to clone.
///
/// Outside a handler a publish goes at once and `Ok` means that the broker has the message and has a
/// queue for it. Inside a handler it is kept, and leaves only if the handler succeeds.
#[derive(Clone)]
pub struct Publisher {
    shared: Arc<Shared>,
    outbox: Option<Arc<Outbox>>,
}

struct Shared {
    encoder: Encoder,
    outlet: Arc<Outlet>,
    later_max: usize,
    /// Made at the first message that is to be published later.
    later: OnceLock<Later>,
    /// What a room to the right has built on it, kept by its type alone: the bridge, which waits for answers.
    attached: OnceLock<Box<dyn Any + Send + Sync>>,
}

/// What a publisher may be given beside its transport.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct PublisherOptions {
    /// Where what becomes of the messages is recorded.
    pub ledger: Ledger,
    /// How many messages may be accepted by [`Publisher::publish_later`] and not be confirmed yet.
    pub later_max: usize,
}

impl Default for PublisherOptions {
    fn default() -> Self {
        Self { ledger: Ledger::default(), later_max: 10_000 }
    }
}

/// A message that was published, or kept for the end of the handler.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Published {
    /// The id under which it travels.
    pub id: Text,
}

impl Publisher {
    /// A publisher on a transport.
    #[must_use]
    pub fn new(encoder: Encoder, transport: Arc<dyn Transport>) -> Self {
        Self::with_options(encoder, transport, PublisherOptions::default())
    }

    /// A publisher on a transport, with options.
    #[must_use]
    pub fn with_options(
        encoder: Encoder,
        transport: Arc<dyn Transport>,
        options: PublisherOptions,
    ) -> Self {
        let PublisherOptions { ledger, later_max } = options;
        let outlet = Arc::new(Outlet { transport, ledger });
        let shared = Shared {
            encoder,
            outlet,
            later_max,
            later: OnceLock::new(),
            attached: OnceLock::new(),
        };
        Self { shared: Arc::new(shared), outbox: None }
    }

    /// The same publisher, which keeps what it is given in `outbox`.
    pub(crate) fn within(&self, outbox: Arc<Outbox>) -> Self {
        Self { shared: Arc::clone(&self.shared), outbox: Some(outbox) }
    }

    /// Publishes an event to whoever listens.
    pub fn publish<M: Event>(&self, event: M) -> Publish<'_, M> {
        Publish { publisher: self, message: event, options: PublishOptions::default() }
    }

    /// Sends a command to its one service.
    pub fn send<M: Command>(&self, command: M) -> Publish<'_, M> {
        Publish { publisher: self, message: command, options: PublishOptions::default() }
    }

    /// Publishes many events with one wait.
    ///
    /// # Errors
    /// If any was not published; the error holds the result of each, in order.
    pub async fn publish_all<M: Event>(
        &self,
        events: impl IntoIterator<Item = M>,
    ) -> Result<Vec<Published>, BatchError> {
        let encode = |event: M| self.encode(&event, PublishOptions::default());
        if let Some(outbox) = &self.outbox {
            return batch::keep_all(outbox, events.into_iter().map(encode).collect());
        }
        batch::publish_all(events.into_iter(), encode, |outgoing| self.depart(outgoing)).await
    }

    /// Publishes an event without waiting for the broker: awaiting this waits only for room in a buffer
    /// (`publish.later_max` messages that are not confirmed, 10,000 by default). They leave in the order
    /// in which they were accepted.
    ///
    /// What comes of it is in the [`Accepted`], and in the next [`Publisher::flush`]. Inside a handler the
    /// message is kept as by [`Publisher::publish`]. Options go before: `publisher.publish(event)
    /// .priority(7).later()`.
    ///
    /// A process that is killed loses what is not confirmed. Who must not lose it waits.
    pub fn publish_later<M: Event>(&self, event: M) -> PublishLater<'_, M> {
        self.publish(event).later()
    }

    /// Sends a command as [`Publisher::publish_later`] publishes an event.
    pub fn send_later<M: Command>(&self, command: M) -> PublishLater<'_, M> {
        self.send(command).later()
    }

    /// Waits until the broker has answered for every message that was accepted so far, by this publisher
    /// and its clones. Inside a handler there is nothing to wait for: what it publishes leaves when it
    /// succeeds.
    ///
    /// # Errors
    /// Each message that was not published since the last flush, with id, type and kind.
    pub async fn flush(&self) -> Result<(), FlushError> {
        match self.shared.later.get() {
            Some(later) if self.outbox.is_none() => later.flush().await,
            _ => Ok(()),
        }
    }

    /// How many messages have been accepted and not been answered for by the broker.
    #[must_use]
    pub fn pending(&self) -> usize {
        self.shared.later.get().map_or(0, Later::pending)
    }

    pub(super) async fn accept(&self, outgoing: Outgoing) -> Result<Accepted, PublishError> {
        if self.outbox.is_some() {
            return self.leave(outgoing).await.map(Accepted::kept);
        }
        let start = || Later::start(Arc::clone(&self.shared.outlet), self.shared.later_max);
        self.shared.later.get_or_init(start).accept(outgoing).await
    }

    /// Keeps what was built on this publisher; only the first counts.
    pub(crate) fn attach<T: Send + Sync + 'static>(&self, value: T) {
        let _ = self.shared.attached.set(Box::new(value));
    }

    pub(crate) fn attached<T: 'static>(&self) -> Option<&T> {
        self.shared.attached.get()?.downcast_ref()
    }

    pub(crate) const fn is_inside_handler(&self) -> bool {
        self.outbox.is_some()
    }

    pub(crate) fn encoder(&self) -> &Encoder {
        &self.shared.encoder
    }

    /// Gives finished bytes to the transport; they are sent when somebody waits for it.
    pub(crate) fn depart(&self, outgoing: Outgoing) -> Departure<'_> {
        self.shared.outlet.depart(outgoing)
    }

    /// Gives a copy of a message to the transport, which is no publish of anybody's.
    pub(crate) fn forward(
        &self,
        outgoing: Outgoing,
    ) -> impl Future<Output = Result<(), PublishError>> + Send + '_ {
        self.shared.outlet.forward(outgoing)
    }

    /// Gives several to the transport, in order, and waits for all; stops at the first error.
    pub(crate) async fn deliver_all(&self, messages: Vec<Outgoing>) -> Result<(), PublishError> {
        let mut confirms =
            stream::iter(messages).map(|message| self.depart(message)).buffered(PUBLISH_WINDOW);
        while let Some(confirm) = confirms.next().await {
            confirm?;
        }
        Ok(())
    }

    fn encode<M: Message>(
        &self,
        message: &M,
        options: PublishOptions,
    ) -> Result<Outgoing, PublishError> {
        self.encode_from(message, options, self.outbox.as_deref().map(Outbox::origin))
    }

    /// Writes a message that follows from `origin`, if from any.
    pub(crate) fn encode_from<M: Message>(
        &self,
        message: &M,
        options: PublishOptions,
        origin: Option<&Origin>,
    ) -> Result<Outgoing, PublishError> {
        let encoded = self.shared.encoder.encode(message, options, origin);
        if let Err(error) = &encoded {
            let note = Note::new(error.id(), 1);
            self.shared.outlet.ledger.of_type(M::INFO.name).record(fate_of(error.kind()), note);
        }
        encoded
    }

    /// Gives a message to the transport, or keeps it until the handler succeeds, once somebody waits for it.
    fn leave(&self, outgoing: Outgoing) -> Publishing<'_> {
        let Some(outbox) = &self.outbox else {
            return Publishing(Way::Leaves(self.depart(outgoing)));
        };
        let kept = async move {
            let id = outgoing.id();
            outbox
                .push(vec![outgoing])
                .map_err(|why| PublishError::new(PublishErrorKind::Closed, &id, why))?;
            Ok(Published { id })
        };
        Publishing(Way::Stays(Box::pin(kept)))
    }
}

impl fmt::Debug for Publisher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Publisher")
            .field("transport", &self.shared.outlet.transport.name())
            .field("inside_handler", &self.outbox.is_some())
            .finish()
    }
}

/// A publish with its options; awaiting it publishes.
#[must_use = "nothing is published until it is awaited"]
pub struct Publish<'a, M> {
    publisher: &'a Publisher,
    message: M,
    options: PublishOptions,
}

impl<M: Message> Publish<'_, M> {
    /// Adds a header: text, a number or a boolean.
    pub fn header(mut self, name: impl Into<Text>, value: impl Into<HeaderValue>) -> Self {
        self.options.set_header(name.into(), value.into());
        self
    }

    /// Sets the priority, from 0 to 9; 5 is ordinary.
    pub fn priority(mut self, priority: u8) -> Self {
        self.options.set_priority(priority);
        self
    }

    /// Sets how long the message is worth handling: a `Duration`, or text like `"10m"`.
    pub fn ttl(mut self, ttl: impl IntoDuration) -> Self {
        self.options.set_ttl(ttl.into_duration());
        self
    }

    /// Sets the correlation id instead of inheriting or making one. At most 255 bytes.
    pub fn correlation_id(mut self, id: impl Into<Text>) -> Self {
        self.options.correlation_id = Some(id.into());
        self
    }

    /// Sets the message's id instead of making one: publish again with the id of an
    /// [`PublishErrorKind::Unknown`] error. At most 255 bytes.
    pub fn id(mut self, id: impl Into<Text>) -> Self {
        self.options.message_id = Some(id.into());
        self
    }

    /// Names the queue that an answer is to be sent to.
    pub fn reply_to(mut self, queue: impl Into<Text>) -> Self {
        self.options.reply_to = Some(queue.into());
        self
    }

    /// Accepts that nobody may listen: without a queue for it the message is dropped, not an error.
    pub fn optional(mut self) -> Self {
        self.options.optional = true;
        self
    }
}

impl<'a, M: Message> Publish<'a, M> {
    /// Publishes without waiting for the broker, as [`Publisher::publish_later`] does.
    pub const fn later(self) -> PublishLater<'a, M> {
        PublishLater(self)
    }

    /// The publisher, the message and what was said about it.
    pub(crate) fn into_parts(self) -> (&'a Publisher, M, PublishOptions) {
        (self.publisher, self.message, self.options)
    }

    /// Encoded outside the future, so that the future is the same for all message types.
    pub(super) fn encoded(self) -> (&'a Publisher, Result<Outgoing, PublishError>) {
        (self.publisher, self.publisher.encode(&self.message, self.options))
    }
}

impl<'a, M: Message> IntoFuture for Publish<'a, M> {
    type Output = Result<Published, PublishError>;
    type IntoFuture = Publishing<'a>;

    fn into_future(self) -> Self::IntoFuture {
        let (publisher, encoded) = self.encoded();
        match encoded {
            Ok(outgoing) => publisher.leave(outgoing),
            Err(error) => Publishing(Way::Stays(Box::pin(ready(Err(error))))),
        }
    }
}

/// A publish that is awaited: resolves when the broker has the message, or inside a handler once it is kept. Nothing is
/// sent or kept before it is polled. If it is dropped after that and before its end, the message may or may not arrive.
#[must_use = "nothing is published until it is polled"]
pub struct Publishing<'a>(Way<'a>);

enum Way<'a> {
    Leaves(Departure<'a>),
    /// Kept for the end of the handler, or a mistake.
    Stays(BoxFuture<'a, Result<Published, PublishError>>),
}

impl Future for Publishing<'_> {
    type Output = Result<Published, PublishError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match &mut self.0 {
            Way::Leaves(departure) => Pin::new(departure).poll(cx),
            Way::Stays(future) => future.as_mut().poll(cx),
        }
    }
}

impl fmt::Debug for Publishing<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Publishing").finish_non_exhaustive()
    }
}

impl<M> fmt::Debug for Publish<'_, M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Publish").field("options", &self.options).finish_non_exhaustive()
    }
}
