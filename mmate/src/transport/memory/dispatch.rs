//! From queues to consumers and back.
//!
//! As a real broker does, this one assigns messages to consumers ahead of their asking, in turn and
//! up to their prefetch. So a message waits in a queue only while none of its consumers has room.

use std::task::Waker;

use tokio::time::Instant;

use super::broker::State;
use super::consumer::{Consumer, ConsumerId, Status};
use super::expiry::DeathReason;
use super::queue::{Message, QueueId};
use crate::transport::{Settlement, SubscribeOptions, TransportError, TransportErrorKind};

/// What a consumer that asks gets.
pub(super) enum Next {
    /// A message, under this tag.
    Message(u64, Message),
    /// Nothing yet; wait, but not beyond this moment.
    Wait(Option<Instant>),
    Ended,
    Lost(TransportError),
}

impl State {
    /// Adds a consumer to a queue.
    pub(super) fn subscribe(
        &mut self,
        options: &SubscribeOptions,
        connection: u64,
    ) -> Result<ConsumerId, TransportError> {
        let id = self.queue_named(&options.queue)?;
        self.check_owner(id, connection)?;
        let consumer = Consumer::new(id, connection, options);
        let credit = consumer.credit();
        let consumer = self.consumers.insert(consumer);
        let queue = &mut self.queues[id];
        queue.rotation.push_back(consumer);
        queue.credit += credit;
        self.dispatch(id);
        Ok(consumer)
    }

    /// Puts a new message into a queue, or straight into the hands of a consumer with room.
    pub(super) fn enqueue(&mut self, queue: QueueId, message: Message) {
        if self.queues[queue].credit > 0 {
            self.assign(queue, message);
        } else {
            self.park(queue, message);
        }
    }

    /// Assigns what waits in a queue as far as its consumers have room.
    pub(super) fn dispatch(&mut self, queue: QueueId) {
        while self.queues[queue].credit > 0
            && let Some(message) = self.queues[queue].take_first()
        {
            self.schedule.forget(&message);
            self.assign(queue, message);
        }
    }

    /// The next message of a consumer; while there is none, the waker is remembered.
    pub(super) fn next(&mut self, id: ConsumerId, waker: &Waker) -> Next {
        loop {
            let consumer = &mut self.consumers[id];
            if let Some(loss) = consumer.loss() {
                return Next::Lost(loss);
            }
            let Some(message) = consumer.inbox.pop_front() else {
                break;
            };
            // It may have expired since it was assigned, because the caller did not ask.
            if message.is_expired(Instant::now) {
                let queue = consumer.queue;
                self.free_place(id);
                self.dead_letter(queue, &message, DeathReason::Expired);
                self.dispatch(queue);
                continue;
            }
            return Next::Message(consumer.hand_over(message.clone()), message);
        }
        if matches!(self.consumers[id].status, Status::Cancelled) {
            return Next::Ended;
        }
        let alarm = self.alarm();
        let replaced = self.consumers[id].waiter.wait(waker, alarm);
        self.wakers.to_drop.extend(replaced);
        Next::Wait(alarm)
    }

    /// Decides the fate of a delivery; false if the consumer has none of this tag any more.
    pub(super) fn settle(&mut self, id: ConsumerId, tag: u64, settlement: Settlement) -> bool {
        let Some(mut message) = self.consumers[id].take(tag) else {
            return false;
        };
        let queue = self.consumers[id].queue;
        self.free_place(id);
        match settlement {
            Settlement::Ack => {}
            Settlement::Requeue => {
                message.deliveries += 1;
                self.park(queue, message);
            }
            Settlement::Reject => self.dead_letter(queue, &message, DeathReason::Rejected),
        }
        self.dispatch(queue);
        true
    }

    /// Sends a consumer nothing more. What it holds stays its own.
    pub(super) fn cancel(&mut self, id: ConsumerId) -> Result<(), TransportError> {
        if let Some(loss) = self.consumers[id].loss() {
            return Err(loss);
        }
        self.leave_rotation(id);
        self.consumers[id].status = Status::Cancelled;
        Ok(())
    }

    /// Removes a consumer; what it holds goes back to the queue.
    pub(super) fn unsubscribe(&mut self, id: ConsumerId) {
        let over = self.consumers[id].loss().is_some();
        if !over {
            self.give_back(id);
        }
        let consumer = self.consumers.remove(id);
        self.wakers.to_drop.extend(consumer.waiter.waker);
        if over {
            return;
        }
        self.dispatch(consumer.queue);
    }

