//! Who gets a message, when, and how it ends.

use std::collections::BTreeSet;

use super::Failure;
use super::behaviour::{Checked, ensure, list};
use super::bench::{Bench, within};
use super::consumer::{text, waited, waited_in_vain};
use crate::transport::{Intake, QueueStats, Settlement, SubscribeOptions, TransportErrorKind};

list![
    a_waiting_consumer_is_woken,
    the_messages_of_a_queue_come_in_order,
    the_prefetch_is_never_exceeded,
    a_settlement_makes_room_for_the_next_message,
    competing_consumers_share_a_queue[CompetingConsumers],
    a_missing_queue_cannot_be_consumed,
    a_deleted_queue_is_a_loss_to_its_consumer,
    a_cancelled_consumer_gets_nothing_new,
    a_cancelled_consumer_ends,
    what_a_cancelled_consumer_holds_can_be_settled,
    a_dropped_subscription_is_no_consumer,
];

async fn a_waiting_consumer_is_woken(bench: &Bench) -> Checked {
    let queue = bench.queue("q").await?;
    for body in ["1", "2"] {
        let consumer = bench.consume(&queue, 1).await?;
        let waiting = consumer.wait_apart().await;
        bench.fill(&queue, &[body]).await?;
        let (mut consumer, delivery) = waited(waiting, body).await?;
        consumer.settle(&delivery, Settlement::Ack).await?;
    }
    Ok(())
}

async fn the_messages_of_a_queue_come_in_order(bench: &Bench) -> Checked {
    let queue = bench.queue("q").await?;
    let bodies: Vec<String> = (0..20).map(|number| number.to_string()).collect();
    let bodies: Vec<&str> = bodies.iter().map(String::as_str).collect();
    bench.fill(&queue, &bodies).await?;
    let mut consumer = bench.consume(&queue, 3).await?;
    for body in bodies {
        consumer.ack_next(body).await?;
    }
    Ok(())
}

async fn the_prefetch_is_never_exceeded(bench: &Bench) -> Checked {
    let queue = bench.queue("q").await?;
    bench.fill(&queue, &["1", "2", "3", "4"]).await?;
    let mut consumer = bench.consume(&queue, 2).await?;
    let first = consumer.expect("1").await?;
    consumer.expect("2").await?;
    consumer.ensure_silence("two are unsettled and the prefetch is 2").await?;
    consumer.settle(&first, Settlement::Ack).await?;
    consumer.expect("3").await?;
    consumer.ensure_silence("two are unsettled again").await
}

async fn a_settlement_makes_room_for_the_next_message(bench: &Bench) -> Checked {
    let queue = bench.name("q");
    bench.queue("q").await?;
    bench.fill(&queue, &["1", "2", "3"]).await?;
    let mut consumer = bench.consume(&queue, 1).await?;
    consumer.ack_next("1").await?;
    let delivery = consumer.expect("2").await?;
    consumer.settle(&delivery, Settlement::Reject).await?;
    consumer.ack_next("3").await
}

async fn competing_consumers_share_a_queue(bench: &Bench) -> Checked {
    let queue = bench.queue("q").await?;
    let bodies = ["0", "1", "2", "3", "4", "5", "6", "7", "8", "9"];
    bench.fill(&queue, &bodies).await?;
    // Each can hold one half, so each must get one half, whoever asks first.
    let other = bench.connect().await?;
    let mut consumers =
        [bench.consume(&queue, 5).await?, bench.consume_on(&other, &queue, 5).await?];
    let mut came = BTreeSet::new();
    for consumer in &mut consumers {
        let mut held = Vec::new();
        for _ in 0..5 {
            let delivery = consumer.next().await?;
            let body = text(&delivery).into_owned();
            ensure!(came.insert(body), "`{}` came twice", text(&delivery));
            held.push(delivery);
        }
        for delivery in &held {
            consumer.settle(delivery, Settlement::Ack).await?;
        }
    }
    drop(consumers);
    bench.ensure_empty(&queue).await
}

async fn a_missing_queue_cannot_be_consumed(bench: &Bench) -> Checked {
    let queue = bench.name("missing");
    let options = SubscribeOptions::new(&queue, 1);
    match within("subscribing", bench.transport().subscribe(options)).await? {
        Ok(_) => Err(Failure::new("the missing queue could be consumed")),
        Err(error) => {
            let kind = error.kind();
            ensure!(kind == TransportErrorKind::NotFound, "failed as {kind:?}: {error}");
            ensure!(error.to_string().contains(&queue), "the text names no queue: {error}");
            Ok(())
        }
    }
}

async fn a_deleted_queue_is_a_loss_to_its_consumer(bench: &Bench) -> Checked {
    let queue = bench.queue("q").await?;
    let waiting = bench.consume(&queue, 1).await?.wait_apart().await;
    let other = bench.connect().await?;
    within("deleting a queue", other.delete_queue(&queue)).await??;
    let error = waited_in_vain(waiting).await?;
    ensure!(error.to_string().contains(&queue), "the text names no queue: {error}");
    Ok(())
}

async fn a_cancelled_consumer_gets_nothing_new(bench: &Bench) -> Checked {
    let queue = bench.queue("q").await?;
    let mut cancelled = bench.consume(&queue, 10).await?;
    cancelled.cancel().await?;
    bench.ensure_stats(&queue, Some(QueueStats::new(0, 0))).await?;
    bench.fill(&queue, &["new"]).await?;
    bench.consume(&queue, 10).await?.ack_next("new").await
}

async fn a_cancelled_consumer_ends(bench: &Bench) -> Checked {
    let queue = bench.queue("q").await?;
    let mut consumer = bench.consume(&queue, 10).await?;
    consumer.cancel().await?;
    match consumer.intake().await? {
        Intake::Ended => Ok(()),
        other => Err(Failure::new(format!("expected the end, got {other:?}"))),
    }
}

async fn what_a_cancelled_consumer_holds_can_be_settled(bench: &Bench) -> Checked {
    let queue = bench.queue("q").await?;
    bench.fill(&queue, &["1", "2"]).await?;
    let mut consumer = bench.consume(&queue, 2).await?;
    let first = consumer.expect("1").await?;
    let second = consumer.expect("2").await?;
    consumer.cancel().await?;
    consumer.settle(&first, Settlement::Ack).await?;
    consumer.settle(&second, Settlement::Requeue).await?;
    let mut next = bench.consume(&queue, 1).await?;
    next.ack_next("2").await?;
    drop((consumer, next));
    bench.ensure_empty(&queue).await
}

async fn a_dropped_subscription_is_no_consumer(bench: &Bench) -> Checked {
    let queue = bench.queue("q").await?;
    let consumer = bench.consume(&queue, 1).await?;
    bench.ensure_stats(&queue, Some(QueueStats::new(0, 1))).await?;
    drop(consumer);
    bench.ensure_stats(&queue, Some(QueueStats::new(0, 0))).await
}
