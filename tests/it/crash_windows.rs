//! The gaps between a handler's success and the ack: the process ends in each of them, another one takes over.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context as TaskContext, Poll};

use async_trait::async_trait;
use mmate::prelude::*;
use mmate::transport::{
    Capabilities, Intake, Outgoing, PublishError, Queue, QueueStats, Settlement, SubscribeOptions,
    Subscription, Tag, Topology, Transport, TransportError,
};
use mmate_tests::{
    Backend, Broker, Probe, eventually, on_every_transport, take, unique, wait_for_ready,
};
use tokio::sync::Notify;

#[message(command, reply = Booked)]
struct Book {
    room: u32,
}

#[message(event, aggregate = "room", key = room)]
struct RoomBooked {
    room: u32,
    test: String,
}

#[message(reply)]
struct Booked {
    room: u32,
}

#[message(command)]
struct Rebook {
    room: u32,
}

/// Fails once, and waits at the broker for the second attempt.
#[handler(retry(attempts = 3, backoff = fixed("1500ms"), jitter = 0.0))]
async fn rebook(command: Rebook, context: Context, probe: State<Probe>) -> Result {
    probe.note(format!("{} {}", command.room, context.attempt()));
    if context.attempt() == 1 {
        return Err(Retry::after(std::time::Duration::from_millis(1_500)).into());
    }
    Ok(())
}

/// Every instance hears of it, and fails once.
#[handler(broadcast, retry(attempts = 2, backoff = fixed("1200ms"), jitter = 0.0))]
async fn hear(event: RoomBooked, context: Context, probe: State<Probe>) -> Result {
    probe.note(format!("{} {}", event.room, context.attempt()));
    if context.attempt() == 1 { Err(HandlerError::msg("not yet")) } else { Ok(()) }
}

/// The name under which a test finds its own events on a shared broker.
#[derive(Debug)]
struct Test(String);

#[handler(retry(attempts = 1), fallback = book_elsewhere)]
async fn book(
    command: Book,
    publisher: Publisher,
    probe: State<Probe>,
    test: State<Test>,
) -> Result<Booked> {
    let event = RoomBooked { room: command.room, test: test.0.clone() };
    let published = publisher.publish(event).await?;
    if command.room == 14 {
        return Err(std::io::Error::other("no answer").into());
    }
    probe.note(published.id);
    if command.room == 13 {
        return Err(DeadLetter("there is no such room".to_owned()).into());
    }
    Ok(Booked { room: command.room })
}

/// Takes the place of `book` where that has no attempt left.
async fn book_elsewhere(
    command: Book,
    publisher: Publisher,
    probe: State<Probe>,
    test: State<Test>,
) -> Result<Booked> {
    let event = RoomBooked { room: command.room, test: test.0.clone() };
    probe.note(publisher.publish(event).await?.id);
    Ok(Booked { room: command.room })
}

/// Where the process stops.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Cut {
    /// A publish to this kind of address never returns.
    Publish(&'static str),
    /// Acks are taken and never written.
    Ack,
    /// The first delivery panics.
    Panic,
}

/// A transport whose process is about to end: it does everything up to the cut, and says when it got there.
#[derive(Debug)]
struct Dying {
    inner: Arc<dyn Transport>,
    cut: Cut,
    reached: Arc<Notify>,
    panicked: AtomicBool,
}

#[async_trait]
impl Transport for Dying {
    fn name(&self) -> &'static str {
        self.inner.name()
    }

    fn capabilities(&self) -> Capabilities {
        self.inner.capabilities()
    }

    async fn declare(&self, topology: &Topology) -> std::result::Result<(), TransportError> {
        self.inner.declare(topology).await
    }

    async fn publish(&self, outgoing: Outgoing) -> std::result::Result<(), PublishError> {
        if let Cut::Publish(start) = self.cut
            && outgoing.address.routing_key.starts_with(start)
        {
            self.reached.notify_one();
            return std::future::pending().await;
        }
        self.inner.publish(outgoing).await
    }

    async fn subscribe(
        &self,
        options: SubscribeOptions,
    ) -> std::result::Result<Box<dyn Subscription>, TransportError> {
        let inner = self.inner.subscribe(options).await?;
        let panics = self.cut == Cut::Panic && !self.panicked.swap(true, Ordering::Relaxed);
        Ok(Box::new(DyingSubscription {
            panics,
            inner,
            cut: self.cut,
            reached: Arc::clone(&self.reached),
        }))
    }

    async fn queue_stats(
        &self,
        queue: &str,
    ) -> std::result::Result<Option<QueueStats>, TransportError> {
        self.inner.queue_stats(queue).await
    }

    async fn delete_queue(&self, queue: &str) -> std::result::Result<(), TransportError> {
        self.inner.delete_queue(queue).await
    }

    async fn close(&self) {
        self.inner.close().await;
    }
}

#[derive(Debug)]
struct DyingSubscription {
    inner: Box<dyn Subscription>,
    panics: bool,
    cut: Cut,
    reached: Arc<Notify>,
}

