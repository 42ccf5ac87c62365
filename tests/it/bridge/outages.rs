//! The broker, or the way to it, goes while requests wait for their replies.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::task::Poll;
use std::time::Duration;

use async_trait::async_trait;
use mmate::App;
use mmate::consume::Readiness;
use mmate::prelude::*;
use mmate::runtime::Running;
use mmate::transport::amqp::{AmqpConfig, AmqpTransport};
use mmate::transport::memory::MemoryTransport;
use mmate::transport::{
    Capabilities, Intake, Outgoing, PublishError, QueueStats, Settlement, SubscribeOptions,
    Subscription, Tag, Topology, Transport, TransportError, TransportErrorKind,
};
use mmate_tests::{Probe, eventually, rabbitmq, unique};
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;
use tokio::time::Instant;
use xtask::servers::{RabbitNode, StartOptions};

use super::{Doubled, Gate, asks, double};
use crate::amqp::proxy::Proxy;

/// How much later than its timeout a request may end.
const SLACK: Duration = Duration::from_secs(1);

type Asking = JoinHandle<(Result<Doubled, AskError>, Duration)>;

fn ask(running: &Running, number: u32, how: &'static str, timeout: Duration) -> Asking {
    let bridge = running.bridge().clone();
    tokio::spawn(async move {
        let began = Instant::now();
        let answer = bridge.ask(asks(number, how)).timeout(timeout).await;
        (answer, began.elapsed())
    })
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    tokio::task::spawn_blocking(work).await.expect("no panic")
}

/// Asks through a proxy; what answers has a connection of its own.
struct Scene {
    proxy: Proxy,
    asker: Running,
    responder: Running,
    gate: Gate,
    probe: Probe,
}

impl Scene {
    async fn set() -> Self {
        let (proxy, name) = (Proxy::start().await, unique("outage"));
        let (gate, probe) = (Gate::new(Semaphore::new(0)), Probe::default());
        let responder = App::builder().name(&name).transport(rabbitmq().await);
        let responder = responder.handler::<double>().handler::<address>();
        let responder = responder.provide(Gate::clone(&gate));
        let responder = responder.provide(probe.clone()).start().await.expect("boots");
        // The smallest heartbeat that there is: a silence of two seconds is a loss.
        let mut config = AmqpConfig::new(proxy.url());
        config.heartbeat = Duration::from_secs(1);
        config.reconnect_delay_min = Duration::from_millis(10);
        config.reconnect_delay_max = Duration::from_millis(100);
        let transport: Arc<dyn Transport> =
            Arc::new(AmqpTransport::connect(config).await.expect("connects"));
        let asker = App::builder().name(&name).transport(transport).publish_only();
        let asker = asker.start().await.expect("boots");
        asker.bridge().ask(asks(0, "well")).await.expect("an answer");
        Self { proxy, asker, responder, gate, probe }
    }

    async fn is_ready(&self) {
        eventually("the asker is ready", || async { self.asker.is_ready() }).await;
    }

    async fn end(self) {
        assert_eq!(self.asker.bridge().pending(), 0);
        self.asker.bridge().ask(asks(4, "well")).await.expect("an answer at the end");
        self.asker.stop().await;
        self.responder.stop().await;
    }
}

/// Where whoever asks wants the answer.
#[message(command, reply = ReplyAddress)]
struct AskAddress {}

#[message(reply)]
struct ReplyAddress {
    queue: String,
}

#[handler]
async fn address(_: AskAddress, context: Context) -> Result<ReplyAddress> {
    Ok(ReplyAddress { queue: context.reply_to().unwrap_or_default().to_owned() })
}

/// Twice, the second time as soon as it is back from the first.
#[tokio::test]
async fn a_reply_that_comes_after_the_reply_queue_is_back_is_taken() {
    let scene = Scene::set().await;
    for round in 1..=2 {
        let asking = ask(&scene.asker, round, "gate", Duration::from_secs(20));
        scene.probe.wait_for(1 + round as usize).await;
        let address = scene.asker.bridge().ask(AskAddress {}).await.expect("an answer").queue;
        scene.proxy.cut();
        // Until the broker has removed the old one: it may remove one that is made meanwhile, too.
        let broker = scene.responder.transport();
        eventually("the broker is done with the old queue", || async {
            matches!(broker.queue_stats(&address).await, Ok(None))
        })
        .await;
        scene.proxy.mend();
        scene.is_ready().await;
        scene.gate.add_permits(1);
        assert_eq!(asking.await.unwrap().0.expect("an answer").number, round * 2);
    }
    scene.end().await;
}

