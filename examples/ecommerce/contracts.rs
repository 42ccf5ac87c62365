//! What the shop and its customers say to each other: all that they know of one another.
//!
//! Money is a `Decimal`, which travels as text. Nobody but the orders service says what things cost.

use mmate::prelude::*;

/// Asks the orders service to place an order. Who waits for the answer is told at once whether the order is
/// accepted; that it is paid and complete, or not, is told by events.
#[message(command, service = "orders", reply = OrderAccepted)]
pub struct PlaceOrder {
    /// Chosen by the sender. Becomes a part of routing keys, so it has no blanks.
    #[schemars(regex(pattern = r"^[A-Za-z0-9-]{1,64}$"))]
    pub order_id: String,
    pub customer_id: String,
    /// Stands for the card; its number never travels.
    pub card: String,
    #[schemars(length(min = 1))]
    pub items: Vec<Item>,
}

/// So many of one product.
#[payload]
#[derive(PartialEq, Eq)]
pub struct Item {
    pub product_id: String,
    #[schemars(range(min = 1))]
    pub quantity: u32,
}

/// An order is accepted, at the shop's own prices.
#[message(reply)]
pub struct OrderAccepted {
    pub order_id: String,
    pub total: Decimal,
}

/// Asks where an order stands.
#[message(query, service = "orders", reply = OrderStatus)]
pub struct FindOrder {
    pub order_id: String,
}

/// Where an order stands: `processing`, `completed`, `undoing` or `refused`.
#[message(reply)]
pub struct OrderStatus {
    pub order_id: String,
    pub state: String,
    pub total: Decimal,
}

/// An order was accepted and priced.
#[message(event, aggregate = "order", key = order_id)]
pub struct OrderPlaced {
    pub order_id: String,
    pub items: Vec<Item>,
    pub total: Decimal,
}

/// An order is paid and on its way: the good end.
#[message(event, aggregate = "order", key = order_id)]
pub struct OrderCompleted {
    pub order_id: String,
    pub total: Decimal,
    pub parcel_id: String,
}

/// An order ended without a sale, and whatever was done for it is undone.
#[message(event, aggregate = "order", key = order_id)]
pub struct OrderRefused {
    pub order_id: String,
    pub reason: String,
}
