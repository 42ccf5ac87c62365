//! Who gets a message: groups, replicas, broadcasts, topics, priorities, expiry.

use mmate::prelude::*;
use mmate::transport::Transport;
use mmate_tests::{Backend, Broker, DEADLINE, Probe, on_every_transport, take, unique};
use std::collections::BTreeSet;
use std::sync::Arc;

/// Carries the name of the test, because tests share a broker.
#[message(event, aggregate = "reading", alias = "reading.taken")]
struct ReadingTaken {
    test: String,
    number: u32,
}

#[message(command)]
struct Calibrate {
    number: u32,
}

fn keep(probe: &Probe, who: &str, reading: &ReadingTaken) {
    if probe.notes().first() == Some(&reading.test) {
        probe.note(format!("{who} {}", reading.number));
    }
}

#[handler]
async fn store(reading: ReadingTaken, probe: State<Probe>) {
    keep(&probe, "store", &reading);
}

#[handler(group = "dashboard")]
async fn show(reading: ReadingTaken, probe: State<Probe>) {
    keep(&probe, "show", &reading);
}

#[handler(broadcast)]
async fn refresh(reading: ReadingTaken, probe: State<Probe>) {
    keep(&probe, "refresh", &reading);
}

#[handler(topic = "evt.reading.>", queue_type = classic, group = "topic")]
async fn by_topic(reading: ReadingTaken, probe: State<Probe>) {
    keep(&probe, "topic", &reading);
}

#[handler(max_priority = 9, prefetch = 1, concurrency = 1)]
async fn calibrate(command: Calibrate, probe: State<Probe>) {
    probe.note(command.number.to_string());
}

/// The queues of events survive the services; on a shared broker they are removed.
async fn remove(transport: &Arc<dyn Transport>, queues: &[String]) {
    for queue in queues {
        transport.delete_queue(queue).await.expect("removed");
        transport.delete_queue(&format!("dlq.{queue}")).await.expect("removed");
    }
}

async fn publish(broker: &Broker, test: &str, count: u32) {
    let sender = broker.service("sender").await.publish_only().start().await.expect("boots");
    let readings = (0..count).map(|number| ReadingTaken { test: test.to_owned(), number });
    sender.publisher().publish_all(readings).await.expect("taken");
}

async fn every_group_gets_all_and_its_replicas_share(backend: Backend) {
    let (broker, name, probe) = (backend.broker().await, unique("routing"), Probe::default());
    probe.note(&name);
    let mut replicas = Vec::new();
    for _ in 0..2 {
        let service = broker.service(&name).await.handler::<store>().provide(probe.clone());
        replicas.push(service.start().await.expect("boots"));
    }
    let other = unique("other");
    let service = broker.service(&other).await.handler::<store>().provide(probe.clone());
    replicas.push(service.start().await.expect("boots"));
    publish(&broker, &name, 20).await;
    let mut notes = probe.wait_for(41).await.split_off(1);
    notes.sort();
    let mut expected: Vec<String> =
        (0..20).flat_map(|n| [format!("store {n}"), format!("store {n}")]).collect();
    expected.sort();
    assert_eq!(notes, expected);
    for replica in replicas {
        replica.stop().await;
    }
    let queues = [name, other].map(|service| format!("evt.reading.ReadingTaken.{service}"));
    remove(&broker.connect().await, &queues).await;
}

