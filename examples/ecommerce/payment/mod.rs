//! The payment service: charges cards, once per order.

mod gateway;

use mmate::prelude::*;
use mmate::transport::PublishError;

pub use gateway::{Capture, Gateway};
use gateway::{Outage, Verdict};

use crate::contracts::{PaymentRefused, PaymentTaken, TakePayment};

#[derive(Debug, thiserror::Error, MessageError)]
pub enum PaymentError {
    #[error("the payment was not taken")]
    Provider(#[from] Outage),
    #[error("a message could not be published")]
    Publish(#[from] PublishError),
}

#[provider]
async fn gateway() -> Gateway {
    Gateway::default()
}

/// Charges the card, once per order.
///
/// The order id is the idempotency key: however often this runs, the customer pays once.
#[handler(concurrency = 8, timeout = "5s",
          retry(attempts = 5, backoff = exponential("20ms", "200ms")))]
async fn take_payment(
    command: TakePayment,
    gateway: State<Gateway>,
    publisher: Publisher,
    context: Context,
) -> Result<(), PaymentError> {
    let TakePayment { order_id, card, amount } = command;
    match gateway.charge(&order_id, &card, amount).await? {
        Verdict::Taken { payment_id } => {
            let attempts = context.attempt();
            publisher.publish(PaymentTaken { order_id, payment_id, amount, attempts }).await?
        }
        Verdict::Refused { reason } => {
            publisher.publish(PaymentRefused { order_id, reason }).await?
        }
    };
    Ok(())
}
