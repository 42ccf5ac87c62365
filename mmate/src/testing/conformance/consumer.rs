//! A consumer as checks use it.

use std::borrow::Cow;
use std::time::Duration;

use tokio::time::timeout;

use super::Failure;
use super::behaviour::{Checked, ensure};
use super::bench::{DEADLINE, too_late, within};
use crate::transport::{Delivery, Intake, Settlement, Subscription, TransportError};

/// How long one looks that something does not happen, where nothing else can show it.
const QUIET: Duration = Duration::from_millis(300);

/// A consumer whose waits have a deadline.
pub(super) struct Consumer {
    subscription: Box<dyn Subscription>,
    queue: String,
}

/// The body as text.
pub(super) fn text(delivery: &Delivery) -> Cow<'_, str> {
    String::from_utf8_lossy(&delivery.body)
}

impl Consumer {
    pub(super) fn new(subscription: Box<dyn Subscription>, queue: &str) -> Self {
        Self {
            subscription,
            queue: queue.to_owned(),
        }
    }

    /// Whatever comes next.
    pub(super) async fn intake(&mut self) -> Result<Intake, Failure> {
        let Self {
            subscription,
            queue,
        } = self;
        timeout(DEADLINE, subscription.next())
            .await
            .map_err(|_| too_late(&format!("a delivery from `{queue}`")))
    }

    /// The next delivery.
    pub(super) async fn next(&mut self) -> Result<Delivery, Failure> {
        match self.intake().await? {
            Intake::Delivery(delivery) => Ok(delivery),
            Intake::Lost(error) => Err(Failure::new(format!("lost unexpectedly: {error}"))),
            Intake::Ended => Err(Failure::new("ended unexpectedly")),
        }
    }

    /// The next delivery, which must have this body.
    pub(super) async fn expect(&mut self, body: &str) -> Result<Delivery, Failure> {
        let delivery = self.next().await?;
        ensure!(
            text(&delivery) == body,
            "expected `{body}`, got `{}`",
            text(&delivery)
        );
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
        match self.intake().await? {
            Intake::Lost(error) => Ok(error),
            other => Err(Failure::new(format!("expected the loss, got {other:?}"))),
        }
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
        within("flushing after the loss", self.subscription.flush())
            .await
            .map(drop)
    }
}
