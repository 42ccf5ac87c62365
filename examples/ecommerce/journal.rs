//! The journal: a service that only listens. It prints every business event as it happens, and keeps
//! how each order ended.

use std::collections::{BTreeMap, HashSet};
use std::fmt;
use std::sync::{Mutex, OnceLock, PoisonError};

use mmate::prelude::*;
use tokio::sync::watch;
use tokio::time::Instant;

use crate::contracts::{
    OrderCompleted, OrderPlaced, OrderRefused, PaymentRefused, PaymentTaken, Service, StockRefused,
    StockReleased, StockReserved,
};

/// How an order ended, as the events told it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ending {
    Completed { total: Decimal },
    Refused { by: Service, reason: String },
}

/// How orders ended, by the correlation id: the id of the message that everything began with.
pub type Endings = BTreeMap<String, Vec<Ending>>;

/// What the journal has heard.
#[derive(Debug)]
pub struct Journal {
    /// When the first line was printed.
    began: OnceLock<Instant>,
    heard: Mutex<Heard>,
    ended: watch::Sender<usize>,
}

#[derive(Debug, Default)]
struct Heard {
    endings: Endings,
    /// Message ids: an event that comes twice is one event.
    known: HashSet<String>,
}

impl Journal {
    fn new() -> Self {
        Self { began: OnceLock::new(), heard: Mutex::default(), ended: watch::Sender::new(0) }
    }

    /// Prints a line about an order.
    pub fn say(&self, order_id: &str, who: impl fmt::Display, what: impl fmt::Display) {
        let millis = self.began.get_or_init(Instant::now).elapsed().as_millis();
        let short = order_id.rsplit('-').next().unwrap_or(order_id);
        println!("{millis:>6} ms  {short:<8}{who:<11} {what}");
    }

    /// How orders ended so far.
    pub fn endings(&self) -> Endings {
        self.heard.lock().unwrap_or_else(PoisonError::into_inner).endings.clone()
    }

    /// Changes with every ending.
    pub fn ended(&self) -> watch::Receiver<usize> {
        self.ended.subscribe()
    }

    fn keep(&self, context: &Context, ending: Ending) {
        let mut heard = self.heard.lock().unwrap_or_else(PoisonError::into_inner);
        if heard.known.insert(context.message_id().to_owned()) {
            let endings = heard.endings.entry(context.correlation_id().to_owned());
            endings.or_default().push(ending);
            self.ended.send_modify(|count| *count += 1);
        }
    }
}

#[provider]
async fn journal() -> Journal {
    Journal::new()
}

// All events come through one queue and one at a time, so what is printed is in order.

#[handler(queue = "journal", concurrency = 1)]
async fn hear_order_placed(event: OrderPlaced, journal: State<Journal>) {
    let pieces: u32 = event.items.iter().map(|item| item.quantity).sum();
    let pieces = if pieces == 1 { "1 piece".to_owned() } else { format!("{pieces} pieces") };
    let what = format!("placed: {pieces} for {}", event.total);
    journal.say(&event.order_id, Service::Orders, what);
}

#[handler(queue = "journal")]
async fn hear_stock_reserved(event: StockReserved, journal: State<Journal>) {
    journal.say(&event.order_id, Service::Inventory, "stock reserved");
}

#[handler(queue = "journal")]
async fn hear_stock_refused(event: StockRefused, journal: State<Journal>) {
    journal.say(&event.order_id, Service::Inventory, event.reason);
}

#[handler(queue = "journal")]
async fn hear_stock_released(event: StockReleased, journal: State<Journal>) {
    journal.say(&event.order_id, Service::Inventory, "stock put back");
}

#[handler(queue = "journal")]
async fn hear_payment_taken(event: PaymentTaken, journal: State<Journal>) {
    let times = match event.attempts {
        1 => String::new(),
        attempts => format!(" at attempt {attempts}"),
    };
    let what = format!("{} charged{times}", event.amount);
    journal.say(&event.order_id, Service::Payment, what);
}

#[handler(queue = "journal")]
async fn hear_payment_refused(event: PaymentRefused, journal: State<Journal>) {
    journal.say(&event.order_id, Service::Payment, event.reason);
}

#[handler(queue = "journal")]
async fn hear_order_completed(event: OrderCompleted, journal: State<Journal>, context: Context) {
    journal.say(&event.order_id, Service::Orders, "COMPLETED");
    journal.keep(&context, Ending::Completed { total: event.total });
}

#[handler(queue = "journal")]
async fn hear_order_refused(event: OrderRefused, journal: State<Journal>, context: Context) {
    let what = format!("REFUSED by {}: {}", event.by, event.reason);
    journal.say(&event.order_id, Service::Orders, what);
    journal.keep(&context, Ending::Refused { by: event.by, reason: event.reason });
}
