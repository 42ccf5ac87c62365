//! Looking at the broker, for tests and for listings.

use std::future::poll_fn;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use tokio::time::Instant;

use super::MemoryTransport;
use super::broker::{Broker, State};
use super::consumer::Waiter;
use super::expiry::Alarm;
use super::queue::Queue;
use super::slots::Id;
use crate::transport::Properties;

/// A queue at one moment.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct QueueSnapshot {
    /// The name.
    pub name: String,
    /// The messages that wait, in the order in which they would be delivered.
    pub messages: Vec<(Properties, Bytes)>,
    /// How many messages are kept back for it, until their delay is over.
    pub delayed: usize,
    /// How many deliveries its consumers hold.
    pub unsettled: usize,
    /// How many consumers it has.
    pub consumers: usize,
}

impl MemoryTransport {
    /// Waits until the broker has nothing left to do: no delivery is unsettled, and no message
    /// waits, or is kept back, for a queue that has a consumer.
    ///
    /// What waits where nobody consumes, such as in a dead-letter queue, does not count.
    pub async fn idle(&self) {
        let mut wait =
            IdleWait { broker: Arc::clone(&self.broker), id: None, alarm: Alarm::default() };
        poll_fn(|cx| wait.poll(cx)).await;
    }

    /// All queues by name, with what waits in them. Nothing is taken.
    #[must_use]
    pub fn snapshot(&self) -> Vec<QueueSnapshot> {
        self.broker.enter(|state| state.snapshot())
    }

    /// The messages that wait in a queue, in the order in which they would be delivered. Nothing is
    /// taken. Empty if there is no such queue.
    #[must_use]
    pub fn messages(&self, queue: &str) -> Vec<(Properties, Bytes)> {
        self.broker.enter(|state| match state.names.get(queue) {
            Some(id) => messages(&state.queues[*id]),
            None => Vec::new(),
        })
    }

    /// The names of all queues, sorted.
    #[must_use]
    pub fn queue_names(&self) -> Vec<String> {
        self.broker.enter(|state| state.names.keys().cloned().collect())
    }
}

impl State {
    fn is_idle(&self) -> bool {
        self.unsettled == 0 && !self.has_delayed_work()
    }

    /// Wakes those who wait for idleness, if it is there.
    ///
    /// Unsettled deliveries are all that counts: a message waits in a queue with consumers only
    /// while each of them holds as much as it may, which is at least one.
    pub(super) fn note_idle(&mut self) {
        if self.unsettled == 0
            && self.idlers.iter().any(|(_, it)| it.waker.is_some())
            && self.is_idle()
        {
            let waiting = self.idlers.iter_mut();
            self.wakers.to_wake.extend(waiting.filter_map(|waiter| waiter.waker.take()));
        }
    }

    fn snapshot(&self) -> Vec<QueueSnapshot> {
        let look = |(name, id): (&String, &Id<Queue>)| QueueSnapshot {
            name: name.clone(),
            messages: messages(&self.queues[*id]),
            delayed: self.delays.queues().filter(|queue| *queue == name).count(),
            unsettled: self
                .consumers
                .iter()
                .filter(|(_, consumer)| consumer.queue == *id && consumer.loss().is_none())
                .map(|(_, consumer)| consumer.held())
                .sum(),
            consumers: self.queues[*id].rotation.len(),
        };
        self.names.iter().map(look).collect()
    }
}

/// One wait for idleness. It too moves what expires, since its task may be the only one that is
/// awake.
struct IdleWait {
    broker: Arc<Broker>,
    id: Option<Id<Waiter>>,
    alarm: Alarm,
}

impl IdleWait {
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        loop {
            let id = &mut self.id;
            let next: Option<Option<Instant>> = self.broker.enter(|state| {
                (!state.is_idle()).then(|| {
                    let id = *id.get_or_insert_with(|| state.idlers.insert(Waiter::default()));
                    let alarm = state.alarm();
                    let replaced = state.idlers[id].wait(cx.waker(), alarm);
                    state.wakers.to_drop.extend(replaced);
                    alarm
                })
            });
            match next {
                None => return Poll::Ready(()),
                Some(at) if self.alarm.poll(at, cx).is_pending() => return Poll::Pending,
                Some(_) => {}
            }
        }
    }
}

impl Drop for IdleWait {
    fn drop(&mut self) {
        if let Some(id) = self.id {
            self.broker.enter(|state| {
                let waiter = state.idlers.remove(id);
                state.wakers.to_drop.extend(waiter.waker);
            });
        }
    }
}

fn messages(queue: &Queue) -> Vec<(Properties, Bytes)> {
    let copy = |content: &super::queue::Content| (content.properties.clone(), content.body.clone());
    queue.waiting().map(|message| copy(&message.content)).collect()
}
