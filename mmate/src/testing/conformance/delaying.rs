//! Messages that the broker keeps back.

use std::time::Duration;

use tokio::time::Instant;

use super::behaviour::{Checked, ensure, list};
use super::bench::{Bench, ensure_refused, to_exchange, to_queue, within};
use crate::transport::{ExchangeKind, Outgoing, PublishErrorKind, Settlement};

list![
    a_delayed_message_is_kept_back[Delay],
    a_short_delay_does_not_wait_behind_a_long_one[Delay],
    a_delayed_message_is_unchanged[Delay],
    a_delayed_message_outlives_its_sender[Delay],
    only_a_message_to_a_queue_can_be_delayed[Delay],
];

const SHORT: Duration = Duration::from_secs(1);
const LONG: Duration = Duration::from_secs(3);

fn delayed(queue: &str, body: &str, delay: Duration) -> Outgoing {
    to_queue(queue, body).delayed(delay)
}

async fn a_delayed_message_is_kept_back(bench: &Bench) -> Checked {
    let queue = bench.queue("q").await?;
    let began = Instant::now();
    bench.publish(delayed(&queue, "later", SHORT)).await?;
    bench.fill(&queue, &["now"]).await?;
    let mut consumer = bench.consume(&queue, 1).await?;
    consumer.ack_next("now").await?;
    consumer.ack_next("later").await?;
    let waited = began.elapsed();
    ensure!(
        waited * 2 >= SHORT,
        "a delay of {SHORT:?} was asked for, and it came after {waited:?}"
    );
    drop(consumer);
    bench.ensure_empty(&queue).await
}

async fn a_short_delay_does_not_wait_behind_a_long_one(bench: &Bench) -> Checked {
    let queue = bench.queue("q").await?;
    bench.publish(delayed(&queue, "long", LONG)).await?;
    bench.publish(delayed(&queue, "short", SHORT)).await?;
    let mut consumer = bench.consume(&queue, 1).await?;
    consumer.ack_next("short").await?;
    consumer.ack_next("long").await
}

async fn a_delayed_message_is_unchanged(bench: &Bench) -> Checked {
    let queue = bench.queue("q").await?;
    let mut outgoing = delayed(&queue, "body", SHORT);
    let properties = &mut outgoing.properties;
    properties.message_id = Some("id-1".into());
    properties.correlation_id = Some("correlation-1".into());
    properties.message_type = Some("OrderPlaced".into());
    properties.app_id = Some("orders".into());
    properties.priority = Some(7);
    properties.headers.set("tenant", "acme");
    let sent = outgoing.properties.clone();
    bench.publish(outgoing).await?;
    let mut consumer = bench.consume(&queue, 1).await?;
    let delivery = consumer.expect("body").await?;
    ensure!(delivery.properties == sent, "sent as {sent:?}, came as {:?}", delivery.properties);
    let (redelivered, earlier) = (delivery.redelivered, delivery.earlier_deliveries());
    ensure!(!redelivered && earlier == 0, "redelivered={redelivered}, {earlier} times before");
    consumer.settle(&delivery, Settlement::Ack).await
}

async fn a_delayed_message_outlives_its_sender(bench: &Bench) -> Checked {
    let queue = bench.queue("q").await?;
    let sender = bench.connect().await?;
    within("publishing", sender.publish(delayed(&queue, "later", SHORT))).await??;
    within("closing", sender.close()).await?;
    bench.consume(&queue, 1).await?.ack_next("later").await
}

async fn only_a_message_to_a_queue_can_be_delayed(bench: &Bench) -> Checked {
    bench.bound("q", ExchangeKind::Topic, &["key"]).await?;
    let outgoing = to_exchange(ExchangeKind::Topic, &bench.name("key"), "later").delayed(SHORT);
    ensure_refused(bench.try_publish(outgoing).await?, PublishErrorKind::Invalid)
}
