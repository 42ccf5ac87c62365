//! Takes messages to the library, in their order, and brings back for each the promise of its confirm.
//!
//! The lane calls: it sends a message, and asks who is back when the library says that frames were written.
//!
//! The library's future of one publish is some 1.2 KiB, and is done as soon as the socket has taken the frames. Made for
//! each message, it is written, moved and dropped each time, in memory that is not in the processor's cache while
//! hundreds are in flight. A courier's is made once and stays where it is. Since a courier does not wait for the confirm,
//! a few of them do for all that are in flight, and theirs is memory that was used just now.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use lapin::message::BasicReturnMessage;
use lapin::options::BasicPublishOptions;
use lapin::{Channel, Confirmation, PublisherConfirm};

use super::convert::to_amqp;
use super::verdict::{Ticket, Written};
use crate::transport::Outgoing;

/// How many couriers are kept for further messages, of some 1.3 KiB each.
const SPARE_MAX: usize = 1_024;

/// What the library gives for a message once its frames were written, or once it does not take it.
pub(super) type Receipt = lapin::Result<PublisherConfirm>;

/// The couriers of one channel.
#[derive(Default)]
pub(super) struct Couriers {
    /// Those with an errand, in the order in which they left. The library writes in that order, so that whoever left later
    /// is not back earlier.
    out: VecDeque<Trip>,
    /// Those without; at most [`SPARE_MAX`].
    spare: Vec<Courier>,
}

struct Trip {
    number: u64,
    unhurried: bool,
    courier: Courier,
}

impl Couriers {
    /// Queues a message's frames. Gives the receipt if it is there at once: the channel does not take the message, or has
    /// written it already. Otherwise [`Couriers::back`] gives it.
    ///
    /// The message must have passed [`wire_bytes`](super::convert::wire_bytes).
    pub(super) fn send(
        &mut self,
        channel: &Arc<Channel>,
        number: u64,
        ticket: &Arc<Ticket>,
        written: &Written,
    ) -> Option<Receipt> {
        let mut courier = self.spare.pop().unwrap_or_else(|| Courier::new(channel));
        let unhurried = ticket.outgoing.unhurried;
        let receipt = courier.send(ticket, written.waker(unhurried));
        if receipt.is_some() {
            self.rest(courier);
        } else {
            self.out.push_back(Trip { number, unhurried, courier });
        }
        receipt
    }

    /// The next one that is back, with the number that it left with. If there is none, the library wakes when there is.
    pub(super) fn back(&mut self, written: &Written) -> Option<(u64, Receipt)> {
        let Trip { unhurried, courier, .. } = self.out.front_mut()?;
        let receipt = courier.ask(written.waker(*unhurried))?;
        let Trip { number, courier, .. } = self.out.pop_front()?;
        self.rest(courier);
        Some((number, receipt))
    }

    fn rest(&mut self, courier: Courier) {
        if self.spare.len() < SPARE_MAX {
            self.spare.push(courier);
        }
    }
}

/// One that goes for a channel; it has one errand at a time.
struct Courier {
    bag: Arc<Mutex<Bag>>,
    round: Pin<Box<dyn Future<Output = Infallible> + Send>>,
}

/// What a courier carries.
#[derive(Default)]
enum Bag {
    #[default]
    Empty,
    Errand(Arc<Ticket>),
    Receipt(Receipt),
}

impl Courier {
    fn new(channel: &Arc<Channel>) -> Self {
        let bag = Arc::default();
        let round = Box::pin(go_round(Arc::clone(channel), Arc::clone(&bag)));
        Self { bag, round }
    }

    fn send(&mut self, ticket: &Arc<Ticket>, waker: &Waker) -> Option<Receipt> {
        *lock(&self.bag) = Bag::Errand(Arc::clone(ticket));
        self.ask(waker)
    }

    /// Goes on with the errand; after the receipt the courier is free for another one.
    fn ask(&mut self, waker: &Waker) -> Option<Receipt> {
        let Poll::Pending = self.round.as_mut().poll(&mut Context::from_waker(waker));
        match std::mem::take(&mut *lock(&self.bag)) {
            Bag::Receipt(receipt) => Some(receipt),
            // Of an errand there is nothing in the bag while it is with the library.
            Bag::Empty | Bag::Errand(_) => None,
        }
    }
}

async fn go_round(channel: Arc<Channel>, bag: Arc<Mutex<Bag>>) -> Infallible {
    loop {
        let ticket = poll_fn(|_| take_errand(&bag)).await;
        let receipt = write(&channel, &ticket.outgoing).await;
        *lock(&bag) = Bag::Receipt(receipt);
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

/// The library's own future: one around it would move the properties once more.
fn write<'a>(
    channel: &'a Channel,
    outgoing: &'a Outgoing,
) -> impl Future<Output = Receipt> + Send + use<'a> {
    let Outgoing { address, properties, body, mandatory, .. } = outgoing;
    let (exchange, key) = (&*address.exchange, &*address.routing_key);
    let options = BasicPublishOptions { mandatory: *mandatory, immediate: false };
    channel.basic_publish(exchange.into(), key.into(), options, body, to_amqp(properties))
}

/// What the broker says of a message. The library's own word has room for a whole message and is moved often.
pub(super) struct Answer {
    pub(super) ack: bool,
    /// What it gave back: this message, or another one.
    pub(super) returned: Option<Box<BasicReturnMessage>>,
}

impl From<Confirmation> for Answer {
    fn from(confirmation: Confirmation) -> Self {
        let ack = !matches!(confirmation, Confirmation::Nack(_));
        Self { ack, returned: confirmation.take_message().map(Box::new) }
    }
}

/// Sends a message on a channel in confirm mode, and waits for its confirm. The message must have passed
/// [`wire_bytes`](super::convert::wire_bytes).
pub(super) async fn send(channel: &Channel, outgoing: &Outgoing) -> lapin::Result<Answer> {
    Ok(write(channel, outgoing).await?.await?.into())
}

fn lock(bag: &Mutex<Bag>) -> MutexGuard<'_, Bag> {
    bag.lock().unwrap_or_else(PoisonError::into_inner)
}
