//! The bridge: places for requests, a reply address, and the wait for the reply.

use std::fmt;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;

use bytes::Bytes;
use jiff::SignedDuration;
use tokio::sync::{Semaphore, SemaphorePermit, mpsc};
use tokio::time::{Instant, timeout_at};

use super::ask::{Ask, AskOptions};
use super::desk::{Desk, DeskOptions, ReplyAddress};
use super::error::{AskError, AskErrorKind, Asked};
use super::pending::{Entry, Pending, Ticket};
use crate::consume::Readiness;
use crate::contract::headers::names;
use crate::contract::{Message, MessageInfo, Request, Text};
use crate::handler::{Context, FromContext, FromResources, HandlerError, HandlerResult, Resources};
use crate::publish::{Departure, PublishOptions, Publisher};
use crate::transport::{Delivery, PublishErrorKind, Transport};

/// Limits of a bridge, as the configuration's section `bridge` gives them.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct BridgeOptions {
    /// How long a request waits for its reply where the call does not say. 30 s by default.
    pub timeout: Duration,
    /// How many requests of this process wait for their replies at a time. 200 by default.
    pub max_concurrent: usize,
    /// How many more may wait for one of these places; what comes then is refused at once. 1,000 by
    /// default; with 0 nobody waits for a place.
    pub waiting_max: usize,
    /// Whether a request may go to a handler of this process without the broker, where the transport knows
    /// such a way. Off by default.
    pub local: bool,
    /// The name under which the broker lists the consumer of the reply queue.
    pub consumer: String,
    /// After how long without a reply, while the reply queue holds some, the broker counts as having forgotten
    /// its consumer. 60 s by default.
    pub stall_after: Duration,
}

impl Default for BridgeOptions {
    fn default() -> Self {
        Self {
            timeout: Duration::from_secs(30),
            max_concurrent: 200,
            waiting_max: 1_000,
            local: false,
            consumer: "bridge".to_owned(),
            stall_after: Duration::from_secs(60),
        }
    }
}

/// Asks other services and waits for their answers. Cheap to clone; clones share the limits.
///
/// A handler takes it as a parameter: what is asked there belongs to the flow of the message being
/// handled, and is sent at once, not kept until the handler succeeds. A handler that is called again asks
/// again, with the same id.
#[derive(Clone)]
pub struct Bridge {
    shared: Arc<Shared>,
    /// The message that is being handled, inside a handler.
    context: Option<Context>,
}

struct Shared {
    publisher: Publisher,
    desk: Arc<Desk>,
    pending: Pending,
    places: Semaphore,
    /// Who waits for a place.
    waiting: AtomicUsize,
    options: BridgeOptions,
}

/// A request that is about to be sent.
#[derive(Debug)]
pub(super) struct Call {
    pub(super) asked: Asked,
    timeout: Duration,
    pub(super) deadline: Instant,
}

/// A place among the requests, and where the reply is to go.
#[derive(Debug)]
pub(super) struct Ready<'a> {
    address: ReplyAddress,
    _place: SemaphorePermit<'a>,
}

/// A request with its reply address, which the transport has taken over already: the futures that wait for the
/// reply would each keep a place for it.
#[derive(Debug)]
pub(super) struct Letter<'a> {
    pub(super) departure: Departure<'a>,
    /// The flow's correlation id, as the envelope has it, where it is another one than the request's id.
    flow: Option<Text>,
}

impl Letter<'_> {
    /// Its line in the table of those who wait.
    pub(super) fn entry<'a>(
        &'a self,
        asked: &'a Asked,
        reply: Option<&'static MessageInfo>,
    ) -> Entry<'a> {
        Entry { id: &asked.id, flow: self.flow.as_ref(), reply }
    }
}

/// What is said about a request beside its message, by whoever asks.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Notes {
    /// Whether the request says when nobody waits for its reply any more.
    pub(super) deadline: bool,
    /// Whether it may go to a handler of this process without the broker, where the options allow that. Only one
    /// for which this process alone waits: it is gone with the process.
    pub(super) near: bool,
    /// A header that is set to true.
    pub(super) flag: Option<&'static str>,
}

