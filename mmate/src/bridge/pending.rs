//! The table of requests that wait for their replies: bounded by the bridge's places, emptied by replies
//! and by those who stop to wait.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::{mpsc, oneshot};

use crate::contract::envelope::{self, Opened};
use crate::contract::headers::names;
use crate::contract::{MessageInfo, Refusal};
use crate::transport::Delivery;

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
    /// By the id of the request. Two entries have one id where a message is handled twice at a time, and
    /// so its handler asks twice: a reply to that id answers both.
    waiters: HashMap<String, Vec<Waiter>>,
    /// How many requests with another id than their correlation id wait, by their correlation id.
    flows: HashMap<String, usize>,
    next: u64,
    closed: bool,
}

#[derive(Debug)]
struct Waiter {
    number: u64,
    correlation_id: String,
    reply: Option<&'static MessageInfo>,
    to: Sender,
}

/// The way to whoever waits.
#[derive(Debug)]
enum Sender {
    /// For one reply; nothing once it was used.
    One(Option<oneshot::Sender<Delivery>>),
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

/// A request to be entered.
#[derive(Debug)]
pub(super) struct Entry<'a> {
    pub(super) id: &'a str,
    pub(super) correlation_id: &'a str,
    /// The type of the reply that is expected, if one is.
    pub(super) reply: Option<&'static MessageInfo>,
}

/// A place in the table, with the way on which replies come. Dropping it gives the place up.
#[derive(Debug)]
pub(super) struct Ticket<R> {
    pending: Pending,
    id: String,
    number: u64,
    /// Ends without a reply once the table is closed.
    pub(super) replies: R,
}

impl Pending {
    /// Enters a request for one reply; nothing if the table is closed.
    pub(super) fn enter(&self, entry: &Entry<'_>) -> Option<Ticket<oneshot::Receiver<Delivery>>> {
        let (to, reply) = oneshot::channel();
        self.enter_with(entry, Sender::One(Some(to)), reply)
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

    fn enter_with<R>(&self, entry: &Entry<'_>, to: Sender, replies: R) -> Option<Ticket<R>> {
        let mut table = self.lock();
        if table.closed {
            return None;
        }
        let number = table.next;
        table.next += 1;
        let correlation_id = entry.correlation_id.to_owned();
        if entry.id != entry.correlation_id {
            *table.flows.entry(correlation_id.clone()).or_default() += 1;
        }
        let waiter = Waiter { number, correlation_id, reply: entry.reply, to };
        // Nearly always the only one.
        let waiters = table.waiters.entry(entry.id.to_owned());
        waiters.or_insert_with(|| Vec::with_capacity(1)).push(waiter);
        drop(table);
        Some(Ticket { pending: self.clone(), id: entry.id.to_owned(), number, replies })
    }

    /// Gives a reply to whoever waits for it.
    pub(super) fn give(&self, delivery: Delivery) -> Matched {
        let mut table = self.lock();
        let matched = match table.find(&delivery) {
            Ok(id) => table.give(&id, delivery),
            Err(matched) => matched,
        };
        drop(table);
        let counter = match matched {
            Matched::Given => return matched,
            Matched::Late => &self.0.late,
            Matched::Ambiguous => &self.0.ambiguous,
        };
        counter.fetch_add(1, Ordering::Relaxed);
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
        self.lock().waiters.values().map(Vec::len).sum()
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
    /// Finds the request that a reply answers.
    ///
    /// A request carries its own id in the property `correlation_id`, which peers of any family send back,
    /// and that alone is nearly always enough. The Go sibling knows only the envelope's correlation id,
    /// which all requests of a flow share.
    fn find(&self, delivery: &Delivery) -> Result<String, Matched> {
        let property = delivery.properties.correlation_id.as_deref();
        if let Some(id) = property
            && self.waiters.contains_key(id)
            && !self.flows.contains_key(id)
        {
            return Ok(id.to_owned());
        }
        let opened = envelope::open(&delivery.body).ok();
        if let Some(id) = opened.as_ref().and_then(|opened| self.named_in(opened)) {
            return Ok(id);
        }
        let correlation = opened.as_ref().and_then(|it| it.meta.correlation_id.as_deref());
        let ids = [property, correlation];
        let mut found: Vec<(&str, &Waiter)> = self
            .waiters
            .iter()
            .flat_map(|(id, all)| all.iter().map(move |waiter| (id.as_str(), waiter)))
            .filter(|(id, waiter)| {
                ids.into_iter().flatten().any(|it| it == *id || it == waiter.correlation_id)
            })
            .collect();
        if let Some(opened) = opened.filter(|_| found.len() > 1) {
            narrow(&mut found, &opened);
        }
        match found.split_first() {
            None => Err(Matched::Late),
            Some(((id, _), rest)) if rest.iter().all(|(other, _)| other == id) => {
                Ok((*id).to_owned())
            }
            Some(_) => Err(Matched::Ambiguous),
        }
    }

    /// The request that the reply's own headers name.
    fn named_in(&self, opened: &Opened<'_>) -> Option<String> {
        let named = [opened.meta.headers.text(names::REQUEST_ID), opened.meta.causation_id()];
        let known = |id: &&str| self.waiters.contains_key(*id);
        named.into_iter().flatten().find(known).map(str::to_owned)
    }

    fn give(&mut self, id: &str, delivery: Delivery) -> Matched {
        let waiters = self.waiters.get_mut(id).map(Vec::as_mut_slice).unwrap_or_default();
        let Some((last, others)) = waiters.split_last_mut() else { return Matched::Late };
        let others = others.iter_mut().any(|waiter| waiter.to.send(delivery.clone()));
        if last.to.send(delivery) || others { Matched::Given } else { Matched::Late }
    }

    fn remove(&mut self, id: &str, number: u64) {
        let Some(waiters) = self.waiters.get_mut(id) else { return };
        let Some(at) = waiters.iter().position(|waiter| waiter.number == number) else { return };
        let gone = waiters.swap_remove(at);
        if waiters.is_empty() {
            self.waiters.remove(id);
        }
        if gone.correlation_id != id
            && let Some(count) = self.flows.get_mut(&gone.correlation_id)
        {
            *count -= 1;
            if *count == 0 {
                self.flows.remove(&gone.correlation_id);
            }
        }
    }
}

impl Sender {
    /// False if nobody takes it: it was answered before, has gone, or has as many replies as it keeps.
    fn send(&mut self, delivery: Delivery) -> bool {
        match self {
            Self::One(to) => to.take().is_some_and(|to| to.send(delivery).is_ok()),
            Self::Many(to) => to.try_send(delivery).is_ok(),
        }
    }
}

/// Leaves those who wait for a reply of this type. A refusal has no type of its own, so it narrows nothing.
fn narrow(found: &mut Vec<(&str, &Waiter)>, reply: &Opened<'_>) {
    if Refusal::read(reply.payload()).is_some() {
        return;
    }
    found.retain(|(_, waiter)| {
        let expected = waiter.reply.map(MessageInfo::names);
        expected.is_none_or(|mut names| names.any(|name| name == reply.meta.message_type))
    });
}

impl<R> Drop for Ticket<R> {
    fn drop(&mut self) {
        self.pending.lock().remove(&self.id, self.number);
    }
}

#[cfg(test)]
mod tests;
