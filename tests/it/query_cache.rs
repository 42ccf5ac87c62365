//! Answers of query handlers that are given again: on the virtual clock, then on every transport.

mod everywhere;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use mmate::contract::{Headers, Location};
use mmate::handler::{CachePolicy, HandlerEntry};
use mmate::observability::Fate;
use mmate::prelude::*;
use mmate::publish::Publisher;
use mmate::transport::{Properties, Transport};
use mmate_tests::publish_raw;

#[message(query, reply = LookedUp)]
struct LookUp {
    item: String,
}

#[message(reply)]
struct LookedUp {
    item: String,
    /// The number of the call that gave the answer.
    call: usize,
}

#[message(event)]
struct LookUpMade {
    item: String,
}

#[derive(Debug, thiserror::Error, MessageError)]
enum PriceError {
    #[error("the price list is away")]
    #[class(transient)]
    Away,
    #[error("we do not sell this")]
    #[class(reject = "UNKNOWN_ITEM")]
    Unknown,
}

/// The calls by item, and what keeps them from ending.
#[derive(Clone, Default)]
struct Prices(Arc<Inner>);

#[derive(Default)]
struct Inner {
    calls: Mutex<BTreeMap<String, usize>>,
    total: AtomicUsize,
    away: AtomicBool,
}

impl Prices {
    fn call(&self, item: &str) -> usize {
        *self.0.calls.lock().unwrap().entry(item.to_owned()).or_default() += 1;
        self.0.total.fetch_add(1, Ordering::Relaxed) + 1
    }

    fn calls(&self, item: &str) -> usize {
        self.0.calls.lock().unwrap().get(item).copied().unwrap_or_default()
    }

    fn set_away(&self, away: bool) {
        self.0.away.store(away, Ordering::Relaxed);
    }
}

#[handler(concurrency = 8, timeout = "10s", retry(attempts = 2, backoff = fixed("100ms"), jitter = 0.0), cache(ttl = "1m", size = 2))]
async fn price(
    query: LookUp,
    prices: State<Prices>,
    publisher: Publisher,
    context: Context,
) -> Result<LookedUp> {
    let call = prices.call(&query.item);
    publisher.publish(LookUpMade { item: query.item.clone() }).await?;
    match query.item.as_str() {
        "unknown" => Err(PriceError::Unknown.into()),
        "broken" => panic!("the price list is broken"),
        "hang" => std::future::pending().await,
        "away once" if context.attempt() == 1 => Err(PriceError::Away.into()),
        item if item.starts_with("slow") => {
            tokio::time::sleep(Duration::from_secs(2)).await;
            if prices.0.away.load(Ordering::Relaxed) && call == 1 {
                return Err(PriceError::Away.into());
            }
            Ok(LookedUp { item: query.item, call })
        }
        _ => Ok(LookedUp { item: query.item, call }),
    }
}

/// A query as a caller with a reply queue of its own sends it.
async fn ask(transport: &Arc<dyn Transport>, queue: &str, item: &str, caller: &str, tenant: &str) {
    let id = format!("{caller}-{item}-{tenant}").replace(' ', "-");
    let payload = serde_json::json!({"replyTo": caller, "item": item});
    let body = serde_json::json!({
        "id": id, "type": "LookUp", "timestamp": "2026-01-01T00:00:00Z", "correlationId": id, "payload": payload
    });
    let headers: Headers = [("tenant".to_owned(), tenant.into())].into_iter().collect();
    let mut properties = Properties::default();
    (properties.headers, properties.message_id) = (headers, Some(id.into()));
    publish_raw(transport, queue, properties, body.to_string()).await;
}

struct Shop {
    app: TestApp,
    prices: Prices,
    transport: Arc<dyn Transport>,
}

const QUEUE: &str = "qry.shop.LookUp";

impl Shop {
    async fn open() -> Self {
        let prices = Prices::default();
        let app = TestApp::builder().name("shop").handler::<price>().provide(prices.clone());
        let app = app.config("wire.flow_headers", "tenant").start().await.expect("the app starts");
        let transport: Arc<dyn Transport> = Arc::new(app.transport().clone());
        Self { app, prices, transport }
    }

