//! Takes messages to the library, one after the other, and brings back what the broker says of each.
//!
//! The lane calls: it gives an errand, and asks for the answer whenever the library says that there is news.
//!
//! The library's future of one publish is some 1.2 KiB. Made for each message, it is written, moved and dropped
//! each time, in memory that is not in the processor's cache while hundreds are in flight. A courier's is made once and
//! stays where it is.

use std::convert::Infallible;
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use lapin::message::BasicReturnMessage;
use lapin::options::BasicPublishOptions;
use lapin::{Channel, Confirmation};

use super::convert::to_amqp;
use super::verdict::Ticket;
use crate::transport::Outgoing;

/// What the broker says of a message. The library's own word has room for a whole message and is moved often.
pub(super) struct Answer {
    pub(super) ack: bool,
    /// What it gave back: this message, or another one.
    pub(super) returned: Option<Box<BasicReturnMessage>>,
}

/// One that goes for a channel; it has one errand at a time.
pub(super) struct Courier {
    bag: Arc<Mutex<Bag>>,
    round: Pin<Box<dyn Future<Output = Infallible> + Send>>,
}

/// What a courier carries.
#[derive(Default)]
enum Bag {
    #[default]
    Empty,
    Errand(Arc<Ticket>),
    Answer(lapin::Result<Answer>),
}

impl Courier {
    /// One without an errand.
    pub(super) fn new(channel: &Arc<Channel>) -> Self {
        let bag = Arc::default();
        let round = Box::pin(go_round(Arc::clone(channel), Arc::clone(&bag)));
        Self { bag, round }
    }

    /// Takes a message and queues its frames. True if the answer is there already, for whoever asks for it.
    ///
    /// The message must have passed [`wire_bytes`](super::convert::wire_bytes).
    pub(super) fn send(&mut self, ticket: &Arc<Ticket>) -> bool {
        *lock(&self.bag) = Bag::Errand(Arc::clone(ticket));
        self.go_on(ticket);
        matches!(*lock(&self.bag), Bag::Answer(_))
    }

    /// Asks for the answer, once; then the courier is free for another errand. As long as there is none, the library wakes
    /// the ticket when there is news.
    pub(super) fn ask(&mut self, ticket: &Arc<Ticket>) -> Option<lapin::Result<Answer>> {
        self.go_on(ticket);
        match std::mem::take(&mut *lock(&self.bag)) {
            Bag::Answer(answer) => Some(answer),
            // Of an errand there is nothing in the bag while it is with the library.
            Bag::Empty | Bag::Errand(_) => None,
        }
    }

    fn go_on(&mut self, ticket: &Arc<Ticket>) {
        let waker = Waker::from(Arc::clone(ticket));
        let Poll::Pending = self.round.as_mut().poll(&mut Context::from_waker(&waker));
    }
}

async fn go_round(channel: Arc<Channel>, bag: Arc<Mutex<Bag>>) -> Infallible {
    loop {
        let ticket = poll_fn(|_| take_errand(&bag)).await;
        let answer = send(&channel, &ticket.outgoing).await;
        *lock(&bag) = Bag::Answer(answer);
    }
}

fn take_errand(bag: &Mutex<Bag>) -> Poll<Arc<Ticket>> {
    let mut bag = lock(bag);
    match std::mem::take(&mut *bag) {
        Bag::Errand(ticket) => Poll::Ready(ticket),
        other => {
            *bag = other;
            Poll::Pending
        }
    }
}

/// Sends a message on a channel in confirm mode, and waits for its confirm. The message must have passed
/// [`wire_bytes`](super::convert::wire_bytes).
pub(super) async fn send(channel: &Channel, outgoing: &Outgoing) -> lapin::Result<Answer> {
    let Outgoing { address, properties, body, mandatory, .. } = outgoing;
    let (exchange, key) = (&*address.exchange, &*address.routing_key);
    let options = BasicPublishOptions { mandatory: *mandatory, immediate: false };
    let confirm = channel
        .basic_publish(exchange.into(), key.into(), options, body, to_amqp(properties))
        .await?;
    let confirmation = confirm.await?;
    let ack = !matches!(confirmation, Confirmation::Nack(_));
    Ok(Answer { ack, returned: confirmation.take_message().map(Box::new) })
}

fn lock(bag: &Mutex<Bag>) -> MutexGuard<'_, Bag> {
    bag.lock().unwrap_or_else(PoisonError::into_inner)
}
