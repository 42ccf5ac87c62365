//! Connected means consuming: what a service shows of itself, and that it never stops in silence.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use async_trait::async_trait;
use mmate::Error;
use mmate::consume::Readiness;
use mmate::prelude::*;
use mmate::runtime::{AppBuilder, QueueLag, Running};
use mmate::transport::memory::MemoryTransport;
use mmate::transport::{
    Capabilities, Intake, LinkHealth, Outgoing, PublishError, QueueStats, Settlement,
    SubscribeOptions, Subscription, Tag, Topology, Transport, TransportError, TransportHealth,
};
use mmate_tests::{Backend, Probe, eventually, on_every_transport, unique, wait_for_ready};
use tokio::sync::Semaphore;

#[message(command)]
struct SupervisedWork {
    text: String,
}

/// Pauses, but does not wait for ever.
async fn pause(running: &Running, queue: &str) {
    let paused = running.pause(queue, "paused by a test");
    let paused = tokio::time::timeout(mmate_tests::DEADLINE, paused).await;
    paused.expect("paused in time").expect("the queue is known");
}

/// Handlers that are asked to wait do so until the test opens it.
#[derive(Clone)]
struct Gate(Arc<Semaphore>);

#[handler(concurrency = 1)]
async fn work(message: SupervisedWork, probe: State<Probe>, gate: State<Gate>) {
    probe.note(&message.text);
    if message.text == "wait" {
        let _ = gate.0.acquire().await;
    }
}

#[message(event)]
struct SupervisedNews {
    text: String,
}

#[handler(broadcast)]
async fn hear(message: SupervisedNews, probe: State<Probe>) {
    probe.note(message.text);
}

struct Service {
    running: Running,
    transport: Arc<dyn Transport>,
    probe: Probe,
    gate: Gate,
}

impl Service {
    async fn start(backend: Backend) -> Self {
        let broker = backend.broker().await;
        let builder = broker.service(&unique("supervised")).await;
        Self::from(builder, broker.connect().await).await
    }

    async fn from(builder: AppBuilder, transport: Arc<dyn Transport>) -> Self {
        let (probe, gate) = (Probe::default(), Gate(Arc::new(Semaphore::new(0))));
        let builder = builder.handler::<work>().provide(probe.clone()).provide(gate.clone());
        let running = builder.start().await.expect("boots");
        Self { running, transport, probe, gate }
    }

    fn queue(&self) -> String {
        self.running.health().consumers[0].queue.clone()
    }

    async fn send(&self, text: &str) {
        let message = SupervisedWork { text: text.to_owned() };
        self.running.publisher().send(message).await.expect("published");
    }

    fn readiness(&self) -> Readiness {
        self.running.health().consumers[0].readiness.clone()
    }
}

async fn health_shows_what_the_broker_confirmed_and_what_the_consumer_holds(backend: Backend) {
    let service = Service::start(backend).await;
    let health = service.running.health();
    assert!(health.ready && health.to_string() == "ready", "{health}");
    assert_eq!((&health.publish, &health.consume), (&LinkHealth::Up, &LinkHealth::Up));
    let consumer = &health.consumers[0];
    assert!(consumer.confirmed.is_some() && consumer.last_received.is_none(), "{consumer:?}");

    service.send("wait").await;
    service.probe.wait_for(1).await;
    eventually("the message is in flight", || async {
        let consumer = &service.running.health().consumers[0];
        consumer.in_flight == 1 && consumer.last_received < consumer.confirmed
    })
    .await;
    service.gate.0.add_permits(1);
    eventually("nothing is in flight", || async {
        service.running.health().consumers[0].in_flight == 0
    })
    .await;
    assert!(service.running.is_ready(), "quiet is healthy");
    service.running.stop().await;
}

async fn a_paused_queue_keeps_its_messages_until_it_is_resumed(backend: Backend) {
    let service = Service::start(backend).await;
    let queue = service.queue();
    service.send("wait").await;
    service.send("second").await;
    service.probe.wait_for(1).await;

    let running = &service.running;
    let asked =
        tokio::time::timeout(Duration::from_millis(200), running.pause(&queue, "paused by a test"));
    assert!(asked.await.is_err(), "it waits for the handler that runs");
    service.gate.0.add_permits(1);
    pause(running, &queue).await;
    assert_eq!(service.readiness(), Readiness::Paused("paused by a test".to_owned()));
    let health = running.health();
    assert!(!health.ready && health.to_string().contains("paused by a test"), "{health}");
    service.send("third").await;
    // What was handled is gone, what was fetched in advance is back.
    wait_for_ready(&service.transport, &queue, 2).await;
    assert_eq!(service.probe.notes(), ["wait"]);

    running.resume(&queue).await.expect("the queue is known");
    running.until_ready().await;
    let mut notes = service.probe.wait_for(3).await;
    notes.sort();
    assert_eq!(notes, ["second", "third", "wait"]);

    let error = running.pause("elsewhere", "").await.unwrap_err();
    assert!(matches!(error, Error::UnknownQueue { .. }), "{error}");
    assert!(error.to_string().contains(&queue), "{error}");
    service.running.stop().await;
}

