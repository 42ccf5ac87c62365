//! The connection goes, and comes back.

use std::sync::Arc;
use std::time::{Duration, Instant};

use mmate::transport::amqp::{AmqpConfig, AmqpTransport};
use mmate::transport::{
    Intake, PublishErrorKind, Queue, QueueKind, Settlement, SubscribeOptions, Transport,
};

use super::broker::{
    connect_to, declare, delivery, eventually, id, message, name, subscribe, within,
};
use super::proxy::Proxy;

async fn through(proxy: &Proxy) -> AmqpTransport {
    let mut config = AmqpConfig::new(proxy.url());
    config.reconnect_delay_min = Duration::from_millis(10);
    config.reconnect_delay_max = Duration::from_millis(100);
    connect_to(config).await
}

#[tokio::test]
async fn a_publish_during_an_outage_arrives_after_it() {
    let proxy = Proxy::start().await;
    let transport = Arc::new(through(&proxy).await);
    let queue = name("outage");
    declare(&transport, Queue::new(&queue)).await;
    proxy.cut();
    eventually("the loss", async || transport.state().publish_down.is_some()).await;
    let publishes: Vec<_> = (0..50)
        .map(|number| {
            let (transport, queue) = (Arc::clone(&transport), queue.clone());
            tokio::spawn(
                async move { transport.publish(message(&queue, &number.to_string())).await },
            )
        })
        .collect();
    proxy.mend();
    for publish in publishes {
        within("a confirm", publish).await.unwrap().unwrap();
    }
    assert!(transport.queue_stats(&queue).await.unwrap().unwrap().ready >= 50);
}

#[tokio::test]
async fn an_outage_that_is_too_long_is_unknown() {
    let proxy = Proxy::start().await;
    let mut config = AmqpConfig::new(proxy.url());
    config.publish_timeout = Duration::from_millis(300);
    let transport = connect_to(config).await;
    proxy.cut();
    eventually("the loss", async || transport.state().publish_down.is_some()).await;
    let error = transport.publish(message("any", "id-1")).await.unwrap_err();
    assert_eq!(error.kind(), PublishErrorKind::Unknown);
    assert_eq!(error.id(), "id-1");
    assert!(error.to_string().contains("same id"), "{error}");
}

#[tokio::test]
async fn a_publish_that_a_silent_broker_does_not_confirm_is_unknown_when_its_time_is_over() {
    const LIMIT: Duration = Duration::from_millis(300);
    let proxy = Proxy::start().await;
    let mut config = AmqpConfig::new(proxy.url());
    config.publish_timeout = LIMIT;
    config.publish_in_flight_max = 2;
    let transport = connect_to(config).await;
    let queue = name("silent");
    declare(&transport, Queue::new(&queue)).await;
    within("a confirm", transport.publish(message(&queue, "before"))).await.unwrap();
    proxy.silence();
    // One after the other, so that each has a time of its own; the third has to wait for the place of one of them.
    for id in ["first", "second", "third"] {
        let began = Instant::now();
        let error = within(id, transport.publish(message(&queue, id))).await.unwrap_err();
        assert!(began.elapsed() >= LIMIT, "{id}");
        assert_eq!((error.kind(), error.id()), (PublishErrorKind::Unknown, id));
        assert!(error.to_string().contains("did not confirm"), "{error}");
    }
    proxy.mend();
    // Their confirms come now, and nobody waits for them; but their places are free again.
    eventually("a publish", async || transport.publish(message(&queue, "after")).await.is_ok())
        .await;
    eventually("what was unknown", async || {
        transport.queue_stats(&queue).await.unwrap().is_some_and(|stats| stats.ready >= 4)
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_lost_while_the_connection_breaks_again_and_again() {
    let proxy = Proxy::start().await;
    let transport = Arc::new(through(&proxy).await);
    let queue = name("breaks");
    declare(&transport, Queue::new(&queue)).await;
    let publisher = {
        let (transport, queue) = (Arc::clone(&transport), queue.clone());
        tokio::spawn(async move {
            for number in 0..500 {
                transport.publish(message(&queue, &number.to_string())).await.unwrap();
            }
        })
    };
    let mut seen = vec![false; 500];
    let mut losses = 0;
    let mut subscription = subscribe(&transport, &queue, 20).await;
    while seen.contains(&false) {
        match within("the next delivery", subscription.next()).await {
            Intake::Delivery(delivery) => {
                let number: usize = id(&delivery).parse().unwrap();
                if number % 100 == 50 && !seen[number] {
                    proxy.kick();
                }
                seen[number] = true;
                subscription.settle(delivery.tag, Settlement::Ack);
            }
            Intake::Lost(error) => {
                assert!(error.is_transient(), "{error}");
                losses += 1;
                eventually("another subscription", async || {
                    match transport.subscribe(SubscribeOptions::new(&queue, 20)).await {
                        Ok(again) => subscription = again,
                        Err(error) => {
                            assert!(error.is_transient(), "{error}");
                            return false;
                        }
                    }
                    true
                })
                .await;
            }
            Intake::Ended => panic!("nobody cancelled"),
        }
    }
    within("the publisher", publisher).await.unwrap();
    assert!(losses >= 5, "{losses}");
}

#[tokio::test]
async fn an_exclusive_queue_is_made_again_after_an_outage() {
    let proxy = Proxy::start().await;
    let transport = through(&proxy).await;
    let queue = name("exclusive");
    declare(&transport, Queue::new(&queue).kind(QueueKind::Exclusive)).await;
    let mut subscription = subscribe(&transport, &queue, 10).await;
    proxy.kick();
    assert!(matches!(within("the loss", subscription.next()).await, Intake::Lost(_)));
    let mut again = None;
    eventually("another subscription", async || {
        match transport.subscribe(SubscribeOptions::new(&queue, 10)).await {
            Ok(subscription) => again = Some(subscription),
            Err(error) => assert!(error.is_transient(), "{error}"),
        }
        again.is_some()
    })
    .await;
    transport.publish(message(&queue, "a")).await.unwrap();
    assert_eq!(id(&delivery(&mut again.unwrap()).await), "a");
}
