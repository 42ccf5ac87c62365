//! What is settled is settled; what is not comes again.

use std::collections::BTreeSet;

use super::behaviour::{Checked, ensure, list};
use super::bench::{Bench, to_queue, within};
use super::consumer::{Consumer, text};
use crate::transport::{Outgoing, Queue, Settlement};

list![
    an_acknowledged_message_is_gone,
    settlements_may_come_in_any_order,
    an_unsettled_message_comes_again_after_its_subscription,
    an_unsettled_message_comes_again_after_its_connection,
    a_message_that_nobody_saw_comes_again,
    a_requeued_message_comes_again,
    a_redelivered_message_is_marked,
    a_redelivered_message_is_unchanged,
    the_delivery_count_grows[DeliveryCount],
    a_rejected_message_goes_to_the_dead_letter_queue[DeadLetter],
    a_dead_letter_keeps_body_id_and_headers[DeadLetter],
    a_rejected_message_without_a_dead_letter_queue_is_gone,
    a_settlement_after_the_loss_does_nothing,
];

async fn queue_with(bench: &Bench, bodies: &[&str]) -> Result<String, super::Failure> {
    let queue = bench.queue("q").await?;
    bench.fill(&queue, bodies).await?;
    Ok(queue)
}

/// A queue and its dead-letter queue.
async fn queue_with_dead_letters(bench: &Bench) -> Result<(String, String), super::Failure> {
    let dead = bench.queue("dead").await?;
    let queue = bench.name("q");
    bench.declare(Queue::new(&queue).dead_letter(&dead)).await?;
    Ok((queue, dead))
}

/// A message whose id and header are to be found again.
fn marked(queue: &str) -> Outgoing {
    let mut outgoing = to_queue(queue, "body");
    outgoing.properties.message_id = Some("id-1".into());
    outgoing.properties.correlation_id = Some("correlation-1".into());
    outgoing.properties.headers.set("tenant", "north");
    outgoing.properties.headers.set("weight", 12_i64);
    outgoing
}

/// Checks that the next delivery is the message of [`marked`].
async fn ensure_marked(consumer: &mut Consumer) -> Checked {
    let delivery = consumer.expect("body").await?;
    let properties = &delivery.properties;
    let sent = marked("").properties;
    ensure!(
        properties.message_id == sent.message_id
            && properties.correlation_id == sent.correlation_id,
        "the ids came as {:?} and {:?}",
        properties.message_id,
        properties.correlation_id
    );
    for (name, value) in sent.headers.iter() {
        let came = properties.headers.get(name);
        ensure!(came == Some(value), "the header `{name}` came as {came:?}, not {value:?}");
    }
    consumer.settle(&delivery, Settlement::Ack).await
}

async fn an_acknowledged_message_is_gone(bench: &Bench) -> Checked {
    let queue = queue_with(bench, &["done"]).await?;
    let mut consumer = bench.consume(&queue, 1).await?;
    consumer.ack_next("done").await?;
    drop(consumer);
    bench.ensure_empty(&queue).await
}

async fn settlements_may_come_in_any_order(bench: &Bench) -> Checked {
    let queue = queue_with(bench, &["1", "2", "3", "4"]).await?;
    let mut consumer = bench.consume(&queue, 4).await?;
    let mut held = Vec::new();
    for body in ["1", "2", "3", "4"] {
        held.push(consumer.expect(body).await?);
    }
    for at in [3, 0, 2] {
        consumer.settle(&held[at], Settlement::Ack).await?;
    }
    drop(consumer);
    let mut consumer = bench.consume(&queue, 1).await?;
    consumer.ack_next("2").await?;
    drop(consumer);
    bench.ensure_empty(&queue).await
}

async fn an_unsettled_message_comes_again_after_its_subscription(bench: &Bench) -> Checked {
    let queue = queue_with(bench, &["held"]).await?;
    let mut consumer = bench.consume(&queue, 1).await?;
    consumer.expect("held").await?;
    drop(consumer);
    bench.consume(&queue, 1).await?.ack_next("held").await
}

async fn an_unsettled_message_comes_again_after_its_connection(bench: &Bench) -> Checked {
    let queue = queue_with(bench, &["held"]).await?;
    let other = bench.connect().await?;
    let mut consumer = bench.consume_on(&other, &queue, 1).await?;
    consumer.expect("held").await?;
    within("closing", other.close()).await?;
    bench.consume(&queue, 1).await?.ack_next("held").await
}

