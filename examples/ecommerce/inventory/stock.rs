//! What is on the shelves, and what is set aside for whom.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::contracts::Item;

/// What the shop opens with. The lamps are too few for all who want one.
const OPENING: [(&str, u32); 8] = [
    ("biscuit", 2_000),
    ("coffee", 1_500),
    ("honey", 1_500),
    ("kettle", 1_000),
    ("lamp", 12),
    ("mug", 1_500),
    ("piano", 0),
    ("tea", 2_000),
];

/// What came of a reservation. Asked again for the same order, the stock says the same again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reservation {
    /// All items are set aside.
    Held(Vec<Item>),
    /// Nothing is.
    Refused(String),
    /// They were put back; a reservation that comes later than that changes nothing.
    Released,
}

/// The stock.
#[derive(Debug)]
pub struct Stock(Mutex<Shelves>);

#[derive(Debug)]
struct Shelves {
    left: BTreeMap<String, u32>,
    reservations: BTreeMap<String, Reservation>,
}

/// A count of the stock.
#[derive(Clone, Debug)]
pub struct Inventory {
    pub opening: BTreeMap<String, u32>,
    pub left: BTreeMap<String, u32>,
    pub reservations: BTreeMap<String, Reservation>,
}

impl Stock {
    /// The stock in the morning.
    pub fn new() -> Self {
        Self(Mutex::new(Shelves { left: opening(), reservations: BTreeMap::new() }))
    }

    /// Sets all items of an order aside, or none.
    pub fn reserve(&self, order_id: &str, items: &[Item]) -> Reservation {
        let mut shelves = self.shelves();
        if let Some(known) = shelves.reservations.get(order_id) {
            return known.clone();
        }
        let reservation = match shelves.missing(items) {
            Some(product) => Reservation::Refused(format!("not enough {product} in stock")),
            None => {
                shelves.take(items);
                Reservation::Held(items.to_vec())
            }
        };
        shelves.reservations.insert(order_id.to_owned(), reservation.clone());
        reservation
    }

    /// Puts back what is set aside for an order.
    pub fn release(&self, order_id: &str) {
        let mut shelves = self.shelves();
        let before = shelves.reservations.insert(order_id.to_owned(), Reservation::Released);
        if let Some(Reservation::Held(items)) = before {
            shelves.put_back(&items);
        }
    }

    /// Counts the stock.
    pub fn count(&self) -> Inventory {
        let shelves = self.shelves();
        let (left, reservations) = (shelves.left.clone(), shelves.reservations.clone());
        Inventory { opening: opening(), left, reservations }
    }

    fn shelves(&self) -> MutexGuard<'_, Shelves> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Shelves {
    /// A product of which there is less than wanted. An order may name a product twice.
    fn missing(&self, items: &[Item]) -> Option<String> {
        let mut wanted: BTreeMap<&str, u64> = BTreeMap::new();
        for item in items {
            *wanted.entry(&item.product_id).or_default() += u64::from(item.quantity);
        }
        let is_short = |product: &str, wanted: u64| {
            self.left.get(product).is_none_or(|left| u64::from(*left) < wanted)
        };
        let short = wanted.into_iter().find(|(product, wanted)| is_short(product, *wanted));
        short.map(|(product, _)| product.to_owned())
    }

    fn take(&mut self, items: &[Item]) {
        for item in items {
            if let Some(left) = self.left.get_mut(&item.product_id) {
                *left -= item.quantity;
            }
        }
    }

    fn put_back(&mut self, items: &[Item]) {
        for item in items {
            *self.left.entry(item.product_id.clone()).or_default() += item.quantity;
        }
    }
}

fn opening() -> BTreeMap<String, u32> {
    OPENING.iter().map(|(product, pieces)| ((*product).to_owned(), *pieces)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lamps(quantity: u32) -> Vec<Item> {
        vec![Item { product_id: "lamp".to_owned(), quantity }]
    }

    #[test]
    fn a_reservation_is_made_once_and_comes_back_once() {
        let stock = Stock::new();
        let left = || stock.count().left["lamp"];
        for _ in 0..2 {
            assert_eq!(stock.reserve("a", &lamps(5)), Reservation::Held(lamps(5)));
            assert_eq!(left(), 7);
        }
        for _ in 0..2 {
            stock.release("a");
            assert_eq!(left(), 12);
        }
        assert_eq!(stock.reserve("a", &lamps(5)), Reservation::Released);
        assert_eq!(left(), 12);
    }

    #[test]
    fn the_stock_is_never_oversold() {
        let stock = Stock::new();
        let twice_seven = [lamps(7), lamps(7)].concat();
        let refused = Reservation::Refused("not enough lamp in stock".to_owned());
        assert_eq!(stock.reserve("a", &twice_seven), refused);
        assert_eq!(stock.count().left["lamp"], 12);
    }
}
