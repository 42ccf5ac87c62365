//! Publishes that nobody waits for at once: a bounded buffer, handles, and the flush.

use std::collections::{BTreeSet, VecDeque};
use std::fmt;
use std::future::{Future, IntoFuture};
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};

use futures_util::stream::StreamExt;
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore, mpsc, oneshot};

use super::outlet::Outlet;
use super::publisher::{Publish, Published};
use crate::contract::{Message, Text};
use crate::transport::{Outgoing, PublishError, PublishErrorKind};

/// How many failures are kept for the next flush; the oldest are forgotten, and have been logged.
pub const FAILURES_KEPT_MAX: usize = 10_000;

/// Accepts messages, publishes them in this order, and remembers what failed.
pub(super) struct Later {
    room: Arc<Semaphore>,
    queue: mpsc::UnboundedSender<Ticket>,
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    ended: Notify,
}

#[derive(Default)]
struct State {
    next: u64,
    /// Accepted and not ended.
    pending: BTreeSet<u64>,
    failed: VecDeque<FailedPublish>,
    /// Who waits for a flush will report; what fails meanwhile need not be logged.
    flushing: usize,
}

/// An accepted message on its way. However it goes out of sight, it ends.
struct Ticket {
    number: u64,
    outgoing: Option<Outgoing>,
    id: Text,
    message_type: String,
    outcome: Option<oneshot::Sender<Result<Published, PublishError>>>,
    shared: Arc<Shared>,
    /// Its place in the buffer.
    _room: OwnedSemaphorePermit,
}

impl Later {
    /// A buffer for `max` messages that the broker has not confirmed, and the task that empties it. The
    /// task ends when the last publisher is gone and the buffer is empty.
    pub(super) fn start(outlet: Arc<Outlet>, max: usize) -> Self {
        let max = max.clamp(1, Semaphore::MAX_PERMITS);
        // Bounded by the places in `room`.
        let (queue, accepted) = mpsc::unbounded_channel::<Ticket>();
        let tickets = futures_util::stream::unfold(accepted, async |mut accepted| {
            Some((accepted.recv().await?, accepted))
        });
        tokio::spawn(async move {
            let publish = |ticket| publish(&outlet, ticket);
            tickets.map(publish).buffer_unordered(max).for_each(|()| std::future::ready(())).await;
        });
        Self { room: Arc::new(Semaphore::new(max)), queue, shared: Arc::default() }
    }

    /// Takes a message as soon as there is room.
    pub(super) async fn accept(&self, outgoing: Outgoing) -> Result<Accepted, PublishError> {
        let id = outgoing.id();
        let closed = |id: &str| {
            let text = "nothing is published any more: the program ends";
            PublishError::new(PublishErrorKind::Closed, id, text)
        };
        let Ok(room) = Arc::clone(&self.room).acquire_owned().await else {
            return Err(closed(&id));
        };
        let (sender, outcome) = oneshot::channel();
        let ticket = Ticket {
            number: self.shared.lock().accept(),
            message_type: outgoing
                .properties
                .message_type
                .as_deref()
                .unwrap_or_default()
                .to_owned(),
            outgoing: Some(outgoing),
            id: id.clone(),
            outcome: Some(sender),
            shared: Arc::clone(&self.shared),
            _room: room,
        };
        self.queue.send(ticket).map_err(|_| closed(&id))?;
        Ok(Accepted { id, outcome: Some(outcome) })
    }

    /// Waits for all that were accepted until now.
    pub(super) async fn flush(&self) -> Result<(), FlushError> {
        let _flushing = Flushing::begin(&self.shared);
        let until = self.shared.lock().next;
        loop {
            // Asked for before the look, so that an end in between is not missed.
            let ended = self.shared.ended.notified();
            if self.shared.lock().pending.first().is_none_or(|oldest| *oldest >= until) {
                break;
            }
            ended.await;
        }
        let failed: Vec<_> = self.shared.lock().failed.drain(..).collect();
        if failed.is_empty() { Ok(()) } else { Err(FlushError { failed }) }
    }

    /// How many have been accepted and have not ended.
    pub(super) fn pending(&self) -> usize {
        self.shared.lock().pending.len()
    }
}

