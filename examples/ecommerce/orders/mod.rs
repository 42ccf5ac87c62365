//! The orders service: accepts and prices orders, and answers at once; the rest is the business of the workflow.

mod book;
mod catalogue;
mod credit;
mod flow;

use mmate::prelude::*;
use mmate::transport::PublishError;
use mmate::workflow::WorkflowError;

pub use book::OrderBook;
pub use catalogue::Catalogue;
pub use credit::CreditBureau;
pub use flow::{OrderFlow, instance_of};

use crate::contracts::{FindOrder, OrderAccepted, OrderRefused, OrderStatus, PlaceOrder};

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
    #[error("an order cannot be read")]
    #[class(permanent)]
    Unreadable(#[source] serde_json::Error),
    #[error("the order book does not answer")]
    Book(#[from] WorkflowError),
    #[error("a message could not be published")]
    Publish(#[from] PublishError),
}

#[provider]
async fn order_book(workflows: Workflows) -> OrderBook {
    OrderBook::new(workflows)
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
    let PlaceOrder { order_id, customer_id, card, items } = command;
    match judged {
        Ok(total) => {
            let accepted = OrderAccepted { order_id: order_id.clone(), total };
            let placed_by = context.message_id().to_owned();
            let (payment_id, parcel_id) = (None, None);
            let order = OrderFlow {
                order_id,
                customer_id,
                card,
                items,
                total,
                placed_by,
                payment_id,
                parcel_id,
            };
            book.open(order, context.correlation_id()).await?;
            Ok(Ok(accepted))
        }
        Err(refusal) => {
            let reason = refusal.message.clone();
            publisher.publish(OrderRefused { order_id, reason }).await?;
            Ok(Err(refusal))
        }
    }
}

/// Says where an order stands.
#[handler]
async fn find_order(query: FindOrder, book: State<OrderBook>) -> Result<OrderStatus, OrderError> {
    book.find(&query.order_id).await
}
