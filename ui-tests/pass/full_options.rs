//! Every attribute with every key.

use mmate::handler::{Context, HandlerResult as Result, State};
use mmate::publish::Publisher;
use mmate::reliability::MessageError as _;
use mmate::{MessageError, handler, message, payload, provider};

const PREFETCH: u16 = 64;

/// Asks the orders service to place an order.
///
/// Answered at once.
#[message(command, service = "orders", queue = "cmd.orders.create", reply = OrderPlaced, name = "Create",
          alias = ["PlaceOrder", "MakeOrder"], version = 2, priority = 9, ttl = "1h 30m", key = customer_id)]
pub struct CreateOrder {
    pub customer_id: String,
    pub items: Vec<OrderItem>,
    pub note: Option<String>,
}

#[message(reply)]
pub struct OrderPlaced {
    pub order_id: String,
}

#[message(event, aggregate = "order", key = order_id, alias = "OrderMade")]
#[derive(PartialEq, Clone)]
pub struct OrderCreated {
    pub order_id: u64,
}

#[message(query, reply = OrderPlaced)]
struct FindOrder {}

#[message(event)]
#[serde(tag = "status", rename_all = "kebab-case")]
pub enum OrderClosed {
    Shipped { tracking_code: Option<String> },
    Cancelled,
}

#[payload]
pub struct OrderItem {
    pub product_id: String,
}

#[payload]
pub enum Size {
    Small,
    Large,
}

#[payload]
pub struct Page<T> {
    pub items: Vec<T>,
}

pub struct Orders;
pub struct Clock;

#[provider]
async fn orders(clock: State<Clock>, publisher: Publisher) -> Result<Orders> {
    let _ = (clock, publisher);
    Ok(Orders)
}

#[provider]
fn clock() -> Clock {
    Clock
}

#[derive(Debug, MessageError)]
pub enum OrderError {
    #[class(transient)]
    Warehouse(std::io::Error),
    #[class(reject = "BLOCKED")]
    Blocked(String),
    Other { source: std::boxed::Box<dyn std::error::Error + Send + Sync> },
    /// Transparent: its own source is that of the error inside.
    Refused { source: mmate::reliability::Reject },
    Unclassified,
}

impl OrderError {
    fn verdict(self) -> mmate::reliability::Verdict {
        mmate::reliability::classify(&self)
    }
}

impl std::fmt::Display for OrderError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("order")
    }
}

impl std::error::Error for OrderError {}

const PLACES: u16 = 10;

fn waits(attempt: u32) -> std::time::Duration {
    std::time::Duration::from_secs(u64::from(attempt))
}

mod cache {
    pub(super) async fn find_order(_: super::FindOrder) -> super::Result<super::OrderPlaced> {
        Ok(super::OrderPlaced { order_id: "cached".to_owned() })
    }
}

/// Places orders.
#[handler(queue = "cmd.orders.create", topic = "cmd.orders.*", dead_letter = "dlq.orders", concurrency = 16,
          prefetch = PREFETCH, timeout = "30s", queue_type = classic, max_priority = 9,
          retry(attempts = 5, backoff = exponential("100ms", "30s"), jitter = 0.1))]
async fn create_order(cmd: CreateOrder, orders: State<Orders>, events: Publisher) -> Result<OrderPlaced, OrderError> {
    let _ = (cmd, orders, events);
    Err(OrderError::Unclassified)
}

#[handler(group = "mail", retry(attempts = 2, backoff = linear("1s", "30s")))]
async fn send_confirmation(OrderCreated { order_id }: OrderCreated, ctx: Context) -> Result {
    let _ = (order_id, ctx);
    Ok(())
}

#[handler(broadcast, breaker, rate(1, per = "1d"), bulkhead("mail", 1), retry(backoff = fixed("1s")))]
async fn forget(event: mmate::contract::Envelope<OrderCreated>) {
    let _ = event;
}

#[handler(breaker(failures = 3, reset = "1m", probes = 2, name = "orders"), rate(100, per = "1s", burst = 10),
          bulkhead("db", PLACES), fallback = cache::find_order, retry(backoff = custom(waits)))]
async fn find_order(_: FindOrder) -> Result<OrderPlaced> {
    Ok(OrderPlaced { order_id: String::new() })
}

#[handler(cache(ttl = "1h 30m", size = 50), broadcast)]
async fn find_again(_: FindOrder) -> Result<OrderPlaced> {
    Ok(OrderPlaced { order_id: String::new() })
}

#[handler(cache = "5m", fallback = cache::find_order, group = "third")]
async fn find_for_a_while(_: FindOrder) -> Result<OrderPlaced> {
    Ok(OrderPlaced { order_id: String::new() })
}

