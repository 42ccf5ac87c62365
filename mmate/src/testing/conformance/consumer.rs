//! A consumer as checks use it.

use std::borrow::Cow;
use std::future::poll_fn;
use std::task::Poll;
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio::time::timeout;

use super::Failure;
use super::behaviour::{Checked, ensure};
use super::bench::within;
use crate::transport::{Delivery, Intake, Settlement, Subscription, TransportError};

/// How long one looks that something does not happen, where nothing else can show it.
const QUIET: Duration = Duration::from_millis(300);

/// A consumer whose waits have a deadline.
pub(super) struct Consumer {
    subscription: Box<dyn Subscription>,
    queue: String,
}

/// A consumer that waits in a task of its own, and what came.
pub(super) type Waiting = JoinHandle<Result<(Consumer, Intake), Failure>>;

/// The body as text.
pub(super) fn text(delivery: &Delivery) -> Cow<'_, str> {
    String::from_utf8_lossy(&delivery.body)
}

fn delivery(intake: Intake) -> Result<Delivery, Failure> {
    match intake {
        Intake::Delivery(delivery) => Ok(delivery),
        Intake::Lost(error) => Err(Failure::new(format!("lost unexpectedly: {error}"))),
        Intake::Ended => Err(Failure::new("ended unexpectedly")),
    }
}

/// What a task of [`Consumer::wait_apart`] got; it must have this body.
pub(super) async fn waited(task: Waiting, body: &str) -> Result<(Consumer, Delivery), Failure> {
    let (consumer, intake) = outcome(task).await?;
    let delivery = delivery(intake)?;
    ensure_body(&delivery, body)?;
    Ok((consumer, delivery))
}

/// The loss that a task of [`Consumer::wait_apart`] was told.
pub(super) async fn waited_in_vain(task: Waiting) -> Result<TransportError, Failure> {
    loss(outcome(task).await?.1)
}

async fn outcome(task: Waiting) -> Result<(Consumer, Intake), Failure> {
    task.await.map_err(|error| Failure::new(format!("the waiting task failed: {error}")))?
}

fn loss(intake: Intake) -> Result<TransportError, Failure> {
    match intake {
        Intake::Lost(error) => Ok(error),
        other => Err(Failure::new(format!("expected the loss, got {other:?}"))),
    }
}

fn ensure_body(delivery: &Delivery, body: &str) -> Checked {
    let came = text(delivery);
    ensure!(came == body, "expected `{body}`, got `{came}`");
    Ok(())
}

impl Consumer {
    pub(super) fn new(subscription: Box<dyn Subscription>, queue: &str) -> Self {
        Self { subscription, queue: queue.to_owned() }
    }

    /// Whatever comes next.
    pub(super) async fn intake(&mut self) -> Result<Intake, Failure> {
        let Self { subscription, queue } = self;
        within(&format!("a delivery from `{queue}`"), subscription.next()).await
    }

    /// The next delivery.
    pub(super) async fn next(&mut self) -> Result<Delivery, Failure> {
        delivery(self.intake().await?)
    }

    /// Waits for whatever comes next in a task of its own. When this returns, the task does wait: who
    /// only asks again after the publish does not notice that nobody would have woken it.
    pub(super) async fn wait_apart(mut self) -> Waiting {
        let (asked, is_asked) = oneshot::channel();
        let task = tokio::spawn(async move {
            let first = poll_fn(|cx| Poll::Ready(self.subscription.poll_next(cx))).await;
            // Nobody listens only if the check is over.
            asked.send(()).ok();
            let intake = match first {
                Poll::Ready(intake) => intake,
                Poll::Pending => self.intake().await?,
            };
            Ok((self, intake))
        });
        // An error is the task's, and shown where the task is awaited.
        drop(is_asked.await);
        task
    }

    /// The next delivery, which must have this body.
    pub(super) async fn expect(&mut self, body: &str) -> Result<Delivery, Failure> {
        let delivery = self.next().await?;
        ensure_body(&delivery, body)?;
        Ok(delivery)
    }

    /// Settles and waits until the settlement is written.
    pub(super) async fn settle(&mut self, delivery: &Delivery, settlement: Settlement) -> Checked {
        self.subscription.settle(delivery.tag, settlement);
        within("settling", self.subscription.flush()).await??;
        Ok(())
    }

    /// Takes and acknowledges the next delivery, which must have this body.
    pub(super) async fn ack_next(&mut self, body: &str) -> Checked {
        let delivery = self.expect(body).await?;
        self.settle(&delivery, Settlement::Ack).await
    }

    /// Looks for a while that nothing comes.
    pub(super) async fn ensure_silence(&mut self, why: &str) -> Checked {
        match timeout(QUIET, self.subscription.next()).await {
            Err(_) => Ok(()),
            Ok(intake) => Err(Failure::new(format!("{why}, but got {intake:?}"))),
        }
    }

    /// Waits for the end by loss.
    pub(super) async fn lost(&mut self) -> Result<TransportError, Failure> {
        loss(self.intake().await?)
    }

    /// Stops the intake.
    pub(super) async fn cancel(&mut self) -> Checked {
        within("cancelling", self.subscription.cancel()).await??;
        Ok(())
    }

    /// Settles without writing and looks that nothing panics or hangs; the outcome does not matter.
    pub(super) async fn settle_late(
        &mut self,
        delivery: &Delivery,
        settlement: Settlement,
    ) -> Checked {
        self.subscription.settle(delivery.tag, settlement);
        within("flushing after the loss", self.subscription.flush()).await.map(drop)
    }
}
