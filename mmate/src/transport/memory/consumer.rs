//! The broker's side of a subscription.

use std::collections::VecDeque;
use std::task::Waker;

use tokio::time::Instant;

use super::queue::{Message, QueueId};
use super::slots::Id;
use crate::transport::{SubscribeOptions, TransportError, TransportErrorKind};

pub(super) type ConsumerId = Id<Consumer>;

/// A consumer of one queue.
#[derive(Debug)]
pub(super) struct Consumer {
    /// Its queue; meaningless once the status is [`Status::Over`].
    pub(super) queue: QueueId,
    pub(super) connection: u64,
    pub(super) status: Status,
    /// Assigned, not yet given to the caller.
    pub(super) inbox: VecDeque<Message>,
    pub(super) waiter: Waiter,
    /// Given to the caller, by tag; tags grow, so it is ordered.
    unsettled: VecDeque<(u64, Message)>,
    last_tag: u64,
    prefetch: usize,
}

/// Whether a consumer gets messages.
#[derive(Debug)]
pub(super) enum Status {
    Active,
    /// Gets nothing new; what it holds is still its own.
    Cancelled,
    /// Holds nothing any more.
    Over(TransportErrorKind, String),
}

/// A task that waits for the broker.
#[derive(Debug, Default)]
pub(super) struct Waiter {
    pub(super) waker: Option<Waker>,
    /// When its own timer wakes it to move what has expired.
    pub(super) alarm: Option<Instant>,
}

impl Waiter {
    /// Remembers whom to wake; gives back a waker that is to be dropped outside of the lock.
    pub(super) fn wait(&mut self, waker: &Waker, alarm: Option<Instant>) -> Option<Waker> {
        self.alarm = alarm;
        match &self.waker {
            Some(known) if known.will_wake(waker) => None,
            _ => self.waker.replace(waker.clone()),
        }
    }

    /// True if it sleeps beyond this moment.
    pub(super) fn sleeps_beyond(&self, at: Instant) -> bool {
        self.waker.is_some() && self.alarm.is_none_or(|alarm| alarm > at)
    }
}

impl Consumer {
    pub(super) fn new(queue: QueueId, connection: u64, options: &SubscribeOptions) -> Self {
        Self {
            queue,
            connection,
            status: Status::Active,
            inbox: VecDeque::new(),
            waiter: Waiter::default(),
            unsettled: VecDeque::new(),
            last_tag: 0,
            prefetch: usize::from(options.prefetch.max(1)),
        }
    }

    /// How many deliveries it may get on top of those that it holds.
    pub(super) fn credit(&self) -> usize {
        match self.status {
            Status::Active => self.prefetch.saturating_sub(self.held()),
            Status::Cancelled | Status::Over(..) => 0,
        }
    }

    /// How many deliveries are assigned to it and not settled.
    pub(super) fn held(&self) -> usize {
        self.inbox.len() + self.unsettled.len()
    }

    /// Notes that the caller has it now, and names it.
    pub(super) fn hand_over(&mut self, message: Message) -> u64 {
        self.last_tag += 1;
        self.unsettled.push_back((self.last_tag, message));
        self.last_tag
    }

    /// Takes a delivery out that is being settled; nothing if it was settled before.
    pub(super) fn take(&mut self, tag: u64) -> Option<Message> {
        // Almost always the oldest one; the search is for handlers that overtake each other.
        let at = self.unsettled.binary_search_by_key(&tag, |(tag, _)| *tag).ok()?;
        self.unsettled.remove(at).map(|(_, message)| message)
    }

    /// Takes everything that it holds: what the caller saw counts as delivered once more.
    pub(super) fn take_all(&mut self) -> Vec<Message> {
        let seen = self.unsettled.drain(..).map(|(_, mut message)| {
            message.deliveries += 1;
            message
        });
        seen.chain(self.inbox.drain(..)).collect()
    }

    /// The error that says why it is over.
    pub(super) fn loss(&self) -> Option<TransportError> {
        match &self.status {
            Status::Over(kind, text) => Some(TransportError::new(*kind, text.clone())),
            Status::Active | Status::Cancelled => None,
        }
    }
}