    async fn ask(&self, item: &str, caller: &str) {
        ask(&self.transport, QUEUE, item, caller, "acme").await;
    }

    async fn ask_and_settle(&self, item: &str, caller: &str) {
        self.ask(item, caller).await;
        self.app.settle().await;
    }

    /// The numbers of the calls whose answers were given, in order.
    fn answers(&self) -> Vec<usize> {
        self.app.published::<LookedUp>().all().iter().map(|reply| reply.message.call).collect()
    }

    fn handled(&self, reason: Option<&str>) -> u64 {
        let sums = self.app.ledger().sums();
        let handled =
            sums.iter().filter(|sum| sum.fate == Fate::Handled && sum.reason.as_deref() == reason);
        handled.map(|sum| sum.count).sum()
    }
}

#[tokio::test(start_paused = true)]
async fn a_repeated_query_is_answered_without_the_handler() {
    let shop = Shop::open().await;
    for caller in ["ada", "bob", "cy"] {
        shop.ask_and_settle("tea", caller).await;
    }
    assert_eq!(shop.prices.calls("tea"), 1);
    assert_eq!(shop.answers(), [1, 1, 1]);
    assert_eq!(shop.app.counts().handled, 3);
    assert_eq!((shop.handled(None), shop.handled(Some("cached"))), (1, 2));
    let replies = shop.app.published::<LookedUp>().all();
    let flows: Vec<_> =
        replies.iter().map(|reply| reply.meta.correlation_id.as_deref().unwrap_or("-")).collect();
    assert_eq!(flows, ["ada-tea-acme", "bob-tea-acme", "cy-tea-acme"], "each has its own flow");
    let mut ids: Vec<_> = replies.iter().map(|reply| reply.meta.id.clone()).collect();
    ids.sort();
    ids.dedup();
    assert_eq!(ids.len(), 3);
    assert_eq!(shop.app.published::<LookUpMade>().count(), 1, "the outbox belongs to the call");
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_is_too_old_is_not_given() {
    let shop = Shop::open().await;
    shop.ask_and_settle("tea", "ada").await;
    shop.app.advance(Duration::from_secs(59)).await;
    shop.ask_and_settle("tea", "bob").await;
    shop.app.advance(Duration::from_secs(1)).await;
    shop.ask_and_settle("tea", "cy").await;
    assert_eq!(shop.answers(), [1, 1, 2]);
}

#[tokio::test(start_paused = true)]
async fn the_answer_that_nobody_asked_for_makes_room() {
    let shop = Shop::open().await;
    for (item, caller) in [("a", "1"), ("b", "2"), ("a", "3"), ("c", "4"), ("a", "5"), ("b", "6")] {
        shop.ask_and_settle(item, caller).await;
    }
    let calls = ["a", "b", "c"].map(|item| shop.prices.calls(item));
    assert_eq!(calls, [1, 2, 1], "`b` was pushed out by `c`");
}

#[tokio::test(start_paused = true)]
async fn tenants_never_see_each_others_answers() {
    let shop = Shop::open().await;
    for tenant in ["acme", "other", "acme", "other"] {
        ask(&shop.transport, QUEUE, "tea", "ada", tenant).await;
        shop.app.settle().await;
    }
    assert_eq!(shop.answers(), [1, 2, 1, 2]);
}

#[tokio::test(start_paused = true)]
async fn equal_queries_at_a_time_are_one_call() {
    let shop = Shop::open().await;
    let began = tokio::time::Instant::now();
    for caller in 0..8 {
        shop.ask("slow tea", &caller.to_string()).await;
    }
    shop.app.settle().await;
    assert_eq!((shop.prices.calls("slow tea"), shop.answers()), (1, vec![1; 8]));
    assert_eq!(began.elapsed().as_secs(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_failed_call_concerns_its_own_message_and_the_next_one_calls() {
    let shop = Shop::open().await;
    shop.prices.set_away(true);
    for caller in 0..4 {
        shop.ask("slow tea", &caller.to_string()).await;
    }
    shop.app.settle().await;
    assert_eq!(shop.prices.calls("slow tea"), 2);
    let counts = shop.app.counts();
    assert_eq!((counts.handled, counts.retried), (4, 1), "only the first failed: {counts:?}");
    assert_eq!(shop.answers(), [2; 4], "its second attempt found the answer");
}

#[tokio::test(start_paused = true)]
async fn refusals_and_failures_are_not_kept() {
    let shop = Shop::open().await;
    for (item, calls) in [("unknown", 1), ("broken", 2), ("hang", 2)] {
        for caller in ["ada", "bob"] {
            shop.ask_and_settle(item, caller).await;
        }
        assert_eq!(shop.prices.calls(item), calls * 2, "{item}");
    }
    let counts = shop.app.counts();
    assert_eq!((counts.rejected, counts.dead_lettered, counts.handled), (2, 4, 0));
    let reasons: Vec<_> =
        shop.app.dead_letters(QUEUE).iter().map(|dead| dead.reason().to_owned()).collect();
    assert_eq!(reasons, ["panic", "panic", "timeout", "timeout"]);
}

#[handler(retry(attempts = 1), breaker(failures = 1, reset = "1m"), fallback = guess, cache = "1h")]
async fn guarded(query: LookUp, prices: State<Prices>) -> Result<LookedUp> {
    let call = prices.call(&query.item);
    if prices.0.away.load(Ordering::Relaxed) {
        return Err(PriceError::Away.into());
    }
    Ok(LookedUp { item: query.item, call })
}

async fn guess(query: LookUp, _prices: State<Prices>) -> Result<LookedUp> {
    Ok(LookedUp { item: query.item, call: 0 })
}

#[tokio::test(start_paused = true)]
async fn answers_are_given_while_the_breaker_is_open_and_those_of_a_fallback_are_not_kept() {
    let prices = Prices::default();
    let app = TestApp::builder().name("shop").handler::<guarded>().provide(prices.clone());
    let app = app.start().await.expect("the app starts");
    let transport: Arc<dyn Transport> = Arc::new(app.transport().clone());
    let shop = Shop { app, prices, transport };
    shop.ask_and_settle("tea", "1").await;
    shop.prices.set_away(true);
    shop.ask_and_settle("coffee", "2").await;
    // From here on the breaker is open.
    shop.ask_and_settle("tea", "3").await;
    shop.ask_and_settle("coffee", "4").await;
    shop.prices.set_away(false);
    shop.app.advance(Duration::from_secs(60)).await;
    shop.ask_and_settle("coffee", "5").await;
    assert_eq!(shop.answers(), [1, 0, 1, 0, 3]);
    assert_eq!((shop.app.counts().handled, shop.app.counts().fallen_back), (3, 2));
}

#[message(command)]
struct SetLookUp {
    item: String,
}

/// What `#[handler]` refuses while compiling.
struct ByHand;

impl mmate::handler::Handler for ByHand {
    const ENTRY: &'static HandlerEntry = &HandlerEntry::new(
        "by_hand",
        Location { module: module_path!(), file: file!(), line: line!() },
        SetLookUp::INFO,
        |_| (),
        |_| Err(HandlerError::msg("never called")),
    )
    .cache(CachePolicy::new(0));
}

#[tokio::test(start_paused = true)]
async fn a_cache_that_keeps_nothing_or_of_a_command_refuses_the_boot() {
    let app = TestApp::builder().name("shop").handler::<ByHand>().start().await;
    let error = app.expect_err("the boot is refused").to_string();
    let says = [
        "handler `by_hand` has a `cache`, and `SetLookUp` is a command: only answers to queries are kept",
        "handler `by_hand` has a `cache` that keeps nothing",
    ];
    assert!(says.iter().all(|text| error.contains(text)), "{error}");
}
