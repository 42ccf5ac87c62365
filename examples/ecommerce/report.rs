//! The closing table.

use std::collections::BTreeMap;
use std::time::Duration;

use mmate::consume::Counts;
use mmate::prelude::*;
use mmate::runtime::ConsumerHealth;

use crate::contracts::Item;
use crate::journal::short;
use crate::outcome::{Fate, Order, Orders, Outcome};

/// How many orders are named where some have met the same fate.
const NAMES_MAX: usize = 18;

/// Prints how many lines ended how, once more.
pub fn print_again(outcome: &Outcome) {
    println!();
    print_fates(outcome);
    print_failures(&outcome.orders);
}

/// Prints how a run ended.
pub fn print(outcome: &Outcome, health: &[ConsumerHealth], transport: &str, took: Duration) {
    let count = outcome.lines.len();
    println!("\n{count} lines on {transport} in {:.1} s\n", took.as_secs_f64());
    print_fates(outcome);
    print_failures(&outcome.orders);
    print_answers(outcome);
    print_stock(outcome);
    print_messages(health);
}

fn print_fates(outcome: &Outcome) {
    println!("{:<80}{:>7}{:>14}", "end", "lines", "money");
    for (fate, lines) in outcome.by_fate() {
        let with_fate = outcome.orders.values().filter(|order| order.fate == *fate);
        let paid: Decimal =
            with_fate.map(|order| outcome.books.accounts.paid(&order.flow.order_id)).sum();
        let money = if paid.is_zero() { String::new() } else { paid.to_string() };
        println!("{:<80}{lines:>7}{money:>14}", fate.to_string());
    }
}

/// Prints where orders failed and what was undone then, as their histories say.
pub fn print_failures(orders: &Orders) {
    let mut groups: BTreeMap<(&str, String), Vec<&str>> = BTreeMap::new();
    for (order_id, order) in orders {
        let (stage, what) = match &order.fate {
            Fate::Failed { stage, .. } => (stage.as_str(), undone(order)),
            Fate::Stuck { stage, .. } => (stage.as_str(), format!("{}; STUCK", undone(order))),
            Fate::Completed if !order.tolerated.is_empty() => {
                (order.tolerated[0].as_str(), "nothing: it goes on without".to_owned())
            }
            _ => continue,
        };
        groups.entry((stage, what)).or_default().push(short(order_id));
    }
    println!("\n{:<18} {:<48}orders", "failed at", "undone");
    for ((stage, what), orders) in groups {
        let names = orders[..orders.len().min(NAMES_MAX)].join(" ");
        let more = orders.len().saturating_sub(NAMES_MAX);
        let more = if more > 0 { format!(" and {more} more") } else { String::new() };
        println!("{stage:<18} {what:<48}{names}{more}");
    }
}

fn undone(order: &Order) -> String {
    if order.undone.is_empty() { "nothing".to_owned() } else { order.undone.join(", ") }
}

fn print_answers(outcome: &Outcome) {
    println!("\n{:<80}{:>7}", "POST /api/orders", "answers");
    for ((status, code), answers) in outcome.by_answer() {
        println!("{:<80}{answers:>7}", format!("{status} {}", code.unwrap_or("created")));
    }
}

fn print_stock(outcome: &Outcome) {
    let of = |is: fn(&Order) -> bool| {
        let orders = outcome.orders.values().filter(move |order| is(order));
        pieces(orders.flat_map(|order| &order.flow.items))
    };
    let (sold, held) = (of(Order::is_completed), of(Order::is_stuck));
    let shelves = &outcome.books.shelves;
    println!("\n{:<53}{:>12}{:>12}{:>12}{:>12}", "stock", "before", "sold", "held", "after");
    for (product, before) in &shelves.opening {
        let of = |pieces: &BTreeMap<&str, u32>| {
            pieces.get(product.as_str()).copied().unwrap_or_default()
        };
        let after = shelves.left.get(product).copied().unwrap_or_default();
        println!("{product:<53}{before:>12}{:>12}{:>12}{after:>12}", of(&sold), of(&held));
    }
}

fn pieces<'a>(items: impl Iterator<Item = &'a Item>) -> BTreeMap<&'a str, u32> {
    let mut pieces = BTreeMap::new();
    for item in items {
        *pieces.entry(item.product_id.as_str()).or_default() += item.quantity;
    }
    pieces
}

fn print_messages(health: &[ConsumerHealth]) {
    println!(
        "\n{:<60}{:>9}{:>9}{:>9}{:>14}",
        "messages", "handled", "retried", "rejected", "dead-lettered"
    );
    let line = |name: &str, counts: Counts| {
        let Counts { handled, retried, rejected, dead_lettered, .. } = counts;
        println!("{name:<60}{handled:>9}{retried:>9}{rejected:>9}{dead_lettered:>14}");
    };
    for consumer in health {
        line(&consumer.queue, consumer.counts);
    }
    let all = health.iter().map(|consumer| consumer.counts);
    line("all", all.fold(Counts::default(), |sum, counts| sum + counts));
}
