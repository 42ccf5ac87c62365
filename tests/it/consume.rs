//! What becomes of a delivery, by what the handler returns.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use mmate::contract::headers::names;
use mmate::prelude::*;
use mmate::runtime::AppBuilder;
use mmate::transport::Delivery;
use mmate_tests::{Backend, Broker, Probe, on_every_transport, take, unique, wait_for_ready};
use tokio::sync::Semaphore;

/// Tells the handler how to end.
#[message(command, reply = Finished)]
struct Work {
    end: String,
}

#[message(reply)]
struct Finished {
    attempts: u32,
}

#[derive(Debug, thiserror::Error, MessageError)]
enum WorkError {
    #[error("the other side is away")]
    #[class(transient)]
    Away,
    #[error("this will never work")]
    #[class(permanent)]
    Never,
    #[error("we do not deal with you")]
    #[class(reject = "BLOCKED")]
    Blocked,
}

#[handler(timeout = "300ms", retry(attempts = 3, backoff = fixed("10ms"), jitter = 0.0))]
async fn work(message: Work, context: Context, probe: State<Probe>) -> Result<Finished> {
    let attempts = context.attempt();
    probe.note(format!("{} {attempts}", message.end));
    match message.end.as_str() {
        "away" => Err(WorkError::Away.into()),
        "away once" if attempts == 1 => Err(WorkError::Away.into()),
        "never" => Err(WorkError::Never.into()),
        "blocked" => Err(WorkError::Blocked.into()),
        "plain" => Err(std::io::Error::other("no class").into()),
        "panic" => panic!("the handler is broken"),
        "hang" => std::future::pending().await,
        "asked" => Err(DeadLetter("look at this".to_owned()).into()),
        "discard" => Err(Discard("not needed".to_owned()).into()),
        _ => Ok(Finished { attempts }),
    }
}

struct Service {
    broker: Broker,
    name: String,
    probe: Probe,
    running: mmate::runtime::Running,
}

async fn start_with(backend: Backend, extend: impl FnOnce(AppBuilder) -> AppBuilder) -> Service {
    let (broker, name, probe) = (backend.broker().await, unique("consume"), Probe::default());
    let builder = broker.service(&name).await.handler::<work>().provide(probe.clone());
    let running = extend(builder).start().await.expect("the service boots");
    Service { broker, name, probe, running }
}

async fn start(backend: Backend) -> Service {
    start_with(backend, |builder| builder).await
}

impl Service {
    async fn send(&self, end: &str) {
        self.running
            .publisher()
            .send(Work { end: end.to_owned() })
            .await
            .expect("the command is taken");
    }

    fn queue(&self) -> String {
        format!("cmd.{}.Work", self.name)
    }

    async fn dead_letter(&self) -> Delivery {
        take(&self.broker.connect().await, &format!("dlq.{}", self.queue())).await
    }

    /// Stops, and asserts that neither queue holds anything.
    async fn ends_empty(self) -> mmate::consume::Counts {
        let (queue, transport) = (self.queue(), self.broker.connect().await);
        let report = self.running.stop().await;
        wait_for_ready(&transport, &queue, 0).await;
        wait_for_ready(&transport, &format!("dlq.{queue}"), 0).await;
        assert!(report.drained, "{report}");
        report.counts
    }
}

fn death(delivery: &Delivery, name: &str) -> String {
    delivery.properties.headers.text(name).unwrap_or_default().to_owned()
}

async fn a_handled_message_is_gone(backend: Backend) {
    let service = start(backend).await;
    service.send("well").await;
    assert_eq!(service.probe.wait_for(1).await, ["well 1"]);
    assert_eq!(service.ends_empty().await.handled, 1);
}

