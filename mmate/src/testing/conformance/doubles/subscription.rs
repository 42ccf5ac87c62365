//! The broken consumer.

use std::task::{Context, Poll, Waker, ready};

use futures_util::FutureExt;

use super::Fault;
use crate::contract::headers::names;
use crate::contract::{HeaderValue, Headers};
use crate::transport::memory::MemoryTransport;
use crate::transport::{
    Delivery, Intake, Settlement, SubscribeOptions, Subscription, Tag, Transport, TransportError,
};

/// The most of a body that [`Fault::LimitsBodies`] lets through.
const BODY_BYTES_MAX: usize = 131_072;

#[derive(Debug)]
pub(super) struct FaultySubscription {
    fault: Fault,
    inner: Option<Box<dyn Subscription>>,
    spare: MemoryTransport,
    queue: String,
    prefetch: u16,
    given: Vec<Tag>,
    lost: bool,
}

impl FaultySubscription {
    pub(super) fn new(
        fault: Fault,
        inner: Box<dyn Subscription>,
        spare: MemoryTransport,
        queue: String,
        prefetch: u16,
    ) -> Self {
        Self { fault, inner: Some(inner), spare, queue, prefetch, given: Vec::new(), lost: false }
    }

    fn inner(&mut self) -> &mut dyn Subscription {
        self.inner.as_deref_mut().expect("it is there until the drop")
    }

    /// What is really given for a delivery.
    fn given(&mut self, mut delivery: Delivery) -> Option<Delivery> {
        self.given.push(delivery.tag);
        let properties = &mut delivery.properties;
        let headers = &mut properties.headers;
        match self.fault {
            Fault::TruncatesBodies => delivery.body.truncate(delivery.body.len().saturating_sub(1)),
            Fault::LimitsBodies => delivery.body.truncate(BODY_BYTES_MAX),
            Fault::DropsProperties => properties.app_id = None,
            Fault::HeadersAsText => *headers = changed(headers, |_, value| Some(as_text(value))),
            Fault::ScalarHeadersOnly => {
                *headers = changed(headers, |_, value| value.is_scalar().then(|| value.clone()));
            }
            Fault::AsciiHeadersOnly => {
                *headers = changed(headers, |name, value| name.is_ascii().then(|| value.clone()));
            }
            Fault::DropsHeaders => *headers = Headers::new(),
            Fault::ForgetsAddress => delivery.exchange.clear(),
            Fault::HidesRedelivery => {
                delivery.redelivered = false;
                delivery.delivery_count = None;
            }
            Fault::AlwaysRedelivered => delivery.redelivered = true,
            Fault::RenamesRedelivered if delivery.redelivered => {
                properties.message_id = Some("new".into());
            }
            Fault::CountsToOne => {
                delivery.delivery_count = delivery.delivery_count.map(|count| count.min(1));
            }
            Fault::AcksOnDelivery => self.inner().settle(delivery.tag, Settlement::Ack),
            Fault::DeadLettersExpire if headers.get(names::DEATH_REASON).is_some() => {
                self.inner().settle(delivery.tag, Settlement::Reject);
                return None;
            }
            _ => {}
        }
        Some(delivery)
    }

    /// Acknowledges what happens to come first, by a connection that works.
    fn ack_the_next(&self) {
        let options = SubscribeOptions::new(&self.queue, 1);
        let subscribed = self.spare.subscribe(options).now_or_never();
        if let Some(Ok(mut thief)) = subscribed
            && let Some(Intake::Delivery(delivery)) = thief.next().now_or_never()
        {
            thief.settle(delivery.tag, Settlement::Ack);
        }
    }

    fn settle_all(&mut self, tags: impl IntoIterator<Item = Tag>, settlement: Settlement) {
        for tag in tags {
            self.inner().settle(tag, settlement);
        }
    }
}

impl Subscription for FaultySubscription {
    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Intake> {
        if self.fault == Fault::NeverRefills && self.given.len() >= usize::from(self.prefetch) {
            return Poll::Pending;
        }
        let mut asleep = Context::from_waker(Waker::noop());
        let cx = match self.fault {
            Fault::NeverWakes => &mut asleep,
            _ => cx,
        };
        loop {
            match ready!(self.inner().poll_next(cx)) {
                Intake::Delivery(delivery) => {
                    if let Some(delivery) = self.given(delivery) {
                        return Poll::Ready(Intake::Delivery(delivery));
                    }
                }
                Intake::Lost(_) if self.fault == Fault::LosesInSilence => return Poll::Pending,
                Intake::Ended if self.fault == Fault::HangsAfterCancel => return Poll::Pending,
                intake => {
                    self.lost = true;
                    return Poll::Ready(intake);
                }
            }
        }
    }

    fn settle(&mut self, tag: Tag, settlement: Settlement) {
        let settlement = match (self.fault, settlement) {
            (Fault::SwallowsAcks, Settlement::Ack) => return,
            (Fault::AcksAfterLoss, _) if self.lost => return self.ack_the_next(),
            (Fault::AcksAllBefore, Settlement::Ack) => {
                let before: Vec<Tag> = self.given.iter().copied().filter(|it| *it <= tag).collect();
                return self.settle_all(before, Settlement::Ack);
            }
            (Fault::RequeueDrops, Settlement::Requeue)
            | (Fault::RejectDrops, Settlement::Reject) => Settlement::Ack,
            (Fault::RejectRequeues, Settlement::Reject) => Settlement::Requeue,
            (_, settlement) => settlement,
        };
        self.inner().settle(tag, settlement);
    }

    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), TransportError>> {
        self.inner().poll_flush(cx)
    }

    fn poll_cancel(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), TransportError>> {
        if self.fault == Fault::IgnoresCancel {
            return Poll::Ready(Ok(()));
        }
        let outcome = self.inner().poll_cancel(cx);
        if self.fault == Fault::CancelReturnsHeld {
            let held = std::mem::take(&mut self.given);
            self.settle_all(held, Settlement::Requeue);
        }
        outcome
    }
}

impl Drop for FaultySubscription {
    fn drop(&mut self) {
        match self.fault {
            Fault::LeaksSubscriptions => std::mem::forget(self.inner.take()),
            Fault::AcksUnseen => {
                let mut cx = Context::from_waker(Waker::noop());
                while let Poll::Ready(Intake::Delivery(unseen)) = self.inner().poll_next(&mut cx) {
                    self.inner().settle(unseen.tag, Settlement::Ack);
                }
            }
            _ => {}
        }
    }
}

fn changed(
    headers: &Headers,
    change: impl Fn(&str, &HeaderValue) -> Option<HeaderValue>,
) -> Headers {
    let changed = headers.iter();
    changed.filter_map(|(name, value)| Some((name.to_owned(), change(name, value)?))).collect()
}

fn as_text(value: &HeaderValue) -> HeaderValue {
    match value {
        HeaderValue::Text(text) => HeaderValue::Text(text.clone()),
        other => HeaderValue::Text(format!("{other:?}").into()),
    }
}
