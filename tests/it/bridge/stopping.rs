//! One side stops in the middle of a request, or was never there; and deadlines, which end work that nobody
//! waits for.

use std::time::Duration;

use mmate::contract::refusal::codes;
use mmate::observability::Fate;
use mmate::prelude::*;
use mmate_tests::{Backend, Probe, eventually, on_every_transport, unique, wait_for_ready};
use tokio::sync::Semaphore;
use tokio::time::Instant;

use super::{Gate, asks, double};

async fn a_responder_that_stops_in_the_middle_answers_first(backend: Backend) {
    let (broker, name, probe) = (backend.broker().await, unique("stopping"), Probe::default());
    let gate = Gate::new(Semaphore::new(0));
    let responder = broker.service(&name).await.handler::<double>().provide(probe.clone());
    let responder = responder.provide(Gate::clone(&gate)).start().await.expect("boots");
    let asker = broker.service(&name).await.publish_only().start().await.expect("boots");
    let bridge = asker.bridge().clone();
    let asking = tokio::spawn(async move { bridge.ask(asks(4, "gate")).await });
    probe.wait_for(1).await;
    let stopping = tokio::spawn(responder.stop());
    gate.add_permits(1);
    assert_eq!(asking.await.unwrap().expect("an answer").number, 8);
    assert!(stopping.await.unwrap().drained);
    asker.stop().await;
}

/// The request stays in its queue; another process of the service answers it, if in time.
async fn a_request_that_its_responder_left_behind_is_answered_by_the_next_one(backend: Backend) {
    let (broker, name, probe) = (backend.broker().await, unique("stopping"), Probe::default());
    let gate = Gate::new(Semaphore::new(0));
    let service = async || {
        let service = broker.service(&name).await.handler::<double>().provide(probe.clone());
        let service = service.config("shutdown.drain", "50ms").provide(Gate::clone(&gate));
        service.start().await.expect("boots")
    };
    let first = service().await;
    let asker = broker.service(&name).await.publish_only().start().await.expect("boots");
    let bridge = asker.bridge().clone();
    let asking = tokio::spawn(async move { bridge.ask(asks(4, "gate")).timeout("15s").await });
    probe.wait_for(1).await;
    assert!(!first.stop().await.drained);
    let second = service().await;
    gate.add_permits(1);
    assert_eq!(asking.await.unwrap().expect("an answer").number, 8);
    second.stop().await;
    asker.stop().await;
}

/// A handler that waits for a reply is let to its end; whoever waits outside of one is told at once.
async fn an_asker_that_stops_leaves_nobody_hanging(backend: Backend) {
    let (broker, name, probe) = (backend.broker().await, unique("stopping"), Probe::default());
    let gate = Gate::new(Semaphore::new(0));
    let responder = broker.service(&name).await.handler::<double>().provide(probe.clone());
    let responder = responder.provide(Gate::clone(&gate)).start().await.expect("boots");
    let asker = broker.service(&name).await.publish_only().start().await.expect("boots");
    let bridge = asker.bridge().clone();
    let asking = {
        let bridge = bridge.clone();
        tokio::spawn(async move { bridge.ask(asks(4, "gate")).await })
    };
    probe.wait_for(1).await;
    let began = Instant::now();
    asker.stop().await;
    let error = asking.await.unwrap().unwrap_err();
    assert_eq!(error.kind(), AskErrorKind::Unknown, "{error}");
    let refused = bridge.ask(asks(5, "well")).await.unwrap_err();
    assert_eq!(refused.kind(), AskErrorKind::NotSent, "{refused}");
    assert!(began.elapsed() < Duration::from_secs(10), "nobody waits for the timeout");
    assert_eq!(bridge.pending(), 0);
    gate.add_permits(1);
    responder.stop().await;
}

async fn a_handler_that_waits_for_a_reply_is_let_to_its_end(backend: Backend) {
    let (broker, name, probe) = (backend.broker().await, unique("stopping"), Probe::default());
    let gate = Gate::new(Semaphore::new(0));
    let inner = broker.service(&name).await.handler::<double>().provide(probe.clone());
    let inner = inner.provide(Gate::clone(&gate)).start().await.expect("boots");
    let outer = broker.service(&name).await.handler::<relay>().start().await.expect("boots");
    let asker = broker.service(&name).await.publish_only().start().await.expect("boots");
    let bridge = asker.bridge().clone();
    let asking = tokio::spawn(async move { bridge.ask(Relay { number: 4 }).await });
    probe.wait_for(1).await;
    let stopping = tokio::spawn(outer.stop());
    gate.add_permits(1);
    assert_eq!(asking.await.unwrap().expect("an answer").number, 8);
    assert!(stopping.await.unwrap().drained);
    asker.stop().await;
    inner.stop().await;
}

