//! Declaring: once, again, and against what exists.

use mmate::contract::address::Address;
use mmate::transport::amqp::AmqpConfig;
use mmate::transport::{
    ExchangeKind, Outgoing, Queue, QueueKind, Settlement, Topology, Transport, TransportErrorKind,
};

use super::broker::{connect, connect_to, declare, delivery, id, name, properties, subscribe, url};

#[tokio::test]
async fn a_mismatch_shows_both_sides_and_the_way_out() {
    let transport = connect().await;
    let queue = name("mismatch");
    declare(&transport, Queue::new(&queue).kind(QueueKind::Classic)).await;
    let mut topology = Topology::default();
    topology.queue(Queue::new(&queue));
    let error = transport.declare(&topology).await.unwrap_err();
    assert_eq!(error.kind(), TransportErrorKind::Mismatch);
    let text = error.to_string();
    for word in [queue.as_str(), "x-queue-type", "`quorum`", "`classic`", "delete it", "either"] {
        assert!(text.contains(word), "`{word}` is missing in: {text}");
    }
}

#[tokio::test]
async fn all_mismatches_come_in_one_error_and_the_rest_is_declared() {
    let transport = connect().await;
    let (one, two, good, exchange) = (name("one"), name("two"), name("good"), name("exchange"));
    declare(&transport, Queue::new(&one).kind(QueueKind::Classic)).await;
    declare(&transport, Queue::new(&two).dead_letter("other")).await;
    let mut existing = Topology::default();
    existing.exchange(exchange.clone(), ExchangeKind::Fanout);
    transport.declare(&existing).await.unwrap();

    let mut topology = Topology::default();
    topology.exchange(exchange.clone(), ExchangeKind::Topic);
    topology.queue(Queue::new(&one));
    topology.queue(Queue::new(&two).dead_letter("mine"));
    topology.queue(Queue::new(&good));
    topology.bind(exchange.clone(), &good, "key");
    let error = transport.declare(&topology).await.unwrap_err();
    assert_eq!(error.kind(), TransportErrorKind::Mismatch);
    let text = error.to_string();
    for word in
        [&one, &two, &exchange, "3 declarations", "`mine`", "`other`", "`topic`", "`fanout`"]
    {
        assert!(text.contains(word), "`{word}` is missing in: {text}");
    }
    assert!(transport.queue_stats(&good).await.unwrap().is_some());
}

#[tokio::test]
async fn declaring_twice_changes_nothing() {
    let transport = connect().await;
    let queue = name("twice");
    for _ in 0..2 {
        declare(&transport, Queue::new(&queue).dead_letter("dlq").length_max(10)).await;
    }
    let classic = name("twice");
    for _ in 0..2 {
        let queue = Queue::new(&classic).kind(QueueKind::Classic).max_priority(5).length_max(10);
        declare(&transport, queue).await;
    }
}

#[tokio::test]
async fn a_name_that_is_too_long_is_an_error() {
    let transport = connect().await;
    let mut topology = Topology::default();
    topology.queue(Queue::new("q".repeat(256)));
    let error = transport.declare(&topology).await.unwrap_err();
    assert!(error.to_string().contains("256 bytes"), "{error}");
}

#[tokio::test]
async fn an_exclusive_queue_is_consumed_by_its_own_connection_and_goes_with_it() {
    let transport = connect().await;
    let (queue, exchange) = (name("exclusive"), name("exchange"));
    let mut topology = Topology::default();
    topology.exchange(exchange.clone(), ExchangeKind::Topic);
    topology.queue(Queue::new(&queue).kind(QueueKind::Exclusive));
    topology.bind(exchange.clone(), &queue, "news.#");
    transport.declare(&topology).await.unwrap();
    for _ in 0..2 {
        let mut subscription = subscribe(&transport, &queue, 10).await;
        let address =
            Address { exchange: exchange.clone().into(), routing_key: "news.today".into() };
        let outgoing = Outgoing::new(address, properties("a"), "body");
        transport.publish(outgoing).await.unwrap();
        let first = delivery(&mut subscription).await;
        assert_eq!(id(&first), "a");
        subscription.settle(first.tag, Settlement::Ack);
        let stats = transport.queue_stats(&queue).await.unwrap().unwrap();
        assert_eq!(stats.consumers, 1);
        // It outlives its consumer, as a pause of it, or a channel that the broker closes, needs.
    }
    let other = connect_to(AmqpConfig::new(url())).await;
    let error = other.queue_stats(&queue).await;
    assert!(error.is_err() || error.unwrap().is_none());
    transport.close().await;
    assert_eq!(other.queue_stats(&queue).await.unwrap(), None);
}
