//! The short way: a request to a handler of the same process does not pass the broker.

use std::sync::Arc;
use std::time::Duration;

use mmate::prelude::*;
use mmate::transport::{Queue, Topology, Transport};
use mmate_tests::{Backend, Probe, eventually, take, unique, wait_for_ready};
use tokio::sync::Semaphore;

use super::{Gate, Service, asks, double, start_with};

/// A queue that gets a copy of every command that the broker sees for this service.
async fn spy(service: &Service) -> (Arc<dyn Transport>, String) {
    let (transport, spy) = (service.broker.connect().await, unique("spy"));
    let mut topology = Topology::default();
    topology.queue(Queue::new(&spy));
    topology.bind("mmate.commands", &spy, format!("cmd.{}.#", service.name));
    transport.declare(&topology).await.expect("declared");
    (transport, spy)
}

#[tokio::test]
async fn the_broker_sees_neither_request_nor_reply() {
    let service = start_with(Backend::Local, |builder| builder).await;
    let (transport, spy) = spy(&service).await;
    let bridge = service.running.bridge();
    for number in 0..20 {
        assert_eq!(bridge.ask(asks(number, "well")).await.expect("an answer").number, number * 2);
    }
    // A command that is sent and not asked passes the broker as always.
    service.running.publisher().send(asks(7, "sent")).await.expect("taken");
    let seen = take(&transport, &spy).await;
    let body: serde_json::Value = serde_json::from_slice(&seen.body).expect("JSON");
    assert_eq!(body["payload"]["how"], "sent");
    service.probe.wait_for(21).await;
    wait_for_ready(&transport, &spy, 0).await;
    transport.delete_queue(&spy).await.expect("deleted");
    service.running.stop().await;
}

/// What nobody in this process takes goes to whoever takes it elsewhere.
#[tokio::test]
async fn a_request_that_no_handler_of_this_process_takes_goes_by_the_broker() {
    let (broker, name) = (Backend::Local.broker().await, unique("local"));
    let probe = Probe::default();
    let responder = broker.service(&name).await.handler::<double>().provide(probe.clone());
    let responder = responder.start().await.expect("boots");
    let asker = broker.service(&name).await.publish_only().start().await.expect("boots");
    assert_eq!(asker.bridge().ask(asks(4, "well")).await.expect("an answer").number, 8);
    asker.stop().await;
    responder.stop().await;
}

#[message(command, reply = super::Doubled)]
struct Stubborn {}

#[handler(retry(attempts = 3, backoff = fixed("1500ms"), jitter = 0.0))]
async fn stubborn(_: Stubborn, context: Context, probe: State<Probe>) -> Result<super::Doubled> {
    probe.note(format!("attempt {}", context.attempt()));
    if context.attempt() < 3 {
        return Err(std::io::Error::other("away").into());
    }
    Ok(super::Doubled { number: 1 })
}

/// A retry that waits longer than a second waits at the broker, with its count, its deadline and its caller.
#[tokio::test]
async fn a_near_request_is_retried_by_way_of_the_broker() {
    let (broker, probe) = (Backend::Local.broker().await, Probe::default());
    let service = broker.service(&unique("local")).await.handler::<stubborn>();
    let running = service.provide(probe.clone()).start().await.expect("boots");
    assert_eq!(running.bridge().ask(Stubborn {}).await.expect("an answer").number, 1);
    assert_eq!(probe.notes(), ["attempt 1", "attempt 2", "attempt 3"]);
    running.stop().await;
}

/// What waits for a paused queue is handled once it is resumed, and what a lost consumer held comes again.
#[tokio::test]
async fn near_requests_wait_for_their_consumer() {
    let gate = Gate::new(Semaphore::new(0));
    let service = start_with(Backend::Local, |builder| builder.provide(Gate::clone(&gate))).await;
    let bridge = service.running.bridge().clone();
    let queue = format!("cmd.{}.Double", service.name);
    service.running.pause(&queue, "a test").await.expect("paused");
    let asking = {
        let bridge = bridge.clone();
        tokio::spawn(async move { bridge.ask(asks(1, "gate")).timeout("15s").await })
    };
    eventually("it is asked", || async { bridge.pending() == 1 }).await;
    service.running.resume(&queue).await.expect("resumed");
    service.probe.wait_for(1).await;
    // The consumer is lost with its queue, and comes back.
    service.broker.connect().await.delete_queue(&queue).await.expect("deleted");
    service.probe.wait_for(2).await;
    gate.add_permits(2);
    assert_eq!(asking.await.unwrap().expect("an answer").number, 2);
    tokio::time::timeout(Duration::from_secs(10), service.running.stop()).await.expect("stops");
}
