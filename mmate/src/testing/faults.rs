//! Faults of the broker that a test asks for: a lost connection, late deliveries, duplicates.

use std::collections::{BTreeSet, VecDeque};
use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::time::Sleep;

use crate::transport::{
    Delivery, Intake, Settlement, Subscription, Tag, TransportError, TransportErrorKind,
};

/// What happens to a delivery.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    /// The connection of its consumer is lost when it is to be acknowledged.
    Drop,
    /// It comes later than it could.
    Delay(Duration),
    /// It comes twice.
    Duplicate,
}

/// The faults that a test has asked for.
#[derive(Debug, Default)]
pub(super) struct Faults(Mutex<Vec<Arc<Rule>>>);

#[derive(Debug)]
struct Rule {
    queue: String,
    fault: Fault,
    left: AtomicU32,
    hits: AtomicU32,
}

impl Faults {
    pub(super) fn add(&self, queue: &str, fault: Fault) -> DeliveryFault {
        let (left, hits) = (AtomicU32::new(1), AtomicU32::new(0));
        let rule = Arc::new(Rule { queue: queue.to_owned(), fault, left, hits });
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(Arc::clone(&rule));
        DeliveryFault(rule)
    }

    /// The first fault of this kind that is left for a queue.
    fn take(&self, queue: &str, of_kind: impl Fn(Fault) -> bool) -> Option<Fault> {
        let rules = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let one_less = |left: u32| left.checked_sub(1);
        let rule = rules.iter().find(|rule| {
            rule.queue == queue
                && of_kind(rule.fault)
                && rule.left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, one_less).is_ok()
        })?;
        rule.hits.fetch_add(1, Ordering::Relaxed);
        Some(rule.fault)
    }
}

/// Deliveries of a queue that go wrong because a test asked for it. One, if nothing else is said.
#[derive(Clone, Debug)]
pub struct DeliveryFault(Arc<Rule>);

impl DeliveryFault {
    /// How many deliveries go wrong, from now on.
    #[expect(
        clippy::must_use_candidate,
        reason = "the fault is in force whether it is kept or not"
    )]
    pub fn times(self, deliveries: u32) -> Self {
        self.0.left.store(deliveries, Ordering::Relaxed);
        self
    }

    /// How many have gone wrong so far.
    #[must_use]
    pub fn hits(&self) -> u32 {
        self.0.hits.load(Ordering::Relaxed)
    }
}

/// A subscription whose deliveries may go wrong.
#[derive(Debug)]
pub(super) struct Faulty {
    inner: Box<dyn Subscription>,
    queue: String,
    faults: Arc<Faults>,
    late: Vec<(Pin<Box<Sleep>>, Delivery)>,
    copies: VecDeque<Delivery>,
    /// Deliveries that were given twice and settled not at all.
    twice: BTreeSet<u64>,
    /// Nothing is settled any more; `Some` until the caller has been told.
    lost: bool,
    untold: Option<TransportError>,
}

/// Marks the tag of a copy. Tags of the in-memory broker are counted from 1 and never get there.
const COPY: u64 = 1 << 63;

impl Faulty {
    pub(super) fn new(inner: Box<dyn Subscription>, queue: String, faults: Arc<Faults>) -> Self {
        let (late, copies, twice) = (Vec::new(), VecDeque::new(), BTreeSet::new());
        Self { inner, queue, faults, late, copies, twice, lost: false, untold: None }
    }

    fn give(&mut self, delivery: Delivery) -> Poll<Intake> {
        if self.faults.take(&self.queue, |fault| fault == Fault::Duplicate).is_some() {
            self.twice.insert(delivery.tag.0);
            let tag = Tag(delivery.tag.0 | COPY);
            self.copies.push_back(Delivery { tag, ..delivery.clone() });
        }
        Poll::Ready(Intake::Delivery(delivery))
    }

    fn is_due(&mut self, cx: &mut Context<'_>) -> Option<Delivery> {
        let due = self.late.iter_mut().position(|(sleep, _)| sleep.as_mut().poll(cx).is_ready());
        due.map(|index| self.late.remove(index).1)
    }
}

impl Subscription for Faulty {
    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Intake> {
        if let Some(error) = self.untold.take() {
            return Poll::Ready(Intake::Lost(error));
        }
        if let Some(copy) = self.copies.pop_front() {
            return Poll::Ready(Intake::Delivery(copy));
        }
        loop {
            if let Some(delivery) = self.is_due(cx) {
                return self.give(delivery);
            }
            let delivery = match std::task::ready!(self.inner.poll_next(cx)) {
                Intake::Delivery(delivery) => delivery,
                over => return Poll::Ready(over),
            };
            match self.faults.take(&self.queue, |fault| matches!(fault, Fault::Delay(_))) {
                Some(Fault::Delay(wait)) => {
                    self.late.push((Box::pin(tokio::time::sleep(wait)), delivery));
                }
                _ => return self.give(delivery),
            }
        }
    }

    fn settle(&mut self, tag: Tag, settlement: Settlement) {
        if !self.lost && self.faults.take(&self.queue, |fault| fault == Fault::Drop).is_some() {
            self.lost = true;
            let text =
                format!("the connection of `{}` was lost, as the test asked for", self.queue);
            self.untold = Some(TransportError::new(TransportErrorKind::Lost, text));
        }
        let original = tag.0 & !COPY;
        // The broker knows of one delivery: it is settled with the second of the two.
        if !self.lost && !self.twice.remove(&original) {
            self.inner.settle(Tag(original), settlement);
        }
    }

    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), TransportError>> {
        match self.untold.take() {
            Some(error) => Poll::Ready(Err(error)),
            None => self.inner.poll_flush(cx),
        }
    }

    fn poll_cancel(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), TransportError>> {
        match self.untold.take() {
            Some(error) => Poll::Ready(Err(error)),
            None => self.inner.poll_cancel(cx),
        }
    }
}