async fn a_broadcast_waits_while_its_consumer_is_paused(backend: Backend) {
    let broker = backend.broker().await;
    let (builder, probe) = (broker.service(&unique("paused-news")).await, Probe::default());
    let builder = builder.handler::<hear>().provide(probe.clone());
    let running = builder.start().await.expect("boots");
    let queue = running.health().consumers[0].queue.clone();
    pause(&running, &queue).await;
    let news = SupervisedNews { text: queue.clone() };
    running.publisher().publish(news).await.expect("its queue is still there");
    running.resume(&queue).await.expect("the queue is known");
    eventually("the broadcast", async || probe.notes().contains(&queue)).await;
    running.stop().await;
}

async fn a_paused_service_stops(backend: Backend) {
    let service = Service::start(backend).await;
    let queue = service.queue();
    pause(&service.running, &queue).await;
    service.send("later").await;
    let report = service.running.stop().await;
    assert!(report.drained && report.counts.handled == 0, "{report}");
    wait_for_ready(&service.transport, &queue, 1).await;
}

async fn lag_equals_the_numbers_of_the_broker(backend: Backend) {
    let service = Service::start(backend).await;
    let queue = service.queue();
    pause(&service.running, &queue).await;
    for _ in 0..3 {
        service.send("later").await;
    }
    mmate_tests::publish_raw(
        &service.transport,
        &format!("dlq.{queue}"),
        mmate::transport::Properties::default(),
        "{}",
    )
    .await;
    let shown = |lag: &QueueLag| (lag.ready, lag.consumers, lag.dead_lettered);
    eventually("the lag", async || {
        let lags = service.running.lag().await.expect("the broker answers");
        lags.len() == 1 && lags[0].queue == queue && shown(&lags[0]) == (3, 0, 1)
    })
    .await;
    service.running.resume(&queue).await.expect("the queue is known");
    service.probe.wait_for(3).await;
    eventually("the lag is gone", async || {
        let lags = service.running.lag().await.expect("the broker answers");
        shown(&lags[0]) == (0, 1, 1)
    })
    .await;
    service.running.stop().await;
}

on_every_transport! {
    health_shows_what_the_broker_confirmed_and_what_the_consumer_holds
    a_paused_queue_keeps_its_messages_until_it_is_resumed
    a_broadcast_waits_while_its_consumer_is_paused
    a_paused_service_stops
    lag_equals_the_numbers_of_the_broker
}

/// A broker, or a proxy before it, that can forget consumers and be away.
#[derive(Debug, Default)]
struct Forgetful {
    inner: MemoryTransport,
    /// Subscriptions that are made meanwhile get nothing.
    forgets: AtomicBool,
    away: AtomicBool,
    subscribed: AtomicU32,
    asked: AtomicU32,
}

/// Confirmed, and nothing ever comes.
#[derive(Debug)]
struct Forgotten;

impl Subscription for Forgotten {
    fn poll_next(&mut self, _: &mut Context<'_>) -> Poll<Intake> {
        Poll::Pending
    }

    fn settle(&mut self, _: Tag, _: Settlement) {}

    fn poll_flush(&mut self, _: &mut Context<'_>) -> Poll<Result<(), TransportError>> {
        Poll::Ready(Ok(()))
    }

    fn poll_cancel(&mut self, _: &mut Context<'_>) -> Poll<Result<(), TransportError>> {
        Poll::Ready(Ok(()))
    }
}

