//! The caller's side of a consumer.

use std::sync::Arc;
use std::task::{Context, Poll};

use super::broker::Broker;
use super::consumer::ConsumerId;
use super::dispatch::Next;
use super::expiry::Alarm;
use super::queue::Message;
use crate::transport::{Delivery, Intake, Settlement, Subscription, Tag, TransportError};

/// A consumer of a queue of the broker. Dropping it returns what it holds.
#[derive(Debug)]
pub(super) struct MemorySubscription {
    broker: Arc<Broker>,
    id: ConsumerId,
    alarm: Alarm,
    /// A settlement came too late, and the caller has not been told.
    refused: bool,
}

impl MemorySubscription {
    pub(super) fn new(broker: Arc<Broker>, id: ConsumerId) -> Self {
        Self { broker, id, alarm: Alarm::default(), refused: false }
    }
}

impl Subscription for MemorySubscription {
    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Intake> {
        // A queue that never runs dry must not keep its task from yielding.
        let budget = std::task::ready!(tokio::task::coop::poll_proceed(cx));
        loop {
            let id = self.id;
            let intake = match self.broker.enter(|state| state.next(id, cx.waker())) {
                Next::Message(tag, message) => Intake::Delivery(delivery(tag, &message)),
                Next::Ended => Intake::Ended,
                Next::Lost(error) => Intake::Lost(error),
                Next::Wait(alarm) => {
                    if self.alarm.poll(alarm, cx).is_pending() {
                        return Poll::Pending;
                    }
                    continue;
                }
            };
            budget.made_progress();
            return Poll::Ready(intake);
        }
    }

    fn settle(&mut self, tag: Tag, settlement: Settlement) {
        // Written at once: there is no network for which to gather them.
        let id = self.id;
        let lost = self.broker.enter(|state| {
            !state.settle(id, tag.0, settlement) && state.consumers[id].loss().is_some()
        });
        self.refused |= lost;
    }

    fn poll_flush(&mut self, _cx: &mut Context<'_>) -> Poll<Result<(), TransportError>> {
        if !std::mem::take(&mut self.refused) {
            return Poll::Ready(Ok(()));
        }
        let id = self.id;
        let loss = self.broker.enter(|state| state.consumers[id].loss());
        Poll::Ready(loss.map_or(Ok(()), Err))
    }

    fn poll_cancel(&mut self, _cx: &mut Context<'_>) -> Poll<Result<(), TransportError>> {
        let id = self.id;
        Poll::Ready(self.broker.enter(|state| state.cancel(id)))
    }
}

impl Drop for MemorySubscription {
    fn drop(&mut self) {
        let id = self.id;
        self.broker.enter(|state| state.unsubscribe(id));
    }
}

/// Copies what the broker keeps until the settlement; outside of the lock.
fn delivery(tag: u64, message: &Message) -> Delivery {
    let content = &message.content;
    let address = &content.address;
    let (properties, body) = (content.properties.clone(), content.body.clone());
    let mut delivery = Delivery::new(Tag(tag), &*address.routing_key, properties, body);
    delivery.exchange = address.exchange.clone().into_owned();
    delivery.redelivered = message.deliveries > 0;
    delivery.delivery_count = Some(message.deliveries);
    delivery
}
