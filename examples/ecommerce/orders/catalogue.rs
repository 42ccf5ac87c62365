//! What the orders service knows before any order comes: prices and customers.

use std::collections::BTreeMap;

use mmate::prelude::*;

use crate::contracts::{Item, PlaceOrder};

/// Prices in cents.
const PRICES: [(&str, i64); 8] = [
    ("biscuit", 235),
    ("coffee", 1_250),
    ("honey", 620),
    ("kettle", 3_900),
    ("lamp", 5_995),
    ("mug", 875),
    ("piano", 499_900),
    ("tea", 490),
];

const CUSTOMERS: [&str; 14] = [
    "ada",
    "alan",
    "amelia",
    "barbara",
    "charles",
    "donald",
    "edsger",
    "grace",
    "hedy",
    "katherine",
    "linus",
    "mallory",
    "nemo",
    "tony",
];

const BLOCKED: [&str; 1] = ["mallory"];

/// More pieces than this are not sold at a time.
const PIECES_MAX: u64 = 1_000;

/// An order is too large.
#[derive(Debug, thiserror::Error, MessageError)]
#[error("more than {0} pieces are not sold at a time")]
#[class(permanent)]
pub struct TooMany(u64);

/// Prices and customers.
#[derive(Debug)]
pub struct Catalogue {
    prices: BTreeMap<&'static str, Decimal>,
    pieces_max: u64,
}

impl Catalogue {
    /// What the shop sells.
    pub fn new() -> Self {
        let prices = PRICES.map(|(product, cents)| (product, Decimal::new(cents, 2)));
        Self { prices: prices.into(), pieces_max: PIECES_MAX }
    }

    /// What the order costs, or why it is not accepted. The same order is always judged the same.
    pub fn judge(&self, order: &PlaceOrder) -> Result<Decimal, Refusal> {
        let customer = order.customer_id.as_str();
        if !CUSTOMERS.contains(&customer) {
            return Err(Refusal::new("UNKNOWN_CUSTOMER", "the customer is not known"));
        }
        if BLOCKED.contains(&customer) {
            return Err(Refusal::new("CUSTOMER_BLOCKED", "the customer is blocked"));
        }
        let mut total = Decimal::ZERO;
        for item in &order.items {
            let price = self.prices.get(item.product_id.as_str());
            let unknown = || Refusal::new("UNKNOWN_PRODUCT", "a product is not known");
            let price = price.ok_or_else(unknown)?;
            total += price * Decimal::from(item.quantity);
        }
        Ok(total)
    }

    /// Whether the shop sells so much at a time.
    pub fn validate(&self, items: &[Item]) -> Result<(), TooMany> {
        let pieces: u64 = items.iter().map(|item| u64::from(item.quantity)).sum();
        if pieces > self.pieces_max { Err(TooMany(self.pieces_max)) } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::contracts::Item;

    #[test]
    fn money_is_exact() {
        let items = vec![
            Item { product_id: "biscuit".to_owned(), quantity: 3 },
            Item { product_id: "honey".to_owned(), quantity: 2 },
        ];
        let order = PlaceOrder {
            order_id: "1".to_owned(),
            customer_id: "ada".to_owned(),
            card: "tok_visa".to_owned(),
            items,
        };
        // In binary floating point it would be 19.450000000000003.
        assert_eq!(Catalogue::new().judge(&order), Ok(Decimal::new(19_45, 2)));
    }
}
