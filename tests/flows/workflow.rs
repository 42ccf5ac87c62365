//! The workflow that is measured: three stages that do next to nothing.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use mmate::App;
use mmate::prelude::*;
use mmate::runtime::Running;
use mmate::transport::amqp::{AmqpConfig, AmqpTransport};
use tokio::sync::Notify;
use uuid::Uuid;

use crate::Result as Measured;

/// How many stages of one kind run at a time, and hops of one kind.
pub(crate) const CONCURRENCY: u16 = 64;

/// How many connections to the database either side has: what the store has by default.
pub(crate) const CONNECTIONS: u32 = 10;

/// When each instance began, and how long those took that have ended.
#[derive(Clone, Debug, Default)]
pub(crate) struct Clock(Arc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    began: Mutex<HashMap<Uuid, Instant>>,
    took: Mutex<Vec<Duration>>,
    ended: AtomicU64,
    wanted: AtomicU64,
    done: Notify,
}

impl Clock {
    /// So many instances are to end.
    pub(crate) fn expect(&self, instances: u32) {
        self.0.ended.store(0, Ordering::Relaxed);
        self.0.wanted.store(u64::from(instances), Ordering::Relaxed);
        self.0.took.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    pub(crate) fn begin(&self, instance: Uuid) {
        let mut began = self.0.began.lock().unwrap_or_else(PoisonError::into_inner);
        began.insert(instance, Instant::now());
    }

    pub(crate) fn end(&self, instance: Uuid) {
        let began = self.0.began.lock().unwrap_or_else(PoisonError::into_inner).remove(&instance);
        // One that ends twice is counted once.
        let Some(began) = began else { return };
        self.0.took.lock().unwrap_or_else(PoisonError::into_inner).push(began.elapsed());
        let ended = self.0.ended.fetch_add(1, Ordering::Relaxed) + 1;
        if ended == self.0.wanted.load(Ordering::Relaxed) {
            self.0.done.notify_one();
        }
    }

    pub(crate) fn ended(&self) -> u64 {
        self.0.ended.load(Ordering::Relaxed)
    }

    /// Waits until all have ended; gives how long each took, in order.
    pub(crate) async fn all(&self) -> Vec<Duration> {
        self.0.done.notified().await;
        let mut took =
            std::mem::take(&mut *self.0.took.lock().unwrap_or_else(PoisonError::into_inner));
        took.sort_unstable();
        took
    }
}

/// An order of about 600 bytes, as those of other measurements.
#[payload]
pub(crate) struct Order {
    pub(crate) order_id: String,
    pub(crate) customer: String,
    pub(crate) lines: Vec<String>,
    pub(crate) reserved: bool,
    pub(crate) charged: bool,
    pub(crate) shipped: bool,
}

impl Order {
    pub(crate) fn new(number: u32) -> Self {
        let line = |line: u32| {
            format!("product {line:>8}, 3 pieces, 19.90 each, packed as a gift, no card")
        };
        Self {
            order_id: format!("order-{number:08}"),
            customer: "ada".to_owned(),
            lines: (0..8).map(line).collect(),
            reserved: false,
            charged: false,
            shipped: false,
        }
    }
}

#[workflow(id = "measured", concurrency = 64)]
impl Order {
    #[stage(irreversible)]
    async fn reserve(&mut self) {
        self.reserved = true;
    }

    #[stage(irreversible)]
    async fn charge(&mut self) {
        self.charged = true;
    }

    #[stage(irreversible)]
    async fn ship(&mut self, stage: StageInfo, clock: State<Clock>) {
        self.shipped = true;
        clock.end(stage.instance);
    }
}

/// An id that no earlier turn has used.
pub(crate) fn id_of(number: u32) -> Uuid {
    static TURN: AtomicU64 = AtomicU64::new(1);
    let turn = if number == 0 {
        TURN.fetch_add(1, Ordering::Relaxed) + 1
    } else {
        TURN.load(Ordering::Relaxed)
    };
    let run =
        std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    Uuid::new_v5(&Uuid::NAMESPACE_OID, format!("{}:{turn}:{number}", run.as_secs()).as_bytes())
}

/// A service with the workflow, on a connection of its own.
pub(crate) async fn start(amqp: &str, store: &str, clock: &Clock) -> Measured<Running> {
    let transport = AmqpTransport::connect(AmqpConfig::new(amqp)).await?;
    let transport: Arc<dyn mmate::transport::Transport> = Arc::new(transport);
    let app = App::builder().name("flows").transport(transport).workflow::<Order>();
    let app = app.config("workflows.store", store).config("consume.prefetch", 128);
    Ok(app.provide(clock.clone()).start().await?)
}
