//! Asking and being answered, on both transports.

mod acknowledged;
mod gather;
mod limits;
mod outages;
mod stopping;

use std::time::Duration;

use mmate::contract::refusal::codes;
use mmate::prelude::*;
use mmate::runtime::{AppBuilder, Running};
use mmate_tests::{Backend, Broker, Probe, eventually, on_every_transport, unique, wait_for_ready};
use tokio::sync::Semaphore;
use tokio::time::Instant;

/// Asks for the double of a number, in a way that `how` chooses.
#[message(command, reply = Doubled)]
struct Double {
    number: u32,
    how: String,
}

#[message(reply)]
#[derive(PartialEq)]
struct Doubled {
    number: u32,
}

/// Asks the double of [`Double`] through another service.
#[message(command, reply = Doubled)]
struct Quadruple {
    number: u32,
}

/// Nobody handles it.
#[message(command, reply = Doubled)]
struct Nothing {}

#[derive(Debug, thiserror::Error, MessageError)]
enum DoubleError {
    #[error("{0} is too large")]
    #[class(reject = "TOO_LARGE")]
    TooLarge(u32),
    #[error("a secret of the inside")]
    #[class(permanent)]
    Broken,
}

/// Lets handlers go on when a test says so.
type Gate = std::sync::Arc<Semaphore>;

#[handler(concurrency = 600, prefetch = 1000)]
async fn double(
    message: Double,
    probe: State<Probe>,
    gate: Option<State<Gate>>,
) -> Result<Doubled> {
    probe.note(format!("{} {}", message.how, message.number));
    match message.how.as_str() {
        "refused" => Err(DoubleError::TooLarge(message.number).into()),
        "details" => Err(Reject::new("LIMIT", "over the limit")
            .details(serde_json::json!({"max": 5}))
            .into()),
        "broken" => Err(DoubleError::Broken.into()),
        "discarded" => Err(Discard("not needed".to_owned()).into()),
        "gate" => {
            let gate = gate.expect("the test gives a gate").into_inner();
            gate.acquire().await?.forget();
            Ok(Doubled { number: message.number * 2 })
        }
        _ => Ok(Doubled { number: message.number * 2 }),
    }
}

#[handler]
async fn quadruple(
    message: Quadruple,
    bridge: Bridge,
    context: Context,
    probe: State<Probe>,
) -> Result<Doubled> {
    let waits = context.request_remaining().expect("somebody waits");
    assert!(waits > Duration::from_secs(1) && waits <= Duration::from_secs(7), "{waits:?}");
    let inner = Double { number: message.number, how: "inner".to_owned() };
    let doubled = bridge.ask(inner).await?;
    probe.note(format!("outer {}", context.correlation_id()));
    Ok(Doubled { number: doubled.number * 2 })
}

struct Service {
    broker: Broker,
    name: String,
    probe: Probe,
    running: Running,
}

async fn start_with(backend: Backend, extend: impl FnOnce(AppBuilder) -> AppBuilder) -> Service {
    let (broker, name, probe) = (backend.broker().await, unique("bridge"), Probe::default());
    let builder = broker.service(&name).await.handler::<double>().handler::<quadruple>();
    let running = extend(builder.provide(probe.clone())).start().await.expect("the service boots");
    Service { broker, name, probe, running }
}

async fn start(backend: Backend) -> Service {
    start_with(backend, |builder| builder).await
}

fn asks(number: u32, how: &str) -> Double {
    Double { number, how: how.to_owned() }
}

async fn a_request_is_answered_with_the_type_that_it_names(backend: Backend) {
    let service = start(backend).await;
    let bridge = service.running.bridge();
    assert_eq!(bridge.readiness(), None, "nothing is made before something is asked");
    let doubled: Doubled = bridge.ask(asks(21, "well")).await.expect("an answer");
    assert_eq!(doubled.number, 42);
    assert_eq!(bridge.pending(), 0);
    assert!(service.running.is_ready(), "{}", service.running.health());
    assert!(service.running.stop().await.drained);
}

