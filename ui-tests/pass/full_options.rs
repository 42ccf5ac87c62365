//! Every attribute with every key.

use mmate::handler::{Context, HandlerResult as Result, State};
use mmate::publish::Publisher;
use mmate::reliability::MessageError as _;
use mmate::workflow::{Ended, StageInfo, StageKey};
use mmate::{MessageError, handler, message, payload, provider, workflow};

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

const RUNNING: u16 = 5;

#[payload]
pub struct OrderFlow {
    pub order_id: String,
    pub number: u64,
    pub parcels: u32,
}

#[payload]
pub struct Duty {
    pub cents: u64,
}

/// Takes an order from payment to shipment.
#[workflow(id = "order-processing", timeout = "10m", version = 2, prefix = "ecommerce.workflow.", concurrency = RUNNING * 2,
           events, complete)]
impl OrderFlow {
    const LIMIT: u32 = 3;

    /// Is all there?
    #[stage]
    async fn validate(&mut self) -> Result {
        Ok(())
    }

    #[stage(compensate = release, timeout = "20s", retry(attempts = 3, backoff = exponential("1s", "30s")))]
    async fn reserve(&mut self, orders: State<Orders>, key: StageKey, info: StageInfo) -> Result<(), OrderError> {
        let _ = (orders, key, info);
        Ok(())
    }

    #[stage(parallel = checks, irreversible)]
    async fn credit(&self, publisher: Publisher) -> Result<u32> {
        let _ = publisher;
        Ok(Self::LIMIT)
    }

    #[stage(parallel = checks, when = is_abroad, compensate = look)]
    pub async fn customs(&self, clock: State<Clock>) -> std::result::Result<Duty, OrderError> {
        let _ = clock;
        Ok(Duty { cents: 1 })
    }

    #[stage(parallel = checks, continue_on_failure)]
    async fn weigh(&self) -> Result<Self> {
        Ok(self.clone())
    }

    #[stage(join = checks, when = is_abroad, compensate = release, timeout = "1s")]
    async fn judge(&mut self, credit: u32, customs: Option<Duty>, weighed: Option<Self>, context: Context) {
        let _ = (credit, customs, weighed, context);
    }

    #[stage(repeat = has_more, delay = "1h", irreversible)]
    async fn pack(self: &mut Self, _: Option<Publisher>) {
        self.parcels -= 1;
    }

    #[stage(wait_for = OrderCreated, key = number, within = "1d", compensate = look, timeout = "1s", retry(attempts = 2),
            when = is_abroad, continue_on_failure)]
    async fn created(&mut self, event: OrderCreated, info: StageInfo) -> Result<(), OrderError> {
        let _ = (event, info);
        Ok(())
    }

    #[stage(wait_for = self::OrderCreated, key = order_id, within = "1h 30m")]
    async fn created_or_not(&mut self, _: Option<OrderCreated>) {}

    #[stage(reply = placed, delay = "1m", within = "2m", compensate = release, timeout = "5s", retry(attempts = 2))]
    async fn place(&self, orders: State<Orders>, key: StageKey) -> Result<CreateOrder, OrderError> {
        let _ = (orders, key);
        Ok(CreateOrder { customer_id: self.order_id.clone(), items: Vec::new(), note: None })
    }

    async fn placed(&mut self, OrderPlaced { order_id }: OrderPlaced, clock: State<Clock>) -> Result {
        let _ = clock;
        self.order_id = order_id;
        Ok(())
    }

    #[stage(reply = found, irreversible)]
    async fn find(&self) -> Result<FindOrder> {
        Ok(FindOrder {})
    }

    async fn found(self: &mut Self, _: OrderPlaced) {}

    #[stage(ended = ended, compensate = look)]
    async fn again(&self) -> Result<Self> {
        Ok(self.clone())
    }

    async fn ended(&mut self, ended: Ended<Self>) {
        self.order_id = ended.state.order_id;
    }

    #[cfg(any())]
    #[mmate::stage(wait_for = NotThere, key = not_there, within = "1h")]
    async fn waits_not_there(&mut self, of_a_type: NotThere) {}

    #[cfg(any())]
    #[mmate::stage(reply = reply_not_there)]
    async fn asks_not_there(&self) -> NotThere {}

    #[cfg(any())]
    async fn reply_not_there(&mut self, of_a_type: NotThere) {}

    #[cfg(any())]
    #[mmate::stage(compensate = undo_not_there, when = not_there_either)]
    async fn not_there(&mut self, of_a_type: NotThere) {}

    #[cfg(any())]
    #[mmate::stage(compensate = undo_not_there)]
    async fn not_there_again(&mut self) {}

    #[cfg(any())]
    async fn undo_not_there(&mut self) {}

    #[cfg(any())]
    fn not_there_either(&self) -> bool {}

    async fn release(&mut self, orders: State<Orders>) -> Result {
        let _ = orders;
        Ok(())
    }

    async fn look(&self) {}

    fn is_abroad(&self) -> bool {
        self.order_id.len() > 3
    }

    fn has_more(&self) -> bool {
        self.parcels > 0
    }
}

