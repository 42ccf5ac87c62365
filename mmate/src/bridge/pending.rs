//! The table of requests that wait for their replies: bounded by the bridge's places, emptied by replies
//! and by those who stop to wait.

use std::collections::HashMap;
use std::collections::hash_map::Entry as Place;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use foldhash::fast::RandomState;
use tokio::sync::{mpsc, oneshot};

use crate::contract::envelope::{self, Opened};
use crate::contract::headers::names;
use crate::contract::{MessageInfo, Refusal, Text};
use crate::transport::{Delivery, Properties};

/// Who waits for which reply. Clones are the same table.
#[derive(Clone, Debug, Default)]
pub(super) struct Pending(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    table: Mutex<Table>,
    late: AtomicU64,
    ambiguous: AtomicU64,
}

#[derive(Debug, Default)]
struct Table {
    /// By the id of the request.
    waiters: HashMap<Text, Waiters, RandomState>,
    /// How many requests with another id than their correlation id wait, by their correlation id.
    /// These ids may come from the network, so their hash is the slow one that no input can slow down further.
    flows: HashMap<Text, usize>,
    next: u64,
    closed: bool,
}

/// Who waits for the reply to one id: nearly always one. There are more where a message is handled twice at a
/// time, and so its handler asks twice: a reply to that id answers all of them.
#[derive(Debug)]
struct Waiters {
    first: Waiter,
    others: Vec<Waiter>,
}

#[derive(Debug)]
struct Waiter {
    number: u64,
    /// The correlation id, where it is another one than the id.
    flow: Option<Text>,
    reply: Option<&'static MessageInfo>,
    to: Sender,
}

/// The way to whoever waits.
#[derive(Debug)]
enum Sender {
    /// For one reply, of which the body is enough: it travels through memory that is made for each request.
    One(oneshot::Sender<Bytes>),
    /// For several.
    Many(mpsc::Sender<Delivery>),
}

/// What became of a reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Matched {
    /// Given to whoever waits for it.
    Given,
    /// Nobody waits for it (any more).
    Late,
    /// Several wait for such a reply, and nothing in it says which of them.
    Ambiguous,
}

impl Matched {
    /// Says of a reply why it is dropped.
    #[cold]
    fn log(self, reply: &Delivery) {
        let Properties { message_id, message_type, .. } = &reply.properties;
        let (message_id, message_type) = (message_id.as_deref(), message_type.as_deref());
        if self == Self::Ambiguous {
            tracing::warn!(
                message_id,
                message_type,
                "a reply does not say which of several requests it answers; it is dropped, and they time out: the peer \
                 must send back the request's AMQP property `correlation_id`"
            );
        } else {
            tracing::info!(
                message_id,
                message_type,
                "a reply came too late, or a second time; it is dropped"
            );
        }
    }
}

/// A request to be entered.
#[derive(Debug)]
pub(super) struct Entry<'a> {
    pub(super) id: &'a Text,
    /// The correlation id, where it is another one.
    pub(super) flow: Option<&'a Text>,
    /// The type of the reply that is expected, if one is.
    pub(super) reply: Option<&'static MessageInfo>,
}

/// A place in the table, with the way on which replies come. Dropping it gives the place up.
#[derive(Debug)]
pub(super) struct Ticket<R: Replies> {
    pending: Pending,
    id: Text,
    number: u64,
    /// Ends without a reply once the table is closed.
    pub(super) replies: R,
}

/// The way on which replies come.
pub(super) trait Replies {
    /// True if what was taken from it was the last, and with it the place in the table is gone.
    fn is_over(&self) -> bool;
}

impl Replies for oneshot::Receiver<Bytes> {
    fn is_over(&self) -> bool {
        self.is_terminated()
    }
}

impl Replies for mpsc::Receiver<Delivery> {
    fn is_over(&self) -> bool {
        false
    }
}

/// Those to whom a reply goes.
#[derive(Debug)]
struct Addressees {
    first: Sender,
    others: Vec<Sender>,
}

impl Pending {
    /// Enters a request for one reply; nothing if the table is closed.
    pub(super) fn enter(&self, entry: &Entry<'_>) -> Option<Ticket<oneshot::Receiver<Bytes>>> {
        let (to, reply) = oneshot::channel();
        self.enter_with(entry, Sender::One(to), reply)
    }