#[message(event)]
#[cfg(any())]
struct NotThere {
    of_a_type: NotThereEither,
}

#[handler]
#[cfg(any())]
async fn on_not_there(event: NotThere) {
    let _ = event;
}

#[provider]
#[cfg(any())]
fn not_there() -> NotThere {
    NotThere
}

#[mmate::main(worker_threads = 1, log = "warn", flags(dry_run = "Change nothing"))]
async fn main() -> std::result::Result<(), std::io::Error> {
    use mmate::contract::Message;
    use mmate::handler::Handler;
    let info = CreateOrder::INFO;
    assert_eq!(info.name, "Create");
    assert_eq!(info.aliases, ["PlaceOrder", "MakeOrder"]);
    assert_eq!(info.docs, "Asks the orders service to place an order.\n\nAnswered at once.");
    assert_eq!(info.location.line, 15);
    assert_eq!((info.version, info.priority, info.ttl_ms), (2, Some(9), Some(5_400_000)));
    assert_eq!((info.service, info.queue), (Some("orders"), Some("cmd.orders.create")));
    assert_eq!(info.reply.unwrap()().name, "OrderPlaced");
    assert_eq!(OrderCreated { order_id: 7 }.key().as_deref(), Some("7"));
    let entry = create_order::ENTRY;
    assert_eq!((entry.name, entry.docs), ("create_order", "Places orders."));
    assert_eq!(entry.message.name, "Create");
    assert_eq!(entry.options.prefetch, Some(64));
    limits();
    assert_eq!(mmate::handler::registered_handlers().len(), 6);
    assert_eq!(mmate::handler::registered_providers().len(), 2);
    assert_eq!(mmate::contract::registered_messages().len(), 5);
    let closed = OrderClosed::Shipped { tracking_code: None };
    assert_eq!(serde_json::to_string(&closed)?, r#"{"status":"shipped"}"#);
    let order = CreateOrder { customer_id: "7".into(), items: vec![], note: None };
    assert_eq!(serde_json::to_string(&order)?, r#"{"customerId":"7","items":[]}"#);
    let again: CreateOrder = serde_json::from_str(r#"{"customerId":"7","items":[]}"#)?;
    assert_eq!(again.note, None);
    errors();
    let _ = (Size::Small, Size::Large, Page { items: vec![1] });
    Ok(())
}

fn limits() {
    use mmate::handler::{Bulkhead, CachePolicy, Handler};
    use mmate::reliability::{BreakerPolicy, RatePolicy};
    let options = find_order::ENTRY.options;
    assert_eq!(options.breaker, Some(BreakerPolicy::new(3, 60_000, 2)));
    assert_eq!(options.breaker_name, Some("orders"));
    assert_eq!(options.rate, Some(RatePolicy::new(100, 1_000).burst(10)));
    assert_eq!(options.bulkhead, Some(Bulkhead::new("db", 10)));
    assert_eq!(options.fallback.map(|fallback| fallback.name), Some("find_order"));
    let backoff = options.retry.unwrap().backoff;
    assert_eq!(backoff.wait(7), std::time::Duration::from_secs(7));
    let cached = CachePolicy::new(5_400_000).size(50);
    assert_eq!(find_again::ENTRY.options.cache, Some(cached));
    assert_eq!(find_for_a_while::ENTRY.options.cache, Some(CachePolicy::new(300_000)));
    let options = forget::ENTRY.options;
    assert_eq!(options.breaker, Some(BreakerPolicy::DEFAULT));
    assert_eq!(options.rate, Some(RatePolicy::new(1, 86_400_000)));
    assert!(options.breaker_name.is_none() && options.fallback.is_none());
}

fn errors() {
    use mmate::reliability::{ErrorClass, Reject, Verdict};
    let policy = |class| Verdict::Policy(class, None);
    let io = || std::io::Error::other("away");
    assert_eq!(OrderError::Warehouse(io()).verdict(), policy(ErrorClass::Transient));
    assert_eq!(OrderError::Unclassified.verdict(), policy(ErrorClass::Unknown));
    let blocked = OrderError::Blocked("7".into());
    assert_eq!(blocked.class(), ErrorClass::Rejected { code: "BLOCKED" });
    let refusal = Reject::new("CLOSED", "the shop is closed");
    assert_eq!((OrderError::Refused { source: refusal.clone() }).verdict(), Verdict::Reject(refusal));
    let wrapped = OrderError::Other { source: OrderError::Warehouse(io()).into() };
    assert_eq!(wrapped.class(), ErrorClass::Transient);
    assert_eq!(wrapped.verdict(), policy(ErrorClass::Transient));
}