#[message(command, reply = super::Doubled)]
struct Relay {
    number: u32,
}

#[handler]
async fn relay(message: Relay, bridge: Bridge) -> Result<super::Doubled> {
    Ok(bridge.ask(asks(message.number, "gate")).await?)
}

/// Not earlier and not never. When the service comes, nobody waits any more: the handler is not called,
/// and nothing is parked.
async fn a_request_to_a_stopped_service_ends_at_its_timeout_and_is_refused_later(backend: Backend) {
    let (broker, name, probe) = (backend.broker().await, unique("stopping"), Probe::default());
    let service = async || {
        let service = broker.service(&name).await.handler::<double>().provide(probe.clone());
        service.config("bridge.clock_skew", "20ms").start().await.expect("boots")
    };
    service().await.stop().await;
    let asker = broker.service(&name).await.publish_only().start().await.expect("boots");
    let bridge = asker.bridge();
    let (began, timeout) = (Instant::now(), Duration::from_millis(400));
    let error = bridge.ask(asks(1, "well")).timeout(timeout).await.unwrap_err();
    let took = began.elapsed();
    assert_eq!(error.kind(), AskErrorKind::Timeout, "{error}");
    assert!(took >= timeout && took < timeout + Duration::from_secs(1), "{took:?}");
    eventually("the deadline and the skew of clocks are over", || async {
        began.elapsed() > timeout + Duration::from_millis(100)
    })
    .await;
    let running = service().await;
    eventually("it is refused", || async { running.ledger().count(Fate::Rejected) == 1 }).await;
    assert!(probe.notes().is_empty(), "the handler was not called");
    eventually("whoever asked is told, too late", || async { bridge.late_replies() == 1 }).await;
    let transport = broker.connect().await;
    wait_for_ready(&transport, &format!("cmd.{name}.Double"), 0).await;
    wait_for_ready(&transport, &format!("dlq.cmd.{name}.Double"), 0).await;
    running.stop().await;
    asker.stop().await;
}

/// Whoever asks hears the same word for a deadline, wherever it was seen: here its clock is behind.
async fn a_request_whose_deadline_is_over_when_it_comes_is_a_timeout(backend: Backend) {
    let (broker, name, probe) = (backend.broker().await, unique("stopping"), Probe::default());
    let running = broker.service(&name).await.handler::<double>().provide(probe.clone());
    let running = running.start().await.expect("boots");
    let asked = running.bridge().ask(asks(1, "well")).header("x-deadline", 1_000);
    // The bridge's own deadline wins over a header of the same name.
    assert_eq!(asked.await.expect("an answer").number, 2);
    let replies = unique("rpl");
    let transport = broker.connect().await;
    let mut topology = mmate::transport::Topology::default();
    topology.queue(mmate::transport::Queue::new(&replies));
    transport.declare(&topology).await.expect("declared");
    let sent = running.publisher().send(asks(1, "well")).header("x-deadline", 1_000);
    sent.reply_to(&replies).await.expect("taken");
    let reply = mmate_tests::take(&transport, &replies).await;
    let body: serde_json::Value = serde_json::from_slice(&reply.body).expect("JSON");
    assert_eq!(body["payload"]["errorCode"], codes::DEADLINE_EXCEEDED);
    assert_eq!(probe.notes().len(), 1);
    transport.delete_queue(&replies).await.expect("deleted");
    running.stop().await;
}

on_every_transport! {
    a_responder_that_stops_in_the_middle_answers_first
    a_request_that_its_responder_left_behind_is_answered_by_the_next_one
    an_asker_that_stops_leaves_nobody_hanging
    a_handler_that_waits_for_a_reply_is_let_to_its_end
    a_request_to_a_stopped_service_ends_at_its_timeout_and_is_refused_later
    a_request_whose_deadline_is_over_when_it_comes_is_a_timeout
}
