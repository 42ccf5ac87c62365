//! The orders of the chaos run: half of them good, the others failing at every stage there is.

use std::time::Duration;

use mmate::prelude::*;
use tokio::time::Instant;
use uuid::Uuid;

use crate::contracts::{Item, PlaceOrder};
use crate::orders::{Catalogue, OrderFlow, instance_of};

/// Wait before the next order.
const PAUSE: Duration = Duration::from_millis(66);

/// How long a message may take until the broker has it. At first nobody has declared its queue.
const DEADLINE: Duration = Duration::from_secs(30);

/// Wait before a message is sent again that the broker did not take.
const SEND_AGAIN: Duration = Duration::from_millis(100);

/// Every so many orders are sent twice, as if by another customer.
const TWICE: usize = 20;

/// Who orders what, and with which card.
const KINDS: [(&str, &str, &str, u32); 16] = [
    ("ada", "tok_visa", "tea", 1),
    ("tony", "tok_expired", "tea", 1),
    ("alan", "tok_visa", "honey", 2_000),
    ("barbara", "tok_amex", "mug", 2),
    ("grace", "tok_visa", "piano", 1),
    ("linus", "tok_flaky_2", "coffee", 1),
    ("tony", "tok_declined", "kettle", 1),
    ("hedy", "tok_visa", "mug", 1),
    ("nemo", "tok_visa", "tea", 2),
    ("donald", "tok_mastercard", "biscuit", 3),
    ("amelia", "tok_amex", "coffee", 1),
    ("edsger", "tok_lost_answer", "honey", 1),
    ("katherine", "tok_silent", "biscuit", 1),
    ("ada", "tok_amex", "kettle", 1),
    ("nemo", "tok_mastercard", "mug", 1),
    ("alan", "tok_mastercard", "coffee", 2),
];

/// An order of this run.
pub struct Sent {
    pub order: PlaceOrder,
    pub total: Decimal,
    /// The id of its message.
    message: String,
    is_twice: bool,
}

impl Sent {
    /// The instance that it is.
    pub fn instance(&self) -> Uuid {
        instance_of(&self.order.order_id)
    }

    /// The order as its workflow has it in the beginning.
    pub fn flow(&self) -> OrderFlow {
        let PlaceOrder { order_id, customer_id, card, items } = self.order.clone();
        let (placed_by, total) = (self.message.clone(), self.total);
        let (payment_id, parcel_id) = (None, None);
        OrderFlow { order_id, customer_id, card, items, total, placed_by, payment_id, parcel_id }
    }
}

/// So many orders.
pub fn make(run: &str, count: u32) -> Vec<Sent> {
    let catalogue = Catalogue::new();
    let mut orders = Vec::new();
    for number in 0..count as usize {
        let (customer, card, product, quantity) = KINDS[number % KINDS.len()];
        let order = PlaceOrder {
            order_id: format!("{run}-{number}"),
            customer_id: customer.to_owned(),
            card: card.to_owned(),
            items: vec![Item { product_id: product.to_owned(), quantity }],
        };
        let Ok(total) = catalogue.judge(&order) else { continue };
        let (message, is_twice) = (format!("{run}-message{number}"), number.is_multiple_of(TWICE));
        orders.push(Sent { order, total, message, is_twice });
    }
    orders
}

/// How many of them are sent twice.
pub fn repetitions(sent: &[Sent]) -> usize {
    sent.iter().filter(|sent| sent.is_twice).count()
}

/// Sends them, one after another.
pub async fn send(publisher: &Publisher, orders: &[Sent]) -> Result {
    for sent in orders {
        deliver(publisher, &sent.order, &sent.message).await?;
        if sent.is_twice {
            deliver(publisher, &sent.order, &format!("{}-again", sent.message)).await?;
        }
        tokio::time::sleep(PAUSE).await;
    }
    Ok(())
}

/// Sends a message until the broker has it, always under the same id.
async fn deliver(publisher: &Publisher, order: &PlaceOrder, id: &str) -> Result {
    let began = Instant::now();
    while let Err(error) = publisher.send(order.clone()).id(id).await {
        if began.elapsed() > DEADLINE {
            return Err(error.into());
        }
        tokio::time::sleep(SEND_AGAIN).await;
    }
    Ok(())
}
