//! Judges the books of the world: what is charged, set aside and on its way is what the orders say.

use std::collections::BTreeMap;

use mmate::prelude::*;

use crate::outcome::{Order, Orders};
use crate::world::{Books, Reservation};

/// Everything that does not add up. Orders that another run left on a broker are not looked at one by one.
pub fn problems(orders: &Orders, books: &Books) -> Vec<String> {
    let mut problems = Vec::new();
    for (order_id, order) in orders {
        the_money_is_right(order_id, order, books, &mut problems);
        the_goods_are_right(order_id, order, books, &mut problems);
    }
    the_shelves_are_right(books, &mut problems);
    problems
}

/// Charged is what completed orders cost, once; and what cannot be paid back, as long as it cannot.
fn the_money_is_right(order_id: &str, order: &Order, books: &Books, problems: &mut Vec<String>) {
    let accounts = &books.accounts;
    let keeps = order.is_completed() || order.is_stuck();
    let due = if keeps { order.flow.total } else { Decimal::ZERO };
    let paid = accounts.paid(order_id);
    if paid != due {
        problems.push(format!("order {order_id} is {}; {paid} was paid, due is {due}", order.fate));
    }
    let charges = accounts.charges.iter().filter(|charge| charge.order_id == order_id);
    let keys: Vec<&str> = charges.map(|charge| charge.key.as_str()).collect();
    if keys.len() > 1 {
        problems.push(format!("order {order_id} was charged {} times: {keys:?}", keys.len()));
    }
}

/// Set aside is what completed orders bought, and what stuck ones still hold; on its way is what is completed.
fn the_goods_are_right(order_id: &str, order: &Order, books: &Books, problems: &mut Vec<String>) {
    let (fate, held) = (&order.fate, books.shelves.held(order_id));
    let keeps = order.is_completed() || order.is_stuck();
    if held != keeps.then_some(&order.flow.items) {
        problems.push(format!("order {order_id} is {fate}, and {held:?} is set aside"));
    }
    let parcels = books.parcels.shipped(order_id);
    if parcels != usize::from(order.is_completed()) {
        problems
            .push(format!("order {order_id} is {fate}, and {parcels} parcels are on their way"));
    }
}

fn the_shelves_are_right(books: &Books, problems: &mut Vec<String>) {
    let shelves = &books.shelves;
    let mut taken: BTreeMap<&str, u32> = BTreeMap::new();
    for (_, reservation) in shelves.reservations.values() {
        let Reservation::Held(items) = reservation else { continue };
        for item in items {
            *taken.entry(&item.product_id).or_default() += item.quantity;
        }
    }
    for (product, opening) in &shelves.opening {
        let left = shelves.left.get(product).copied().unwrap_or_default();
        let taken = taken.get(product.as_str()).copied().unwrap_or_default();
        if left + taken != *opening {
            problems.push(format!("of {opening} {product}, {taken} are set aside and {left} left"));
        }
    }
}
