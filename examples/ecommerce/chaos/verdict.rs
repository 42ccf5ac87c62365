//! What became of the chaos run, from the histories of its orders and the books of the world.

use std::collections::BTreeMap;
use std::time::Duration;

use mmate::prelude::*;
use mmate::store::{HistoryEvent, Instance, WorkflowStatus, WorkflowStore};

use super::orders::{Sent, repetitions};
use crate::feed;
use crate::judge::problems_of_books;
use crate::outcome::{Fate, Order, Orders};
use crate::report;
use crate::world::Books;

/// How the run ended.
pub struct Verdict {
    orders: Orders,
    /// The stage at which an order must fail.
    expected: BTreeMap<String, Option<&'static str>>,
    /// Orders that are not in the store.
    missing: Vec<String>,
    books: Books,
    repetitions: usize,
    /// How many attempts of stages ended with their process.
    interrupted: usize,
}

/// The sums that have to be equal.
struct Sums {
    charged: Decimal,
    refunded: Decimal,
    sold: Decimal,
    reserved: u32,
    released: u32,
    shipped: u32,
}

impl Verdict {
    /// Looks everything up.
    pub async fn of(store: &dyn WorkflowStore, sent: &[Sent], books: Books) -> Result<Self> {
        let (orders, missing, repetitions) = (Orders::new(), Vec::new(), repetitions(sent));
        let (expected, interrupted) = (BTreeMap::new(), 0);
        let mut verdict = Self { orders, expected, missing, books, repetitions, interrupted };
        for sent in sent {
            let order_id = sent.order.order_id.clone();
            let Some(instance) = store.get(sent.instance()).await? else {
                verdict.missing.push(order_id);
                continue;
            };
            verdict.expected.insert(order_id.clone(), feed::must_fail_at(&sent.order));
            let order = verdict.look_back(store, sent, &instance).await?;
            verdict.orders.insert(order_id, order);
        }
        Ok(verdict)
    }

    async fn look_back(
        &mut self,
        store: &dyn WorkflowStore,
        sent: &Sent,
        instance: &Instance,
    ) -> Result<Order> {
        let history = store.history(instance.id).await?;
        let stages = |event: HistoryEvent| {
            let lines = history.iter().filter(|line| line.event == event);
            lines.map(|line| line.stage.clone()).collect::<Vec<_>>()
        };
        self.interrupted += stages(HistoryEvent::Interrupted).len();
        let failed = history.iter().find(|line| line.event == HistoryEvent::Failed);
        let failed = failed.map(|line| (line.stage.clone(), line.reason.clone()));
        let (stage, reason) = failed.unwrap_or_default();
        let reason = reason.unwrap_or_default();
        let fate = match instance.status {
            WorkflowStatus::Completed => Fate::Completed,
            WorkflowStatus::Stuck => Fate::Stuck { stage, reason },
            status if status.is_end() => Fate::Failed { stage, reason },
            _ => Fate::Underway,
        };
        let (undone, tolerated) = (stages(HistoryEvent::Undone), stages(HistoryEvent::Tolerated));
        Ok(Order { flow: sent.flow(), fate, undone, tolerated })
    }

    fn sums(&self) -> Sums {
        let (mut charged, mut refunded, mut sold) = (Decimal::ZERO, Decimal::ZERO, Decimal::ZERO);
        let (mut reserved, mut released, mut shipped) = (0, 0, 0);
        for (order_id, order) in &self.orders {
            let (taken, back) = self.books.accounts.moved(order_id);
            (charged, refunded) = (charged + taken, refunded + back);
            let (aside, back) = self.books.shelves.moved(order_id);
            (reserved, released) = (reserved + aside, released + back);
            if order.is_completed() {
                sold += order.flow.total;
            }
            if self.books.parcels.shipped(order_id) > 0 {
                shipped += order.flow.items.iter().map(|item| item.quantity).sum::<u32>();
            }
        }
        Sums { charged, refunded, sold, reserved, released, shipped }
    }

    /// Prints the figures.
    pub fn print(&self, kills: usize, took: Duration) {
        let (orders, repetitions) = (self.orders.len(), self.repetitions);
        println!(
            "\n{orders} orders, {repetitions} of them sent twice; {kills} workers killed, {} stages interrupted; {:.1} s\n",
            self.interrupted,
            took.as_secs_f64()
        );
        let mut fates: BTreeMap<&Fate, usize> = BTreeMap::new();
        for order in self.orders.values() {
            *fates.entry(&order.fate).or_default() += 1;
        }
        println!("{:<80}{:>7}", "end", "orders");
        for (fate, orders) in fates {
            println!("{:<80}{orders:>7}", fate.to_string());
        }
        report::print_failures(&self.orders);
        let Sums { charged, refunded, sold, reserved, released, shipped } = self.sums();
        let (calls, again) = self.books.calls();
        println!("\nmoney   {charged} charged - {refunded} refunded = {}", charged - refunded);
        println!("        {sold} is what completed orders cost");
        println!(
            "stock   {reserved} pieces reserved - {released} released = {}",
            reserved - released
        );
        println!("        {shipped} pieces are on their way");
        println!("world   asked {calls} times, {again} of them again under a key that it knew");
    }

    /// Everything that is wrong, or nothing.
    pub fn problems(&self) -> Vec<String> {
        let not_there = |id: &String| format!("order {id} was sent, and nobody knows of it");
        let mut problems: Vec<String> = self.missing.iter().map(not_there).collect();
        for (order_id, order) in &self.orders {
            let stage = match &order.fate {
                Fate::Completed => None,
                Fate::Failed { stage, .. } => Some(stage.as_str()),
                fate => {
                    problems.push(format!("order {order_id} has not ended: it is {fate}"));
                    continue;
                }
            };
            let expected = self.expected.get(order_id).copied().flatten();
            if stage != expected {
                let fate = &order.fate;
                problems
                    .push(format!("order {order_id} is {fate}, expected failed at {expected:?}"));
            }
        }
        problems.extend(problems_of_books(&self.orders, &self.books));
        let Sums { charged, refunded, sold, reserved, released, shipped } = self.sums();
        if charged - refunded != sold {
            problems.push(format!("{charged} - {refunded} was paid, and {sold} is due"));
        }
        if reserved - released != shipped {
            problems
                .push(format!("{reserved} - {released} pieces are set aside, {shipped} shipped"));
        }
        problems
    }
}
