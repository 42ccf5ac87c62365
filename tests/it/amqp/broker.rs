//! What the tests share: a connection, names of their own, and patience with a limit.

use std::future::Future;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use mmate::contract::address::Address;
use mmate::transport::amqp::{AmqpConfig, AmqpTransport};
use mmate::transport::{
    Delivery, Intake, Outgoing, Properties, Queue, Settlement, SubscribeOptions, Subscription,
    Topology, Transport,
};

/// The longest that anything may take.
pub(super) const PATIENCE: Duration = Duration::from_secs(30);

/// The broker's URL.
pub(super) fn url() -> String {
    std::env::var("MMATE_TEST_AMQP_URL").unwrap_or_else(|_| {
        panic!("MMATE_TEST_AMQP_URL is not set: run `cargo xtask test`, which starts a broker")
    })
}

/// The URL with another authority (`user:password@host:port`) and path.
pub(super) fn url_with(authority: &str, path: &str) -> String {
    format!("amqp://{authority}/{path}")
}

/// Host and port of the broker.
pub(super) fn address() -> String {
    let url = url();
    let rest = url.split_once("://").unwrap().1;
    let authority = rest.split(['/', '?']).next().unwrap();
    let host = authority.rsplit('@').next().unwrap();
    if host.contains(':') { host.to_owned() } else { format!("{host}:5672") }
}

pub(super) async fn connect() -> AmqpTransport {
    connect_to(AmqpConfig::new(url())).await
}

pub(super) async fn connect_to(config: AmqpConfig) -> AmqpTransport {
    AmqpTransport::connect(config).await.expect("the test broker answers")
}

/// A name that no other test has.
pub(super) fn name(stem: &str) -> String {
    static COUNTER: AtomicU32 = AtomicU32::new(0);
    let nanos = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_nanos();
    format!("test.{stem}.{nanos:x}.{}", COUNTER.fetch_add(1, Ordering::Relaxed))
}

/// Declares one queue.
pub(super) async fn declare(transport: &AmqpTransport, queue: Queue) {
    let mut topology = Topology::default();
    topology.queue(queue);
    transport.declare(&topology).await.unwrap();
}

/// A persistent message for a queue, with this id.
pub(super) fn message(queue: &str, id: &str) -> Outgoing {
    Outgoing::new(Address::queue(queue), properties(id), format!("body of {id}"))
}

pub(super) fn properties(id: &str) -> Properties {
    let mut properties = Properties::default();
    properties.message_id = Some(id.into());
    properties.message_type = Some("TestMessage".into());
    properties
}

pub(super) async fn subscribe(
    transport: &AmqpTransport,
    queue: &str,
    prefetch: u16,
) -> Box<dyn Subscription> {
    transport.subscribe(SubscribeOptions::new(queue, prefetch)).await.unwrap()
}

/// The next delivery.
pub(super) async fn delivery(subscription: &mut Box<dyn Subscription>) -> Delivery {
    match within("a delivery", subscription.next()).await {
        Intake::Delivery(delivery) => delivery,
        other => panic!("a delivery was expected, not {other:?}"),
    }
}

/// Receives one message, acknowledges it, and ends the consumer.
pub(super) async fn take(transport: &AmqpTransport, queue: &str) -> Delivery {
    let mut subscription = subscribe(transport, queue, 1).await;
    let delivery = delivery(&mut subscription).await;
    subscription.settle(delivery.tag, Settlement::Ack);
    within("a flush", subscription.flush()).await.unwrap();
    delivery
}

pub(super) fn id(delivery: &Delivery) -> &str {
    delivery.properties.message_id.as_deref().unwrap_or("-")
}

/// Awaits, but not for ever.
pub(super) async fn within<T>(what: &str, work: impl Future<Output = T>) -> T {
    match tokio::time::timeout(PATIENCE, work).await {
        Ok(value) => value,
        Err(_) => panic!("{what} did not come within {PATIENCE:?}"),
    }
}

/// Asks until the answer is yes.
pub(super) async fn eventually(what: &str, mut check: impl AsyncFnMut() -> bool) {
    let ask = async {
        while !check().await {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    within(what, ask).await;
}

/// Waits until a queue holds so many messages that nobody has.
pub(super) async fn wait_ready(transport: &AmqpTransport, queue: &str, count: u64) {
    eventually(&format!("{count} ready messages in `{queue}`"), async || {
        let stats = transport.queue_stats(queue).await.unwrap();
        stats.is_some_and(|stats| stats.ready == count)
    })
    .await;
}
