//! The broker: everything that its connections share, behind one lock.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::Waker;
use std::time::Duration;

use tokio::time::Instant;

use super::Limits;
use super::consumer::{Consumer, Waiter};
use super::delay::Delays;
use super::exchange::Exchange;
use super::expiry::{Schedule, deadline};
use super::queue::{Content, Message, Queue, QueueId};
use super::slots::Slots;
use crate::contract::Source;
use crate::contract::address::exchanges;
use crate::transport::{
    Outgoing, PublishError, PublishErrorKind, TransportError, TransportErrorKind,
};

/// The broker.
pub(super) struct Broker(Mutex<State>);

/// What the lock protects. Rows and names have a fixed order, so that the same operations always
/// have the same outcome.
#[derive(Debug)]
pub(super) struct State {
    pub(super) limits: Limits,
    pub(super) source: Source,
    pub(super) exchanges: HashMap<String, Exchange>,
    pub(super) names: BTreeMap<String, QueueId>,
    pub(super) queues: Slots<Queue>,
    pub(super) consumers: Slots<Consumer>,
    /// Tasks that wait until nothing is left to do.
    pub(super) idlers: Slots<Waiter>,
    pub(super) schedule: Schedule,
    pub(super) delays: Delays,
    /// Deliveries assigned to consumers and not settled.
    pub(super) unsettled: usize,
    pub(super) wakers: Wakers,
    pub(super) connections: u64,
    last_position: u64,
    /// Where the last publish was routed; kept only for its memory.
    reached: Vec<QueueId>,
}

/// Wakers that are used or dropped once the lock is free: both can run foreign code, which may
/// come back here.
#[derive(Debug, Default)]
pub(super) struct Wakers {
    pub(super) to_wake: Vec<Waker>,
    pub(super) to_drop: Vec<Waker>,
}

impl Broker {
    pub(super) fn new(limits: Limits) -> Self {
        Self(Mutex::new(State {
            limits,
            source: Source::system(),
            exchanges: HashMap::new(),
            names: BTreeMap::new(),
            queues: Slots::new(),
            consumers: Slots::new(),
            idlers: Slots::new(),
            schedule: Schedule::default(),
            delays: Delays::default(),
            unsettled: 0,
            wakers: Wakers::default(),
            connections: 0,
            last_position: 0,
            reached: Vec::new(),
        }))
    }

    /// Does something with the broker. What has expired, or is due, is moved first, so no operation
    /// ever sees an expired message that waits.
    pub(super) fn enter<R>(&self, operation: impl FnOnce(&mut State) -> R) -> R {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        state.move_due();
        let result = operation(&mut state);
        state.note_idle();
        let wakers = std::mem::take(&mut state.wakers);
        drop(state);
        for waker in wakers.to_wake {
            waker.wake();
        }
        result
    }
}

// Opaque, because it is part of what others print, and holds bodies.
impl fmt::Debug for Broker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Broker")
    }
}

impl State {
    /// Takes a message into every queue that it reaches, or into none.
    pub(super) fn publish(&mut self, outgoing: Outgoing) -> Result<(), PublishError> {
        if let Some(delay) = outgoing.delay {
            return self.publish_delayed(outgoing, delay);
        }
        let mut reached = std::mem::take(&mut self.reached);
        reached.clear();
        let outcome = self.route(&outgoing, &mut reached).map(|()| {
            let expires = outgoing.properties.expiration_ms.and_then(deadline);
            let content = Arc::new(Content {
                address: outgoing.address,
                properties: outgoing.properties,
                body: outgoing.body,
            });
            for queue in &reached {
                let message = self.message(Arc::clone(&content), expires);
                self.enqueue(*queue, message);
            }
        });
        self.reached = reached;
        outcome
    }

    /// Keeps a message back. Whether its queue takes it is found when it is due.
    fn publish_delayed(&mut self, outgoing: Outgoing, delay: Duration) -> Result<(), PublishError> {
        if outgoing.address.exchange != exchanges::DEFAULT {
            let text = "only a message to a queue can be delayed, not one to an exchange";
            return Err(refusal(PublishErrorKind::Invalid, &outgoing, text.to_owned()));
        }
        let Outgoing { address, properties, body, .. } = outgoing;
        self.keep_back(Content { address, properties, body }, delay);
        Ok(())
    }

    /// A new copy of a message, younger than all others.
    pub(super) fn message(&mut self, content: Arc<Content>, expires: Option<Instant>) -> Message {
        self.last_position += 1;
        Message { position: self.last_position, deliveries: 0, expires, content }
    }

    /// The queue of this name.
    pub(super) fn queue_named(&self, name: &str) -> Result<QueueId, TransportError> {
        self.names.get(name).copied().ok_or_else(|| {
            TransportError::new(TransportErrorKind::NotFound, format!("there is no queue `{name}`"))
        })
    }

    fn route(&self, outgoing: &Outgoing, reached: &mut Vec<QueueId>) -> Result<(), PublishError> {
        let (exchange, key) = (&*outgoing.address.exchange, &*outgoing.address.routing_key);
        if exchange == exchanges::DEFAULT {
            reached.extend(self.names.get(key));
        } else if let Some(exchange) = self.exchanges.get(exchange) {
            exchange.route(key, reached);
        } else {
            let text = format!("there is no exchange `{exchange}`");
            return Err(refusal(PublishErrorKind::NoExchange, outgoing, text));
        }
        if reached.is_empty() && outgoing.mandatory {
            let text =
                format!("no queue takes the routing key `{key}` from the exchange `{exchange}`");
            return Err(refusal(PublishErrorKind::Unroutable, outgoing, text));
        }
        // Before anything is kept: half of the queues would be worse than none.
        match reached.iter().find_map(|queue| self.fullness(*queue)) {
            Some(text) => Err(refusal(PublishErrorKind::Refused, outgoing, text)),
            None => Ok(()),
        }
    }

    /// Says that a queue is full, if it is.
    fn fullness(&self, queue: QueueId) -> Option<String> {
        let queue = &self.queues[queue];
        let own = queue.spec.length_max.unwrap_or(u64::MAX);
        let length_max = own.min(self.limits.queue_length_max);
        // A consumer with room takes it at once, so it does not count.
        (queue.credit == 0 && queue.ready() as u64 >= length_max).then(|| {
            format!(
                "the queue `{}` is full: it holds {} messages and the limit is {length_max}",
                queue.spec.name,
                queue.ready(),
            )
        })
    }
}

fn refusal(kind: PublishErrorKind, outgoing: &Outgoing, text: String) -> PublishError {
    PublishError::new(kind, outgoing.id(), text)
}
