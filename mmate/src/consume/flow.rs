//! One life of a subscription: from the broker's "yes" to its loss or to the end of the app.

use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use arrayvec::ArrayVec;
use futures_util::StreamExt;
use futures_util::future::BoxFuture;
use futures_util::stream::FuturesUnordered;
use tokio::sync::watch;
use tokio::time::{Instant, Sleep};
use tokio_util::sync::ReusableBoxFuture;

use super::activity::Activity;
use super::age::Age;
use super::consumer::ConsumerOptions;
use super::handle::Pause;
use super::job::{Finished, Job, Leaving, Worker};
use crate::transport::{Delivery, Intake, Subscription, TransportError};

/// How many steps are made before other tasks get a turn, even if messages never stop coming.
const STEPS_MAX: usize = 64;

/// How many deliveries are taken before the first of them is handled. One after the other, they find the code that takes
/// them in the processor's cache, out of which a handler's whole way drives it each time.
const TOGETHER_MAX: usize = 8;

/// How a flow ended.
#[derive(Debug)]
pub(super) enum End {
    /// The app stops or the consumer is paused, and nothing is in flight any more.
    Drained,
    /// The subscription is gone; what was in flight will come again.
    Lost(TransportError),
}

/// The deliveries of one subscription that are being handled.
///
/// A lost subscription takes its flow with it, so an outcome that comes late is never settled on the
/// next subscription.
pub(super) struct Flow<'a> {
    subscription: Box<dyn Subscription>,
    worker: &'a Arc<Worker>,
    /// Handlers that wait for something, polled in this task. Those that end at once never get here.
    running: FuturesUnordered<Attempt<'a>>,
    /// Places for attempts that have ended, at most `concurrency`: an attempt takes some 1 KiB.
    spare: Vec<Place<'a>>,
    /// Messages between two attempts; they hold no place among the running ones.
    waiting: FuturesUnordered<BoxFuture<'a, Job<'a>>>,
    /// Messages whose wait is over while all places are taken.
    due: Vec<Job<'a>>,
    activity: &'a Activity,
    age: Age,
    concurrency: usize,
    prefetch: usize,
    drain_timeout: Duration,
    /// Whether a delivery came in this turn.
    received: bool,
    /// Set once nothing new is to be taken: the app stops, or the consumer is paused.
    halted: bool,
    /// Set once the app stops: until then handlers may go on. A pause waits for them.
    drain_until: Option<Pin<Box<Sleep>>>,
}

/// The memory of an attempt's future, used for one message after the other.
type Place<'a> = ReusableBoxFuture<'a, Finished<'a>>;

/// An attempt that waits for something. Gives its place back when it has ended.
struct Attempt<'a>(Option<Place<'a>>);

impl<'a> Future for Attempt<'a> {
    type Output = (Finished<'a>, Place<'a>);

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        // Never polled again once it has ended.
        let Some(mut place) = self.0.take() else { return Poll::Pending };
        match place.poll(cx) {
            Poll::Ready(finished) => Poll::Ready((finished, place)),
            Poll::Pending => {
                self.0 = Some(place);
                Poll::Pending
            }
        }
    }
}

/// What a step of the loop did.
enum Step {
    /// Something, worth so many steps; there may be more to do.
    Done(usize),
    /// Nothing: whoever is waited for will wake the task.
    Idle,
    /// The subscription is gone.
    Lost(TransportError),
    /// Nothing new is to be taken, and no handler is running any more.
    Drained,
}

impl<'a> Flow<'a> {
    pub(super) fn new(
        subscription: Box<dyn Subscription>,
        worker: &'a Arc<Worker>,
        options: &ConsumerOptions,
        activity: &'a Activity,
    ) -> Self {
        Self {
            subscription,
            worker,
            running: FuturesUnordered::new(),
            spare: Vec::new(),
            waiting: FuturesUnordered::new(),
            due: Vec::new(),
            activity,
            age: Age::new(options.subscribe.prefetch),
            concurrency: usize::from(options.concurrency.max(1)),
            prefetch: usize::from(options.subscribe.prefetch),
            drain_timeout: options.drain_timeout,
            received: false,
            halted: false,
            drain_until: None,
        }
    }

    /// Runs until the subscription is lost, or until the app stops or a pause is asked for, and
    /// everything has ended.
    pub(super) async fn run(
        mut self,
        mut stopping: watch::Receiver<bool>,
        mut pausing: watch::Receiver<Pause>,
    ) -> End {
        let mut stop = pin!(async move {
            // An error means that the app is gone, which is as stopped as it can be.
            let _ = stopping.wait_for(|stop| *stop).await;
        });
        self.worker.leave(Leaving::CutOff);
        let mut pause = pin!(async move {
            let _ = pausing.wait_for(Option::is_some).await;
        });
        let lost = poll_fn(|cx| {
            if !self.halted && pause.as_mut().poll(cx).is_ready() {
                self.halt(Leaving::Paused);
            }
            self.received = false;
            let end = self.poll(stop.as_mut(), cx);
            let in_flight = self.running.len() + self.waiting.len() + self.due.len();
            let hungry = end.is_pending() && self.has_room() && in_flight < self.prefetch;
            self.activity.turn(self.received, hungry, in_flight);
            end
        })
        .await;
        match lost {
            Some(error) => {
                self.worker.leave(Leaving::ConnectionLost);
                End::Lost(error)
            }
            None => self.finish().await,
        }
    }

