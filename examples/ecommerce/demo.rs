//! The demo: sends all orders of the file, as messages and by HTTP, waits until each has met its fate, shows
//! the end and judges it.

use std::sync::Arc;
use std::time::Duration;

use mmate::deadletter::Selection;
use mmate::prelude::*;
use mmate::runtime::{ConsumerHealth, Running};
use tokio::sync::watch;
use tokio::time::Instant;

use crate::customers::Customers;
use crate::feed::{self, Line, Way};
use crate::inventory::Stock;
use crate::journal::{Ending, Journal};
use crate::judge::PAYMENTS;
use crate::orders::OrderBook;
use crate::outcome::{Fates, Outcome};
use crate::parked::{Letters, Parked};
use crate::payment::Gateway;
use crate::{judge, report};

/// How long all orders may take. On a slow broker they take a few seconds.
const DEADLINE: Duration = Duration::from_secs(120);

/// How long nothing may be counted any more until the shop is called quiet.
const QUIET: Duration = Duration::from_millis(100);

/// Wait before the broker is asked again for letters that it does not have back yet.
const LOOK_AGAIN: Duration = Duration::from_millis(20);

/// The running shop, as far as the demo looks into it.
struct Shop<'a> {
    running: &'a Running,
    journal: State<Journal>,
    book: State<OrderBook>,
    stock: State<Stock>,
    gateway: State<Gateway>,
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
    let in_time = shop.wait_for_fates(&lines, &parked).await;
    let outcome = shop.outcome(&run, lines, &parked.letters()).await?;
    report::print(&outcome, &running.health().consumers, transport.name(), began.elapsed());
    judge(&outcome, in_time)?;
    let outcome = shop.repair(&run, outcome, parked).await?;
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
        Ok(Self {
            running,
            customers: Customers::come_in(running, journal.clone(), bureau).await?,
            journal,
            book: state(running)?,
            stock: state(running)?,
            gateway: state(running)?,
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

    fn fates_of(&self, letters: &Letters) -> Fates {
        Fates {
            endings: self.journal.endings(),
            repetitions: self.book.repetitions(),
            answers: self.customers.answers(),
            letters: letters.clone(),
        }
    }

    /// Repairs the payment provider and sends back what its outage had parked, as a person would with
    /// `dlq replay`. Everything that was parked for another reason stays where it is.
    async fn repair(&self, run: &str, before: Outcome, parked: Parked) -> Result<Outcome> {
        let (ids, mut letters) = (parked.ids(PAYMENTS), parked.letters());
        letters.retain(|_, letters| letters.iter().all(|letter| letter.queue != PAYMENTS));
        parked.end().await;
        self.gateway.repair();
        println!("\nThe payment provider is back; {} parked payments are sent back.\n", ids.len());
        self.replay(&ids).await?;
        let lines: Vec<Line> = before.lines.into_iter().map(|(line, _)| line).collect();
        let in_time = self.wait_for_payments(&lines, &letters).await;
        let mut after = self.outcome(run, lines, &letters).await?;
        after.was_repaired = true;
        report::print_again(&after);
        judge(&after, in_time)?;
        Ok(after)
    }

    async fn replay(&self, ids: &[String]) -> Result {
        let tools = self.running.dead_letters(PAYMENTS);
        let tools = tools.ok_or_else(|| HandlerError::msg("payments have no dead letters"))?;
        let selection = ids.iter().fold(Selection::all(), |selection, id| selection.id(id));
        let all = async {
            // The broker takes a moment to take back what the watch held.
            let mut moved = 0;
            while moved < ids.len() as u64 {
                moved += tools.replay(&selection).await?.moved;
                tokio::time::sleep(LOOK_AGAIN).await;
            }
            Ok(())
        };
        let in_time = tokio::time::timeout(DEADLINE, all).await;
        in_time.unwrap_or_else(|_| Err(HandlerError::msg("not all payments could be sent back")))
    }

    /// Waits until every line that is not parked has ended.
    async fn wait_for_payments(&self, lines: &[Line], letters: &Letters) -> bool {
        let mut ended = self.journal.ended();
        let done = async {
            let has_fate = |line: &Line| !self.fates_of(letters).of(line).is_empty();
            while !lines.iter().all(has_fate) {
                // An error means that the journal is gone, and with it the app.
                if ended.changed().await.is_err() {
                    return;
                }
            }
        };
        tokio::time::timeout(DEADLINE, done).await.is_ok()
    }

    /// Puts together what the services know. Orders of earlier runs, which a broker may still have
    /// held, are left out.
    async fn outcome(&self, run: &str, lines: Vec<Line>, letters: &Letters) -> Result<Outcome> {
        let fates = self.fates_of(letters);
        let of_run = |id: &String| id.starts_with(run);
        let endings = fates.endings.iter().filter(|(line, _)| of_run(line));
        let totals = endings.flat_map(|(_, endings)| endings).filter_map(|ending| match ending {
            Ending::Completed { total } => Some(*total),
            Ending::Refused { .. } => None,
        });
        let mut orders = self.book.orders();
        orders.retain(|id, _| of_run(id));
        let mut captures = self.gateway.captures();
        captures.retain(|capture| of_run(&capture.key));
        let sold = totals.sum();
        let lines = lines.into_iter().map(|line| (line.clone(), fates.of(&line))).collect();
        let inventory = self.stock.count();
        let (answers, states) = (fates.answers.clone(), self.customers.look().await?);
        let was_repaired = false;
        Ok(Outcome { lines, sold, answers, states, orders, inventory, captures, was_repaired })
    }

    /// Waits until every line has a fate and the last handlers have ended, so that a second fate
    /// would show. False if the deadline comes first.
    async fn wait_for_fates(&self, lines: &[Line], parked: &Parked) -> bool {
        let done = async {
            let mut signs = [self.journal.ended(), self.book.repeated(), parked.changed()];
            while !self.all_done(lines, parked) {
                any_changed(&mut signs).await;
            }
            let mut counted = total(&self.running.health().consumers);
            loop {
                tokio::time::sleep(QUIET).await;
                let now = total(&self.running.health().consumers);
                if now == counted {
                    return;
                }
                counted = now;
            }
        };
        tokio::time::timeout(DEADLINE, done).await.is_ok()
    }

    fn all_done(&self, lines: &[Line], parked: &Parked) -> bool {
        let fates = self.fates_of(&parked.letters());
        lines.iter().all(|line| !fates.of(line).is_empty())
    }
}

fn state<T: Send + Sync + 'static>(running: &Running) -> Result<State<T>> {
    let missing = || HandlerError::msg(format!("there is no {}", std::any::type_name::<T>()));
    running.state().ok_or_else(missing)
}

async fn any_changed([ended, repeated, parked]: &mut [watch::Receiver<usize>; 3]) {
    tokio::select! {
        _ = ended.changed() => {}
        _ = repeated.changed() => {}
        _ = parked.changed() => {}
    }
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
