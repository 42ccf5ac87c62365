//! Publishing: what arrives, and what the publisher hears when it does not.

use mmate::contract::address::{Address, exchanges};
use mmate::contract::{HeaderValue, Headers, Text};
use mmate::transport::amqp::{AmqpConfig, AmqpTransport};
use mmate::transport::{
    ExchangeKind, Outgoing, PublishError, PublishErrorKind, Queue, QueueKind, Topology, Transport,
};
use tokio::task::JoinSet;

use super::broker::{connect, connect_to, declare, message, name, properties, take, url, within};
use super::broker::{subscribe, wait_ready};

#[tokio::test]
async fn all_properties_and_headers_arrive() {
    let transport = connect().await;
    let queue = name("round-trip");
    declare(&transport, Queue::new(&queue)).await;

    let text = |text: &str| Some(Text::from(text));
    let mut sent = properties("id-1");
    sent.correlation_id = text("corr-1");
    sent.timestamp = Some(1_700_000_000);
    sent.content_type = text("application/json");
    sent.content_encoding = text("utf-8");
    sent.reply_to = text("reply.queue");
    sent.expiration_ms = Some(60_000);
    sent.priority = Some(7);
    sent.app_id = text("billing");
    sent.persistent = true;
    let mut nested = Headers::new();
    nested.set("inner", 7_i64);
    sent.headers.set("null", HeaderValue::Null);
    sent.headers.set("bool", true);
    sent.headers.set("int", i64::MIN);
    sent.headers.set("float", 1.5);
    sent.headers.set("text", "grüße");
    sent.headers.set("time", HeaderValue::Time(1_700_000_000));
    sent.headers.set("decimal", HeaderValue::Decimal { scale: 2, value: 1999 });
    sent.headers.set("bytes", HeaderValue::Bytes(vec![0, 255, 1]));
    sent.headers.set("list", HeaderValue::List(vec![1_i64.into(), "two".into()]));
    sent.headers.set("table", HeaderValue::Table(nested));
    let body = vec![7_u8; 300_000];
    let outgoing = Outgoing::new(Address::queue(&queue), sent.clone(), body.clone());
    transport.publish(outgoing).await.unwrap();

    let received = take(&transport, &queue).await;
    assert_eq!(received.body, body);
    assert_eq!(received.exchange, "");
    assert_eq!(received.routing_key, queue);
    assert!(!received.redelivered);
    for (name, value) in sent.headers.iter() {
        assert_eq!(received.properties.headers.get(name), Some(value), "{name}");
    }
    assert_eq!(received.properties.headers.len(), sent.headers.len());
    let mut received = received.properties;
    received.headers = sent.headers.clone();
    assert_eq!(received, sent);
}

#[tokio::test]
async fn a_message_that_no_queue_takes_is_unroutable() {
    let transport = connect().await;
    let nowhere = name("nowhere");
    let error = transport.publish(message(&nowhere, "id-1")).await.unwrap_err();
    assert_eq!(error.kind(), PublishErrorKind::Unroutable);
    assert_eq!(error.id(), "id-1");
    let text = error.to_string();
    assert!(
        text.contains(&nowhere) && text.contains("TestMessage") && text.contains("id-1"),
        "{text}"
    );
    let lenient = message(&nowhere, "id-2").mandatory(false);
    transport.publish(lenient).await.unwrap();
}

/// The broker answers returned messages at once and those of a quorum queue later, so the answers
/// overtake; each must reach its own publisher.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn returned_messages_reach_their_own_publishers() {
    let transport = std::sync::Arc::new(connect().await);
    let queue = name("mixed");
    declare(&transport, Queue::new(&queue)).await;
    let mut publishes = JoinSet::new();
    for number in 0..2000_u32 {
        let transport = std::sync::Arc::clone(&transport);
        let (queue, missing) = (queue.clone(), format!("{queue}.missing"));
        publishes.spawn(async move {
            let lost = number % 7 == 3;
            let to = if lost { &missing } else { &queue };
            // The same id for all that are lost, and the queue's for some: ids need not be unique.
            let id = if lost { "lost".to_owned() } else { format!("id-{}", number % 50) };
            (lost, transport.publish(message(to, &id)).await)
        });
    }
    let mut arrived = 0;
    while let Some(done) = within("all confirms", publishes.join_next()).await {
        let (lost, result) = done.unwrap();
        match result {
            Ok(()) => {
                assert!(!lost, "a returned message was reported as confirmed");
                arrived += 1;
            }
            Err(error) => {
                assert!(lost, "a confirmed message was reported as returned: {error}");
                assert_eq!(error.kind(), PublishErrorKind::Unroutable);
            }
        }
    }
    wait_ready(&transport, &queue, arrived).await;
}

