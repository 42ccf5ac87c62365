//! Consuming: settling, giving back, losing and cancelling.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use mmate::contract::address::Address;
use mmate::transport::{
    Intake, Outgoing, Queue, QueueKind, Settlement, SubscribeOptions, Transport, TransportErrorKind,
};
use tokio::task::JoinSet;

use super::broker::{
    connect, declare, delivery, eventually, id, message, name, properties, subscribe, take,
    wait_ready, within,
};

#[tokio::test]
async fn a_missing_queue_is_an_error() {
    let transport = connect().await;
    let queue = name("missing");
    let error = transport.subscribe(SubscribeOptions::new(&queue, 1)).await.unwrap_err();
    assert_eq!(error.kind(), TransportErrorKind::NotFound);
    assert!(error.to_string().contains(&queue), "{error}");
}

#[tokio::test]
async fn a_deleted_queue_is_a_loss_that_is_reported() {
    let transport = connect().await;
    let queue = name("deleted");
    declare(&transport, Queue::new(&queue)).await;
    let mut subscription = subscribe(&transport, &queue, 10).await;
    transport.delete_queue(&queue).await.unwrap();
    let Intake::Lost(error) = within("the loss", subscription.next()).await else {
        panic!("a loss was expected");
    };
    assert!(error.to_string().contains(&queue), "{error}");
    assert!(error.is_transient());
}

#[tokio::test]
async fn what_needs_no_ack_is_forgotten_once_it_was_sent() {
    let transport = connect().await;
    let queue = name("auto-ack");
    declare(&transport, Queue::new(&queue)).await;
    for number in 0..30 {
        transport.publish(message(&queue, &number.to_string())).await.unwrap();
    }
    let options = SubscribeOptions::new(&queue, 1).auto_ack();
    let mut subscription = transport.subscribe(options).await.unwrap();
    for number in 0..30 {
        let delivery = delivery(&mut subscription).await;
        assert_eq!(id(&delivery), number.to_string(), "the prefetch of 1 limits nothing");
        if number % 2 == 0 {
            subscription.settle(delivery.tag, Settlement::Ack);
        }
    }
    within("the flush", subscription.flush()).await.unwrap();
    drop(subscription);
    eventually("the end of the consumer", async || {
        let stats = transport.queue_stats(&queue).await.unwrap();
        stats.is_some_and(|stats| stats.consumers == 0)
    })
    .await;
    transport.publish(message(&queue, "later")).await.unwrap();
    let next = take(&transport, &queue).await;
    assert_eq!((id(&next), next.redelivered), ("later", false), "none of them comes again");
}

async fn unsettled_come_back(queue: Queue, counted: bool) {
    let transport = connect().await;
    let name = queue.name.clone();
    declare(&transport, queue).await;
    for id in ["a", "b", "c"] {
        transport.publish(message(&name, id)).await.unwrap();
    }
    let mut subscription = subscribe(&transport, &name, 10).await;
    let first = delivery(&mut subscription).await;
    assert_eq!((first.redelivered, first.earlier_deliveries()), (false, 0));
    let second = delivery(&mut subscription).await;
    let third = delivery(&mut subscription).await;
    subscription.settle(second.tag, Settlement::Ack);
    subscription.settle(third.tag, Settlement::Requeue);
    let again = delivery(&mut subscription).await;
    assert_eq!(id(&again), "c");
    assert!(again.redelivered);
    assert_eq!(again.delivery_count, counted.then_some(1));
    assert_eq!(again.properties.headers.len(), 0, "the broker's count is no header of ours");
    drop(subscription);

    wait_ready(&transport, &name, 2).await;
    let mut subscription = subscribe(&transport, &name, 10).await;
    let mut ids = BTreeSet::new();
    for _ in 0..2 {
        let delivery = delivery(&mut subscription).await;
        assert!(delivery.redelivered);
        assert!(delivery.earlier_deliveries() >= 1);
        ids.insert(id(&delivery).to_owned());
        subscription.settle(delivery.tag, Settlement::Ack);
    }
    assert_eq!(ids, BTreeSet::from(["a".to_owned(), "c".to_owned()]));
}

#[tokio::test]
async fn unsettled_messages_of_a_quorum_queue_come_back_counted() {
    unsettled_come_back(Queue::new(name("back")), true).await;
}

