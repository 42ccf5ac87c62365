//! The message that all programs send: an order of a chosen size.

use mmate::prelude::*;

/// An order was placed.
#[message(event, aggregate = "order", key = order_id)]
pub(crate) struct OrderPlaced {
    pub(crate) order_id: String,
    pub(crate) customer_id: String,
    pub(crate) total_cents: u64,
    pub(crate) express: bool,
    pub(crate) lines: Vec<OrderLine>,
}

/// A line of an order.
#[payload]
pub(crate) struct OrderLine {
    pub(crate) product_id: String,
    pub(crate) quantity: u32,
    pub(crate) price_cents: u64,
}

impl OrderPlaced {
    /// An order with as many lines as make its payload about this large.
    pub(crate) fn of_bytes(bytes: usize) -> Self {
        const EMPTY_BYTES: usize = 145;
        const LINE_BYTES: usize = 57;
        let count = bytes.saturating_sub(EMPTY_BYTES) / LINE_BYTES;
        let lines = (0..count).map(|at| OrderLine {
            product_id: format!("sku-{at:05}"),
            quantity: 2,
            price_cents: 1_999,
        });
        Self {
            order_id: "order-4711-2026".to_owned(),
            customer_id: "customer-1234567".to_owned(),
            total_cents: 123_456,
            express: true,
            lines: lines.collect(),
        }
    }
}