async fn a_failing_message_is_tried_again_and_then_dead_lettered_intact(backend: Backend) {
    let service = start(backend).await;
    let sent = service
        .running
        .publisher()
        .send(Work { end: "away".to_owned() })
        .header("tenant", "acme")
        .priority(7)
        .ttl("1h");
    let id = sent.await.expect("the command is taken").id;
    let parked = service.dead_letter().await;
    assert_eq!(service.probe.notes(), ["away 1", "away 2", "away 3"]);
    assert_eq!(death(&parked, names::DEATH_REASON), "retries_exhausted");
    assert_eq!(death(&parked, names::DEATH_ERROR), "the other side is away");
    assert_eq!(death(&parked, names::DEATH_QUEUE), service.queue());
    assert_eq!(death(&parked, names::DEATH_HANDLER), format!("{}.work", service.name));
    assert_eq!(parked.properties.headers.get(names::DEATH_ATTEMPTS), Some(&3.into()));
    assert!(death(&parked, names::DEATH_TIME).ends_with('Z'));
    assert_eq!(death(&parked, names::ORIGINAL_EXCHANGE), "mmate.commands");
    assert_eq!(death(&parked, names::ORIGINAL_ROUTING_KEY), service.queue());
    assert_eq!(parked.properties.headers.text("tenant"), Some("acme"));
    assert_eq!(parked.properties.message_id.as_deref(), Some(id.as_str()));
    assert_eq!(parked.properties.priority, Some(7));
    assert_eq!(parked.properties.expiration_ms, None, "a dead letter does not expire");
    let envelope =
        mmate::contract::envelope::decode::<Work>(&parked.body).expect("the body is intact");
    assert_eq!((envelope.meta.id, envelope.message.end.as_str()), (id, "away"));
    let counts = service.ends_empty().await;
    assert_eq!((counts.retried, counts.dead_lettered, counts.handled), (2, 1, 0));
}

async fn a_message_that_succeeds_at_the_second_attempt_is_handled_once(backend: Backend) {
    let service = start(backend).await;
    service.send("away once").await;
    service.probe.wait_for(2).await;
    let counts = service.ends_empty().await;
    assert_eq!((counts.handled, counts.retried, counts.dead_lettered), (1, 1, 0));
}

async fn what_is_permanent_or_asked_for_is_dead_lettered_at_once(backend: Backend) {
    let service = start(backend).await;
    for (end, reason) in [("never", "permanent"), ("asked", "asked_by_handler")] {
        service.send(end).await;
        let parked = service.dead_letter().await;
        assert_eq!(death(&parked, names::DEATH_REASON), reason);
        assert_eq!(parked.properties.headers.get(names::DEATH_ATTEMPTS), Some(&1.into()));
    }
    service.ends_empty().await;
}

async fn a_panic_concerns_its_own_message_only(backend: Backend) {
    let service = start(backend).await;
    service.send("panic").await;
    let parked = service.dead_letter().await;
    assert_eq!(death(&parked, names::DEATH_REASON), "panic");
    assert_eq!(
        death(&parked, names::DEATH_ERROR),
        "handler `work` panicked: the handler is broken"
    );
    service.send("well").await;
    assert_eq!(service.probe.wait_for(4).await[3], "well 1");
    service.ends_empty().await;
}

async fn a_handler_that_overruns_its_limit_is_cancelled_and_tried_again(backend: Backend) {
    let service = start(backend).await;
    service.send("hang").await;
    let parked = service.dead_letter().await;
    assert_eq!(death(&parked, names::DEATH_REASON), "timeout");
    assert_eq!(service.probe.notes().len(), 3);
    service.ends_empty().await;
}

async fn a_refusal_is_acknowledged_and_never_tried_again(backend: Backend) {
    let service = start(backend).await;
    service.send("blocked").await;
    service.send("discard").await;
    service.send("well").await;
    service.probe.wait_for(3).await;
    let counts = service.ends_empty().await;
    assert_eq!((counts.rejected, counts.discarded, counts.handled, counts.retried), (1, 1, 1, 0));
}