#[tokio::test]
async fn unsettled_messages_of_a_classic_queue_come_back() {
    unsettled_come_back(Queue::new(name("back")).kind(QueueKind::Classic), false).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_acks_out_of_order_leave_nothing_behind() {
    const COUNT: usize = 1000;
    let transport = std::sync::Arc::new(connect().await);
    let queue = name("acks");
    declare(&transport, Queue::new(&queue)).await;
    let mut publishes = JoinSet::new();
    for number in 0..COUNT {
        let (transport, queue) = (std::sync::Arc::clone(&transport), queue.clone());
        publishes
            .spawn(async move { transport.publish(message(&queue, &number.to_string())).await });
    }
    while let Some(done) = publishes.join_next().await {
        done.unwrap().unwrap();
    }
    let mut subscription = subscribe(&transport, &queue, 50).await;
    let mut held = Vec::new();
    let mut slow = Vec::new();
    for number in 0..COUNT {
        let delivery = delivery(&mut subscription).await;
        match number % 100 {
            0 if slow.len() < 5 => slow.push(delivery.tag),
            _ => held.push(delivery.tag),
        }
        // The newest first, in lumps of ten.
        if held.len() == 10 {
            for tag in held.drain(..).rev() {
                subscription.settle(tag, Settlement::Ack);
            }
        }
    }
    for tag in held.into_iter().chain(slow) {
        subscription.settle(tag, Settlement::Ack);
    }
    within("the flush", subscription.flush()).await.unwrap();
    drop(subscription);
    // Whatever had not been acknowledged would be back now.
    eventually("the consumer's end", async || {
        transport.queue_stats(&queue).await.unwrap().unwrap().consumers == 0
    })
    .await;
    assert_eq!(transport.queue_stats(&queue).await.unwrap().unwrap().ready, 0);
}

/// Nobody flushes: the acknowledgement leaves by itself once the consumer is polled and idle.
#[tokio::test]
async fn an_idle_consumer_acknowledges_by_itself() {
    let transport = connect().await;
    let queue = name("idle");
    declare(&transport, Queue::new(&queue)).await;
    transport.publish(message(&queue, "a")).await.unwrap();
    transport.publish(message(&queue, "b")).await.unwrap();
    let mut subscription = subscribe(&transport, &queue, 100).await;
    let first = delivery(&mut subscription).await;
    let second = delivery(&mut subscription).await;
    // The second stays open, so only the timer can bring the first ack.
    subscription.settle(first.tag, Settlement::Ack);
    let pending = tokio::time::timeout(Duration::from_millis(200), subscription.next()).await;
    assert!(pending.is_err(), "nothing more comes");
    subscription.settle(second.tag, Settlement::Requeue);
    let again = delivery(&mut subscription).await;
    assert_eq!(id(&again), "b");
    std::mem::forget(subscription); // No drop, so no flush of the drop.
    transport.close().await;
    let transport = connect().await;
    assert_eq!(id(&take(&transport, &queue).await), "b", "the first was acknowledged");
}

/// Nobody flushes, nothing is idle, and far fewer than half the prefetch are finished.
#[tokio::test]
async fn a_busy_consumer_acknowledges_by_itself() {
    let transport = connect().await;
    let queue = name("busy");
    declare(&transport, Queue::new(&queue)).await;
    transport.publish(message(&queue, "first")).await.unwrap();
    let mut subscription = subscribe(&transport, &queue, 10_000).await;
    let first = delivery(&mut subscription).await;
    subscription.settle(first.tag, Settlement::Ack);
    // One after the other, for much longer than a finished delivery waits for others.
    let until = Instant::now() + Duration::from_millis(500);
    while Instant::now() < until {
        transport.publish(message(&queue, "later")).await.unwrap();
        assert_eq!(id(&delivery(&mut subscription).await), "later");
    }
    std::mem::forget(subscription); // No drop, so no flush of the drop.
    transport.close().await;
    let transport = connect().await;
    assert_eq!(id(&take(&transport, &queue).await), "later", "the first was acknowledged");
}

#[tokio::test]
async fn a_cancelled_consumer_settles_what_it_has_and_gives_back_the_rest() {
    let transport = connect().await;
    let queue = name("cancel");
    declare(&transport, Queue::new(&queue)).await;
    for id in ["a", "b", "c"] {
        transport.publish(message(&queue, id)).await.unwrap();
    }
    let mut subscription = subscribe(&transport, &queue, 10).await;
    let first = delivery(&mut subscription).await;
    within("the cancellation", subscription.cancel()).await.unwrap();
    assert!(matches!(within("the end", subscription.next()).await, Intake::Ended));
    transport.publish(message(&queue, "d")).await.unwrap();
    subscription.settle(first.tag, Settlement::Ack);
    within("the flush", subscription.flush()).await.unwrap();
    drop(subscription);
    wait_ready(&transport, &queue, 3).await;
}

#[tokio::test]
async fn a_rejected_message_goes_to_the_dead_letter_queue() {
    for kind in [QueueKind::Quorum, QueueKind::Classic] {
        let transport = connect().await;
        let queue = name("reject");
        let dead = format!("dlq.{queue}");
        declare(&transport, Queue::new(&dead)).await;
        declare(&transport, Queue::new(&queue).kind(kind).dead_letter(&dead)).await;
        transport.publish(message(&queue, "a")).await.unwrap();
        let mut subscription = subscribe(&transport, &queue, 10).await;
        let delivery = delivery(&mut subscription).await;
        subscription.settle(delivery.tag, Settlement::Reject);
        within("the flush", subscription.flush()).await.unwrap();
        let parked = take(&transport, &dead).await;
        assert_eq!(id(&parked), "a");
        assert!(parked.properties.headers.get("x-death").is_some());
    }
}

#[tokio::test]
async fn an_expired_message_goes_to_the_dead_letter_queue() {
    for kind in [QueueKind::Quorum, QueueKind::Classic] {
        let transport = connect().await;
        let queue = name("expire");
        let dead = format!("dlq.{queue}");
        declare(&transport, Queue::new(&dead)).await;
        declare(&transport, Queue::new(&queue).kind(kind).dead_letter(&dead)).await;
        let mut properties = properties("a");
        properties.expiration_ms = Some(1);
        let outgoing = Outgoing::new(Address::queue(&queue), properties, "body");
        transport.publish(outgoing).await.unwrap();
        assert_eq!(id(&take(&transport, &dead).await), "a");
    }
}

#[tokio::test]
async fn a_higher_priority_overtakes_on_a_classic_queue() {
    let transport = connect().await;
    let queue = name("priority");
    declare(&transport, Queue::new(&queue).kind(QueueKind::Classic).max_priority(9)).await;
    for (id, priority) in [("low", 1), ("high", 9)] {
        let mut properties = properties(id);
        properties.priority = Some(priority);
        transport.publish(Outgoing::new(Address::queue(&queue), properties, "body")).await.unwrap();
    }
    assert_eq!(id(&take(&transport, &queue).await), "high");
    assert_eq!(id(&take(&transport, &queue).await), "low");
}