/// However soon the connection is back, and whatever the broker removes with the old one.
#[tokio::test]
async fn after_each_loss_the_next_request_is_answered() {
    let scene = Scene::set().await;
    for round in 1..=3 {
        let asking = ask(&scene.asker, round, "gate", Duration::from_secs(4));
        scene.probe.wait_for(2 * round as usize).await;
        scene.proxy.kick();
        let replies = || scene.asker.bridge().readiness();
        eventually("the loss shows", || async { replies() != Some(Readiness::Consuming) }).await;
        let next = ask(&scene.asker, round, "well", Duration::from_secs(4));
        scene.gate.add_permits(1);
        let outcomes = [asking.await.unwrap(), next.await.unwrap()];
        for (answer, took) in outcomes {
            assert!(took < Duration::from_secs(4) + SLACK, "{took:?}");
            if let Err(error) = answer {
                assert_eq!(error.kind(), AskErrorKind::Unknown, "{error}");
            }
        }
        let answer = scene.asker.bridge().ask(asks(3, "well")).timeout("8s").await;
        assert_eq!(answer.expect("an answer").number, 6);
    }
    scene.end().await;
}

#[tokio::test]
async fn a_reply_that_is_lost_with_its_queue_is_unknown_at_the_deadline() {
    let scene = Scene::set().await;
    let timeout = Duration::from_secs(4);
    let asking = ask(&scene.asker, 1, "gate", timeout);
    scene.probe.wait_for(2).await;
    scene.proxy.cut();
    eventually("the loss shows", || async { !scene.asker.is_ready() }).await;
    scene.gate.add_permits(1);
    eventually("it is answered to nobody", || async {
        let consumers = scene.responder.health().consumers;
        consumers.iter().any(|it| it.queue.ends_with(".Double") && it.counts.handled == 2)
    })
    .await;
    scene.proxy.mend();
    scene.is_ready().await;
    let (answer, took) = asking.await.unwrap();
    let error = answer.expect_err("the reply is lost");
    assert_eq!((error.kind(), error.code()), (AskErrorKind::Unknown, "UNKNOWN"), "{error}");
    assert!(error.to_string().contains("it may be lost"), "{error}");
    assert!(took >= timeout && took < timeout + SLACK, "{took:?}");
    scene.end().await;
}

#[tokio::test]
async fn without_a_broker_requests_end_in_time_and_say_whether_they_were_sent() {
    let scene = Scene::set().await;
    scene.proxy.cut();
    eventually("the loss shows", || async { !scene.asker.is_ready() }).await;
    let timeout = Duration::from_millis(500);
    let (answer, took) = ask(&scene.asker, 1, "well", timeout).await.unwrap();
    let error = answer.expect_err("there is no broker");
    assert_eq!(error.kind(), AskErrorKind::NotSent, "{error}");
    assert!(error.to_string().contains("there is no reply queue"), "{error}");
    assert!(took >= timeout && took < timeout + SLACK, "{took:?}");
    let waiting = ask(&scene.asker, 3, "well", Duration::from_secs(20));
    scene.proxy.mend();
    assert_eq!(waiting.await.unwrap().0.expect("an answer").number, 6);
    scene.end().await;
}

#[tokio::test]
async fn a_connection_that_is_half_open_keeps_nobody_from_being_answered() {
    let scene = Scene::set().await;
    let asking = ask(&scene.asker, 1, "gate", Duration::from_secs(15));
    scene.probe.wait_for(2).await;
    scene.proxy.silence();
    eventually("the loss shows", || async { !scene.asker.is_ready() }).await;
    scene.proxy.mend();
    scene.is_ready().await;
    scene.asker.bridge().ask(asks(3, "well")).timeout("10s").await.expect("an answer");
    scene.gate.add_permits(1);
    let (answer, took) = asking.await.unwrap();
    assert!(took < Duration::from_secs(15) + SLACK, "{took:?}");
    assert!(answer.is_ok_and(|doubled| doubled.number == 2) || took >= Duration::from_secs(15));
    scene.end().await;
}