#[payload]
pub struct HTTPRelay2Go {}

#[workflow]
impl HTTPRelay2Go {
    #[stage]
    async fn go(&mut self) {}
}

#[workflow(id = "not-there")]
#[cfg(any())]
impl NotThere {
    #[stage(compensate = undo)]
    async fn go(&mut self) {}

    async fn undo(&mut self) {}
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
    assert_eq!(info.location.line, 16);
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
    workflows();
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

fn workflows() {
    use mmate::reliability::{Backoff, RetryPolicy};
    use mmate::workflow::{Shape, Workflow, registered_workflows};
    let entry = OrderFlow::ENTRY;
    assert_eq!((entry.id, entry.name, entry.version), ("order-processing", "OrderFlow", 2));
    assert_eq!(entry.docs, "Takes an order from payment to shipment.");
    assert_eq!((entry.timeout_ms, entry.prefix), (Some(600_000), Some("ecommerce.workflow.")));
    assert_eq!((entry.concurrency, entry.events), (Some(10), true));
    let names: Vec<&str> = entry.stages.iter().map(|stage| stage.name).collect();
    let (at_once, waiting) = names.split_at(7);
    assert_eq!(at_once, ["validate", "reserve", "credit", "customs", "weigh", "judge", "pack"]);
    assert_eq!(waiting, ["created", "created_or_not", "place", "find", "again"]);
    let [validate, reserve, credit, customs, weigh, judge, pack, ..] = entry.stages else { panic!("more stages") };
    assert_eq!((validate.docs, reserve.line - validate.line), ("Is all there?", 5));
    assert!(validate.can_fail && reserve.can_fail);
    assert_eq!(reserve.timeout_ms, Some(20_000));
    assert_eq!(reserve.retry, Some(RetryPolicy::new(3, Backoff::exponential_ms(1_000, 30_000))));
    assert_eq!(reserve.undo.map(|undo| undo.name), Some("release"));
    assert!(validate.undo.is_none() && validate.retry.is_none() && !validate.takes_services);
    let services = [reserve, credit, customs, pack].map(|stage| stage.takes_services);
    assert_eq!((services, weigh.takes_services, judge.takes_services), ([true; 4], false, false));
    assert_eq!((credit.shape, judge.shape), (Shape::Branch("checks"), Shape::Join("checks")));
    assert!(credit.irreversible && weigh.continue_on_failure && !pack.can_fail && !judge.can_fail);
    assert_eq!(customs.when.map(|test| test.name), Some("is_abroad"));
    assert_eq!((pack.repeat.map(|test| test.name), pack.delay_ms), (Some("has_more"), Some(3_600_000)));
    let has_more = pack.repeat.unwrap().test;
    assert!(has_more(r#"{"orderId":"7","number":1,"parcels":1}"#).unwrap());
    assert!(!has_more(r#"{"orderId":"7","number":1,"parcels":0}"#).unwrap());
    assert!(has_more("{}").is_err());
    stages_that_wait(&entry.stages[7..]);
    let relay = HTTPRelay2Go::ENTRY;
    assert_eq!((relay.id, relay.version, relay.timeout_ms, relay.events), ("http-relay2-go", 1, None, false));
    assert_eq!(registered_workflows().iter().map(|entry| entry.id).collect::<Vec<_>>(), ["http-relay2-go", "order-processing"]);
}

fn stages_that_wait(stages: &[mmate::workflow::StageEntry]) {
    use mmate::workflow::{Wait, Workflow};
    let [created, created_or_not, place, find, again] = stages else { panic!("five stages") };
    let (Some(Wait::Event(event)), Some(Wait::Event(other))) = (created.wait, created_or_not.wait) else { panic!("events") };
    let state = r#"{"orderId":"A","number":1,"parcels":1}"#;
    assert_eq!((event.info.name, (event.key)(state).unwrap()), ("OrderCreated", "1".to_owned()));
    assert_eq!((other.key)(state).unwrap(), "A");
    assert!((other.key)("{}").is_err());
    assert_eq!((created.within_ms, created_or_not.within_ms), (Some(86_400_000), Some(5_400_000)));
    assert!(!created.optional && created_or_not.optional);
    assert!(created.can_fail && !created_or_not.can_fail && !created.takes_services);
    let (Some(Wait::Reply(placing)), Some(Wait::Reply(finding))) = (place.wait, find.wait) else { panic!("replies") };
    assert_eq!((placing.request.name, finding.request.name), ("Create", "FindOrder"));
    assert_eq!((place.within_ms, find.within_ms, place.delay_ms), (Some(120_000), None, Some(60_000)));
    assert!(place.takes_services && place.can_fail && find.can_fail);
    let Some(Wait::Child(child)) = again.wait else { panic!("a child") };
    assert_eq!((child.workflow)().id, OrderFlow::ENTRY.id);
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