async fn a_message_that_nobody_saw_comes_again(bench: &Bench) -> Checked {
    let queue = queue_with(bench, &["1", "2", "3"]).await?;
    let mut consumer = bench.consume(&queue, 3).await?;
    consumer.ack_next("1").await?;
    drop(consumer);
    let mut consumer = bench.consume(&queue, 3).await?;
    // Not in their old order on every broker.
    let mut came = BTreeSet::new();
    for _ in 0..2 {
        came.insert(text(&consumer.next().await?).into_owned());
    }
    ensure!(came.iter().eq(["2", "3"]), "`2` and `3` were to come, {came:?} came");
    Ok(())
}

async fn a_requeued_message_comes_again(bench: &Bench) -> Checked {
    let queue = queue_with(bench, &["again"]).await?;
    let mut consumer = bench.consume(&queue, 1).await?;
    let delivery = consumer.expect("again").await?;
    consumer.settle(&delivery, Settlement::Requeue).await?;
    consumer.ack_next("again").await?;
    drop(consumer);
    bench.ensure_empty(&queue).await
}

async fn a_redelivered_message_is_marked(bench: &Bench) -> Checked {
    let queue = queue_with(bench, &["again"]).await?;
    let mut consumer = bench.consume(&queue, 1).await?;
    let delivery = consumer.expect("again").await?;
    consumer.settle(&delivery, Settlement::Requeue).await?;
    let delivery = consumer.expect("again").await?;
    ensure!(
        delivery.redelivered && delivery.earlier_deliveries() > 0,
        "it came again with redelivered={} and {} earlier deliveries",
        delivery.redelivered,
        delivery.earlier_deliveries()
    );
    consumer.settle(&delivery, Settlement::Ack).await
}

async fn a_redelivered_message_is_unchanged(bench: &Bench) -> Checked {
    let queue = bench.queue("q").await?;
    bench.publish(marked(&queue)).await?;
    let mut consumer = bench.consume(&queue, 1).await?;
    let delivery = consumer.expect("body").await?;
    consumer.settle(&delivery, Settlement::Requeue).await?;
    ensure_marked(&mut consumer).await
}

async fn the_delivery_count_grows(bench: &Bench) -> Checked {
    let queue = queue_with(bench, &["again"]).await?;
    let mut consumer = bench.consume(&queue, 1).await?;
    for earlier in 0..4 {
        let delivery = consumer.expect("again").await?;
        ensure!(
            delivery.earlier_deliveries() == earlier,
            "delivered {earlier} times before, the broker counts {:?}",
            delivery.delivery_count
        );
        consumer.settle(&delivery, Settlement::Requeue).await?;
    }
    consumer.ack_next("again").await
}

async fn a_rejected_message_goes_to_the_dead_letter_queue(bench: &Bench) -> Checked {
    let (queue, dead) = queue_with_dead_letters(bench).await?;
    bench.fill(&queue, &["bad"]).await?;
    let mut consumer = bench.consume(&queue, 1).await?;
    let delivery = consumer.expect("bad").await?;
    consumer.settle(&delivery, Settlement::Reject).await?;
    bench.consume(&dead, 1).await?.ack_next("bad").await?;
    drop(consumer);
    bench.ensure_empty(&queue).await?;
    bench.ensure_empty(&dead).await
}

async fn a_dead_letter_keeps_body_id_and_headers(bench: &Bench) -> Checked {
    let (queue, dead) = queue_with_dead_letters(bench).await?;
    bench.publish(marked(&queue)).await?;
    let mut consumer = bench.consume(&queue, 1).await?;
    let delivery = consumer.expect("body").await?;
    consumer.settle(&delivery, Settlement::Reject).await?;
    ensure_marked(&mut bench.consume(&dead, 1).await?).await
}

async fn a_rejected_message_without_a_dead_letter_queue_is_gone(bench: &Bench) -> Checked {
    let queue = queue_with(bench, &["bad"]).await?;
    let mut consumer = bench.consume(&queue, 1).await?;
    let delivery = consumer.expect("bad").await?;
    consumer.settle(&delivery, Settlement::Reject).await?;
    drop(consumer);
    bench.ensure_empty(&queue).await
}

async fn a_settlement_after_the_loss_does_nothing(bench: &Bench) -> Checked {
    let queue = queue_with(bench, &["held"]).await?;
    let other = bench.connect().await?;
    let mut lost = bench.consume_on(&other, &queue, 1).await?;
    let delivery = lost.expect("held").await?;
    within("closing", other.close()).await?;
    lost.lost().await?;
    lost.settle_late(&delivery, Settlement::Ack).await?;
    // It is not the lost delivery that is acknowledged, nor the one that follows it.
    let mut consumer = bench.consume(&queue, 1).await?;
    lost.settle_late(&delivery, Settlement::Ack).await?;
    let delivery = consumer.expect("held").await?;
    lost.settle_late(&delivery, Settlement::Ack).await?;
    drop((consumer, lost));
    bench.consume(&queue, 1).await?.ack_next("held").await
}
