//! A running consumer on a channel of its own.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use futures_util::stream::FuturesUnordered;
use futures_util::{Stream, StreamExt};
use lapin::options::{BasicAckOptions, BasicCancelOptions, BasicNackOptions, BasicRejectOptions};
use lapin::{Channel, Consumer};
use tokio::sync::watch;
use tokio::time::{Instant, Sleep};

use super::ack::{Ack, AckWindow};
use super::convert::delivery;
use super::failure::{self, within};
use crate::transport::{Intake, Settlement, Subscription, Tag, TransportError, TransportErrorKind};

type Write = Pin<Box<dyn Future<Output = lapin::Result<()>> + Send>>;
type Cancel = Pin<Box<dyn Future<Output = Result<(), TransportError>> + Send>>;

/// How many times the delay a finished delivery waits at most while others keep coming: 50 ms by default. An ack costs
/// the broker of a quorum queue as much as a message, so where they come one at a time there should be few.
const BUSY_ACK_DELAYS: u32 = 25;

/// A consumer of one queue. Dropping it closes its channel: what is unsettled goes back.
pub(super) struct AmqpSubscription {
    consumer: Consumer,
    /// Shared with the frames that are written: a clone of the library's own costs a dozen counters.
    channel: Arc<Channel>,
    queue: String,
    place: Arc<str>,
    call_timeout: Duration,
    /// What the broker waits to hear of; nothing with `auto_ack`.
    window: AckWindow,
    auto_ack: bool,
    /// Settlements that are queued for the socket and not written yet.
    writes: FuturesUnordered<Write>,
    ack_delay: Duration,
    /// Runs while a finished delivery waits for others.
    timer: Pin<Box<Sleep>>,
    timer_runs: bool,
    /// When the one that waits for the longest was finished.
    finished_since: Instant,
    /// Whether a delivery has come since the timer was set. The clock is not read for each of them.
    is_busy: bool,
    /// Says true once the owner closes the transport: that is no loss that could be mended.
    closing: watch::Receiver<bool>,
    phase: Phase,
}

enum Phase {
    Running,
    /// The broker has been asked to send nothing more.
    Cancelling(Cancel),
    /// It has agreed.
    Cancelled,
    /// The channel is gone. `reported` once the caller has heard of it.
    Lost {
        reason: Loss,
        reported: bool,
    },
}

#[derive(Clone)]
struct Loss {
    kind: TransportErrorKind,
    text: String,
}

/// What a subscription is made of.
pub(super) struct Parts {
    pub(super) consumer: Consumer,
    pub(super) channel: Channel,
    pub(super) queue: String,
    pub(super) place: Arc<str>,
    pub(super) prefetch: u16,
    pub(super) auto_ack: bool,
    pub(super) call_timeout: Duration,
    pub(super) ack_delay: Duration,
    pub(super) closing: watch::Receiver<bool>,
}

impl AmqpSubscription {
    pub(super) fn new(parts: Parts) -> Self {
        Self {
            consumer: parts.consumer,
            channel: Arc::new(parts.channel),
            queue: parts.queue,
            place: parts.place,
            call_timeout: parts.call_timeout,
            window: AckWindow::new(parts.prefetch),
            auto_ack: parts.auto_ack,
            writes: FuturesUnordered::new(),
            ack_delay: parts.ack_delay,
            timer: Box::pin(tokio::time::sleep(Duration::ZERO)),
            timer_runs: false,
            finished_since: Instant::now(),
            is_busy: false,
            closing: parts.closing,
            phase: Phase::Running,
        }
    }

