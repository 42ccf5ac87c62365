//! Attempts and the waits between them: short ones in the process, long ones at the broker.

use std::sync::Arc;
use std::time::{Duration, Instant};

use mmate::contract::headers::names;
use mmate::prelude::*;
use mmate::runtime::Running;
use mmate::transport::{Properties, Transport};
use mmate_tests::{
    Backend, Probe, eventually, on_every_transport, publish_raw, take, unique, wait_for_ready,
};
use xtask::servers::{RabbitNode, StartOptions};

#[message(command)]
struct Pay {
    amount: u32,
    /// The number of the attempt that succeeds.
    succeeds_at: u32,
}

#[derive(Debug, thiserror::Error, MessageError)]
enum PayError {
    #[error("the bank does not answer")]
    #[class(transient)]
    Away,
}

/// One place, so that a message that waits in the process would be in the way of the others.
#[handler(concurrency = 1, prefetch = 1, retry(attempts = 3, backoff = fixed("1600ms"), jitter = 0.0))]
async fn pay(command: Pay, context: Context, probe: State<Probe>) -> Result<(), PayError> {
    probe.note(format!("{} {}", command.amount, context.attempt()));
    if context.attempt() < command.succeeds_at { Err(PayError::Away) } else { Ok(()) }
}

#[message(event)]
struct Paid {
    amount: u32,
}

/// Three handlers of one event, each with a queue of its own: what one does is no matter of the others.
#[handler(group = "receipts")]
async fn print_receipt(event: Paid, probe: State<Probe>) {
    probe.note(format!("receipt {}", event.amount));
}

#[handler(group = "books", retry(attempts = 3, backoff = fixed("50ms")))]
async fn book(event: Paid, context: Context, probe: State<Probe>) -> Result {
    probe.note(format!("book {} {}", event.amount, context.attempt()));
    if context.attempt() < 3 { Err(HandlerError::msg("the ledger is locked")) } else { Ok(()) }
}

#[handler(group = "mail", retry(attempts = 1))]
async fn mail(event: Paid, probe: State<Probe>) -> Result {
    probe.note(format!("mail {}", event.amount));
    Err(HandlerError::msg("no such address"))
}

struct Service {
    running: Running,
    probe: Probe,
    transport: Arc<dyn Transport>,
    queue: String,
}

async fn start(backend: Backend) -> Service {
    let (broker, name, probe) = (backend.broker().await, unique("retries"), Probe::default());
    let builder = broker.service(&name).await.handler::<pay>().provide(probe.clone());
    let running = builder.start().await.expect("boots");
    let queue = format!("cmd.{name}.Pay");
    Service { running, probe, transport: broker.connect().await, queue }
}

impl Service {
    async fn send(&self, amount: u32, succeeds_at: u32) -> String {
        let command = Pay { amount, succeeds_at };
        self.running.publisher().send(command).priority(3).await.expect("taken").id.into()
    }
}

async fn a_long_wait_holds_no_place_and_is_kept(backend: Backend) {
    let service = start(backend).await;
    let began = Instant::now();
    service.send(1, 3).await;
    service.probe.wait_for(1).await;
    service.send(2, 1).await;
    assert_eq!(service.probe.wait_for(2).await, ["1 1", "2 1"]);
    assert!(began.elapsed() < Duration::from_millis(1_600), "the second waited for the first");
    service.probe.wait_for(3).await;
    let (second, wait) = (began.elapsed(), Duration::from_millis(1_600));
    assert_eq!(service.probe.wait_for(4).await[2..], ["1 2", "1 3"]);
    let third = began.elapsed();
    assert!(second >= wait && third >= wait * 2, "{second:?} {third:?}");
    wait_for_ready(&service.transport, &service.queue, 0).await;
    let counts = service.running.stop().await.counts;
    assert_eq!((counts.handled, counts.retried, counts.dead_lettered), (2, 2, 0), "{counts:?}");
}

async fn what_waited_at_the_broker_is_parked_as_it_came(backend: Backend) {
    let service = start(backend).await;
    let id = service.send(5, 9).await;
    let parked = take(&service.transport, &format!("dlq.{}", service.queue)).await;
    assert_eq!(service.probe.notes(), ["5 1", "5 2", "5 3"]);
    let Properties { message_id, priority, headers, .. } = &parked.properties;
    assert_eq!((message_id.as_deref(), *priority), (Some(id.as_str()), Some(3)));
    assert_eq!(headers.text(names::DEATH_REASON), Some("retries_exhausted"));
    assert_eq!(headers.get(names::DEATH_ATTEMPTS), Some(&3.into()));
    assert_eq!(headers.text(names::ORIGINAL_EXCHANGE), Some("mmate.commands"));
    for gone in [names::ATTEMPT, names::NOT_BEFORE].iter().chain(&names::BROKER_DEATHS[..3]) {
        // RabbitMQ's own history of a message would make it believe in a circle one day.
        assert_eq!(headers.get(gone), None, "{gone}");
    }
    let body = mmate::contract::envelope::decode::<Pay>(&parked.body).expect("intact");
    assert_eq!(body.message.amount, 5);
    service.running.stop().await;
}

