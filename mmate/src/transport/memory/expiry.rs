//! Time to live, and what becomes of messages that die.

use std::collections::BTreeMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::time::{Instant, Sleep};

use super::broker::State;
use super::consumer::Waiter;
use super::queue::{Content, Message, QueueId};
use crate::contract::address::Address;
use crate::contract::headers::names;

/// When the waiting messages of all queues expire.
#[derive(Debug, Default)]
pub(super) struct Schedule(BTreeMap<(Instant, u64), (QueueId, usize)>);

/// Why a message left its queue.
#[derive(Clone, Copy, Debug)]
pub(super) enum DeathReason {
    Rejected,
    Expired,
}

/// The timer of a task that waits for the broker.
///
/// The broker has no task of its own that could watch the time, so those who wait for it do: each
/// sleeps until the next message of any queue expires, and moves it then.
#[derive(Debug, Default)]
pub(super) struct Alarm(Option<Pin<Box<Sleep>>>);

/// The moment at which a message that is published now expires; nothing if that is beyond reckoning.
pub(super) fn deadline(expiration_ms: u64) -> Option<Instant> {
    Instant::now().checked_add(Duration::from_millis(expiration_ms))
}

impl Schedule {
    /// When the next message expires.
    pub(super) fn first(&self) -> Option<Instant> {
        self.0.first_key_value().map(|((at, _), _)| *at)
    }

    /// Watches a waiting message; true if it is now the next one to expire.
    pub(super) fn add(&mut self, at: Instant, position: u64, queue: QueueId, lane: usize) -> bool {
        let earliest = self.first().is_none_or(|first| at < first);
        self.0.insert((at, position), (queue, lane));
        earliest
    }

    /// Stops to watch a message.
    pub(super) fn forget(&mut self, message: &Message) {
        if let Some(expires) = message.expires {
            self.0.remove(&(expires, message.position));
        }
    }
}

impl State {
    /// When something happens by itself: the next message expires, or is due.
    pub(super) fn alarm(&self) -> Option<Instant> {
        match (self.schedule.first(), self.delays.first()) {
            (Some(expires), Some(due)) => Some(expires.min(due)),
            (expires, due) => expires.or(due),
        }
    }

    /// Moves all messages that have expired or are due, in the order in which they did.
    pub(super) fn move_due(&mut self) {
        // The clock is not read for the many brokers in which nothing ever expires.
        if self.alarm().is_none() {
            return;
        }
        let now = Instant::now();
        while self.alarm().is_some_and(|at| at <= now) {
            let expires_first = match (self.schedule.first(), self.delays.first()) {
                (Some(expires), Some(due)) => expires <= due,
                (expires, _) => expires.is_some(),
            };
            if expires_first {
                self.expire_next();
            } else {
                self.release_next();
            }
        }
    }

    fn expire_next(&mut self) {
        if let Some(((_, position), (queue, lane))) = self.schedule.0.pop_first()
            && let Some(message) = self.queues[queue].take_at(lane, position)
        {
            self.dead_letter(queue, &message, DeathReason::Expired);
        }
    }

    /// Moves a copy to the dead-letter queue; without one, or if it is not there, it is dropped.
    ///
    /// The copy is taken even by a full queue: it adds nothing to what the broker holds, and to
    /// refuse it would be to lose it.
    pub(super) fn dead_letter(&mut self, from: QueueId, message: &Message, reason: DeathReason) {
        let spec = &self.queues[from].spec;
        let Some(target) = &spec.dead_letter else {
            return;
        };
        let Some(&queue) = self.names.get(target) else {
            return;
        };
        let mut properties = message.content.properties.clone();
        // Or it would expire a second time, where nobody looks after it.
        properties.expiration_ms = None;
        let headers = &mut properties.headers;
        headers.set(names::DEATH_REASON, reason.as_str());
        headers.set(names::DEATH_QUEUE, &spec.name);
        headers.set(names::DEATH_TIME, self.source.now().to_string());
        // What an earlier death left says nothing about this one.
        for name in [names::DEATH_ERROR, names::DEATH_ATTEMPTS, names::DEATH_HANDLER] {
            headers.remove(name);
        }
        let content = Arc::new(Content {
            address: Address::queue(target),
            properties,
            body: message.content.body.clone(),
        });
        let copy = self.message(content, None);
        self.enqueue(queue, copy);
    }

    /// Wakes everyone who would sleep beyond a moment at which something expires.
    pub(super) fn wake_sleepers(&mut self, at: Instant) {
        let consumers = self.consumers.iter_mut().map(|it| &mut it.waiter);
        let sleepers =
            consumers.chain(self.idlers.iter_mut()).filter(|waiter| waiter.sleeps_beyond(at));
        self.wakers.to_wake.extend(sleepers.filter_map(|waiter: &mut Waiter| waiter.waker.take()));
    }
}

impl DeathReason {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Rejected => "rejected",
            Self::Expired => "expired",
        }
    }
}

impl Alarm {
    /// Sleeps until this moment, or for ever without one.
    pub(super) fn poll(&mut self, at: Option<Instant>, cx: &mut Context<'_>) -> Poll<()> {
        let Some(at) = at else {
            self.0 = None;
            return Poll::Pending;
        };
        let sleep = self.0.get_or_insert_with(|| Box::pin(tokio::time::sleep_until(at)));
        if sleep.deadline() != at {
            sleep.as_mut().reset(at);
        }
        sleep.as_mut().poll(cx)
    }
}