    /// Queues a frame. It takes its place behind all frames that were queued before, at once: the
    /// rejection of a tag must stand before the `multiple` ack that runs over it.
    fn write(&mut self, frame: impl Future<Output = lapin::Result<()>> + Send + 'static) {
        let mut frame: Write = Box::pin(frame);
        match frame.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Pending => self.writes.push(frame),
            Poll::Ready(Ok(())) => {}
            Poll::Ready(Err(error)) => self.lose(&error),
        }
    }

    fn write_acks(&mut self, all: bool) {
        let mut acks: Vec<Ack> = Vec::new();
        self.window.flush(all, |ack| acks.push(ack));
        for Ack { tag, multiple } in acks {
            let channel = Arc::clone(&self.channel);
            self.write(async move { channel.basic_ack(tag, BasicAckOptions { multiple }).await });
        }
        self.timer_runs &= self.window.has_finished();
    }

    /// Sees frames into the socket, and writes what has waited long enough.
    fn poll_writes(&mut self, cx: &mut Context<'_>) {
        if self.window.has_finished() {
            self.poll_timer(cx);
        }
        while let Poll::Ready(Some(result)) = self.writes.poll_next_unpin(cx) {
            if let Err(error) = result {
                self.lose(&error);
            }
        }
    }

    /// Writes the acks if nothing came within the delay, else once others have been waited for long enough. The timer is
    /// not set anew for each delivery: it would ring all the time where they come at a moderate pace.
    fn poll_timer(&mut self, cx: &mut Context<'_>) {
        if !self.timer_runs {
            (self.timer_runs, self.is_busy) = (true, false);
            self.finished_since = Instant::now();
            self.timer.as_mut().reset(self.finished_since + self.ack_delay);
        }
        while self.timer_runs && self.timer.as_mut().poll(cx).is_ready() {
            let last = self.finished_since + self.ack_delay * BUSY_ACK_DELAYS;
            if std::mem::take(&mut self.is_busy) && self.timer.deadline() < last {
                self.timer.as_mut().reset(last);
            } else {
                self.write_acks(true);
            }
        }
    }

    fn lose(&mut self, error: &lapin::Error) {
        let error = failure::of(error, &format!("consume queue `{}`", self.queue));
        // Whatever ended it, the caller is to subscribe anew: what is wrong for good shows there.
        self.lose_because(TransportErrorKind::Lost, error.to_string());
    }

    fn lose_because(&mut self, kind: TransportErrorKind, text: String) {
        if matches!(self.phase, Phase::Lost { .. }) {
            return;
        }
        let (kind, text) = if *self.closing.borrow() {
            (TransportErrorKind::Closed, "the transport is closed".to_owned())
        } else {
            tracing::warn!(broker = %self.place, queue = %self.queue, reason = %text, "lost a consumer");
            (kind, text)
        };
        self.phase = Phase::Lost { reason: Loss { kind, text }, reported: false };
    }

    /// The end of the library's stream, which says nothing of its cause.
    fn ended(&mut self) {
        let why = if self.channel.status().connected() {
            "RabbitMQ cancelled the consumer; was the queue deleted?"
        } else {
            "its channel was closed"
        };
        self.lose_because(
            TransportErrorKind::Lost,
            format!("failed to consume queue `{}`: {why}", self.queue),
        );
    }

    fn poll_intake(&mut self, cx: &mut Context<'_>) -> Poll<Intake> {
        match Pin::new(&mut self.consumer).poll_next(cx) {
            Poll::Ready(Some(Ok(received))) => {
                if !self.auto_ack {
                    self.window.received(received.delivery_tag);
                    self.is_busy = true;
                }
                return Poll::Ready(Intake::Delivery(delivery(received)));
            }
            Poll::Ready(Some(Err(error))) => self.lose(&error),
            Poll::Ready(None) => self.ended(),
            // What is finished waits for half the prefetch or for the timer, also when nothing else is
            // open: the broker has at least half the prefetch left to send meanwhile.
            Poll::Pending => return Poll::Pending,
        }
        self.report()
    }

    /// Says once that the subscription is lost.
    fn report(&mut self) -> Poll<Intake> {
        match &mut self.phase {
            Phase::Lost { reason, reported } if !*reported => {
                *reported = true;
                Poll::Ready(Intake::Lost(reason.error()))
            }
            _ => Poll::Pending,
        }
    }

    fn poll_cancelling(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), TransportError>> {
        if let Phase::Running = self.phase {
            let (channel, tag, limit) =
                (Arc::clone(&self.channel), self.consumer.tag(), self.call_timeout);
            let doing = format!("cancel the consumer of queue `{}`", self.queue);
            self.phase = Phase::Cancelling(Box::pin(async move {
                within(limit, &doing, channel.basic_cancel(tag, BasicCancelOptions::default()))
                    .await
            }));
        }
        let Phase::Cancelling(cancel) = &mut self.phase else {
            return Poll::Ready(self.check());
        };
        let Poll::Ready(result) = cancel.as_mut().poll(cx) else {
            return Poll::Pending;
        };
        self.phase = Phase::Cancelled;
        if let Err(error) = result {
            self.lose_because(error.kind(), error.to_string());
        } else if !self.channel.status().connected() {
            // The library answers a cancellation with success when the channel ends meanwhile.
            self.ended();
        }
        Poll::Ready(self.check())
    }

    fn check(&self) -> Result<(), TransportError> {
        match &self.phase {
            Phase::Lost { reason, .. } => Err(reason.error()),
            _ => Ok(()),
        }
    }
}

