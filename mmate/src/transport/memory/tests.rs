//! What the conformance suite cannot ask of every broker: places after a return, limits, alarms,
//! idleness, the same order every time.

use std::time::Duration;

use tokio::time::{sleep, timeout};

use super::*;
use crate::contract::address::Address;
use crate::contract::headers::names;
use crate::transport::{
    Delivery, ExchangeKind, Intake, Properties, Queue, QueueKind, Settlement, SubscribeOptions,
};

async fn broker(queues: &[Queue]) -> MemoryTransport {
    let transport = MemoryTransport::new();
    declare(&transport, queues).await;
    transport
}

async fn declare(transport: &MemoryTransport, queues: &[Queue]) {
    let mut topology = Topology::default();
    for queue in queues {
        topology.queue(queue.clone());
    }
    transport.declare(&topology).await.unwrap();
}

fn message(body: &'static str) -> Outgoing {
    Outgoing::new(Address::queue("q"), Properties::default(), body)
}

fn expiring(queue: &str, body: &'static str, expiration_ms: u64) -> Outgoing {
    let properties = Properties { expiration_ms: Some(expiration_ms), ..Properties::default() };
    Outgoing::new(Address::queue(queue), properties, body)
}

async fn publish(transport: &MemoryTransport, bodies: &[&'static str]) {
    for body in bodies {
        transport.publish(message(body)).await.unwrap();
    }
}

async fn subscribe(transport: &MemoryTransport, prefetch: u16) -> Box<dyn Subscription> {
    let options = SubscribeOptions::new("q", prefetch);
    transport.subscribe(options).await.unwrap()
}

async fn next(subscription: &mut Box<dyn Subscription>) -> Delivery {
    match timeout(Duration::from_secs(3600), subscription.next()).await {
        Ok(Intake::Delivery(delivery)) => delivery,
        other => panic!("expected a delivery, got {other:?}"),
    }
}

fn waiting(transport: &MemoryTransport, queue: &str) -> Vec<Vec<u8>> {
    let messages = transport.messages(queue);
    messages.into_iter().map(|(_, body)| body.to_vec()).collect()
}

#[tokio::test(start_paused = true)]
async fn what_comes_back_takes_its_old_place() {
    let transport = broker(&[Queue::new("q")]).await;
    publish(&transport, &["a", "b", "c", "d"]).await;
    let mut subscription = subscribe(&transport, 3).await;
    let first = next(&mut subscription).await;
    next(&mut subscription).await;
    subscription.cancel().await.unwrap();
    subscription.settle(first.tag, Settlement::Requeue);
    assert_eq!(waiting(&transport, "q"), [b"a", b"d"]);
    drop(subscription);
    assert_eq!(waiting(&transport, "q"), [b"a", b"b", b"c", b"d"]);

    let mut subscription = subscribe(&transport, 10).await;
    let mut counts = Vec::new();
    for _ in 0..4 {
        let delivery = next(&mut subscription).await;
        counts.push((delivery.redelivered, delivery.delivery_count));
    }
    // `c` was on its way but never seen.
    let (seen, unseen) = ((true, Some(1)), (false, Some(0)));
    assert_eq!(counts, [seen, seen, unseen, unseen]);
}

#[tokio::test(start_paused = true)]
async fn consumers_are_served_in_turn() {
    let transport = broker(&[Queue::new("q")]).await;
    let mut one = subscribe(&transport, 10).await;
    let mut two = subscribe(&transport, 1).await;
    publish(&transport, &["1", "2", "3", "4"]).await;
    assert_eq!(next(&mut one).await.body, "1");
    let second = next(&mut two).await;
    assert_eq!(second.body, "2");
    assert_eq!(next(&mut one).await.body, "3");
    assert_eq!(next(&mut one).await.body, "4");
    publish(&transport, &["5", "6"]).await;
    two.settle(second.tag, Settlement::Ack);
    publish(&transport, &["7"]).await;
    assert_eq!(next(&mut two).await.body, "7");
}

#[tokio::test(start_paused = true)]
async fn a_waiting_consumer_sees_what_expires_in_another_queue() {
    let queues = [Queue::new("delay").dead_letter("q"), Queue::new("q")];
    let transport = broker(&queues).await;
    let mut subscription = subscribe(&transport, 1).await;
    let began = tokio::time::Instant::now();
    // In a task of its own, or every step of the publisher would make it look.
    let consume = tokio::spawn(async move {
        let first = next(&mut subscription).await;
        subscription.settle(first.tag, Settlement::Ack);
        let second = next(&mut subscription).await;
        (first, second, began.elapsed())
    });
    // Published while the consumer already waits, the later one first.
    tokio::task::yield_now().await;
    for (body, ms) in [("late", 5_000), ("soon", 200)] {
        let message = expiring("delay", body, ms);
        transport.publish(message).await.unwrap();
    }
    let (first, second, elapsed) = consume.await.unwrap();
    assert_eq!((&*first.body, &*second.body), (&b"soon"[..], &b"late"[..]));
    assert_eq!(elapsed.as_secs(), 5);
    let headers = &first.properties.headers;
    assert_eq!(headers.text(names::DEATH_REASON), Some("expired"));
    assert_eq!(headers.text(names::DEATH_QUEUE), Some("delay"));
    assert!(headers.text(names::DEATH_TIME).is_some());
    assert_eq!(first.properties.expiration_ms, None);
    assert_eq!(first.routing_key, "q");
}

#[tokio::test(start_paused = true)]
async fn what_expires_with_a_consumer_that_does_not_ask_is_not_delivered() {
    let transport = broker(&[Queue::new("q").dead_letter("dead"), Queue::new("dead")]).await;
    let mut subscription = subscribe(&transport, 2).await;
    transport.publish(expiring("q", "old", 100)).await.unwrap();
    sleep(Duration::from_millis(101)).await;
    publish(&transport, &["new"]).await;
    assert_eq!(next(&mut subscription).await.body, "new");
    assert_eq!(waiting(&transport, "dead"), [b"old"]);
}

#[tokio::test(start_paused = true)]
async fn nobody_watches_the_time_of_what_no_longer_waits() {
    let transport = broker(&[Queue::new("q"), Queue::new("other")]).await;
    let watched = || transport.broker.enter(|state| state.schedule.first().is_some());
    transport.publish(expiring("q", "a", 9_999)).await.unwrap();
    assert!(watched());
    let subscription = subscribe(&transport, 1).await;
    assert!(!watched(), "it is with a consumer");
    drop(subscription);
    assert!(watched(), "it came back");
    transport.delete_queue("q").await.unwrap();
    assert!(!watched(), "its queue is gone");
}

#[tokio::test(start_paused = true)]
async fn the_time_runs_on_in_the_middle_of_a_queue() {
    let transport = broker(&[Queue::new("q")]).await;
    publish(&transport, &["a"]).await;
    transport.publish(expiring("q", "b", 10)).await.unwrap();
    transport.publish(expiring("q", "c", u64::MAX)).await.unwrap();
    sleep(Duration::from_millis(11)).await;
    assert_eq!(waiting(&transport, "q"), [b"a", b"c"]);
}

#[tokio::test(start_paused = true)]
async fn a_full_queue_refuses_for_all_queues() {
    let transport = MemoryTransport::with_limits(Limits::default().queue_length_max(2));
    let mut topology = Topology::default();
    topology.exchange("x", ExchangeKind::Fanout);
    for queue in [Queue::new("q"), Queue::new("small").length_max(1)] {
        topology.bind("x", queue.name.clone(), "");
        topology.queue(queue);
    }
    transport.declare(&topology).await.unwrap();
    let to_both = || {
        let mut address = Address::queue("");
        address.exchange = "x".into();
        Outgoing::new(address, Properties::default(), "m")
    };
    transport.publish(to_both()).await.unwrap();
    let refused = transport.publish(to_both()).await.unwrap_err();
    assert_eq!(refused.kind(), PublishErrorKind::Refused);
    assert!(refused.to_string().contains("`small` is full"), "{refused}");
    assert_eq!(waiting(&transport, "q").len(), 1);
    publish(&transport, &["2"]).await;
    let refused = transport.publish(message("3")).await.unwrap_err();
    assert!(refused.to_string().contains("the limit is 2"), "{refused}");
}

#[tokio::test(start_paused = true)]
async fn all_differences_are_reported_at_once_and_nothing_is_made() {
    let transport = broker(&[Queue::new("q").length_max(5)]).await;
    let mut topology = Topology::default();
    topology.exchange("x", ExchangeKind::Topic);
    transport.declare(&topology).await.unwrap();
    let mut other = Topology::default();
    other.exchange("x", ExchangeKind::Direct);
    other.queue(Queue::new("q").dead_letter("dead").kind(QueueKind::Classic));
    other.queue(Queue::new("fresh"));
    let error = transport.declare(&other).await.unwrap_err();
    assert_eq!(error.kind(), TransportErrorKind::Mismatch);
    assert_eq!(
        error.to_string(),
        "the exchange `x` exists with kind Topic and is declared with kind Direct; \
         the queue `q` exists with kind Quorum and is declared with kind Classic, \
         exists with dead_letter none and is declared with dead_letter dead, \
         exists with length_max 5 and is declared with length_max none; \
         declare it as it exists, or delete what exists first"
    );
    assert_eq!(transport.queue_names(), ["q"]);
}

#[tokio::test(start_paused = true)]
async fn a_topology_may_not_contradict_itself() {
    let mut topology = Topology::default();
    topology.exchange("x", ExchangeKind::Direct);
    topology.exchange("x", ExchangeKind::Topic);
    let error = MemoryTransport::new().declare(&topology).await.unwrap_err();
    assert_eq!(error.kind(), TransportErrorKind::Mismatch);
}

#[tokio::test(start_paused = true)]
async fn a_binding_needs_both_ends() {
    for (exchange, queue) in [("x", "missing"), ("missing", "q")] {
        let mut topology = Topology::default();
        topology.exchange("x", ExchangeKind::Topic);
        topology.queue(Queue::new("q"));
        topology.bind(exchange, queue, "#");
        let transport = MemoryTransport::new();
        let error = transport.declare(&topology).await.unwrap_err();
        assert_eq!(error.kind(), TransportErrorKind::NotFound);
        assert!(error.to_string().contains("`missing`"), "{error}");
        assert!(transport.queue_names().is_empty());
    }
}

#[tokio::test(start_paused = true)]
async fn idle_waits_for_the_last_settlement() {
    let queues = [Queue::new("q").dead_letter("dead"), Queue::new("dead")];
    let transport = broker(&queues).await;
    transport.idle().await;
    publish(&transport, &["a", "b"]).await;
    // Nobody consumes, so nothing is to be done.
    transport.idle().await;
    let mut subscription = subscribe(&transport, 1).await;
    let work = async {
        for fate in [Settlement::Ack, Settlement::Reject] {
            let delivery = next(&mut subscription).await;
            sleep(Duration::from_secs(1)).await;
            subscription.settle(delivery.tag, fate);
        }
    };
    let began = tokio::time::Instant::now();
    let ((), elapsed) = tokio::join!(work, async {
        transport.idle().await;
        began.elapsed()
    });
    assert_eq!(elapsed.as_secs(), 2);
    assert_eq!(waiting(&transport, "dead"), [b"b"]);
    let snapshot = transport.snapshot();
    let figures = |it: &QueueSnapshot| (it.name.clone(), it.messages.len(), it.consumers);
    assert_eq!(
        snapshot.iter().map(figures).collect::<Vec<_>>(),
        [("dead".to_owned(), 1, 0), ("q".to_owned(), 0, 1)]
    );
}

#[tokio::test(start_paused = true)]
async fn closing_one_connection_leaves_the_other() {
    let one = broker(&[Queue::new("q")]).await;
    let two = one.clone();
    declare(&one, &[Queue::new("own").kind(QueueKind::Exclusive)]).await;
    let mut subscription = subscribe(&one, 1).await;
    publish(&two, &["a"]).await;
    let delivery = next(&mut subscription).await;
    one.close().await;
    assert!(matches!(subscription.next().await, Intake::Lost(_)));
    subscription.settle(delivery.tag, Settlement::Ack);
    let told = subscription.flush().await.unwrap_err();
    assert_eq!(told.kind(), TransportErrorKind::Closed);
    assert_eq!(two.queue_names(), ["q"]);
    assert_eq!(waiting(&two, "q"), [b"a"]);
    let refused = one.publish(message("b")).await.unwrap_err();
    assert_eq!(refused.kind(), PublishErrorKind::Closed);
}

#[tokio::test(start_paused = true)]
async fn tags_and_places_survive_any_order_of_settlements() {
    let transport = broker(&[Queue::new("q")]).await;
    let mut subscription = subscribe(&transport, 4).await;
    publish(&transport, &["a", "b", "c", "d", "e"]).await;
    let mut tags = Vec::new();
    for _ in 0..4 {
        tags.push(next(&mut subscription).await.tag);
    }
    subscription.settle(tags[2], Settlement::Ack);
    subscription.settle(tags[2], Settlement::Requeue);
    assert_eq!(next(&mut subscription).await.body, "e");
    subscription.settle(tags[3], Settlement::Ack);
    subscription.settle(tags[0], Settlement::Ack);
    drop(subscription);
    assert_eq!(waiting(&transport, "q"), [b"b", b"e"]);
}
