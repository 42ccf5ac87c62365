//! The demo: sends all orders of the file, as messages and by HTTP, waits until each has met its fate, shows
//! the end and judges it.

use std::sync::Arc;
use std::time::Duration;

use mmate::prelude::*;
use mmate::runtime::{ConsumerHealth, Running};
use tokio::time::Instant;

use crate::customers::Customers;
use crate::feed::{self, Line, Way};
use crate::journal::Journal;
use crate::orders::{OrderBook, instance_of};
use crate::outcome::{self, Fates, Outcome};
use crate::parked::{Letters, Parked};
use crate::world::World;
use crate::{judge, report};

/// How long all orders may take. On a slow broker they take a few seconds.
const DEADLINE: Duration = Duration::from_secs(120);

/// How long nothing may be counted any more until the shop is called quiet.
const QUIET: Duration = Duration::from_millis(100);

/// Wait before the shop is looked at again.
const LOOK_AGAIN: Duration = Duration::from_millis(20);

/// The running shop, as far as the demo looks into it.
struct Shop<'a> {
    running: &'a Running,
    workflows: Workflows,
    journal: State<Journal>,
    book: State<OrderBook>,
    world: State<World>,
    customers: Customers,
}

/// Runs the demo in a running app. An error says what is wrong with the end state.
pub async fn run(running: &Running) -> Result<Outcome> {
    let began = Instant::now();
    let shop = Shop::of(running).await?;
    let transport = running.transport();
    let run = feed::run_id();
    let queues = running.health().consumers.into_iter().map(|consumer| consumer.queue);
    let parked = Parked::watch(Arc::clone(&transport), queues, &run, shop.journal.clone()).await?;
    let lines = feed::lines(&run);
    let (sent, impatient) = tokio::join!(shop.send(&lines), shop.customers.be_impatient(&lines));
    sent.and(impatient)?;
    shop.customers.rush(&lines).await?;
    let (fates, in_time) = shop.wait_for_fates(&run, &lines, &parked).await?;
    let outcome = shop.outcome(lines, fates).await?;
    report::print(&outcome, &running.health().consumers, transport.name(), began.elapsed());
    judge(&outcome, in_time)?;
    let outcome = shop.repair(&run, outcome, &parked).await?;
    println!("\nEverything adds up.");
    Ok(outcome)
}

fn judge(outcome: &Outcome, in_time: bool) -> Result {
    let mut problems = judge::problems(outcome);
    if !in_time {
        problems.insert(0, format!("not everything was done within {DEADLINE:?}"));
    }
    if problems.is_empty() {
        return Ok(());
    }
    Err(HandlerError::msg(format!("the demo ended wrong:\n  {}", problems.join("\n  "))))
}

impl<'a> Shop<'a> {
    async fn of(running: &'a Running) -> Result<Self> {
        let journal: State<Journal> = state(running)?;
        let bureau = state(running)?;
        let workflows = running.workflows();
        let workflows = workflows.ok_or_else(|| HandlerError::msg("there are no workflows"))?;
        Ok(Self {
            running,
            workflows,
            customers: Customers::come_in(running, journal.clone(), bureau).await?,
            journal,
            book: state(running)?,
            world: state(running)?,
        })
    }

    /// Sends all lines in their order, each by its way, but for the rush.
    async fn send(&self, lines: &[Line]) -> Result {
        let (publisher, transport) = (self.running.publisher(), self.running.transport());
        for line in lines {
            match line.way {
                Way::Message => line.send(publisher, &*transport).await?,
                Way::Http => self.customers.order(line).await?,
                Way::Rush => {}
            }
        }
        Ok(())
    }

    /// What is known of this run. Orders of earlier runs, which a broker may still have held, are left out.
    async fn fates(&self, run: &str, letters: Letters) -> Result<Fates> {
        let mut endings = self.journal.endings();
        endings.retain(|line, _| line.starts_with(run));
        Ok(Fates {
            orders: outcome::orders(&self.workflows, run).await?,
            endings,
            repetitions: self.book.repetitions(),
            answers: self.customers.answers(),
            letters,
        })
    }

    /// Opens the closed accounts, as a bank may that somebody has called, and resumes the orders that could not be undone,
    /// as a person would with `workflows resume`.
    async fn repair(&self, run: &str, before: Outcome, parked: &Parked) -> Result<Outcome> {
        let stuck = before.orders.iter().filter(|(_, order)| order.is_stuck());
        let stuck: Vec<&String> = stuck.map(|(order_id, _)| order_id).collect();
        println!("\nThe bank has opened the accounts; {} stuck orders are resumed.\n", stuck.len());
        self.world.reopen_accounts();
        for order_id in stuck {
            self.workflows.resume(instance_of(order_id)).await?;
        }
        let lines: Vec<Line> = before.lines.into_iter().map(|(line, _)| line).collect();
        let (fates, in_time) = self.wait_for_fates(run, &lines, parked).await?;
        let mut after = self.outcome(lines, fates).await?;
        after.was_repaired = true;
        report::print_again(&after);
        judge(&after, in_time)?;
        Ok(after)
    }

    /// Puts together what shop and world know.
    async fn outcome(&self, lines: Vec<Line>, mut fates: Fates) -> Result<Outcome> {
        outcome::look_back(&self.workflows, &mut fates.orders).await?;
        let states = self.customers.look().await?;
        let lines = lines.into_iter().map(|line| (line.clone(), fates.of(&line))).collect();
        let Fates { orders, endings, answers, .. } = fates;
        let (books, was_repaired) = (self.world.books(), false);
        Ok(Outcome { lines, endings, answers, states, orders, books, was_repaired })
    }

    /// Waits until every line has a fate and the last handlers have ended, so that a second fate
    /// would show. With it false if the deadline came first.
    async fn wait_for_fates(
        &self,
        run: &str,
        lines: &[Line],
        parked: &Parked,
    ) -> Result<(Fates, bool)> {
        let began = Instant::now();
        let mut counted = 0;
        loop {
            let fates = self.fates(run, parked.letters()).await?;
            let now = total(&self.running.health().consumers);
            let is_quiet = now == counted && fates.are_complete(lines);
            if is_quiet || began.elapsed() > DEADLINE {
                return Ok((fates, is_quiet));
            }
            let pause = if fates.are_complete(lines) { QUIET } else { LOOK_AGAIN };
            counted = now;
            tokio::time::sleep(pause).await;
        }
    }
}

fn state<T: Send + Sync + 'static>(running: &Running) -> Result<State<T>> {
    let missing = || HandlerError::msg(format!("there is no {}", std::any::type_name::<T>()));
    running.state().ok_or_else(missing)
}

fn total(health: &[ConsumerHealth]) -> u64 {
    health
        .iter()
        .map(|consumer| {
            let counts = consumer.counts;
            counts.handled + counts.retried + counts.rejected + counts.dead_lettered
        })
        .sum()
}