async fn a_caller_that_waits_gets_the_reply_or_the_refusal(backend: Backend) {
    let service = start(backend).await;
    let transport = service.broker.connect().await;
    let replies = unique("rpl");
    let mut topology = mmate::transport::Topology::default();
    topology.queue(mmate::transport::Queue::new(&replies));
    transport.declare(&topology).await.expect("the reply queue is made");
    for end in ["well", "blocked"] {
        let command = service.running.publisher().send(Work { end: end.to_owned() });
        command.reply_to(&replies).correlation_id("flow-1").await.expect("the command is taken");
        let reply = take(&transport, &replies).await;
        let body: serde_json::Value = serde_json::from_slice(&reply.body).expect("a JSON envelope");
        assert_eq!(body["correlationId"], "flow-1");
        let expected = match end {
            "well" => serde_json::json!({"attempts": 1, "success": true}),
            _ => serde_json::json!({
                "success": false, "errorCode": "BLOCKED", "errorMessage": "we do not deal with you",
                "error": "we do not deal with you"
            }),
        };
        assert_eq!(body["payload"], expected);
    }
    transport.delete_queue(&replies).await.expect("the reply queue is removed");
    service.ends_empty().await;
}

async fn at_most_as_many_run_at_a_time_as_the_concurrency_says(backend: Backend) {
    let service = start_with(backend, |builder| builder.config("consume.concurrency", 2)).await;
    for _ in 0..3 {
        service.send("hang").await;
    }
    // The third begins only when one of the first two has been cancelled and waits for its next attempt.
    let notes = service.probe.wait_for(2).await;
    assert_eq!(notes, ["hang 1", "hang 1"]);
    let parked =
        [service.dead_letter().await, service.dead_letter().await, service.dead_letter().await];
    assert!(parked.iter().all(|delivery| death(delivery, names::DEATH_REASON) == "timeout"));
    service.ends_empty().await;
}

#[message(command)]
struct Numbered {
    number: usize,
}

/// Lets handlers go on, and knows how many wait at a time.
#[derive(Debug)]
struct Gate {
    open: Semaphore,
    inside: AtomicUsize,
    most: AtomicUsize,
}

#[handler]
async fn pass(message: Numbered, probe: State<Probe>, gate: State<Arc<Gate>>) -> Result {
    probe.note(message.number.to_string());
    let inside = gate.inside.fetch_add(1, Ordering::SeqCst) + 1;
    gate.most.fetch_max(inside, Ordering::SeqCst);
    let _open = gate.open.acquire().await?;
    gate.inside.fetch_sub(1, Ordering::SeqCst);
    Ok(())
}

async fn what_has_waited_is_begun_in_order_however_much_is_taken_together(backend: Backend) {
    const MESSAGES: usize = 60;
    let (broker, probe) = (backend.broker().await, Probe::default());
    let gate = Arc::new(Gate {
        open: Semaphore::new(0),
        inside: AtomicUsize::new(0),
        most: AtomicUsize::new(0),
    });
    let builder = broker.service(&unique("together")).await.handler::<pass>();
    let builder =
        builder.provide(probe.clone()).provide(Arc::clone(&gate)).config("consume.concurrency", 5);
    let running = builder.start().await.expect("the service boots");
    for number in 0..MESSAGES {
        running.publisher().send(Numbered { number }).await.expect("the command is taken");
    }
    probe.wait_for(5).await;
    gate.open.add_permits(MESSAGES);
    let begun = probe.wait_for(MESSAGES).await;
    assert_eq!(begun, (0..MESSAGES).map(|number| number.to_string()).collect::<Vec<_>>());
    assert_eq!(gate.most.load(Ordering::SeqCst), 5);
    running.stop().await;
}

async fn stopping_lets_handlers_end_and_leaves_the_rest_to_others(backend: Backend) {
    let service = start_with(backend, |builder| builder.config("shutdown.drain", "50ms")).await;
    let (queue, transport) = (service.queue(), service.broker.connect().await);
    service.send("hang").await;
    service.probe.wait_for(1).await;
    let began = tokio::time::Instant::now();
    let report = service.running.stop().await;
    assert!(!report.drained && report.counts.abandoned == 1, "{report}");
    assert!(began.elapsed() < Duration::from_secs(10), "{report}");
    let again = take(&transport, &queue).await;
    assert!(again.redelivered);
}

async fn a_consumer_whose_queue_was_deleted_consumes_again(backend: Backend) {
    let service = start(backend).await;
    let transport = service.broker.connect().await;
    transport.delete_queue(&service.queue()).await.expect("the queue is deleted");
    mmate_tests::eventually("consuming the new queue", || async {
        let stats = transport.queue_stats(&service.queue()).await.ok().flatten();
        stats.is_some_and(|stats| stats.consumers == 1) && service.running.is_ready()
    })
    .await;
    service.send("well").await;
    service.probe.wait_for(1).await;
    service.ends_empty().await;
}