impl Loss {
    fn error(&self) -> TransportError {
        TransportError::new(self.kind, self.text.clone())
    }
}

impl Subscription for AmqpSubscription {
    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Intake> {
        if let Phase::Running | Phase::Cancelling(_) | Phase::Cancelled = self.phase {
            self.poll_writes(cx);
        }
        match &self.phase {
            Phase::Running => self.poll_intake(cx),
            // What was received and not handed out goes back when the channel closes.
            Phase::Cancelling(_) => match self.poll_cancelling(cx) {
                Poll::Ready(Ok(())) => Poll::Ready(Intake::Ended),
                Poll::Ready(Err(_)) => self.report(),
                Poll::Pending => Poll::Pending,
            },
            Phase::Cancelled => Poll::Ready(Intake::Ended),
            Phase::Lost { .. } => self.report(),
        }
    }

    fn settle(&mut self, tag: Tag, settlement: Settlement) {
        if self.auto_ack || matches!(self.phase, Phase::Lost { .. }) {
            // The broker has forgotten it; or, since a tag means something only on the channel that it came on, the
            // message comes again.
            return;
        }
        let Tag(tag) = tag;
        let known = match settlement {
            Settlement::Ack => self.window.finish(tag),
            Settlement::Requeue | Settlement::Reject => self.window.settled(tag),
        };
        debug_assert!(known, "delivery {tag} is settled once");
        if !known {
            tracing::error!(queue = %self.queue, tag, "a delivery that is unknown or settled was settled; ignored");
            return;
        }
        match settlement {
            Settlement::Ack if self.window.is_due() => self.write_acks(false),
            Settlement::Ack => {}
            Settlement::Requeue => {
                let channel = Arc::clone(&self.channel);
                let options = BasicNackOptions { multiple: false, requeue: true };
                self.write(async move { channel.basic_nack(tag, options).await });
            }
            Settlement::Reject => {
                let channel = Arc::clone(&self.channel);
                let options = BasicRejectOptions { requeue: false };
                self.write(async move { channel.basic_reject(tag, options).await });
            }
        }
    }

    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), TransportError>> {
        if let Phase::Lost { .. } = self.phase {
            return Poll::Ready(self.check());
        }
        self.write_acks(true);
        self.poll_writes(cx);
        if self.writes.is_empty() || matches!(self.phase, Phase::Lost { .. }) {
            return Poll::Ready(self.check());
        }
        Poll::Pending
    }

    fn poll_drive(&mut self, cx: &mut Context<'_>) -> Poll<TransportError> {
        self.poll_writes(cx);
        match self.check() {
            Err(error) => Poll::Ready(error),
            Ok(()) => Poll::Pending,
        }
    }

    fn poll_cancel(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), TransportError>> {
        self.poll_cancelling(cx)
    }
}

impl Drop for AmqpSubscription {
    fn drop(&mut self) {
        // Queued before the channel's close; what is finished shall not come again.
        if !matches!(self.phase, Phase::Lost { .. }) {
            self.write_acks(true);
        }
    }
}

impl fmt::Debug for AmqpSubscription {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let phase = match self.phase {
            Phase::Running => "running",
            Phase::Cancelling(_) => "cancelling",
            Phase::Cancelled => "cancelled",
            Phase::Lost { .. } => "lost",
        };
        f.debug_struct("AmqpSubscription")
            .field("queue", &self.queue)
            .field("phase", &phase)
            .finish_non_exhaustive()
    }
}