    /// Enters a request for several replies, of which so many are kept until they are taken.
    pub(super) fn enter_many(
        &self,
        entry: &Entry<'_>,
        room: usize,
    ) -> Option<Ticket<mpsc::Receiver<Delivery>>> {
        let (to, replies) = mpsc::channel(room);
        self.enter_with(entry, Sender::Many(to), replies)
    }

    fn enter_with<R: Replies>(
        &self,
        entry: &Entry<'_>,
        to: Sender,
        replies: R,
    ) -> Option<Ticket<R>> {
        let mut table = self.lock();
        if table.closed {
            return None;
        }
        let number = table.next;
        table.next += 1;
        if let Some(flow) = entry.flow {
            *table.flows.entry(flow.clone()).or_default() += 1;
        }
        let waiter = Waiter { number, flow: entry.flow.cloned(), reply: entry.reply, to };
        let id = entry.id.clone();
        table.insert(id.clone(), waiter);
        drop(table);
        Some(Ticket { pending: self.clone(), id, number, replies })
    }

    /// Gives a reply to whoever waits for it.
    pub(super) fn give(&self, mut delivery: Delivery) -> Matched {
        let mut table = self.lock();
        let found = table.answer(&delivery);
        // Whoever is woken with the lock held stands before it.
        drop(table);
        let matched = match found {
            Ok(addressees) => match addressees.send(&mut delivery) {
                true => Matched::Given,
                false => Matched::Late,
            },
            Err(matched) => matched,
        };
        let counter = match matched {
            Matched::Given => return matched,
            Matched::Late => &self.0.late,
            Matched::Ambiguous => &self.0.ambiguous,
        };
        counter.fetch_add(1, Ordering::Relaxed);
        matched.log(&delivery);
        matched
    }

    /// Ends all waiting, and enters nobody any more.
    pub(super) fn close(&self) {
        let mut table = self.lock();
        table.closed = true;
        // Dropping the senders wakes those who wait.
        table.waiters.clear();
        table.flows.clear();
    }

    /// How many wait.
    pub(super) fn len(&self) -> usize {
        self.lock().waiters.values().map(|waiters| 1 + waiters.others.len()).sum()
    }

    /// How many replies came for which nobody waited any more.
    pub(super) fn late(&self) -> u64 {
        self.0.late.load(Ordering::Relaxed)
    }

    /// How many replies came that several could have waited for.
    pub(super) fn ambiguous(&self) -> u64 {
        self.0.ambiguous.load(Ordering::Relaxed)
    }