impl Bridge {
    /// A bridge that publishes with `publisher` and has its reply queue on `transport`. Nothing is made on
    /// the broker until something is asked.
    #[must_use]
    pub fn new(
        publisher: Publisher,
        transport: Arc<dyn Transport>,
        options: BridgeOptions,
    ) -> Self {
        let pending = Pending::default();
        let source = publisher.encoder().source.clone();
        let replies =
            DeskOptions { consumer: options.consumer.clone(), stall_after: options.stall_after };
        let desk = Desk::new(transport, source, replies, pending.clone());
        let places = options.max_concurrent.clamp(1, Semaphore::MAX_PERMITS);
        let shared = Shared {
            publisher,
            desk,
            pending,
            places: Semaphore::new(places),
            waiting: AtomicUsize::new(0),
            options,
        };
        let shared = Arc::new(shared);
        // Found again by those who have the publisher alone; not owned by it, or neither would ever go.
        shared.publisher.attach(Arc::downgrade(&shared));
        Self { shared, context: None }
    }

    /// The bridge of a publisher that is not inside a handler.
    pub(super) fn of(publisher: &Publisher) -> Result<Self, &'static str> {
        if publisher.is_inside_handler() {
            return Err(
                "inside a handler what is sent leaves only when the handler succeeds, so its end cannot be waited for; \
                 take a `Bridge` as a parameter and ask",
            );
        }
        let shared = publisher.attached::<Weak<Shared>>().and_then(Weak::upgrade);
        let shared = shared.ok_or("the publisher belongs to no running app")?;
        Ok(Self { shared, context: None })
    }

    /// Sends a command or query and waits for its reply, whose type follows from the message.
    ///
    /// ```
    /// # use mmate::prelude::*;
    /// # #[message(query, service = "shop", reply = Price)] struct AskPrice { product: String }
    /// # #[message(reply)] struct Price { cents: u32 }
    /// # async fn example(bridge: &Bridge) -> Result<(), AskError> {
    /// let price: Price = bridge.ask(AskPrice { product: "tea".into() }).timeout("5s").await?;
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// [`AskError`] says what became of the request; awaiting ends within the timeout in any case.
    /// Dropping the future gives up waiting, and does not take back what was sent.
    pub fn ask<M: Request>(&self, message: M) -> Ask<'_, M::Reply> {
        Ask::new(self, message)
    }

    /// How many requests of this process wait for their replies.
    #[must_use]
    pub fn pending(&self) -> usize {
        self.shared.pending.len()
    }

    /// How many replies came for which nobody waited any more: after the timeout, or a second time.
    #[must_use]
    pub fn late_replies(&self) -> u64 {
        self.shared.pending.late()
    }

    /// How many replies came of which nothing said which of several requests they answer; they are dropped.
    #[must_use]
    pub fn ambiguous_replies(&self) -> u64 {
        self.shared.pending.ambiguous()
    }

    /// Whether replies can come in; nothing if nobody has asked anything yet.
    #[must_use]
    pub fn readiness(&self) -> Option<Readiness> {
        self.shared.desk.readiness()
    }

    /// Ends all waiting with [`AskErrorKind::Unknown`]; what is asked from now on is not sent.
    pub(crate) fn close(&self) {
        self.shared.places.close();
        self.shared.desk.close();
    }

    /// The same bridge, for the handler of a message.
    fn within(&self, context: &Context) -> Self {
        Self { shared: Arc::clone(&self.shared), context: Some(context.clone()) }
    }

    /// Gives the request its id, and begins its time.
    pub(super) fn call(&self, info: &'static MessageInfo, options: &mut AskOptions) -> Call {
        let AskOptions { publish, timeout } = options;
        let timeout = timeout.unwrap_or_else(|| self.default_timeout());
        let given = publish.as_mut().and_then(|publish| publish.message_id.take());
        let asked = Asked { request: info.name, id: given.unwrap_or_else(|| self.next_id()) };
        Call { asked, timeout, deadline: Instant::now() + timeout }
    }

    /// Nobody waits longer for an answer than whoever waits for the one that needs it.
    fn default_timeout(&self) -> Duration {
        let own = self.shared.options.timeout;
        let remaining = self.context.as_ref().and_then(Context::request_remaining);
        remaining.map_or(own, |remaining| remaining.min(own))
    }

    /// What it sends through.
    #[cfg(feature = "http")]
    pub(crate) fn publisher(&self) -> &Publisher {
        &self.shared.publisher
    }

    /// Why replies to this request may have been lost.
    pub(super) fn loss_since(&self, ready: &Ready<'_>) -> Option<String> {
        self.shared.desk.loss_since(&ready.address)
    }

    /// A place in the table for several replies.
    pub(super) fn enter_many(
        &self,
        call: &Call,
        entry: &Entry<'_>,
        room: usize,
    ) -> Result<Ticket<mpsc::Receiver<Delivery>>, AskError> {
        self.shared.pending.enter_many(entry, room).ok_or_else(|| stopping(call))
    }

    fn next_id(&self) -> Text {
        self.shared.publisher.encoder().next_id(self.context.as_ref().map(Context::origin))
    }

    /// Waits for a place and for the reply queue.
    pub(super) async fn prepare(&self, call: &Call) -> Result<Ready<'_>, AskError> {
        let asked = &call.asked;
        if call.timeout.is_zero() {
            let text =
                "whoever waits for this handler's answer has stopped to wait; it was not sent";
            return Err(asked.error(AskErrorKind::NotSent, text));
        }
        let place = self.place(call).await?;
        let address = timeout_at(call.deadline, self.shared.desk.address()).await;
        let Ok(Some(address)) = address else {
            let text = format!("{}; it was not sent", self.shared.desk.absence());
            return Err(asked.error(AskErrorKind::NotSent, text));
        };
        Ok(Ready { address, _place: place })
    }

    async fn place(&self, call: &Call) -> Result<SemaphorePermit<'_>, AskError> {
        let places = &self.shared.places;
        if let Ok(place) = places.try_acquire() {
            return Ok(place);
        }
        let BridgeOptions { max_concurrent, waiting_max, .. } = self.shared.options;
        let overloaded = |why: String| {
            let text = format!(
                "{max_concurrent} requests wait for their replies (`bridge.max_concurrent`), and {why}; it was not sent"
            );
            call.asked.error(AskErrorKind::Overloaded, text)
        };
        let Some(_waiting) = Waiting::enter(&self.shared.waiting, waiting_max) else {
            return Err(overloaded(format!(
                "{waiting_max} more for a place (`bridge.waiting_max`)"
            )));
        };
        match timeout_at(call.deadline, places.acquire()).await {
            Ok(Ok(place)) => Ok(place),
            Ok(Err(_)) => Err(stopping(call)),
            Err(_) => Err(overloaded(format!("no place was free within {:?}", call.timeout))),
        }
    }

    /// Writes the request, with its reply address and what else is said about it. It is sent when somebody waits
    /// for it.
    pub(super) fn write<M: Message>(
        &self,
        call: &Call,
        message: &M,
        options: AskOptions,
        ready: &Ready<'_>,
        notes: Notes,
    ) -> Result<Letter<'_>, AskError> {
        let mut options = options.publish.map_or_else(PublishOptions::default, |options| *options);
        options.message_id = Some(call.asked.id.clone());
        options.reply_to = Some(ready.address.queue.clone());
        let origin = self.context.as_ref().map(Context::origin);
        let encoded = self.shared.publisher.encode_from(message, options, origin);
        let mut outgoing = encoded.map_err(|error| call.asked.not_published(error))?;
        // The envelope carries the flow's id; this property is what peers of any family send back, so it
        // tells this request apart from others of the flow.
        let own = |id: &Text| *id == call.asked.id;
        let correlation_id = &mut outgoing.properties.correlation_id;
        let flow = match correlation_id {
            Some(id) if own(id) => None,
            _ => correlation_id.replace(call.asked.id.clone()),
        };
        let headers = &mut outgoing.properties.headers;
        if notes.deadline {
            headers.set(names::DEADLINE, self.deadline(call));
        }
        if let Some(flag) = notes.flag {
            headers.set(flag, true);
        }
        outgoing.near = notes.near && self.shared.options.local;
        // A reply proves that the broker has had the request.
        outgoing.unhurried = true;
        Ok(Letter { departure: self.shared.publisher.depart(outgoing), flow })
    }

    /// When nobody waits for the reply any more: milliseconds since 1970, UTC.
    fn deadline(&self, call: &Call) -> i64 {
        let left = call.deadline.saturating_duration_since(Instant::now());
        let left = SignedDuration::try_from(left).unwrap_or(SignedDuration::MAX);
        let now = self.shared.publisher.encoder().source.now();
        now.saturating_add(left).unwrap_or(jiff::Timestamp::MAX).as_millisecond()
    }

    /// Sends the request and waits until the deadline for its reply, of which it gives the body.
    pub(super) async fn exchange(
        &self,
        call: &Call,
        letter: &mut Letter<'_>,
        ready: &Ready<'_>,
        expected: Option<&'static MessageInfo>,
    ) -> Result<Bytes, AskError> {
        let entry = letter.entry(&call.asked, expected);
        let ticket = self.shared.pending.enter(&entry);
        let mut ticket = ticket.ok_or_else(|| stopping(call))?;
        let mut confirmed = false;
        let waiting = async {
            // A reply proves that the broker has had the request, whether its confirm is here or not.
            match letter.departure.until(&mut ticket.replies).await {
                Ok(Some(reply)) => return Ok(reply),
                Ok(None) => confirmed = true,
                // It may have arrived all the same, and then its reply comes.
                Err(error) if error.kind() == PublishErrorKind::Unknown => {}
                Err(error) => return Err(call.asked.not_published(error)),
            }
            Ok((&mut ticket.replies).await)
        };
        match timeout_at(call.deadline, waiting).await {
            Ok(Ok(Ok(reply))) => Ok(reply),
            Ok(Ok(Err(_))) => Err(closed(call)),
            Ok(Err(error)) => Err(error),
            Err(_) => Err(self.timed_out(call, ready, confirmed)),
        }
    }

    /// What became of a request at its deadline, as far as it is known.
    #[cold]
    fn timed_out(&self, call: &Call, ready: &Ready<'_>, confirmed: bool) -> AskError {
        let within = call.timeout;
        if !confirmed {
            let text = format!(
                "the broker has not confirmed it within {within:?}; it may or may not arrive"
            );
            return call.asked.error(AskErrorKind::Unknown, text);
        }
        match self.loss_since(ready) {
            Some(loss) => {
                let text = format!("no reply within {within:?}, and it may be lost: {loss}");
                call.asked.error(AskErrorKind::Unknown, text)
            }
            None => call.asked.error(AskErrorKind::Timeout, format!("no reply within {within:?}")),
        }
    }
}