async fn a_refusal_comes_back_with_code_text_and_details(backend: Backend) {
    let service = start(backend).await;
    let bridge = service.running.bridge();
    let refused = bridge.ask(asks(9, "refused")).await.unwrap_err();
    assert_eq!((refused.kind(), refused.code()), (AskErrorKind::Refused, "TOO_LARGE"));
    assert_eq!(refused.refusal().unwrap().message, "9 is too large");
    assert!(refused.to_string().contains("request `Double` `"), "{refused}");
    let detailed = bridge.ask(asks(9, "details")).await.unwrap_err();
    assert_eq!(detailed.refusal().unwrap().details, Some(serde_json::json!({"max": 5})));
    service.running.stop().await;
}

/// The caller is told at once, and no word of the error itself: that stands in the dead letter.
async fn a_request_that_fails_for_good_is_parked_and_the_caller_is_told(backend: Backend) {
    let service = start(backend).await;
    let bridge = service.running.bridge();
    let failed = bridge.ask(asks(1, "broken")).await.unwrap_err();
    assert_eq!((failed.kind(), failed.code()), (AskErrorKind::Refused, codes::REQUEST_FAILED));
    let details = failed.refusal().unwrap().details.clone().unwrap();
    assert_eq!(details, serde_json::json!({"reason": "permanent", "attempts": 1}));
    assert!(!failed.to_string().contains("secret"), "{failed}");
    let discarded = bridge.ask(asks(1, "discarded")).await.unwrap_err();
    assert_eq!(discarded.code(), codes::DISCARDED);
    let transport = service.broker.connect().await;
    wait_for_ready(&transport, &format!("dlq.cmd.{}.Double", service.name), 1).await;
    service.running.stop().await;
}

async fn a_request_that_nobody_can_take_is_refused_at_once(backend: Backend) {
    let service = start(backend).await;
    let asked = service.running.bridge().ask(Nothing {}).await.unwrap_err();
    assert_eq!((asked.kind(), asked.code()), (AskErrorKind::NoListener, "NO_LISTENER"));
    assert_eq!(service.running.bridge().pending(), 0);
    service.running.stop().await;
}

/// One flow: the inner request has the correlation id of the outer one, and its deadline.
async fn a_handler_asks_within_the_flow_and_the_deadline_of_its_message(backend: Backend) {
    let service = start(backend).await;
    let bridge = service.running.bridge();
    let asked = bridge.ask(Quadruple { number: 5 }).timeout("7s").correlation_id("flow-7");
    assert_eq!(asked.await.expect("an answer").number, 20);
    assert_eq!(service.probe.notes(), ["inner 5", "outer flow-7"]);
    service.running.stop().await;
}

async fn a_reply_that_comes_too_late_is_counted_and_dropped(backend: Backend) {
    let gate = Gate::new(Semaphore::new(0));
    let service = start_with(backend, |builder| builder.provide(Gate::clone(&gate))).await;
    let bridge = service.running.bridge();
    let began = Instant::now();
    let asked = bridge.ask(asks(1, "gate")).timeout("300ms").await.unwrap_err();
    assert_eq!((asked.kind(), asked.code()), (AskErrorKind::Timeout, "TIMEOUT"));
    assert!(began.elapsed() >= Duration::from_millis(300));
    gate.add_permits(1);
    eventually("the reply is counted as late", || async { bridge.late_replies() == 1 }).await;
    assert_eq!(bridge.ask(asks(2, "well")).await.expect("an answer").number, 4);
    service.running.stop().await;
}

on_every_transport! {
    a_request_is_answered_with_the_type_that_it_names
    a_refusal_comes_back_with_code_text_and_details
    a_request_that_fails_for_good_is_parked_and_the_caller_is_told
    a_request_that_nobody_can_take_is_refused_at_once
    a_handler_asks_within_the_flow_and_the_deadline_of_its_message
    a_reply_that_comes_too_late_is_counted_and_dropped
}