/// Whoever looks at the broker's answers looks at those of all. Here many do not look any more.
#[tokio::test]
async fn publishes_that_nobody_polls_any_more_keep_no_other_waiting() {
    let transport = connect().await;
    let queue = name("held");
    declare(&transport, Queue::new(&queue)).await;
    let mut held: Vec<_> = (0..20).map(|_| transport.publish(message(&queue, "held"))).collect();
    for publish in &mut held {
        assert!(futures_util::poll!(publish).is_pending());
    }
    let free = transport.publish(message(&queue, "free"));
    within("its confirm", free).await.unwrap();
    wait_ready(&transport, &queue, 21).await;
    drop(held);
}

fn to_exchange(exchange: &str, id: &str) -> Outgoing {
    let address = Address { exchange: exchange.to_owned().into(), routing_key: "key".into() };
    Outgoing::new(address, properties(id), "body")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_missing_exchange_harms_only_its_own_messages() {
    let transport = std::sync::Arc::new(connect().await);
    let (queue, exchange) = (name("innocent"), name("gone"));
    let mut topology = Topology::default();
    topology.exchange(exchange.clone(), ExchangeKind::Topic);
    topology.queue(Queue::new(&queue));
    topology.bind(exchange.clone(), &queue, "key");
    transport.declare(&topology).await.unwrap();
    transport.publish(to_exchange(&exchange, "first")).await.unwrap();

    // Behind the transport's back, so that it still takes the exchange for known.
    let rabbit = RawExchange::connect().await;
    rabbit.delete(&exchange).await;

    let mut publishes: JoinSet<(bool, Result<(), PublishError>)> = JoinSet::new();
    for number in 0..200_u32 {
        let (transport, queue, exchange) =
            (std::sync::Arc::clone(&transport), queue.clone(), exchange.clone());
        publishes.spawn(async move {
            let lost = number % 20 == 10;
            let outgoing = if lost {
                to_exchange(&exchange, &format!("lost-{number}"))
            } else {
                message(&queue, &format!("id-{number}"))
            };
            (lost, transport.publish(outgoing).await)
        });
    }
    while let Some(done) = within("all confirms", publishes.join_next()).await {
        match done.unwrap() {
            (true, Err(error)) => assert_eq!(error.kind(), PublishErrorKind::NoExchange, "{error}"),
            (false, Ok(())) => {}
            (lost, result) => panic!("lost: {lost}, {result:?}"),
        }
    }
}

/// Deletes an exchange, which the port has no call for.
struct RawExchange(
    lapin::Channel,
    #[expect(dead_code, reason = "keeps the connection")] lapin::Connection,
);

impl RawExchange {
    async fn connect() -> Self {
        let connection = lapin::Connection::connect(&url(), lapin::ConnectionProperties::default())
            .await
            .unwrap();
        Self(connection.create_channel().await.unwrap(), connection)
    }

    async fn delete(&self, exchange: &str) {
        self.0
            .exchange_delete(exchange.into(), lapin::options::ExchangeDeleteOptions::default())
            .await
            .unwrap();
    }
}

#[tokio::test]
async fn an_exchange_that_was_never_there_is_named() {
    let transport = connect().await;
    let exchange = name("never");
    let error = transport.publish(to_exchange(&exchange, "id-1")).await.unwrap_err();
    assert_eq!(error.kind(), PublishErrorKind::NoExchange);
    assert!(error.to_string().contains(&exchange), "{error}");
}

#[tokio::test]
async fn a_full_queue_refuses() {
    let transport = connect().await;
    let queue = name("full");
    declare(&transport, Queue::new(&queue).kind(QueueKind::Classic).length_max(1)).await;
    transport.publish(message(&queue, "id-1")).await.unwrap();
    let error = transport.publish(message(&queue, "id-2")).await.unwrap_err();
    assert_eq!(error.kind(), PublishErrorKind::Refused, "{error}");
}

#[tokio::test]
async fn what_is_too_large_is_not_sent() {
    let transport = connect().await;
    let queue = name("large");
    declare(&transport, Queue::new(&queue)).await;
    let body = vec![0_u8; 16 * 1024 * 1024 + 1];
    let outgoing = Outgoing::new(Address::queue(&queue), properties("id-1"), body);
    let error = transport.publish(outgoing).await.unwrap_err();
    assert_eq!(error.kind(), PublishErrorKind::TooLarge, "{error}");

    let mut headers = properties("id-2");
    headers.headers.set("huge", "x".repeat(200_000));
    let outgoing = Outgoing::new(Address::queue(&queue), headers, "body");
    let error = transport.publish(outgoing).await.unwrap_err();
    assert_eq!(error.kind(), PublishErrorKind::TooLarge, "{error}");

    transport.publish(message(&queue, "id-3")).await.unwrap();
    wait_ready(&transport, &queue, 1).await;
}

#[tokio::test]
async fn the_order_of_one_task_is_kept() {
    let transport = connect().await;
    let queue = name("order");
    declare(&transport, Queue::new(&queue)).await;
    let mut publishes: Vec<_> = (0..300)
        .map(|number| Box::pin(transport.publish(message(&queue, &number.to_string()))))
        .collect();
    let all = std::future::poll_fn(|cx| {
        publishes.retain_mut(|publish| publish.as_mut().poll(cx).map(Result::unwrap).is_pending());
        if publishes.is_empty() { std::task::Poll::Ready(()) } else { std::task::Poll::Pending }
    });
    within("all confirms", all).await;
    let mut subscription = subscribe(&transport, &queue, 300).await;
    for number in 0..300 {
        let delivery = super::broker::delivery(&mut subscription).await;
        assert_eq!(super::broker::id(&delivery), number.to_string());
    }
}

/// With so many on their way at a time, the last ones wait to be sent together.
#[tokio::test]
async fn what_waits_to_be_sent_is_sent_although_its_caller_has_gone() {
    let transport = connect().await;
    let queue = name("gone");
    declare(&transport, Queue::new(&queue)).await;
    let mut publishes: Vec<_> =
        (0..130).map(|_| transport.publish(message(&queue, "gone"))).collect();
    for publish in &mut publishes {
        assert!(futures_util::poll!(publish).is_pending());
    }
    drop(publishes);
    wait_ready(&transport, &queue, 130).await;
    within("what came last", transport.publish(message(&queue, "last"))).await.unwrap();
}

/// Several threads look at confirms while the library's own resolves what one frame confirms, in any order.
#[tokio::test(flavor = "multi_thread", worker_threads = 3)]
async fn hundreds_that_no_queue_takes_are_told_so_while_others_arrive() {
    let transport = std::sync::Arc::new(connect().await);
    let queue = name("mixed");
    declare(&transport, Queue::new(&queue)).await;
    let publish = |number: usize| {
        let transport = std::sync::Arc::clone(&transport);
        let to = if number.is_multiple_of(3) { queue.clone() } else { format!("{queue}.{number}") };
        tokio::spawn(async move { transport.publish(message(&to, &number.to_string())).await })
    };
    for round in 0..20 {
        let publishes: Vec<_> = (0..300).map(publish).collect();
        for (number, publish) in publishes.into_iter().enumerate() {
            let published = within("a verdict", publish).await.unwrap();
            let kind = published.err().map(|error| error.kind());
            let expected = (!number.is_multiple_of(3)).then_some(PublishErrorKind::Unroutable);
            assert_eq!(kind, expected, "message {number} of round {round}");
        }
    }
}

#[tokio::test]
async fn callers_wait_when_too_many_are_in_flight() {
    let mut config = AmqpConfig::new(url());
    config.publish_in_flight_max = 2;
    let transport: AmqpTransport = connect_to(config).await;
    let queue = name("narrow");
    declare(&transport, Queue::new(&queue)).await;
    let publishes = (0..50).map(|number| transport.publish(message(&queue, &number.to_string())));
    for publish in publishes.collect::<Vec<_>>() {
        within("a confirm", publish).await.unwrap();
    }
    // A body that counts for more than there is, is alone in flight.
    let outgoing = Outgoing::new(Address::queue(&queue), properties("big"), vec![0_u8; 100_000]);
    within("a confirm", transport.publish(outgoing)).await.unwrap();
    wait_ready(&transport, &queue, 51).await;
}

#[tokio::test]
async fn the_familys_exchanges_route_by_pattern() {
    let transport = connect().await;
    let queue = name("pattern");
    let mut topology = Topology::default();
    for exchange in exchanges::TOPICS {
        topology.exchange(exchange, ExchangeKind::Topic);
    }
    topology.queue(Queue::new(&queue));
    topology.bind(exchanges::EVENTS, &queue, format!("evt.#.{queue}"));
    transport.declare(&topology).await.unwrap();
    transport.declare(&topology).await.unwrap();
    for (key, id) in [(format!("evt..{queue}"), "none"), (format!("evt.a.b.{queue}"), "two")] {
        let address = Address { exchange: exchanges::EVENTS.into(), routing_key: key.into() };
        transport.publish(Outgoing::new(address, properties(id), "body")).await.unwrap();
    }
    wait_ready(&transport, &queue, 2).await;
    transport.delete_queue(&queue).await.unwrap();
    transport.delete_queue(&queue).await.unwrap();
    assert_eq!(transport.queue_stats(&queue).await.unwrap(), None);
}