    /// Makes steps as long as there is something to do.
    fn poll(
        &mut self,
        stop: Pin<&mut impl Future<Output = ()>>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<TransportError>> {
        if self.drain_until.is_none() && stop.poll(cx).is_ready() {
            self.drain();
        }
        if let Some(limit) = &mut self.drain_until
            && limit.as_mut().poll(cx).is_ready()
        {
            self.abandon();
        }
        let mut left = STEPS_MAX;
        while left > 0 {
            match self.step(cx) {
                Step::Done(steps) => left = left.saturating_sub(steps),
                Step::Idle => return Poll::Pending,
                Step::Lost(error) => return Poll::Ready(Some(error)),
                Step::Drained => return Poll::Ready(None),
            }
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    fn step(&mut self, cx: &mut Context<'_>) -> Step {
        while self.running.len() < self.concurrency
            && let Some(job) = self.due.pop()
        {
            let place = self.place(job);
            self.start(place, cx);
        }
        let draining = self.halted;
        if draining && self.running.is_empty() {
            return Step::Drained;
        }
        if !self.running.is_empty()
            && let Poll::Ready(Some((finished, place))) = self.running.poll_next_unpin(cx)
        {
            self.keep(place);
            self.settle(finished);
            return Step::Done(1);
        }
        if !self.waiting.is_empty()
            && let Poll::Ready(Some(job)) = self.waiting.poll_next_unpin(cx)
        {
            self.due.push(job);
            return Step::Done(1);
        }
        let has_room = self.has_room();
        match poll_intake(&mut *self.subscription, has_room, draining, cx) {
            Poll::Ready(Intake::Delivery(delivery)) => self.begin(delivery, cx),
            Poll::Ready(Intake::Lost(error)) => Step::Lost(error),
            Poll::Ready(Intake::Ended) => Step::Done(1),
            Poll::Pending => {
                if has_room {
                    self.age.nothing_left();
                }
                Step::Idle
            }
        }
    }

    /// Begins with a delivery, and with those that are there already and have a place.
    fn begin(&mut self, first: Delivery, cx: &mut Context<'_>) -> Step {
        self.received = true;
        let places = TOGETHER_MAX.min(self.concurrency - self.running.len());
        let mut taken = ArrayVec::<_, TOGETHER_MAX>::new();
        taken.push(self.take(first));
        let mut lost = None;
        while taken.len() < places {
            match self.subscription.poll_next(cx) {
                Poll::Ready(Intake::Delivery(delivery)) => taken.push(self.take(delivery)),
                Poll::Ready(Intake::Lost(error)) => {
                    lost = Some(error);
                    break;
                }
                Poll::Ready(Intake::Ended) | Poll::Pending => break,
            }
        }
        let steps = taken.len();
        taken.into_iter().for_each(|place| self.start(place, cx));
        lost.map_or(Step::Done(steps), Step::Lost)
    }

    fn take(&mut self, delivery: Delivery) -> Place<'a> {
        let job = Job::new(delivery, self.age.of_next(), self.worker);
        self.place(job)
    }

    /// A place with an attempt that has not begun.
    fn place(&mut self, job: Job<'a>) -> Place<'a> {
        let attempt = self.worker.run(job);
        match self.spare.pop() {
            Some(mut place) => {
                place.set(attempt);
                place
            }
            None => Place::new(attempt),
        }
    }

    /// Most handlers end in their first poll; only the others are kept.
    fn start(&mut self, mut place: Place<'a>, cx: &mut Context<'_>) {
        match place.poll(cx) {
            Poll::Ready(finished) => {
                self.keep(place);
                self.settle(finished);
            }
            Poll::Pending => self.running.push(Attempt(Some(place))),
        }
    }

    fn keep(&mut self, place: Place<'a>) {
        if self.spare.len() < self.concurrency {
            self.spare.push(place);
        }
    }

    fn settle(&mut self, finished: Finished<'a>) {
        match finished {
            Finished::Settle(tag, settlement) => self.subscription.settle(tag, settlement),
            // From then on a message between two attempts is left to another process.
            Finished::Retry(..) if self.halted => {}
            Finished::Retry(job, wait) => self.waiting.push(Box::pin(async move {
                tokio::time::sleep(wait).await;
                *job
            })),
            Finished::Leave => {}
        }
    }

    /// True if it would take a delivery.
    fn has_room(&self) -> bool {
        !self.halted && self.running.len() < self.concurrency
    }

    fn drain(&mut self) {
        let limit = tokio::time::sleep_until(Instant::now() + self.drain_timeout);
        self.drain_until = Some(Box::pin(limit));
        self.halt(Leaving::Stopping);
    }

    /// Takes nothing new. What waits for another attempt goes back when the subscription is dropped.
    fn halt(&mut self, why: Leaving) {
        self.halted = true;
        self.worker.leave(why);
        self.waiting.clear();
        self.due.clear();
    }

    /// The time for draining is over: handlers are cancelled, their messages come again elsewhere.
    fn abandon(&mut self) {
        self.worker.leave(Leaving::DrainTimeout);
        self.running.clear();
    }

    /// Everything has ended: the broker agrees to send nothing more, and the last acks are written.
    async fn finish(mut self) -> End {
        let ended = match self.subscription.cancel().await {
            Ok(()) => self.subscription.flush().await,
            Err(error) => Err(error),
        };
        ended.map_or_else(End::Lost, |()| End::Drained)
    }
}

/// Polls the subscription: for a delivery where there is room, else only to write settlements; while
/// draining, to make the broker stop sending.
fn poll_intake(
    subscription: &mut dyn Subscription,
    has_room: bool,
    draining: bool,
    cx: &mut Context<'_>,
) -> Poll<Intake> {
    if has_room {
        return subscription.poll_next(cx);
    }
    if draining && let Poll::Ready(Err(error)) = subscription.poll_cancel(cx) {
        return Poll::Ready(Intake::Lost(error));
    }
    // A handler that ends wakes the loop.
    subscription.poll_drive(cx).map(Intake::Lost)
}
