//! What is on the shelves, and what is set aside for whom.

use std::collections::BTreeMap;

use super::Answer;
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

/// What came of a reservation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reservation {
    /// All items are set aside.
    Held(Vec<Item>),
    /// Nothing is.
    Refused(String),
    /// These were put back, if anything was set aside so far; a reservation that comes later changes nothing.
    Released(Vec<Item>),
}

/// The stock.
#[derive(Clone, Debug)]
pub struct Shelves {
    pub opening: BTreeMap<String, u32>,
    pub left: BTreeMap<String, u32>,
    /// By key: the order, and what came of it.
    pub reservations: BTreeMap<String, (String, Reservation)>,
}

impl Default for Shelves {
    /// The stock in the morning.
    fn default() -> Self {
        let opening: BTreeMap<String, u32> =
            OPENING.iter().map(|(product, pieces)| ((*product).to_owned(), *pieces)).collect();
        Self { left: opening.clone(), opening, reservations: BTreeMap::new() }
    }
}

impl Shelves {
    /// Sets all items of an order aside, or none.
    pub(super) fn reserve(&mut self, key: String, order_id: String, items: Vec<Item>) -> Answer {
        if let Some((_, known)) = self.reservations.get(&key) {
            return known.answer(&key);
        }
        let reservation = match self.missing(&items) {
            Some(product) => Reservation::Refused(format!("not enough {product} in stock")),
            None => {
                self.take(&items);
                Reservation::Held(items)
            }
        };
        let answer = reservation.answer(&key);
        self.reservations.insert(key, (order_id, reservation));
        answer
    }

    /// Puts back what is set aside under a key.
    pub(super) fn release(&mut self, key: String, order_id: String) -> Answer {
        let back = match self.reservations.get(&key) {
            Some((_, Reservation::Held(items))) => items.clone(),
            Some((_, Reservation::Released(_))) => return Answer::Done(key),
            _ => Vec::new(),
        };
        for item in &back {
            *self.left.entry(item.product_id.clone()).or_default() += item.quantity;
        }
        self.reservations.insert(key.clone(), (order_id, Reservation::Released(back)));
        Answer::Done(key)
    }

    /// How many pieces were ever set aside for an order, and how many were put back.
    pub fn moved(&self, order_id: &str) -> (u32, u32) {
        let of_order = self.reservations.values().filter(|(of, _)| of == order_id);
        of_order.fold((0, 0), |(reserved, released), (_, reservation)| {
            let pieces = |items: &[Item]| items.iter().map(|item| item.quantity).sum::<u32>();
            match reservation {
                Reservation::Held(items) => (reserved + pieces(items), released),
                Reservation::Released(items) => {
                    (reserved + pieces(items), released + pieces(items))
                }
                Reservation::Refused(_) => (reserved, released),
            }
        })
    }

    /// What is set aside for an order.
    pub fn held(&self, order_id: &str) -> Option<&Vec<Item>> {
        self.reservations.values().find_map(|(of, reservation)| match reservation {
            Reservation::Held(items) if of == order_id => Some(items),
            _ => None,
        })
    }

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
}

impl Reservation {
    fn answer(&self, key: &str) -> Answer {
        match self {
            Self::Held(_) => Answer::Done(key.to_owned()),
            Self::Refused(why) => Answer::Refused(why.clone()),
            Self::Released(_) => Answer::Refused("the reservation was called off".to_owned()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lamps(quantity: u32) -> Vec<Item> {
        vec![Item { product_id: "lamp".to_owned(), quantity }]
    }

    fn key() -> (String, String) {
        ("key".to_owned(), "order".to_owned())
    }

    #[test]
    fn a_reservation_is_made_once_and_comes_back_once() {
        let mut shelves = Shelves::default();
        let (key, order) = key();
        for _ in 0..2 {
            let answer = shelves.reserve(key.clone(), order.clone(), lamps(5));
            assert_eq!(answer, Answer::Done(key.clone()));
            assert_eq!(shelves.left["lamp"], 7);
        }
        for _ in 0..2 {
            shelves.release(key.clone(), order.clone());
            assert_eq!(shelves.left["lamp"], 12);
        }
        let late = shelves.reserve(key, order, lamps(5));
        assert!(matches!(late, Answer::Refused(_)), "{late:?}");
        assert_eq!(shelves.left["lamp"], 12);
    }

    #[test]
    fn a_request_that_comes_after_it_was_undone_changes_nothing() {
        let mut shelves = Shelves::default();
        let (key, order) = key();
        shelves.release(key.clone(), order.clone());
        let late = shelves.reserve(key, order, lamps(5));
        assert!(matches!(late, Answer::Refused(_)), "{late:?}");
        assert_eq!(shelves.left["lamp"], 12);
    }

    #[test]
    fn the_stock_is_never_oversold() {
        let mut shelves = Shelves::default();
        let (key, order) = key();
        let answer = shelves.reserve(key, order, [lamps(7), lamps(7)].concat());
        assert_eq!(answer, Answer::Refused("not enough lamp in stock".to_owned()));
        assert_eq!(shelves.left["lamp"], 12);
    }
}