impl Subscription for DyingSubscription {
    fn poll_next(&mut self, cx: &mut TaskContext<'_>) -> Poll<Intake> {
        let intake = self.inner.poll_next(cx);
        assert!(!self.panics || intake.is_pending(), "the transport is broken");
        intake
    }

    fn settle(&mut self, tag: Tag, settlement: Settlement) {
        if self.cut == Cut::Ack {
            self.reached.notify_one();
        } else {
            self.inner.settle(tag, settlement);
        }
    }

    fn poll_flush(
        &mut self,
        cx: &mut TaskContext<'_>,
    ) -> Poll<std::result::Result<(), TransportError>> {
        self.inner.poll_flush(cx)
    }

    fn poll_cancel(
        &mut self,
        cx: &mut TaskContext<'_>,
    ) -> Poll<std::result::Result<(), TransportError>> {
        self.inner.poll_cancel(cx)
    }
}

struct Scene {
    broker: Broker,
    name: String,
    probe: Probe,
    transport: Arc<dyn Transport>,
    events: String,
    replies: String,
}

impl Scene {
    async fn set(backend: Backend) -> Self {
        let (broker, name) = (backend.broker().await, unique("crash"));
        let transport = broker.connect().await;
        let (events, replies) = (unique("crash-events"), unique("crash-replies"));
        let mut topology = Topology::default();
        topology.exchange("mmate.events", mmate::transport::ExchangeKind::Topic);
        topology.queue(Queue::new(&events));
        topology.queue(Queue::new(&replies));
        topology.bind("mmate.events", &events, "evt.#.RoomBooked");
        transport.declare(&topology).await.expect("declared");
        Self { broker, name, probe: Probe::default(), transport, events, replies }
    }

    async fn start(&self, transport: Arc<dyn Transport>) -> mmate::runtime::Running {
        let builder = App::builder()
            .name(&self.name)
            .transport(transport)
            .handler::<book>()
            .handler::<rebook>();
        builder
            .provide(self.probe.clone())
            .provide(Test(self.name.clone()))
            .start()
            .await
            .expect("boots")
    }

    /// A process takes the command and ends at the cut; a second one takes over and succeeds.
    async fn crash_and_recover(&self, room: u32, cut: Cut) {
        let reached = Arc::new(Notify::new());
        let inner = self.broker.connect().await;
        let dying = self
            .start(Arc::new(Dying {
                inner: Arc::clone(&inner),
                cut,
                reached: Arc::clone(&reached),
                panicked: AtomicBool::new(false),
            }))
            .await;
        dying.publisher().send(Book { room }).reply_to(&self.replies).await.expect("taken");
        tokio::time::timeout(mmate_tests::DEADLINE, reached.notified())
            .await
            .expect("the cut is reached");
        drop(dying);
        inner.close().await;
        let healthy = self.start(self.broker.connect().await).await;
        self.probe.wait_for(2).await;
        let report = healthy.stop().await;
        assert!(report.drained, "{report}");
        wait_for_ready(&self.transport, &format!("cmd.{}.Book", self.name), 0).await;
    }

    /// The ids of this test's events, in order.
    async fn events(&self, count: usize) -> Vec<String> {
        let mut ids = Vec::new();
        while ids.len() < count {
            let delivery = take(&self.transport, &self.events).await;
            let event =
                mmate::contract::envelope::decode::<RoomBooked>(&delivery.body).expect("an event");
            if event.message.test == self.name {
                ids.push(event.meta.id.into());
            }
        }
        ids
    }

    async fn replies(&self, count: usize) {
        for _ in 0..count {
            take(&self.transport, &self.replies).await;
        }
        wait_for_ready(&self.transport, &self.replies, 0).await;
    }

    async fn clear(self) {
        for queue in [&self.events, &self.replies] {
            self.transport.delete_queue(queue).await.expect("removed");
        }
    }
}

async fn a_consumer_that_panics_consumes_again(backend: Backend) {
    let scene = Scene::set(backend).await;
    let inner = scene.broker.connect().await;
    let (cut, reached) = (Cut::Panic, Arc::new(Notify::new()));
    let running = scene
        .start(Arc::new(Dying { inner, cut, reached, panicked: AtomicBool::new(false) }))
        .await;
    running.publisher().send(Book { room: 4 }).await.expect("taken");
    scene.probe.wait_for(1).await;
    assert!(running.stop().await.drained);
    scene.clear().await;
}

async fn ended_before_the_messages_left(backend: Backend) {
    let scene = Scene::set(backend).await;
    scene.crash_and_recover(1, Cut::Publish("evt.")).await;
    let notes = scene.probe.notes();
    assert_eq!(notes[0], notes[1], "the redelivery publishes the same id");
    assert_eq!(scene.events(1).await, notes[..1]);
    scene.replies(1).await;
    scene.clear().await;
}