/// Five hundred requests, half of which are being handled when the broker is killed, twice.
async fn requests_end_although_the_broker_is_killed_twice(queue_type: &str) {
    const REQUESTS: u32 = 500;
    const TIMEOUT: Duration = Duration::from_secs(25);
    let node =
        Arc::new(blocking(|| RabbitNode::start(&StartOptions::default())).await.expect("a node"));
    let (gate, probe) = (Gate::new(Semaphore::new(0)), Probe::default());
    let app = || App::builder().name("outage").config("url", node.amqp_url());
    let responder = app().handler::<double>().provide(Gate::clone(&gate)).provide(probe.clone());
    let responder = responder.config("queues.type", queue_type).start().await.expect("boots");
    let asker = app().publish_only().config("bridge.max_concurrent", REQUESTS).start().await;
    let asker = asker.expect("boots");
    asker.bridge().ask(asks(0, "well")).await.expect("an answer");
    let fresh = Arc::clone(&node);
    blocking(move || fresh.write_down()).await.expect("the queues are written down");
    let asked: Vec<_> = (0..REQUESTS)
        .map(|number| ask(&asker, number, if number % 2 == 0 { "gate" } else { "well" }, TIMEOUT))
        .collect();
    probe.wait_for(1 + REQUESTS as usize / 2).await;
    for round in 1..=2 {
        let killed = Arc::clone(&node);
        blocking(move || killed.kill().and_then(|()| killed.start_again()))
            .await
            .expect("killed and started again");
        eventually("both are ready", || async { asker.is_ready() && responder.is_ready() }).await;
        if round == 1 {
            gate.add_permits(REQUESTS as usize);
        }
    }
    gate.add_permits(2 * REQUESTS as usize);
    let mut answered = 0;
    for (number, asking) in asked.into_iter().enumerate() {
        let (answer, took) = asking.await.unwrap();
        assert!(took < TIMEOUT + SLACK, "request {number} took {took:?}");
        match answer {
            Ok(doubled) => {
                assert_eq!(doubled.number as usize, number * 2);
                answered += 1;
            }
            Err(error) => assert!(
                matches!(error.kind(), AskErrorKind::Unknown | AskErrorKind::Timeout),
                "{error}"
            ),
        }
    }
    // Those that had not been handled when the broker went were handled and answered after it came back.
    assert!(answered > 0, "some are answered");
    println!("{queue_type}: {answered} of {REQUESTS} were answered across two kills");
    assert_eq!(asker.bridge().pending(), 0);
    assert_eq!(asker.bridge().ask(asks(7, "well")).await.expect("an answer").number, 14);
    asker.stop().await;
    responder.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn requests_on_a_quorum_queue_end_although_the_broker_is_killed_twice() {
    requests_end_although_the_broker_is_killed_twice("quorum").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn requests_on_a_classic_queue_end_although_the_broker_is_killed_twice() {
    requests_end_although_the_broker_is_killed_twice("classic").await;
}

/// A broker in memory with the faults of real ones.
#[derive(Debug, Default)]
struct Faulty {
    inner: MemoryTransport,
    /// Names of queues that it keeps for somebody else, as RabbitMQ does for a connection from before an outage
    /// that it takes for alive.
    held: Mutex<BTreeSet<String>>,
    /// Whether it forgets the next consumer of replies as soon as it has confirmed it.
    forgets: AtomicBool,
}

/// A consumer that the broker has forgotten.
#[derive(Debug)]
struct Forgotten;

impl Subscription for Forgotten {
    fn poll_next(&mut self, _: &mut std::task::Context<'_>) -> Poll<Intake> {
        Poll::Pending
    }

    fn settle(&mut self, _: Tag, _: Settlement) {}

    fn poll_flush(&mut self, _: &mut std::task::Context<'_>) -> Poll<Result<(), TransportError>> {
        Poll::Ready(Ok(()))
    }

    fn poll_cancel(&mut self, _: &mut std::task::Context<'_>) -> Poll<Result<(), TransportError>> {
        Poll::Ready(Ok(()))
    }
}

#[async_trait]
impl Transport for Faulty {
    fn name(&self) -> &'static str {
        self.inner.name()
    }

    fn capabilities(&self) -> Capabilities {
        self.inner.capabilities()
    }

    async fn declare(&self, topology: &Topology) -> Result<(), TransportError> {
        let held = self.held.lock().unwrap().clone();
        if topology.queues.iter().any(|queue| held.contains(&queue.name)) {
            return Err(TransportError::new(TransportErrorKind::Lost, "RESOURCE_LOCKED"));
        }
        self.inner.declare(topology).await
    }

    async fn publish(&self, outgoing: Outgoing) -> Result<(), PublishError> {
        self.inner.publish(outgoing).await
    }

    async fn subscribe(
        &self,
        options: SubscribeOptions,
    ) -> Result<Box<dyn Subscription>, TransportError> {
        if options.queue.starts_with("rpl.") && self.forgets.swap(false, Ordering::Relaxed) {
            return Ok(Box::new(Forgotten));
        }
        self.inner.subscribe(options).await
    }

    async fn queue_stats(&self, queue: &str) -> Result<Option<QueueStats>, TransportError> {
        self.inner.queue_stats(queue).await
    }

    async fn delete_queue(&self, queue: &str) -> Result<(), TransportError> {
        self.inner.delete_queue(queue).await
    }

    async fn close(&self) {
        self.inner.close().await;
    }
}

fn reply_queue(memory: &MemoryTransport) -> Option<String> {
    memory.queue_names().into_iter().find(|queue| queue.starts_with("rpl."))
}

#[tokio::test]
async fn a_reply_queue_whose_name_is_held_gets_another_name() {
    let memory = MemoryTransport::new();
    let holding = Arc::new(Faulty { inner: memory.clone(), ..Faulty::default() });
    let transport: Arc<dyn Transport> = Arc::clone(&holding) as _;
    let gate = Gate::new(Semaphore::new(0));
    let service = App::builder().name("held").transport(transport).handler::<double>();
    let service = service.provide(Probe::default()).provide(Gate::clone(&gate));
    let running = service.start().await.expect("boots");
    running.bridge().ask(asks(1, "well")).await.expect("an answer");
    let asking = ask(&running, 2, "gate", Duration::from_secs(2));
    eventually("it is asked", || async { running.bridge().pending() == 1 }).await;
    let first = reply_queue(&memory).expect("a reply queue");
    holding.held.lock().unwrap().insert(first.clone());
    holding.delete_queue(&first).await.expect("deleted");
    eventually("the loss shows", || async { !running.is_ready() }).await;
    assert_eq!(running.bridge().ask(asks(3, "well")).await.expect("an answer").number, 6);
    let second = reply_queue(&memory).expect("a reply queue");
    assert_ne!(first, second);
    gate.add_permits(1);
    let (answer, _) = asking.await.unwrap();
    assert_eq!(answer.expect_err("its address is gone").kind(), AskErrorKind::Unknown);
    running.stop().await;
}

#[tokio::test]
async fn a_reply_queue_whose_consumer_was_forgotten_is_consumed_again() {
    let faulty = Arc::new(Faulty { forgets: AtomicBool::new(true), ..Faulty::default() });
    let transport: Arc<dyn Transport> = Arc::clone(&faulty) as _;
    let service = App::builder().name("forgotten").transport(transport).handler::<double>();
    let service = service.config("consume.stall_after", "200ms").provide(Probe::default());
    let running = service.start().await.expect("boots");
    let answer = running.bridge().ask(asks(1, "well")).timeout("10s").await;
    assert_eq!(answer.expect("an answer").number, 2);
    assert!(!faulty.forgets.load(Ordering::Relaxed), "it was forgotten");
    running.stop().await;
}

#[tokio::test]
async fn a_reply_queue_that_is_deleted_is_made_again() {
    let memory = MemoryTransport::new();
    let transport: Arc<dyn Transport> = Arc::new(memory.clone());
    let service = App::builder().name("deleted").transport(transport);
    let service = service.handler::<double>().provide(Probe::default());
    let running = service.start().await.expect("boots");
    for number in 1..=3 {
        running.bridge().ask(asks(number, "well")).await.expect("an answer");
        let queues = memory.queue_names();
        let replies: Vec<_> = queues.iter().filter(|queue| queue.starts_with("rpl.")).collect();
        assert_eq!(replies.len(), 1, "one reply queue: {queues:?}");
        running.transport().delete_queue(replies[0]).await.expect("deleted");
        eventually("the loss shows", || async { !running.is_ready() }).await;
    }
    running.stop().await;
}