#[cold]
fn stopping(call: &Call) -> AskError {
    call.asked.error(AskErrorKind::NotSent, "this process stops; it was not sent")
}

fn closed(call: &Call) -> AskError {
    call.asked.error(AskErrorKind::Unknown, "this process stops, and the reply has not come")
}

/// Counts who waits for a place, also if they stop waiting.
struct Waiting<'a>(&'a AtomicUsize);

impl<'a> Waiting<'a> {
    fn enter(waiting: &'a AtomicUsize, max: usize) -> Option<Self> {
        let room = |count: usize| (count < max).then_some(count + 1);
        waiting.fetch_update(Ordering::Relaxed, Ordering::Relaxed, room).ok().map(|_| Self(waiting))
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl fmt::Debug for Bridge {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Bridge")
            .field("desk", &self.shared.desk)
            .field("pending", &self.pending())
            .field("inside_handler", &self.context.is_some())
            .finish_non_exhaustive()
    }
}

#[diagnostic::do_not_recommend]
impl FromContext for Bridge {
    fn from_context(context: &Context) -> HandlerResult<Self> {
        Ok(find(context.resources())?.within(context))
    }
}

#[diagnostic::do_not_recommend]
impl FromResources for Bridge {
    fn from_resources(resources: &Resources) -> HandlerResult<Self> {
        find(resources).map(|bridge| (*bridge).clone())
    }
}

fn find(resources: &Resources) -> HandlerResult<Arc<Bridge>> {
    resources.get().ok_or_else(|| HandlerError::msg("the app has no bridge"))
}