async fn a_dead_letter_queue_that_was_deleted_is_made_again(backend: Backend) {
    let service = start(backend).await;
    let transport = service.broker.connect().await;
    let parked = format!("dlq.{}", service.queue());
    transport.delete_queue(&parked).await.expect("the dead-letter queue is deleted");
    service.send("never").await;
    mmate_tests::eventually("the dead-letter queue is there again", || async {
        matches!(transport.queue_stats(&parked).await, Ok(Some(_)))
    })
    .await;
    assert_eq!(death(&service.dead_letter().await, names::DEATH_REASON), "permanent");
    service.ends_empty().await;
}

async fn a_message_that_was_delivered_too_often_is_not_handled_again(backend: Backend) {
    let service =
        start_with(backend, |builder| builder.config("consume.redeliveries_max", 0)).await;
    service.send("well").await;
    service.probe.wait_for(1).await;
    // A process that dies while it holds the message leaves it redelivered.
    let (name, queue, broker) = (service.name.clone(), service.queue(), service.broker);
    service.running.stop().await;
    let transport = broker.connect().await;
    mmate_tests::publish_raw(&transport, &queue, mmate::transport::Properties::default(), "{}")
        .await;
    let dying = broker.connect().await;
    let mut subscription = dying
        .subscribe(mmate::transport::SubscribeOptions::new(&queue, 1))
        .await
        .expect("a consumer");
    assert!(matches!(subscription.next().await, mmate::transport::Intake::Delivery(_)));
    drop(subscription);
    dying.close().await;
    let builder = broker.service(&name).await.handler::<work>().provide(Probe::default());
    let running =
        builder.config("consume.redeliveries_max", 0).start().await.expect("the service boots");
    let parked = take(&transport, &format!("dlq.{queue}")).await;
    assert_eq!(death(&parked, names::DEATH_REASON), "redelivery_limit");
    running.stop().await;
}

#[message(command)]
struct Traced {
    number: u32,
}

#[handler]
async fn traced(message: Traced, probe: State<Probe>) {
    let span = || tracing::Span::current().metadata().map(|span| span.name());
    let before = span();
    tokio::task::yield_now().await;
    probe.note(format!("{} {before:?} {:?}", message.number, span()));
}

/// What the user's code logs says with which message it has to do, wherever the code has waited.
#[tokio::test]
async fn a_handler_runs_in_a_span_where_somebody_listens() {
    let _listening = tracing::subscriber::set_default(tracing_subscriber::registry());
    let (name, probe) = (unique("traced"), Probe::default());
    let service = Backend::Memory.broker().await.service(&name).await;
    let running = service.handler::<traced>().provide(probe.clone()).start().await.expect("boots");
    running.publisher().send(Traced { number: 7 }).await.expect("it is sent");
    assert_eq!(probe.wait_for(1).await, [r#"7 Some("handle") Some("handle")"#]);
    running.stop().await;
}

on_every_transport! {
    a_handled_message_is_gone
    a_failing_message_is_tried_again_and_then_dead_lettered_intact
    a_message_that_succeeds_at_the_second_attempt_is_handled_once
    what_is_permanent_or_asked_for_is_dead_lettered_at_once
    a_panic_concerns_its_own_message_only
    a_handler_that_overruns_its_limit_is_cancelled_and_tried_again
    a_refusal_is_acknowledged_and_never_tried_again
    a_caller_that_waits_gets_the_reply_or_the_refusal
    at_most_as_many_run_at_a_time_as_the_concurrency_says
    what_has_waited_is_begun_in_order_however_much_is_taken_together
    stopping_lets_handlers_end_and_leaves_the_rest_to_others
    a_consumer_whose_queue_was_deleted_consumes_again
    a_dead_letter_queue_that_was_deleted_is_made_again
    a_message_that_was_delivered_too_often_is_not_handled_again
}
