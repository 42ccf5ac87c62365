//! A whole service on one page: messages, a provider, two handlers, a main function.
//!
//! `cargo run -p mmate-examples --example hello -- routes` lists what it does.
//! `MMATE_URL=amqp://localhost cargo run -p mmate-examples --example hello` runs it on RabbitMQ.

#![expect(missing_docs, reason = "the names of an example speak for themselves")]

use std::io;
use std::sync::Mutex;

use mmate::prelude::*;
use mmate::transport::PublishError;

/// Asks the orders service to place an order.
#[message(command, service = "orders", reply = OrderPlaced)]
pub struct CreateOrder {
    pub customer_id: String,
    #[schemars(length(min = 1))]
    pub items: Vec<OrderItem>,
}

/// The order is placed.
#[message(reply)]
pub struct OrderPlaced {
    pub order_id: String,
    pub total: Decimal,
}

/// An order was accepted.
#[message(event, aggregate = "order", key = order_id)]
pub struct OrderCreated {
    pub order_id: String,
    pub total: Decimal,
}

/// A value that travels inside messages: serde and JSON schema, no registration.
#[payload]
pub struct OrderItem {
    pub product_id: String,
    pub quantity: u32,
}

/// The orders that were placed.
#[derive(Debug)]
pub struct Orders {
    price: Decimal,
    placed: Mutex<Vec<String>>,
}

impl Orders {
    async fn place(&self, order: CreateOrder) -> Result<OrderPlaced, OrderError> {
        if order.customer_id == "blocked" {
            return Err(OrderError::Blocked(order.customer_id));
        }
        let pieces: u32 = order.items.iter().map(|item| item.quantity).sum();
        let mut placed =
            self.placed.lock().map_err(|_| OrderError::Warehouse(io::ErrorKind::Other.into()))?;
        let order_id = format!("order-{}", placed.len() + 1);
        placed.push(order_id.clone());
        Ok(OrderPlaced { order_id, total: self.price * Decimal::from(pieces) })
    }
}

/// Built once at boot; whoever asks for `State<Orders>` gets it.
#[provider]
async fn orders(config: Config) -> Result<Orders> {
    let price = config.find("orders.price")?.unwrap_or(Decimal::new(19_99, 2));
    Ok(Orders { price, placed: Mutex::default() })
}

#[derive(Debug, thiserror::Error, MessageError)]
pub enum OrderError {
    #[error("the warehouse does not answer")]
    #[class(transient)]
    Warehouse(#[source] io::Error),
    #[error("customer {0} is blocked")]
    #[class(reject = "BLOCKED")]
    Blocked(String),
    #[error("an event could not be published")]
    Publish(#[from] PublishError),
}

/// Places an order and tells everybody.
#[handler(queue = "cmd.orders.create", concurrency = 16, timeout = "30s",
          retry(attempts = 5, backoff = exponential("100ms", "30s")))]
async fn create_order(
    command: CreateOrder,
    orders: State<Orders>,
    events: Publisher,
) -> Result<OrderPlaced, OrderError> {
    let order = orders.place(command).await?;
    events.publish(OrderCreated { order_id: order.order_id.clone(), total: order.total }).await?;
    Ok(order)
}

/// Confirms an order to its customer.
#[handler]
async fn send_confirmation(event: OrderCreated, context: Context) -> Result {
    println!(
        "{}: {} confirmed, flow {}",
        context.handler(),
        event.order_id,
        context.correlation_id()
    );
    Ok(())
}

#[mmate::main]
async fn main() -> mmate::Result {
    mmate::run().await
}

#[cfg(test)]
mod tests {
    use super::*;

    fn order(customer_id: &str) -> CreateOrder {
        let items = vec![OrderItem { product_id: "tea".to_owned(), quantity: 3 }];
        CreateOrder { customer_id: customer_id.to_owned(), items }
    }

    #[mmate::test]
    async fn an_order_is_placed_and_announced(app: TestApp) -> Result {
        app.send(order("ada")).await?;
        app.settle().await;
        let created = app.published::<OrderCreated>().one();
        assert_eq!(created.message.total, Decimal::new(59_97, 2));
        assert_eq!(app.counts().handled, 2);
        Ok(())
    }

    #[mmate::test]
    async fn a_blocked_customer_is_refused(app: TestApp) -> Result {
        app.send(order("blocked")).await?;
        app.settle().await;
        app.published::<OrderCreated>().none();
        assert_eq!(app.counts().rejected, 1);
        Ok(())
    }

    #[mmate::test]
    async fn an_order_without_items_breaks_its_schema(app: TestApp) -> Result {
        app.send(CreateOrder { customer_id: "ada".to_owned(), items: Vec::new() }).await?;
        app.settle().await;
        let parked = app.dead_letters("cmd.orders.create");
        assert_eq!(parked.len(), 1);
        assert_eq!(parked[0].reason(), "schema_violation");
        Ok(())
    }
}