    fn lock(&self) -> MutexGuard<'_, Table> {
        self.0.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Table {
    /// Takes out those whom a reply answers, if there are any. Whoever waits for one reply has no place any more.
    ///
    /// A request carries its own id in the property `correlation_id`, which peers of any family send back,
    /// and that alone is nearly always enough. The Go sibling knows only the envelope's correlation id,
    /// which all requests of a flow share.
    fn answer(&mut self, reply: &Delivery) -> Result<Addressees, Matched> {
        let property = reply.properties.correlation_id.as_deref();
        let sent_back = property.filter(|id| !self.flows.contains_key(*id));
        let (id, Waiters { first, others }) =
            match sent_back.and_then(|id| self.waiters.remove_entry(id)) {
                Some(found) => found,
                None => {
                    let id = self.find(property, reply)?;
                    self.waiters.remove_entry(&id).ok_or(Matched::Late)?
                }
            };
        let first = self.address(&id, first);
        let others = others.into_iter().map(|other| self.address(&id, other)).collect();
        Ok(Addressees { first, others })
    }

    /// Finds the request that a reply answers by what stands in it.
    fn find(&self, property: Option<&str>, delivery: &Delivery) -> Result<Text, Matched> {
        let opened = envelope::open(&delivery.body).ok();
        if let Some(id) = opened.as_ref().and_then(|opened| self.named_in(opened)) {
            return Ok(id);
        }
        let correlation = opened.as_ref().and_then(|it| it.meta.correlation_id.as_deref());
        let ids = [property, correlation];
        let mut found: Vec<(&Text, &Waiter)> = self
            .waiters
            .iter()
            .flat_map(|(id, all)| all.iter().map(move |waiter| (id, waiter)))
            .filter(|(id, waiter)| {
                let own = |it: &str| ***id == *it || waiter.flow.as_deref() == Some(it);
                ids.into_iter().flatten().any(own)
            })
            .collect();
        if let Some(opened) = opened.filter(|_| found.len() > 1) {
            narrow(&mut found, &opened);
        }
        match found.split_first() {
            None => Err(Matched::Late),
            Some(((id, _), rest)) if rest.iter().all(|(other, _)| other == id) => Ok((*id).clone()),
            Some(_) => Err(Matched::Ambiguous),
        }
    }

    /// The request that the reply's own headers name.
    fn named_in(&self, opened: &Opened<'_>) -> Option<Text> {
        let named =
            [opened.meta.headers.text(names::REQUEST_ID), opened.meta.causation_id.as_deref()];
        let known = |id| self.waiters.get_key_value(id).map(|(id, _)| id.clone());
        named.into_iter().flatten().find_map(known)
    }

    fn insert(&mut self, id: Text, waiter: Waiter) {
        match self.waiters.entry(id) {
            Place::Vacant(place) => {
                place.insert(Waiters { first: waiter, others: Vec::new() });
            }
            Place::Occupied(mut place) => place.get_mut().others.push(waiter),
        }
    }

    fn address(&mut self, id: &Text, waiter: Waiter) -> Sender {
        if let Sender::Many(to) = &waiter.to {
            let to = Sender::Many(to.clone());
            self.insert(id.clone(), waiter);
            return to;
        }
        self.leave_flow(waiter.flow);
        waiter.to
    }

    /// Takes one of those who wait out of the table.
    fn take(&mut self, id: &str, number: u64) -> Option<Waiter> {
        let Waiters { first, others } = self.waiters.get_mut(id)?;
        if first.number != number {
            let at = others.iter().position(|waiter| waiter.number == number)?;
            return Some(others.swap_remove(at));
        }
        match others.pop() {
            Some(next) => Some(std::mem::replace(first, next)),
            None => self.waiters.remove(id).map(|waiters| waiters.first),
        }
    }

    fn remove(&mut self, id: &str, number: u64) {
        if let Some(gone) = self.take(id, number) {
            self.leave_flow(gone.flow);
        }
    }

    fn leave_flow(&mut self, flow: Option<Text>) {
        if let Some(flow) = flow
            && let Some(count) = self.flows.get_mut(&flow)
        {
            *count -= 1;
            if *count == 0 {
                self.flows.remove(&flow);
            }
        }
    }
}

impl Waiters {
    fn iter(&self) -> impl Iterator<Item = &Waiter> {
        std::iter::once(&self.first).chain(&self.others)
    }
}

impl Addressees {
    /// False if nobody takes it. Its body is gone then, too.
    fn send(self, delivery: &mut Delivery) -> bool {
        let Self { first, others } = self;
        let mut taken = false;
        for other in others {
            taken |= other.send(&mut delivery.clone());
        }
        first.send(delivery) || taken
    }
}

impl Sender {
    /// False if nobody takes it: whoever waits has gone, or has as many replies as are kept.
    fn send(self, delivery: &mut Delivery) -> bool {
        match self {
            Self::One(to) => to.send(std::mem::take(&mut delivery.body)).is_ok(),
            Self::Many(to) => to.try_send(delivery.clone()).is_ok(),
        }
    }
}

/// Leaves those who wait for a reply of this type. A refusal has no type of its own, so it narrows nothing.
fn narrow(found: &mut Vec<(&Text, &Waiter)>, reply: &Opened<'_>) {
    if Refusal::read(reply.payload()).is_some() {
        return;
    }
    found.retain(|(_, waiter)| {
        let expected = waiter.reply.map(MessageInfo::names);
        expected.is_none_or(|mut names| names.any(|name| name == reply.meta.message_type))
    });
}

impl<R: Replies> Drop for Ticket<R> {
    fn drop(&mut self) {
        if !self.replies.is_over() {
            self.pending.lock().remove(&self.id, self.number);
        }
    }
}

#[cfg(test)]
mod tests;