async fn a_message_that_came_early_waits_for_its_time(backend: Backend) {
    let service = start(backend).await;
    let due = |wait: u64| {
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
        i64::try_from(now.expect("after 1970").as_millis()).expect("small") + wait as i64
    };
    let envelope = |amount: u32| {
        format!(
            r#"{{"id":"early-{amount}","type":"Pay","timestamp":"2026-01-01T00:00:00Z","payload":{{"amount":{amount},"succeedsAt":1}}}}"#
        )
    };
    let began = Instant::now();
    // One by two hops at the broker and a rest in the process, one in the process alone.
    for (amount, wait) in [(1, 2_700), (2, 400)] {
        let mut properties = Properties::default();
        properties.headers.set(names::NOT_BEFORE, due(wait));
        properties.headers.set(names::ATTEMPT, 2);
        publish_raw(&service.transport, &service.queue, properties, envelope(amount)).await;
    }
    service.probe.wait_for(1).await;
    let first = began.elapsed();
    let notes = service.probe.wait_for(2).await;
    let second = began.elapsed();
    assert_eq!(notes, ["2 2", "1 2"], "the attempts are those of the header");
    assert!(first >= Duration::from_millis(390) && second >= Duration::from_millis(2_690));
    service.running.stop().await;
}

async fn of_several_handlers_only_the_one_that_failed_runs_again(backend: Backend) {
    let (broker, name, probe) = (backend.broker().await, unique("retries"), Probe::default());
    let builder = broker.service(&name).await.provide(probe.clone());
    let builder = builder.handler::<print_receipt>().handler::<book>().handler::<mail>();
    let running = builder.start().await.expect("boots");
    running.publisher().publish(Paid { amount: 9 }).await.expect("taken");
    let transport = broker.connect().await;
    take(&transport, "dlq.evt.Paid.mail").await;
    let mut notes = probe.wait_for(5).await;
    notes.sort();
    assert_eq!(notes, ["book 9 1", "book 9 2", "book 9 3", "mail 9", "receipt 9"]);
    let counts = running.stop().await.counts;
    assert_eq!((counts.handled, counts.retried, counts.dead_lettered), (2, 2, 1), "{counts:?}");
}

/// As its scheduler writes it: no envelope, the whole message inside, the count in a header.
async fn a_delayed_retry_of_the_go_sibling_goes_on_where_it_stopped(backend: Backend) {
    let service = start(backend).await;
    let body = r#"{"messageId":"go-1","messageType":"Pay","correlationId":"flow-1",
        "originalPayload":{"id":"go-1","type":"Pay","timestamp":"2026-01-01T00:00:00Z",
            "amount":7,"succeedsAt":9},
        "originalQueue":"cmd.payments","attemptNumber":1,"maxAttempts":3,
        "retryPolicy":"ExponentialBackoff","scheduledAt":"2026-01-01T00:00:00.5Z",
        "retryAt":"2026-01-01T00:00:02Z","lastError":"the bank does not answer"}"#;
    let mut properties = Properties::default();
    properties.message_id = Some("go-1".into());
    properties.headers.set(names::SIBLING_ATTEMPTS, 1);
    publish_raw(&service.transport, &service.queue, properties, body).await;
    let parked = take(&service.transport, &format!("dlq.{}", service.queue)).await;
    assert_eq!(service.probe.notes(), ["7 2", "7 3"]);
    assert_eq!(parked.body, body);
    service.running.stop().await;
}

/// What only looks like one is as unreadable as anything else.
async fn a_wrapper_without_a_message_is_parked(backend: Backend) {
    let service = start(backend).await;
    for body in [
        r#"{"messageId":"","messageType":"Pay","originalPayload":{}}"#,
        r#"{"messageId":"go-2","messageType":"Pay"}"#,
    ] {
        publish_raw(&service.transport, &service.queue, Properties::default(), body).await;
        let parked = take(&service.transport, &format!("dlq.{}", service.queue)).await;
        assert_eq!(parked.properties.headers.text(names::DEATH_REASON), Some("missing_id"));
    }
    service.running.stop().await;
}

on_every_transport! {
    of_several_handlers_only_the_one_that_failed_runs_again
    a_delayed_retry_of_the_go_sibling_goes_on_where_it_stopped
    a_wrapper_without_a_message_is_parked
    a_long_wait_holds_no_place_and_is_kept
    what_waited_at_the_broker_is_parked_as_it_came
    a_message_that_came_early_waits_for_its_time
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    tokio::task::spawn_blocking(work).await.expect("no panic")
}

/// The service and the broker are both away while the message waits.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_wait_survives_a_restart_of_service_and_broker() {
    let node =
        Arc::new(blocking(|| RabbitNode::start(&StartOptions::default())).await.expect("a node"));
    let probe = Probe::default();
    let start = || {
        let builder = App::builder().name("patient").handler::<pay>().provide(probe.clone());
        builder.config("url", node.amqp_url()).start()
    };
    let running = start().await.expect("boots");
    running.publisher().send(Pay { amount: 1, succeeds_at: 2 }).await.expect("taken");
    probe.wait_for(1).await;
    let transport = running.transport();
    eventually("the copy waits at the broker", || async {
        let queue = transport.queue_stats("mmate.delay.1500ms").await;
        matches!(queue, Ok(Some(stats)) if stats.ready == 1)
    })
    .await;
    running.stop().await;
    let restarted = Arc::clone(&node);
    blocking(move || restarted.restart()).await.expect("restarted");
    let running = start().await.expect("boots again");
    assert_eq!(probe.wait_for(2).await, ["1 1", "1 2"], "the count survives");
    let counts = running.stop().await.counts;
    assert_eq!((counts.handled, counts.retried), (1, 0), "{counts:?}");
}
