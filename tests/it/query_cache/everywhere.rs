//! The same on every transport, in real time.

use mmate_tests::{Backend, Broker, eventually, on_every_transport, take, unique, wait_for_ready};
use tokio::sync::Semaphore;

use super::*;

/// Lets calls end, one for each permit.
#[derive(Clone)]
struct Gate(Arc<Semaphore>);

#[handler(concurrency = 16, timeout = "2m", retry(attempts = 2, backoff = fixed("1ms")), cache = "1h")]
async fn gated(
    query: LookUp,
    prices: State<Prices>,
    gate: State<Gate>,
    publisher: Publisher,
) -> Result<LookedUp> {
    let call = prices.call(&query.item);
    gate.0.acquire().await?.forget();
    match query.item.as_str() {
        "noisy" => {
            // No queue takes it.
            publisher.publish(LookUpMade { item: query.item.clone() }).await?;
            Ok(LookedUp { item: query.item, call })
        }
        "unknown" => Err(PriceError::Unknown.into()),
        "away once" if call == 1 => Err(PriceError::Away.into()),
        _ => Ok(LookedUp { item: query.item, call }),
    }
}

struct Service {
    broker: Broker,
    name: String,
    transport: Arc<dyn Transport>,
    replies: String,
    prices: Prices,
    gate: Gate,
    running: mmate::runtime::Running,
}

async fn start(backend: Backend) -> Service {
    let (broker, name, replies) = (backend.broker().await, unique("cache"), unique("rpl"));
    let prices = Prices::default();
    let gate = Gate(Arc::new(Semaphore::new(0)));
    let builder = broker.service(&name).await.handler::<gated>().provide(prices.clone());
    let builder = builder.provide(gate.clone());
    let builder = builder.config("wire.flow_headers", "tenant");
    let running = builder.start().await.expect("the service boots");
    let transport = broker.connect().await;
    let mut topology = mmate::transport::Topology::default();
    topology.queue(mmate::transport::Queue::new(&replies));
    transport.declare(&topology).await.expect("the reply queue is made");
    Service { broker, name, transport, replies, prices, gate, running }
}

impl Service {
    fn queue(&self) -> String {
        format!("qry.{}.LookUp", self.name)
    }

    async fn ask(&self, item: &str, tenant: &str) {
        ask(&self.transport, &self.queue(), item, &self.replies, tenant).await;
    }

    async fn reply(&self) -> serde_json::Value {
        let reply = take(&self.transport, &self.replies).await;
        let body: serde_json::Value = serde_json::from_slice(&reply.body).expect("a JSON envelope");
        body["payload"].clone()
    }

    /// Until so many messages are held, waiting or not.
    async fn holds(&self, count: u64) {
        eventually("the messages are taken", || async {
            self.running.health().consumers[0].in_flight == count
        })
        .await;
    }

    async fn ends_empty(self) {
        let queue = self.queue();
        let report = self.running.stop().await;
        assert!(report.drained, "{report}");
        wait_for_ready(&self.transport, &self.replies, 0).await;
        for queue in [self.replies, format!("dlq.{queue}"), queue] {
            wait_for_ready(&self.transport, &queue, 0).await;
            self.transport.delete_queue(&queue).await.expect("the queue is removed");
        }
        drop(self.broker);
    }
}

fn quoted(item: &str, call: usize) -> serde_json::Value {
    serde_json::json!({"item": item, "call": call, "success": true})
}

async fn equal_queries_are_answered_by_one_call(backend: Backend) {
    let service = start(backend).await;
    for _ in 0..10 {
        service.ask("tea", "acme").await;
    }
    service.holds(10).await;
    assert_eq!(service.prices.calls("tea"), 1);
    service.gate.0.add_permits(1);
    for _ in 0..10 {
        assert_eq!(service.reply().await, quoted("tea", 1));
    }
    // And from now on without waiting, but for another tenant.
    service.ask("tea", "acme").await;
    assert_eq!(service.reply().await, quoted("tea", 1));
    service.gate.0.add_permits(1);
    service.ask("tea", "other").await;
    assert_eq!(service.reply().await, quoted("tea", 2));
    service.ends_empty().await;
}

async fn a_refusal_is_each_callers_own(backend: Backend) {
    let service = start(backend).await;
    service.gate.0.add_permits(3);
    for calls in 1..=3 {
        service.ask("unknown", "acme").await;
        assert_eq!(service.reply().await["errorCode"], "UNKNOWN_ITEM");
        assert_eq!(service.prices.calls("unknown"), calls);
    }
    service.ends_empty().await;
}

/// The attempt fails although the handler succeeds. If its answer were kept, the next attempt would find it, and
/// the event would be lost without a word.
async fn an_answer_whose_events_did_not_leave_is_not_kept(backend: Backend) {
    let service = start(backend).await;
    service.gate.0.add_permits(2);
    service.ask("noisy", "acme").await;
    let dead = take(&service.transport, &format!("dlq.{}", service.queue())).await;
    let reason = dead.properties.headers.text(mmate::contract::headers::names::DEATH_REASON);
    assert_eq!((reason, service.prices.calls("noisy")), (Some("publish_failed"), 2));
    let told: serde_json::Value =
        serde_json::from_slice(&take(&service.transport, &service.replies).await.body).unwrap();
    assert_eq!(told["payload"]["errorCode"], "REQUEST_FAILED");
    service.ends_empty().await;
}

async fn after_a_failure_the_next_in_line_calls(backend: Backend) {
    let service = start(backend).await;
    for _ in 0..4 {
        service.ask("away once", "acme").await;
    }
    service.holds(4).await;
    service.gate.0.add_permits(2);
    for _ in 0..4 {
        assert_eq!(service.reply().await, quoted("away once", 2));
    }
    assert_eq!(service.prices.calls("away once"), 2);
    service.ends_empty().await;
}

async fn who_waits_for_an_answer_at_shutdown_is_left_at_once(backend: Backend) {
    let service = start(backend).await;
    for _ in 0..4 {
        service.ask("tea", "acme").await;
    }
    service.holds(4).await;
    let (queue, replies, transport) =
        (service.queue(), service.replies.clone(), Arc::clone(&service.transport));
    let ledger = service.running.ledger().clone();
    let stopping = tokio::spawn(service.running.stop());
    eventually("the others are left while the call goes on", || async {
        ledger.count(Fate::Left) == 3
    })
    .await;
    service.gate.0.add_permits(1);
    let report = stopping.await.expect("it stops");
    assert!(report.drained && report.counts.handled == 1, "{report}");
    wait_for_ready(&transport, &queue, 3).await;
    for queue in [queue.clone(), format!("dlq.{queue}"), replies] {
        transport.delete_queue(&queue).await.expect("the queue is removed");
    }
    drop(service.broker);
}

on_every_transport! {
    equal_queries_are_answered_by_one_call
    a_refusal_is_each_callers_own
    after_a_failure_the_next_in_line_calls
    an_answer_whose_events_did_not_leave_is_not_kept
    who_waits_for_an_answer_at_shutdown_is_left_at_once
}
