//! The orders service: accepts and prices orders, and leads each to one end.
//!
//! `PlaceOrder` → [`OrderPlaced`] → (inventory) → `TakePayment` → (payment) → [`OrderCompleted`](crate::contracts::OrderCompleted).
//! When the money is refused the stock goes back before the order is called refused.

mod book;
mod catalogue;
mod credit;

use mmate::prelude::*;
use mmate::transport::PublishError;

pub use book::{Order, OrderBook, OrderState};
use catalogue::Catalogue;
pub use credit::CreditBureau;

use crate::contracts::{
    FindOrder, OrderAccepted, OrderPlaced, OrderRefused, OrderStatus, PaymentRefused, PaymentTaken,
    PlaceOrder, Service, StockRefused, StockReleased, StockReserved,
};

#[derive(Debug, thiserror::Error, MessageError)]
pub enum OrderError {
    /// The sender is told; the order itself goes on undisturbed.
    #[error("order {0} is there already")]
    #[class(reject = "ORDER_EXISTS")]
    Repeated(String),
    /// Somebody asked for an order that there never was.
    #[error("order {0} is not known")]
    #[class(reject = "UNKNOWN_ORDER")]
    NotFound(String),
    /// Cannot happen as long as the book is kept; a person should look at it.
    #[error("order {0} is not known")]
    #[class(permanent)]
    Unknown(String),
    #[error("a message could not be published")]
    Publish(#[from] PublishError),
}

#[provider]
async fn order_book() -> OrderBook {
    OrderBook::default()
}

#[provider]
async fn prices() -> Catalogue {
    Catalogue::new()
}

/// Accepts an order at the shop's own prices, or refuses it.
///
/// A refusal is the answer of whoever waits, and an event for those who do not: so it is no error of this
/// handler, which would publish nothing.
#[handler(concurrency = 16)]
async fn place_order(
    command: PlaceOrder,
    catalogue: State<Catalogue>,
    bureau: State<CreditBureau>,
    book: State<OrderBook>,
    publisher: Publisher,
    context: Context,
) -> Result<Result<OrderAccepted, Refusal>, OrderError> {
    bureau.check(&command.customer_id).await;
    let judged = catalogue.judge(&command);
    let (order_id, items) = (command.order_id.clone(), command.items.clone());
    book.open(context.message_id(), command, &judged)?;
    match judged {
        Ok(total) => {
            let accepted = OrderAccepted { order_id: order_id.clone(), total };
            publisher.publish(OrderPlaced { order_id, items, total }).await?;
            Ok(Ok(accepted))
        }
        Err(refusal) => {
            let (by, reason) = (Service::Orders, refusal.message.clone());
            publisher.publish(OrderRefused { order_id, by, reason }).await?;
            Ok(Err(refusal))
        }
    }
}

/// Says where an order stands.
#[handler]
async fn find_order(query: FindOrder, book: State<OrderBook>) -> Result<OrderStatus, OrderError> {
    book.find(&query.order_id)
}

/// Asks for the money once the stock is there.
#[handler(group = "orders")]
async fn ask_for_payment(
    event: StockReserved,
    book: State<OrderBook>,
    publisher: Publisher,
) -> Result<(), OrderError> {
    if let Some(command) = book.pay(&event.order_id)? {
        publisher.send(command).await?;
    }
    Ok(())
}

/// Ends an order for which there is no stock.
#[handler(group = "orders")]
async fn refuse_without_stock(
    event: StockRefused,
    book: State<OrderBook>,
    publisher: Publisher,
) -> Result<(), OrderError> {
    if let Some(refused) = book.refuse(&event.order_id, Some(&event.reason))? {
        publisher.publish(refused).await?;
    }
    Ok(())
}

/// Completes an order that is paid.
#[handler(group = "orders")]
async fn complete_order(
    event: PaymentTaken,
    book: State<OrderBook>,
    publisher: Publisher,
) -> Result<(), OrderError> {
    if let Some(completed) = book.complete(&event.order_id, &event.payment_id)? {
        publisher.publish(completed).await?;
    }
    Ok(())
}

/// Gives the stock back where the money was refused.
#[handler(group = "orders")]
async fn undo_reservation(
    event: PaymentRefused,
    book: State<OrderBook>,
    publisher: Publisher,
) -> Result<(), OrderError> {
    if let Some(command) = book.undo(&event.order_id, &event.reason)? {
        publisher.send(command).await?;
    }
    Ok(())
}

/// Ends an order whose stock is back.
#[handler(group = "orders")]
async fn refuse_without_payment(
    event: StockReleased,
    book: State<OrderBook>,
    publisher: Publisher,
) -> Result<(), OrderError> {
    if let Some(refused) = book.refuse(&event.order_id, None)? {
        publisher.publish(refused).await?;
    }
    Ok(())
}
