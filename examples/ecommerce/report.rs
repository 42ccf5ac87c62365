//! The closing table.

use std::collections::BTreeMap;
use std::time::Duration;

use mmate::consume::Counts;
use mmate::runtime::ConsumerHealth;

use crate::contracts::Item;
use crate::judge::{is_completed, waiting_for_payment};
use crate::outcome::{Fate, Outcome};

/// Prints how many lines ended how, once more.
pub fn print_again(outcome: &Outcome) {
    println!();
    print_fates(outcome);
}

/// Prints how a run ended.
pub fn print(outcome: &Outcome, health: &[ConsumerHealth], transport: &str, took: Duration) {
    let count = outcome.lines.len();
    println!("\n{count} lines on {transport} in {:.1} s\n", took.as_secs_f64());
    print_fates(outcome);
    print_answers(outcome);
    print_stock(outcome);
    print_messages(health);
}

fn print_fates(outcome: &Outcome) {
    println!("{:<56}{:>7}{:>14}", "end", "lines", "money");
    for (fate, lines) in outcome.by_fate() {
        let money = match fate {
            Fate::Completed => outcome.charged().to_string(),
            _ => String::new(),
        };
        println!("{:<56}{lines:>7}{money:>14}", fate.to_string());
    }
}

fn print_answers(outcome: &Outcome) {
    println!("\n{:<56}{:>7}", "POST /api/orders", "answers");
    for ((status, code), answers) in outcome.by_answer() {
        println!("{:<56}{answers:>7}", format!("{status} {}", code.unwrap_or("created")));
    }
}

fn print_stock(outcome: &Outcome) {
    let waiting = waiting_for_payment(outcome);
    let completed = outcome.orders.values().filter(|order| is_completed(order));
    let parked = outcome.orders.iter().filter(|(id, _)| waiting.contains(id.as_str()));
    let sold = pieces(completed.flat_map(|order| &order.items));
    let held = pieces(parked.flat_map(|(_, order)| &order.items));
    println!("\n{:<29}{:>12}{:>12}{:>12}{:>12}", "stock", "before", "sold", "held", "after");
    for (product, before) in &outcome.inventory.opening {
        let of = |pieces: &BTreeMap<&str, u32>| {
            pieces.get(product.as_str()).copied().unwrap_or_default()
        };
        let (sold, held, after) = (
            of(&sold),
            of(&held),
            outcome.inventory.left.get(product).copied().unwrap_or_default(),
        );
        println!("{product:<29}{before:>12}{sold:>12}{held:>12}{after:>12}");
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
        "\n{:<36}{:>9}{:>9}{:>9}{:>14}",
        "messages", "handled", "retried", "rejected", "dead-lettered"
    );
    let line = |name: &str, counts: Counts| {
        let Counts { handled, retried, rejected, dead_lettered, .. } = counts;
        println!("{name:<36}{handled:>9}{retried:>9}{rejected:>9}{dead_lettered:>14}");
    };
    for consumer in health {
        line(&consumer.queue, consumer.counts);
    }
    let all = health.iter().map(|consumer| consumer.counts);
    line("all", all.fold(Counts::default(), |sum, counts| sum + counts));
}