    /// Ends all consumers of a connection and removes its exclusive queues.
    pub(super) fn disconnect(&mut self, connection: u64) {
        let ours =
            |consumer: &Consumer| consumer.connection == connection && consumer.loss().is_none();
        let consumers = self.consumers_where(ours);
        // All of them give back before anything is assigned again, or one would get what the other
        // has just returned.
        for &id in &consumers {
            self.give_back(id);
            self.end(id, TransportErrorKind::Closed, "the transport was closed".to_owned());
        }
        let mut queues: Vec<QueueId> =
            consumers.iter().map(|id| self.consumers[*id].queue).collect();
        queues.sort_unstable();
        queues.dedup();
        for queue in queues {
            self.dispatch(queue);
        }
        for queue in self.queues_of(connection) {
            self.remove_queue(queue);
        }
    }

    /// Removes a queue with all that is in it. Its consumers are told.
    pub(super) fn remove_queue(&mut self, id: QueueId) {
        let of_queue = |consumer: &Consumer| consumer.queue == id && consumer.loss().is_none();
        let consumers = self.consumers_where(of_queue);
        let queue = self.queues.remove(id);
        for message in queue.waiting() {
            self.schedule.forget(message);
        }
        for exchange in self.exchanges.values_mut() {
            exchange.unbind(id);
        }
        let name = queue.spec.name;
        self.names.remove(&name);
        for consumer in consumers {
            self.unsettled -= self.consumers[consumer].take_all().len();
            self.end(consumer, TransportErrorKind::Lost, format!("the queue `{name}` was deleted"));
        }
    }

    /// Gives a message to the consumer whose turn it is.
    fn assign(&mut self, id: QueueId, message: Message) {
        let queue = &mut self.queues[id];
        for _ in 0..queue.rotation.len() {
            queue.rotation.rotate_left(1);
            let Some(&served) = queue.rotation.back() else {
                break;
            };
            let consumer = &mut self.consumers[served];
            if consumer.credit() > 0 {
                queue.credit -= 1;
                self.unsettled += 1;
                consumer.inbox.push_back(message);
                self.wakers.to_wake.extend(consumer.waiter.waker.take());
                return;
            }
        }
        debug_assert!(false, "a queue has credit without a consumer that has some");
        self.park(id, message);
    }

    /// Puts a message at its place in the queue and watches its time.
    fn park(&mut self, id: QueueId, message: Message) {
        let queue = &mut self.queues[id];
        if let Some(expires) = message.expires {
            let earliest =
                self.schedule.add(expires, message.position, id, queue.lane_of(&message));
            queue.insert(message);
            if earliest {
                self.wake_sleepers(expires);
            }
        } else {
            queue.insert(message);
        }
    }

    /// One delivery of a consumer is settled.
    fn free_place(&mut self, id: ConsumerId) {
        self.unsettled -= 1;
        let consumer = &self.consumers[id];
        if matches!(consumer.status, Status::Active) {
            self.queues[consumer.queue].credit += 1;
        }
    }

    /// Returns what a consumer holds and takes it out of the rotation.
    fn give_back(&mut self, id: ConsumerId) {
        self.leave_rotation(id);
        let queue = self.consumers[id].queue;
        let held = self.consumers[id].take_all();
        self.unsettled -= held.len();
        for message in held {
            self.park(queue, message);
        }
    }

    fn leave_rotation(&mut self, id: ConsumerId) {
        let consumer = &self.consumers[id];
        let queue = &mut self.queues[consumer.queue];
        queue.credit -= consumer.credit();
        queue.rotation.retain(|other| *other != id);
    }

    fn end(&mut self, id: ConsumerId, kind: TransportErrorKind, text: String) {
        let consumer = &mut self.consumers[id];
        consumer.status = Status::Over(kind, text);
        self.wakers.to_wake.extend(consumer.waiter.waker.take());
    }

    fn consumers_where(&self, wanted: impl Fn(&Consumer) -> bool) -> Vec<ConsumerId> {
        self.consumers.iter().filter(|(_, consumer)| wanted(consumer)).map(|(id, _)| id).collect()
    }

    fn queues_of(&self, connection: u64) -> Vec<QueueId> {
        self.queues
            .iter()
            .filter(|(_, queue)| queue.owner == Some(connection))
            .map(|(id, _)| id)
            .collect()
    }
}
