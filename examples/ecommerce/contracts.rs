//! What the services say to each other: all that they know of one another.
//!
//! Money is a `Decimal`, which travels as text. Nobody but the orders service says what things cost.

use std::fmt;

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

/// Where an order stands: `placed`, `paying`, `completed`, `releasing` or `refused`.
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

/// An order is paid and its stock is set aside: the good end.
#[message(event, aggregate = "order", key = order_id)]
pub struct OrderCompleted {
    pub order_id: String,
    pub total: Decimal,
    pub payment_id: String,
}

/// An order ended without a sale, and whatever was done for it is undone.
#[message(event, aggregate = "order", key = order_id)]
pub struct OrderRefused {
    pub order_id: String,
    pub by: Service,
    pub reason: String,
}

/// A service of the shop.
#[payload]
#[derive(Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Service {
    Orders,
    Inventory,
    Payment,
}

impl fmt::Display for Service {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Orders => "orders",
            Self::Inventory => "inventory",
            Self::Payment => "payment",
        })
    }
}

/// All items of an order are set aside.
#[message(event, aggregate = "stock", key = order_id)]
pub struct StockReserved {
    pub order_id: String,
}

/// Something of an order is not there; nothing is set aside.
#[message(event, aggregate = "stock", key = order_id)]
pub struct StockRefused {
    pub order_id: String,
    pub reason: String,
}

/// Asks the inventory service to put back what it set aside.
#[message(command, service = "inventory")]
pub struct ReleaseStock {
    pub order_id: String,
}

/// What was set aside is back on the shelf.
#[message(event, aggregate = "stock", key = order_id)]
pub struct StockReleased {
    pub order_id: String,
}

/// Asks the payment service to charge a card, once per order however often it is asked.
#[message(command, service = "payment")]
pub struct TakePayment {
    pub order_id: String,
    pub card: String,
    pub amount: Decimal,
}

/// A card was charged.
#[message(event, aggregate = "payment", key = order_id)]
pub struct PaymentTaken {
    pub order_id: String,
    pub payment_id: String,
    pub amount: Decimal,
    /// How many calls of the provider it took.
    pub attempts: u32,
}

/// A card was refused, for good.
#[message(event, aggregate = "payment", key = order_id)]
pub struct PaymentRefused {
    pub order_id: String,
    pub reason: String,
}