#[async_trait]
impl Transport for Forgetful {
    fn name(&self) -> &'static str {
        "forgetful"
    }

    fn capabilities(&self) -> Capabilities {
        self.inner.capabilities()
    }

    async fn declare(&self, topology: &Topology) -> Result<(), TransportError> {
        self.inner.declare(topology).await
    }

    async fn publish(&self, outgoing: Outgoing) -> Result<(), PublishError> {
        self.inner.publish(outgoing).await
    }

    async fn subscribe(
        &self,
        options: SubscribeOptions,
    ) -> Result<Box<dyn Subscription>, TransportError> {
        self.subscribed.fetch_add(1, Ordering::SeqCst);
        if self.away.load(Ordering::SeqCst) {
            let kind = mmate::transport::TransportErrorKind::Unreachable;
            return Err(TransportError::new(kind, "the broker is away"));
        }
        if self.forgets.load(Ordering::SeqCst) {
            return Ok(Box::new(Forgotten));
        }
        self.inner.subscribe(options).await
    }

    async fn queue_stats(&self, queue: &str) -> Result<Option<QueueStats>, TransportError> {
        self.asked.fetch_add(1, Ordering::SeqCst);
        self.inner.queue_stats(queue).await
    }

    async fn delete_queue(&self, queue: &str) -> Result<(), TransportError> {
        self.inner.delete_queue(queue).await
    }

    fn health(&self) -> TransportHealth {
        match self.away.load(Ordering::SeqCst) {
            true => TransportHealth::new(LinkHealth::Down("away".to_owned()), LinkHealth::Up),
            false => TransportHealth::up(),
        }
    }

    async fn close(&self) {
        self.inner.close().await;
    }
}

async fn forgetful() -> (Arc<Forgetful>, Service) {
    let transport = Arc::new(Forgetful::default());
    let builder = App::builder().name("forgotten").transport(Arc::clone(&transport) as Arc<_>);
    let builder = builder.config("consume.stall_after", "60s");
    let service = Service::from(builder, Arc::clone(&transport) as _).await;
    (transport, service)
}

const MINUTE: Duration = Duration::from_secs(60);

#[tokio::test(start_paused = true)]
async fn a_consumer_that_the_broker_has_forgotten_subscribes_again_and_says_why() {
    let transport = Arc::new(Forgetful::default());
    transport.forgets.store(true, Ordering::SeqCst);
    let builder = App::builder().name("forgotten").transport(Arc::clone(&transport) as Arc<_>);
    let service = Service::from(builder, Arc::clone(&transport) as _).await;
    service.send("waits").await;
    // The second time during the recovery from the first: it is forgotten again.
    for times in 1..=2 {
        assert!(service.running.is_ready());
        let lost = async {
            while service.running.is_ready() {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        tokio::time::timeout(2 * MINUTE, lost).await.expect("the watchdog sees it");
        let health = service.running.health().to_string();
        assert!(
            health.contains("1 messages wait") && health.contains(&service.queue()),
            "{health}"
        );
        if times == 2 {
            transport.forgets.store(false, Ordering::SeqCst);
        }
        service.running.until_ready().await;
    }
    assert_eq!(service.probe.wait_for(1).await, ["waits"]);
    assert_eq!(transport.subscribed.load(Ordering::SeqCst), 3);
    service.running.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_quiet_consumer_and_a_busy_one_are_left_alone() {
    let (transport, service) = forgetful().await;
    // Nothing to do for an hour.
    tokio::time::sleep(60 * MINUTE).await;
    assert!(transport.asked.load(Ordering::SeqCst) > 0, "the watchdog looks");
    service.send("now").await;
    service.probe.wait_for(1).await;
    // All places taken for longer than the limit while messages wait: none is wanted.
    service.send("wait").await;
    service.send("behind").await;
    let asked = transport.asked.load(Ordering::SeqCst);
    tokio::time::sleep(Duration::from_secs(25)).await;
    assert_eq!(transport.asked.load(Ordering::SeqCst), asked);
    service.gate.0.add_permits(1);
    service.probe.wait_for(3).await;
    assert_eq!(transport.subscribed.load(Ordering::SeqCst), 1, "never subscribed anew");
    service.running.stop().await;
}

#[tokio::test(start_paused = true)]
async fn pausing_works_while_the_broker_is_away_and_resuming_waits_for_it() {
    let (transport, service) = forgetful().await;
    let queue = service.queue();
    transport.away.store(true, Ordering::SeqCst);
    transport.inner.delete_queue(&queue).await.expect("the consumer is lost");
    eventually("not ready", || async { !service.running.is_ready() }).await;
    pause(&service.running, &queue).await;
    let tries = transport.subscribed.load(Ordering::SeqCst);
    tokio::time::sleep(10 * MINUTE).await;
    assert_eq!(transport.subscribed.load(Ordering::SeqCst), tries, "a pause makes no attempts");

    service.running.resume(&queue).await.expect("the queue is known");
    assert!(matches!(service.readiness(), Readiness::Unready(_)), "{:?}", service.readiness());
    let health = service.running.health().to_string();
    assert!(health.contains("publishing connection down: away"), "{health}");
    transport.away.store(false, Ordering::SeqCst);
    service.running.until_ready().await;
    service.send("again").await;
    service.probe.wait_for(1).await;
    service.running.stop().await;
}
