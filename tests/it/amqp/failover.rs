//! Several brokers behind one URL.

use std::time::Duration;

use mmate::transport::amqp::{AmqpConfig, AmqpTransport};
use mmate::transport::{
    Intake, Queue, Settlement, SubscribeOptions, Transport, TransportErrorKind,
};

use super::broker::{
    address, connect_to, declare, delivery, eventually, id, message, name, subscribe, url_with,
    within,
};
use super::proxy::Proxy;

const SECRET: &str = "t0p-s3cret";

/// Two ways to the same broker stand for two nodes of a cluster.
#[tokio::test]
async fn when_a_broker_goes_the_next_one_is_used() {
    let (first, second) = (Proxy::start().await, Proxy::start().await);
    let mut config = AmqpConfig::new(format!("{},{}", first.url(), second.url()));
    config.reconnect_delay_min = Duration::from_millis(10);
    let transport = connect_to(config).await;
    let queue = name("failover");
    declare(&transport, Queue::new(&queue)).await;
    let mut subscription = subscribe(&transport, &queue, 10).await;
    assert_eq!((first.connections(), second.connections()), (2, 0));

    // The second fault hits what the first one failed over to.
    for (round, lost, next) in [(1, &first, &second), (2, &second, &first)] {
        // The lost one would take connections again at once; the next one is tried first.
        lost.kick();
        assert!(matches!(within("the loss", subscription.next()).await, Intake::Lost(_)));
        within("a confirm", transport.publish(message(&queue, &round.to_string()))).await.unwrap();
        eventually("another subscription", async || {
            match transport.subscribe(SubscribeOptions::new(&queue, 10)).await {
                Ok(again) => subscription = again,
                Err(error) => assert!(error.is_transient(), "{error}"),
            }
            next.connections() >= 2
        })
        .await;
        // An ack that was on its way through the lost broker makes an earlier one come again.
        loop {
            let delivery = delivery(&mut subscription).await;
            subscription.settle(delivery.tag, Settlement::Ack);
            if id(&delivery) == round.to_string() {
                break;
            }
        }
        within("a flush", subscription.flush()).await.unwrap();
        assert_eq!(lost.connections(), 0);
    }
}

#[tokio::test]
async fn the_boot_takes_the_first_broker_that_answers() {
    let (_refusing, closed) = mmate_tests::refusing_port();
    let gone = url_with(&format!("guest:{SECRET}@{closed}"), "");
    let there = url_with(&format!("guest:guest@{}", address()), "");
    let transport = connect_to(AmqpConfig::new(format!("{gone},{there}"))).await;
    assert_eq!(transport.state().publish_down, None);
}

#[tokio::test]
async fn when_no_broker_can_be_used_each_is_named_with_its_cause() {
    let (_refusing, closed) = mmate_tests::refusing_port();
    let address = address();
    let gone = url_with(&format!("guest:{SECRET}@{closed}"), "");
    let refused = url_with(&format!("guest:{SECRET}@{address}"), "");
    let config = AmqpConfig::new(format!("{refused},{gone}"));
    let error = AmqpTransport::connect(config).await.expect_err("neither works");
    // The one that is down may come back, the wrong password will not become right.
    assert_eq!(error.kind(), TransportErrorKind::Unreachable, "{error}");
    for word in [address.as_str(), "password", closed.to_string().as_str(), "refused"] {
        assert!(error.to_string().contains(word), "`{word}` is missing in: {error}");
    }
    assert!(!format!("{error} {error:?}").contains(SECRET), "{error:?}");
}
