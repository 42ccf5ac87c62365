//! Judges an end state: what must be true however the messages went.

mod answers;

use std::collections::{BTreeMap, BTreeSet};

use mmate::prelude::*;

use crate::feed::{Content, Line};
use crate::inventory::Reservation;
use crate::orders::{Order, OrderState};
use crate::outcome::{Fate, Outcome};

/// The queue of `TakePayment`.
pub const PAYMENTS: &str = "cmd.payment.TakePayment";

/// Everything that is wrong, or nothing.
pub fn problems(outcome: &Outcome) -> Vec<String> {
    let mut problems = Vec::new();
    every_line_has_one_fate(outcome, &mut problems);
    parked_is_what_must_be(outcome, &mut problems);
    answers::problems(outcome, &mut problems);
    the_money_is_right(outcome, &mut problems);
    the_stock_is_right(outcome, &mut problems);
    problems
}

fn every_line_has_one_fate(outcome: &Outcome, problems: &mut Vec<String>) {
    for (line, fates) in outcome.lines.iter().filter(|(_, fates)| fates.len() != 1) {
        let fates: Vec<String> = fates.iter().map(ToString::to_string).collect();
        let fates = if fates.is_empty() { "no fate".to_owned() } else { fates.join(", and ") };
        problems.push(format!("line {} has {fates}; it must have one fate", line.number));
    }
}

fn parked_is_what_must_be(outcome: &Outcome, problems: &mut Vec<String>) {
    for (line, fates) in &outcome.lines {
        let found = fates.iter().find_map(|fate| match fate {
            Fate::Parked { reason, .. } => Some(reason.as_str()),
            _ => None,
        });
        let expected = line.must_be_parked();
        // What the provider's outage parked was sent back after it.
        let is_back = outcome.was_repaired && expected == Some("retries_exhausted");
        let expected = expected.filter(|_| !is_back);
        if found != expected {
            let number = line.number;
            problems.push(format!("line {number} is parked as {found:?}, expected {expected:?}"));
        }
    }
}

fn the_money_is_right(outcome: &Outcome, problems: &mut Vec<String>) {
    let completed = || outcome.orders.iter().filter(|(_, order)| is_completed(order));
    let due: Decimal = completed().map(|(_, order)| order.total).sum();
    let charged = outcome.charged();
    if (charged, outcome.sold) != (due, due) {
        problems.push(format!(
            "completed orders cost {due}, their events say {}, and {charged} was charged",
            outcome.sold
        ));
    }
    let mut charges: BTreeMap<&str, Vec<Decimal>> = BTreeMap::new();
    for capture in &outcome.captures {
        charges.entry(&capture.key).or_default().push(capture.amount);
    }
    for (order_id, amounts) in &charges {
        let due = outcome.orders.get(*order_id).filter(|order| is_completed(order));
        if due.is_none_or(|order| amounts.as_slice() != [order.total]) {
            let due = due.map_or(Decimal::ZERO, |order| order.total);
            problems.push(format!("order {order_id} was charged {amounts:?}, due is {due}"));
        }
    }
    for (order_id, order) in completed().filter(|(id, _)| !charges.contains_key(id.as_str())) {
        problems
            .push(format!("order {order_id} is completed, and its {} is not paid", order.total));
    }
}

/// Set aside is what completed orders bought, and what waits for payments that are parked.
fn the_stock_is_right(outcome: &Outcome, problems: &mut Vec<String>) {
    let inventory = &outcome.inventory;
    let waiting = waiting_for_payment(outcome);
    for (order_id, order) in &outcome.orders {
        let keeps = is_completed(order) || waiting.contains(order_id.as_str());
        let held = match inventory.reservations.get(order_id) {
            Some(Reservation::Held(items)) => Some(items),
            _ => None,
        };
        if held != keeps.then_some(&order.items) {
            let state = &order.state;
            problems.push(format!("order {order_id} is {state:?}, and {held:?} is set aside"));
        }
    }
    // Orders that another run left on the broker are in these figures, too.
    let mut taken: BTreeMap<&str, u32> = BTreeMap::new();
    for reservation in inventory.reservations.values() {
        let Reservation::Held(items) = reservation else { continue };
        for item in items {
            *taken.entry(&item.product_id).or_default() += item.quantity;
        }
    }
    for (product, opening) in &inventory.opening {
        let left = inventory.left.get(product).copied().unwrap_or_default();
        let taken = taken.get(product.as_str()).copied().unwrap_or_default();
        if left + taken != *opening {
            problems.push(format!("of {opening} {product}, {taken} are set aside and {left} left"));
        }
    }
}

/// The orders whose payment is parked.
pub fn waiting_for_payment(outcome: &Outcome) -> BTreeSet<&str> {
    let is_payment = |fate: &Fate| matches!(fate, Fate::Parked { queue, .. } if queue == PAYMENTS);
    let parked = outcome.lines.iter().filter(|(_, fates)| fates.iter().any(is_payment));
    let order_id = |(line, _): &'_ (Line, Vec<Fate>)| match &line.content {
        Content::Order(order) => outcome.orders.get_key_value(&order.order_id),
        _ => None,
    };
    parked.filter_map(order_id).map(|(id, _)| id.as_str()).collect()
}

/// True if the order is sold.
pub fn is_completed(order: &Order) -> bool {
    matches!(order.state, OrderState::Completed { .. })
}
