//! The question that all programs ask, and its answer.

use mmate::prelude::*;

use crate::message::{OrderLine, OrderPlaced};

/// Asks for the price of an order.
#[message(query, reply = OrderPriced)]
pub(crate) struct PriceOrder {
    pub(crate) order_id: String,
    pub(crate) customer_id: String,
    pub(crate) total_cents: u64,
    pub(crate) express: bool,
    pub(crate) lines: Vec<OrderLine>,
}

/// What the order costs.
#[message(reply)]
pub(crate) struct OrderPriced {
    pub(crate) order_id: String,
    pub(crate) items: u32,
    pub(crate) price_cents: u64,
}

impl PriceOrder {
    /// A question whose payload is about this large.
    pub(crate) fn of_bytes(bytes: usize) -> Self {
        let OrderPlaced { order_id, customer_id, total_cents, express, lines } =
            OrderPlaced::of_bytes(bytes);
        Self { order_id, customer_id, total_cents, express, lines }
    }

    /// What every responder does with it.
    pub(crate) fn answer(&self) -> OrderPriced {
        let price = |line: &OrderLine| u64::from(line.quantity) * line.price_cents;
        OrderPriced {
            items: self.lines.iter().map(|line| line.quantity).sum(),
            price_cents: self.lines.iter().map(price).sum(),
            order_id: self.order_id.clone(),
        }
    }
}
