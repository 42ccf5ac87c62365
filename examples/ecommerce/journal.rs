//! The journal: a service that only listens. It prints what happens to orders, stage by stage, and keeps how each ended.

use std::collections::{BTreeMap, HashSet};
use std::fmt;
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};

use mmate::prelude::*;
use mmate::workflow::{StageCompensated, StageCompleted, WorkflowFailed, WorkflowStuck};
use tokio::time::Instant;
use uuid::Uuid;

use crate::contracts::{OrderCompleted, OrderPlaced, OrderRefused};
use crate::orders::instance_of;

/// How an order ended, as the events told it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ending {
    Completed { total: Decimal },
    Refused { reason: String },
}

/// How orders ended, by the correlation id: the id of the message that everything began with.
pub type Endings = BTreeMap<String, Vec<Ending>>;

/// What the journal has heard.
#[derive(Debug, Default)]
pub struct Journal {
    /// When the first line was printed.
    began: OnceLock<Instant>,
    heard: Mutex<Heard>,
}

#[derive(Debug, Default)]
struct Heard {
    endings: Endings,
    /// Message ids: an event that comes twice is one event.
    known: HashSet<String>,
    /// Which order an instance is.
    orders: BTreeMap<Uuid, String>,
}

impl Journal {
    /// Prints a line about an order.
    pub fn say(&self, order_id: &str, who: impl fmt::Display, what: impl fmt::Display) {
        let millis = self.began.get_or_init(Instant::now).elapsed().as_millis();
        let short = short(order_id);
        println!("{millis:>6} ms  {short:<8}{who:<18} {what}");
    }

    /// How orders ended so far.
    pub fn endings(&self) -> Endings {
        self.heard().endings.clone()
    }

    fn say_of(&self, instance: Uuid, stage: &str, what: impl fmt::Display) {
        let order = self.heard().orders.get(&instance).cloned();
        self.say(&order.unwrap_or_else(|| instance.to_string()), stage, what);
    }

    fn keep(&self, context: &Context, ending: Ending) {
        let mut heard = self.heard();
        if heard.known.insert(context.message_id().to_owned()) {
            let endings = heard.endings.entry(context.correlation_id().to_owned());
            endings.or_default().push(ending);
        }
    }

    fn heard(&self) -> MutexGuard<'_, Heard> {
        self.heard.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// An order's id without the name of the run.
pub fn short(order_id: &str) -> &str {
    order_id.rsplit('-').next().unwrap_or(order_id)
}

#[provider]
async fn journal() -> Journal {
    Journal::default()
}

// All events come through one queue and one at a time, so what is printed is in order.

#[handler(queue = "journal", concurrency = 1)]
async fn hear_order_placed(event: OrderPlaced, journal: State<Journal>) {
    let order_id = &event.order_id;
    journal.heard().orders.insert(instance_of(order_id), order_id.clone());
    let pieces: u32 = event.items.iter().map(|item| item.quantity).sum();
    let pieces = if pieces == 1 { "1 piece".to_owned() } else { format!("{pieces} pieces") };
    journal.say(order_id, "PLACED", format!("{pieces} for {}", event.total));
}

/// The workflow tells of every stage, since it says `events`.
#[handler(queue = "journal")]
async fn hear_stage(event: StageCompleted, journal: State<Journal>) {
    let what = match event.error {
        Some(error) => format!("{}, and the order goes on: {error}", event.status),
        None => event.status,
    };
    journal.say_of(event.instance_id, &event.stage_id, what);
}

#[handler(queue = "journal")]
async fn hear_failure(event: WorkflowFailed, journal: State<Journal>) {
    journal.say_of(event.instance_id, &event.failed_stage_id, format!("failed: {}", event.error));
}

#[handler(queue = "journal")]
async fn hear_undone(event: StageCompensated, journal: State<Journal>) {
    journal.say_of(event.instance_id, &event.stage_id, "undone");
}

#[handler(queue = "journal")]
async fn hear_stuck(event: WorkflowStuck, journal: State<Journal>) {
    let what = format!("STUCK, cannot be undone: {}", event.error);
    journal.say_of(event.instance_id, &event.stage_id, what);
}

#[handler(queue = "journal")]
async fn hear_order_completed(event: OrderCompleted, journal: State<Journal>, context: Context) {
    journal.say(&event.order_id, "COMPLETED", event.parcel_id);
    journal.keep(&context, Ending::Completed { total: event.total });
}

#[handler(queue = "journal")]
async fn hear_order_refused(event: OrderRefused, journal: State<Journal>, context: Context) {
    journal.say(&event.order_id, "REFUSED", &event.reason);
    journal.keep(&context, Ending::Refused { reason: event.reason });
}