async fn publish(outlet: &Outlet, mut ticket: Ticket) {
    if let Some(outgoing) = ticket.outgoing.take() {
        let result = outlet.depart(outgoing).await;
        ticket.end(result);
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn accept(&mut self) -> u64 {
        let number = self.next;
        self.next += 1;
        self.pending.insert(number);
        number
    }
}

impl Ticket {
    fn end(&mut self, result: Result<Published, PublishError>) {
        let Some(outcome) = self.outcome.take() else { return };
        let failed = result.as_ref().err().map(|error| FailedPublish {
            id: self.id.clone(),
            message_type: self.message_type.clone(),
            kind: error.kind(),
            error: error.to_string(),
        });
        let unheard = outcome.send(result).is_err();
        let mut state = self.shared.lock();
        if let Some(failed) = failed {
            if unheard && state.flushing == 0 {
                let FailedPublish { id, message_type, error, .. } = &failed;
                tracing::error!(message_id = %id, message_type, %error, "not published, and nobody waits for it");
            }
            if state.failed.len() == FAILURES_KEPT_MAX {
                state.failed.pop_front();
            }
            state.failed.push_back(failed);
        }
        state.pending.remove(&self.number);
        drop(state);
        self.shared.ended.notify_waiters();
    }
}

impl Drop for Ticket {
    /// The task was dropped with its runtime, or panicked: whoever waits is told.
    fn drop(&mut self) {
        if self.outcome.is_some() {
            let text =
                "the program ended before the broker answered; publish it again with the same id";
            let error = PublishError::new(PublishErrorKind::Unknown, &self.id, text);
            self.end(Err(error));
        }
    }
}

/// Says that somebody waits for a flush, as long as it is there.
struct Flushing<'a>(&'a Shared);

impl<'a> Flushing<'a> {
    fn begin(shared: &'a Shared) -> Self {
        shared.lock().flushing += 1;
        Self(shared)
    }
}

impl Drop for Flushing<'_> {
    fn drop(&mut self) {
        self.0.lock().flushing -= 1;
    }
}

/// A publish that is accepted without waiting for the broker; awaiting it gives an [`Accepted`].
#[must_use = "nothing is accepted until it is awaited"]
#[derive(Debug)]
pub struct PublishLater<'a, M>(pub(super) Publish<'a, M>);

impl<'a, M: Message> IntoFuture for PublishLater<'a, M> {
    type Output = Result<Accepted, PublishError>;
    type IntoFuture = Pin<Box<dyn Future<Output = Self::Output> + Send + 'a>>;

    fn into_future(self) -> Self::IntoFuture {
        let (publisher, encoded) = self.0.encoded();
        Box::pin(async move { publisher.accept(encoded?).await })
    }
}

/// A message that was accepted. Awaiting it gives its outcome; dropping it loses nothing: a failure is
/// logged, and reported by the next [`Publisher::flush`](super::Publisher::flush).
#[derive(Debug)]
pub struct Accepted {
    id: Text,
    /// Nothing if a handler's outbox keeps the message.
    outcome: Option<oneshot::Receiver<Result<Published, PublishError>>>,
}

impl Accepted {
    pub(super) fn kept(published: Published) -> Self {
        Self { id: published.id, outcome: None }
    }

    /// The id under which it travels.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.id
    }
}

impl Future for Accepted {
    type Output = Result<Published, PublishError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let Some(outcome) = &mut self.outcome else {
            return Poll::Ready(Ok(Published { id: self.id.clone() }));
        };
        // Every ticket ends, so the sender is never dropped before.
        Pin::new(outcome).poll(cx).map(|ended| match ended {
            Ok(result) => result,
            Err(_) => {
                let text = "the program ended before the broker answered";
                Err(PublishError::new(PublishErrorKind::Unknown, &self.id, text))
            }
        })
    }
}

/// A message that was accepted and not published.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct FailedPublish {
    /// Its id, by which to publish it again.
    pub id: Text,
    /// Its type.
    pub message_type: String,
    /// What became of it.
    pub kind: PublishErrorKind,
    /// What a person reads.
    pub error: String,
}

/// Some messages that were accepted since the last flush were not published.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FlushError {
    /// Each of them, oldest first, also those whose outcome was awaited; at most [`FAILURES_KEPT_MAX`].
    pub failed: Vec<FailedPublish>,
}

impl fmt::Display for FlushError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let count = self.failed.len();
        write!(
            f,
            "{count} accepted message{} not published",
            if count == 1 { " was" } else { "s were" }
        )?;
        match self.failed.first() {
            Some(first) => write!(f, "; the first, a `{}`: {}", first.message_type, first.error),
            None => Ok(()),
        }
    }
}

impl std::error::Error for FlushError {}