async fn a_message_under_an_alias_is_handled_too(backend: Backend) {
    let (broker, name, probe) = (backend.broker().await, unique("routing"), Probe::default());
    probe.note(&name);
    let running = broker
        .service(&name)
        .await
        .handler::<store>()
        .provide(probe.clone())
        .start()
        .await
        .expect("boots");
    let transport = broker.connect().await;
    let body =
        format!(r#"{{"id":"1","type":"reading.taken","payload":{{"test":"{name}","number":7}}}}"#);
    let address = mmate::contract::address::Address {
        exchange: "mmate.events".into(),
        routing_key: "evt.sensor.12.reading.taken".into(),
    };
    let outgoing =
        mmate::transport::Outgoing::new(address, mmate::transport::Properties::default(), body);
    transport.publish(outgoing).await.expect("taken");
    assert_eq!(probe.wait_for(2).await[1], "store 7");
    running.stop().await;
    remove(&transport, &[format!("evt.reading.ReadingTaken.{name}")]).await;
}

async fn two_handlers_of_one_event_in_one_service_have_a_group_each(backend: Backend) {
    let (broker, name, probe) = (backend.broker().await, unique("routing"), Probe::default());
    probe.note(&name);
    let service =
        broker.service(&name).await.handler::<store>().handler::<show>().handler::<by_topic>();
    let running = service.provide(probe.clone()).start().await.expect("boots");
    publish(&broker, &name, 1).await;
    let notes: BTreeSet<String> = probe.wait_for(4).await.into_iter().skip(1).collect();
    assert_eq!(notes, BTreeSet::from(["show 0".into(), "store 0".into(), "topic 0".into()]));
    running.stop().await;
    let queues =
        [&name, "dashboard", "topic"].map(|owner| format!("evt.reading.ReadingTaken.{owner}"));
    remove(&broker.connect().await, &queues).await;
}

async fn a_broadcast_reaches_every_instance_and_leaves_no_queue(backend: Backend) {
    let (broker, name, probe) = (backend.broker().await, unique("routing"), Probe::default());
    probe.note(&name);
    let mut replicas = Vec::new();
    for _ in 0..3 {
        let service = broker.service(&name).await.handler::<refresh>().provide(probe.clone());
        replicas.push(service.start().await.expect("boots"));
    }
    publish(&broker, &name, 1).await;
    assert_eq!(probe.wait_for(4).await[1..], ["refresh 0", "refresh 0", "refresh 0"]);
    let transport = broker.connect().await;
    let queues: Vec<String> =
        replicas.iter().map(|replica| replica.health().consumers[0].queue.clone()).collect();
    for replica in replicas {
        replica.stop().await;
    }
    for queue in queues {
        mmate_tests::eventually("the instance's queue is gone", || async {
            matches!(transport.queue_stats(&queue).await, Ok(None))
        })
        .await;
    }
    remove(&transport, &[format!("evt.reading.ReadingTaken.{name}")]).await;
}

async fn a_higher_priority_overtakes_a_backlog(backend: Backend) {
    let (broker, name, probe) = (backend.broker().await, unique("routing"), Probe::default());
    let build =
        || async { broker.service(&name).await.handler::<calibrate>().provide(probe.clone()) };
    // The first start makes the queue; the backlog builds up while nobody consumes.
    let running = build().await.start().await.expect("boots");
    running.stop().await;
    let sender = broker.service(&name).await.publish_only().start().await.expect("boots");
    for (number, priority) in [(1, 1), (2, 5), (3, 9), (4, 9)] {
        sender.publisher().send(Calibrate { number }).priority(priority).await.expect("taken");
    }
    let running = build().await.start().await.expect("boots");
    assert_eq!(probe.wait_for(4).await, ["3", "4", "2", "1"]);
    running.stop().await;
}

async fn an_expired_message_is_not_handled_and_is_parked(backend: Backend) {
    let (broker, name, probe) = (backend.broker().await, unique("routing"), Probe::default());
    let running = broker
        .service(&name)
        .await
        .handler::<calibrate>()
        .provide(probe.clone())
        .start()
        .await
        .expect("boots");
    running.stop().await;
    let sender = broker.service(&name).await.publish_only().start().await.expect("boots");
    sender.publisher().send(Calibrate { number: 1 }).ttl("50ms").await.expect("taken");
    let transport = broker.connect().await;
    let parked =
        tokio::time::timeout(DEADLINE, take(&transport, &format!("dlq.cmd.{name}.Calibrate")))
            .await;
    assert_eq!(parked.expect("it expires").properties.expiration_ms, None);
    assert!(probe.notes().is_empty());
}

on_every_transport! {
    every_group_gets_all_and_its_replicas_share
    two_handlers_of_one_event_in_one_service_have_a_group_each
    a_message_under_an_alias_is_handled_too
    a_broadcast_reaches_every_instance_and_leaves_no_queue
    a_higher_priority_overtakes_a_backlog
    an_expired_message_is_not_handled_and_is_parked
}