async fn ended_before_the_reply_left(backend: Backend) {
    let scene = Scene::set(backend).await;
    scene.crash_and_recover(2, Cut::Publish("crash-replies")).await;
    let notes = scene.probe.notes();
    assert_eq!(scene.events(2).await, notes, "the event left twice, with one id");
    assert_eq!(notes[0], notes[1]);
    scene.replies(1).await;
    scene.clear().await;
}

async fn ended_before_the_ack_was_written(backend: Backend) {
    let scene = Scene::set(backend).await;
    scene.crash_and_recover(3, Cut::Ack).await;
    let notes = scene.probe.notes();
    assert_eq!(scene.events(2).await, notes);
    assert_eq!(notes[0], notes[1]);
    scene.replies(2).await;
    scene.clear().await;
}

async fn ended_before_the_ack_of_a_fallback_was_written(backend: Backend) {
    let scene = Scene::set(backend).await;
    scene.crash_and_recover(14, Cut::Ack).await;
    let notes = scene.probe.notes();
    assert_eq!(scene.events(2).await, notes, "the fallback's own, and none of the handler's");
    assert_eq!(notes[0], notes[1], "the redelivery publishes the same id");
    scene.replies(2).await;
    scene.clear().await;
}

async fn ended_before_the_dead_letter_left(backend: Backend) {
    let scene = Scene::set(backend).await;
    scene.crash_and_recover(13, Cut::Publish("dlq.")).await;
    let parked = take(&scene.transport, &format!("dlq.cmd.{}.Book", scene.name)).await;
    assert_eq!(parked.properties.headers.text("x-death-reason"), Some("asked_by_handler"));
    // The process that ended used up an attempt: the broker says that it delivered before.
    assert_eq!(parked.properties.headers.get("x-death-attempts"), Some(&2.into()));
    // Whoever asked is told once, by the process that parked it.
    scene.replies(1).await;
    scene.clear().await;
}

/// Parked, and whoever asked not told: it is parked again, and told then.
async fn ended_before_the_failure_was_answered(backend: Backend) {
    let scene = Scene::set(backend).await;
    scene.crash_and_recover(13, Cut::Publish("crash-replies")).await;
    let parked = format!("dlq.cmd.{}.Book", scene.name);
    let first = take(&scene.transport, &parked).await;
    let second = take(&scene.transport, &parked).await;
    assert_eq!(first.properties.message_id, second.properties.message_id);
    scene.replies(1).await;
    scene.clear().await;
}

/// The copy is confirmed and the original not acknowledged: the second attempt is made twice, and none
/// is lost.
async fn ended_before_the_ack_of_a_delayed_retry_was_written(backend: Backend) {
    let scene = Scene::set(backend).await;
    let (inner, reached) = (scene.broker.connect().await, Arc::new(Notify::new()));
    let dying = Dying {
        inner: Arc::clone(&inner),
        cut: Cut::Ack,
        reached: Arc::clone(&reached),
        panicked: AtomicBool::new(false),
    };
    let running = scene.start(Arc::new(dying)).await;
    running.publisher().send(Rebook { room: 5 }).await.expect("taken");
    tokio::time::timeout(mmate_tests::DEADLINE, reached.notified()).await.expect("it is reached");
    drop(running);
    inner.close().await;
    let healthy = scene.start(scene.broker.connect().await).await;
    assert_eq!(scene.probe.wait_for(3).await, ["5 1", "5 2", "5 2"]);
    assert!(healthy.stop().await.drained);
    wait_for_ready(&scene.transport, &format!("cmd.{}.Rebook", scene.name), 0).await;
    scene.clear().await;
}

/// Its queue is gone with its connection, and what waited elsewhere would not find it again.
async fn a_broadcast_waits_for_its_retry_in_the_process(backend: Backend) {
    let scene = Scene::set(backend).await;
    let inner = scene.broker.connect().await;
    let (cut, reached) = (Cut::Publish("evt."), Arc::new(Notify::new()));
    let transport: Arc<dyn Transport> =
        Arc::new(Dying { inner, cut, reached, panicked: AtomicBool::new(false) });
    let builder = App::builder().name(&scene.name).transport(transport).handler::<hear>();
    let running = builder.provide(scene.probe.clone()).start().await.expect("boots");
    let outside =
        scene.broker.service("outside").await.publish_only().start().await.expect("boots");
    let event = RoomBooked { room: 6, test: scene.name.clone() };
    outside.publisher().publish(event).await.expect("taken");
    let heard = || scene.probe.notes().iter().filter(|note| note.starts_with("6 ")).count();
    eventually("the second attempt", || async { heard() == 2 }).await;
    assert!(running.stop().await.drained);
    outside.stop().await;
    scene.clear().await;
}

on_every_transport! {
    a_broadcast_waits_for_its_retry_in_the_process
    ended_before_the_ack_of_a_delayed_retry_was_written
    a_consumer_that_panics_consumes_again
    ended_before_the_messages_left
    ended_before_the_reply_left
    ended_before_the_ack_was_written
    ended_before_the_ack_of_a_fallback_was_written
    ended_before_the_dead_letter_left
    ended_before_the_failure_was_answered
}
