//! Sending back and throwing away, between two queues without a service.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use mmate::contract::headers::names;
use mmate::deadletter::{DeadLetterQueue, DeadLetters, Selection};
use mmate::transport::amqp::{AmqpConfig, AmqpTransport};
use mmate::transport::memory::MemoryTransport;
use mmate::transport::{
    Capabilities, Outgoing, Properties, PublishError, Queue, QueueStats, SubscribeOptions,
    Subscription, Topology, Transport, TransportError, TransportErrorKind,
};
use mmate_tests::{
    Backend, eventually, on_every_transport, publish_raw, take, unique, wait_for_ready,
};
use xtask::servers::{RabbitNode, StartOptions};

/// Two queues without a service, and dead letters with whatever headers a test wants.
struct Yard {
    transport: Arc<dyn Transport>,
    origin: String,
    parked: Queue,
    tools: DeadLetters,
}

async fn yard(transport: Arc<dyn Transport>) -> Yard {
    let origin = unique("yard");
    let parked = Queue::new(format!("dlq.{origin}")).dead_letter(&origin).delivery_limit(1_000_000);
    let mut topology = Topology::default();
    topology.queue(parked.clone());
    topology.queue(Queue::new(&origin).dead_letter(&parked.name));
    transport.declare(&topology).await.expect("declared");
    let queue = DeadLetterQueue::new(parked.clone(), vec![origin.clone()]);
    let tools = DeadLetters::new(Arc::clone(&transport), queue);
    Yard { transport, origin, parked, tools }
}

impl Yard {
    async fn park(&self, id: &str, headers: &[(&str, &str)]) {
        let mut properties = Properties::default();
        properties.message_id = Some(id.into());
        properties.message_type = Some(id[..1].into());
        for (name, value) in headers {
            properties.headers.set(*name, *value);
        }
        publish_raw(&self.transport, &self.parked.name, properties, id.to_owned()).await;
    }

    /// Sends back what fits and gives the ids that arrive, in order.
    async fn replayed(&self, selection: &Selection) -> Vec<String> {
        let outcome = self.tools.clone().rate_per_second(10_000).replay(selection).await;
        let moved = outcome.expect("replayed").moved;
        wait_for_ready(&self.transport, &self.origin, moved).await;
        drain(&self.transport, &self.origin, moved).await
    }

    async fn left(&self) -> Vec<String> {
        let page = self.tools.list(&Selection::all()).await.expect("listed");
        page.letters.into_iter().filter_map(|letter| letter.id).collect()
    }
}

/// Takes so many messages out of a queue.
async fn drain(transport: &Arc<dyn Transport>, queue: &str, count: u64) -> Vec<String> {
    let mut ids = Vec::new();
    for _ in 0..count {
        let id = take(transport, queue).await.properties.message_id;
        ids.extend(id.map(String::from));
    }
    ids
}

async fn a_selection_moves_what_fits_and_leaves_the_others(backend: Backend) {
    let broker = backend.broker().await;
    let yard = yard(broker.connect().await).await;
    let deaths = [
        ("a1", "panic", "01"),
        ("b1", "panic", "02"),
        ("a2", "timeout", "03"),
        ("b2", "timeout", "04"),
    ];
    for (id, reason, hour) in deaths {
        let time = format!("2026-01-01T{hour}:00:00Z");
        let headers = [(names::DEATH_REASON, reason), (names::DEATH_TIME, &time)];
        yard.park(id, &headers).await;
    }
    yard.park("c", &[]).await;
    let at = |hour: u8| format!("2026-01-01T0{hour}:00:00Z").parse().expect("a time");
    assert_eq!(yard.replayed(&Selection::all().reason("panic").message_type("b")).await, ["b1"]);
    assert_eq!(yard.replayed(&Selection::all().after(at(3)).before(at(4))).await, ["a2"]);
    assert_eq!(yard.left().await, ["a1", "b2", "c"]);
    assert_eq!(yard.replayed(&Selection::all().id("nobody")).await, [""; 0]);
    assert_eq!(yard.replayed(&Selection::all().count(2)).await, ["a1", "b2"], "the oldest first");
    assert_eq!(yard.replayed(&Selection::all()).await, ["c"]);
    assert_eq!(yard.left().await, [""; 0]);
}

async fn a_purge_throws_away_what_fits_and_nothing_else(backend: Backend) {
    let broker = backend.broker().await;
    let yard = yard(broker.connect().await).await;
    for id in ["a1", "b1", "a2"] {
        yard.park(id, &[]).await;
    }
    let outcome = yard.tools.purge(&Selection::all().message_type("a")).await.expect("purged");
    assert_eq!((outcome.moved, outcome.looked_at, outcome.waiting), (2, 3, 3));
    wait_for_ready(&yard.transport, &yard.parked.name, 1).await;
    assert_eq!(yard.left().await, ["b1"]);
    wait_for_ready(&yard.transport, &yard.origin, 0).await;
}

async fn no_more_is_looked_at_than_the_limit(backend: Backend) {
    let broker = backend.broker().await;
    let yard = yard(broker.connect().await).await;
    for id in ["a1", "a2", "a3"] {
        yard.park(id, &[]).await;
    }
    let outcome = yard.tools.clone().scan_max(2).replay(&Selection::all()).await.expect("replayed");
    assert_eq!((outcome.moved, outcome.looked_at, outcome.waiting), (2, 2, 3));
    wait_for_ready(&yard.transport, &yard.parked.name, 1).await;
    assert_eq!(yard.left().await, ["a3"]);
}

async fn a_replay_that_is_cut_off_loses_and_doubles_nothing(backend: Backend) {
    let broker = backend.broker().await;
    let yard = yard(broker.connect().await).await;
    let ids: Vec<String> = (10..50).map(|number| format!("m{number}")).collect();
    for id in &ids {
        yard.park(id, &[]).await;
    }
    // Cut off again and again, at whatever point it has reached.
    let tools = DeadLetters::new(broker.connect().await, yard.tools.queue().clone());
    let tools = tools.rate_per_second(40);
    let mut cuts = 0;
    let all = Selection::all();
    while tokio::time::timeout(Duration::from_millis(300), tools.replay(&all)).await.is_err() {
        cuts += 1;
        assert!(cuts < 20, "it gets nowhere");
        let whole = ids.len() as u64;
        eventually("what was held is given back", || async {
            let count = |queue: &str| {
                let (transport, queue) = (Arc::clone(&yard.transport), queue.to_owned());
                async move {
                    transport.queue_stats(&queue).await.ok().flatten().map_or(0, |it| it.ready)
                }
            };
            count(&yard.origin).await + count(&yard.parked.name).await == whole
        })
        .await;
    }
    assert!(cuts > 1, "it was cut off in the middle");
    wait_for_ready(&yard.transport, &yard.parked.name, 0).await;
    wait_for_ready(&yard.transport, &yard.origin, ids.len() as u64).await;
    let mut arrived = drain(&yard.transport, &yard.origin, ids.len() as u64).await;
    arrived.sort();
    assert_eq!(arrived, ids);
}

/// A broker that takes every publish and never confirms one.
#[derive(Debug)]
struct Unconfirmed(Arc<dyn Transport>);

#[async_trait]
impl Transport for Unconfirmed {
    fn name(&self) -> &'static str {
        self.0.name()
    }

    fn capabilities(&self) -> Capabilities {
        self.0.capabilities()
    }

    async fn declare(&self, topology: &Topology) -> Result<(), TransportError> {
        self.0.declare(topology).await
    }

    async fn publish(&self, _outgoing: Outgoing) -> Result<(), PublishError> {
        std::future::pending().await
    }

    async fn subscribe(
        &self,
        options: SubscribeOptions,
    ) -> Result<Box<dyn Subscription>, TransportError> {
        self.0.subscribe(options).await
    }

    async fn queue_stats(&self, queue: &str) -> Result<Option<QueueStats>, TransportError> {
        self.0.queue_stats(queue).await
    }

    async fn delete_queue(&self, queue: &str) -> Result<(), TransportError> {
        self.0.delete_queue(queue).await
    }

    async fn close(&self) {
        self.0.close().await;
    }
}

/// A publish and an ack would be two steps, and a process may be killed between them.
async fn a_replay_publishes_nothing(backend: Backend) {
    let broker = backend.broker().await;
    let yard = yard(broker.connect().await).await;
    yard.park("a1", &[]).await;
    let transport = Arc::new(Unconfirmed(broker.connect().await));
    let tools = DeadLetters::new(transport, yard.tools.queue().clone());
    let all = Selection::all();
    let replay = tools.replay(&all);
    let outcome = tokio::time::timeout(Duration::from_secs(10), replay).await;
    assert_eq!(outcome.expect("it waits for no confirm").expect("replayed").moved, 1);
    assert_eq!(take(&yard.transport, &yard.origin).await.body, "a1");
}

async fn a_dead_letter_stays_until_its_copy_is_confirmed(backend: Backend) {
    let broker = backend.broker().await;
    let yard = yard(broker.connect().await).await;
    let shared = Queue::new(unique("shared"));
    let mut topology = Topology::default();
    topology.queue(shared.clone());
    yard.transport.declare(&topology).await.expect("declared");
    let mut properties = Properties::default();
    properties.headers.set(names::DEATH_QUEUE, &yard.origin);
    publish_raw(&yard.transport, &shared.name, properties, "body").await;
    let queue = DeadLetterQueue::new(shared.clone(), vec![yard.origin.clone(), unique("other")]);
    let transport = Arc::new(Unconfirmed(broker.connect().await));
    let tools = DeadLetters::new(transport, queue);
    let all = Selection::all();
    let replay = tools.replay(&all);
    let cut = tokio::time::timeout(Duration::from_millis(500), replay).await;
    assert!(cut.is_err(), "it waits for the confirm");
    wait_for_ready(&yard.transport, &shared.name, 1).await;
}

async fn nothing_moves_if_there_is_nowhere_to_go_back_to(backend: Backend) {
    let broker = backend.broker().await;
    let yard = yard(broker.connect().await).await;
    yard.park("a1", &[]).await;
    yard.transport.delete_queue(&yard.origin).await.expect("deleted");
    let error = yard.tools.replay(&Selection::all()).await.expect_err("nowhere to go");
    assert_eq!(error.kind(), TransportErrorKind::NotFound);
    let text = error.to_string();
    assert!(
        text.contains(&format!("`{}`", yard.origin)) && text.contains("nothing was moved"),
        "{text}"
    );
    assert_eq!(yard.left().await, ["a1"]);
    yard.transport.delete_queue(&yard.parked.name).await.expect("deleted");
    let error = yard.tools.list(&Selection::all()).await.expect_err("no queue");
    assert_eq!(error.kind(), TransportErrorKind::NotFound);
}

async fn a_queue_that_was_declared_without_the_way_back_is_not_emptied_into_nothing(
    backend: Backend,
) {
    let transport = backend.broker().await.connect().await;
    let origin = unique("old");
    let mut topology = Topology::default();
    let old = Queue::new(format!("dlq.{origin}"));
    topology.queue(old.clone());
    topology.queue(Queue::new(&origin).dead_letter(&old.name));
    transport.declare(&topology).await.expect("declared");
    publish_raw(&transport, &old.name, Properties::default(), "keep me").await;
    let queue = DeadLetterQueue::new(old.clone().dead_letter(&origin), vec![origin.clone()]);
    let error = DeadLetters::new(Arc::clone(&transport), queue).replay(&Selection::all()).await;
    let error = error.expect_err("the broker would drop them");
    assert_eq!(error.kind(), TransportErrorKind::Mismatch, "{error}");
    let text = error.to_string();
    let says =
        if backend == Backend::RabbitMq { "of an earlier version" } else { "dead_letter none" };
    assert!(text.contains(&old.name) && text.contains(says), "{text}");
    assert_eq!(take(&transport, &old.name).await.body, "keep me");
}

async fn a_shared_dead_letter_queue_sends_each_back_to_its_own_queue(backend: Backend) {
    let transport = backend.broker().await.connect().await;
    let (one, two) = (unique("one"), unique("two"));
    let shared = Queue::new(unique("shared")).delivery_limit(1_000_000);
    let mut topology = Topology::default();
    topology.queue(shared.clone());
    for origin in [&one, &two] {
        topology.queue(Queue::new(origin).dead_letter(&shared.name));
    }
    transport.declare(&topology).await.expect("declared");
    for (id, origin) in [("a", Some(&one)), ("b", Some(&two)), ("c", None)] {
        let mut properties = Properties::default();
        properties.message_id = Some(id.into());
        properties.headers.set("tenant", "t");
        if let Some(origin) = origin {
            properties.headers.set(names::DEATH_QUEUE, origin);
            properties.headers.set(names::DEATH_REASON, "panic");
            properties.headers.set(names::ATTEMPT, 7);
        }
        publish_raw(&transport, &shared.name, properties, "body").await;
    }
    let queue = DeadLetterQueue::new(shared.clone(), vec![one.clone(), two.clone()]);
    let tools = DeadLetters::new(Arc::clone(&transport), queue);
    let outcome = tools.replay(&Selection::all()).await.expect("replayed");
    assert_eq!((outcome.moved, outcome.without_origin), (2, 1));
    for (origin, id) in [(&one, "a"), (&two, "b")] {
        let copy = take(&transport, origin).await;
        assert_eq!(copy.properties.message_id.as_deref(), Some(id));
        let left: Vec<&str> = copy.properties.headers.iter().map(|(name, _)| name).collect();
        assert_eq!(left, ["tenant"]);
    }
    let left = tools.list(&Selection::all()).await.expect("listed").letters;
    assert_eq!(left.len(), 1);
    assert_eq!(left[0].id.as_deref(), Some("c"));
}

on_every_transport! {
    a_selection_moves_what_fits_and_leaves_the_others
    a_purge_throws_away_what_fits_and_nothing_else
    no_more_is_looked_at_than_the_limit
    a_replay_that_is_cut_off_loses_and_doubles_nothing
    a_replay_publishes_nothing
    a_dead_letter_stays_until_its_copy_is_confirmed
    nothing_moves_if_there_is_nowhere_to_go_back_to
    a_shared_dead_letter_queue_sends_each_back_to_its_own_queue
    a_queue_that_was_declared_without_the_way_back_is_not_emptied_into_nothing
}

#[tokio::test(start_paused = true)]
async fn a_replay_keeps_its_rate() {
    let yard = yard(Arc::new(MemoryTransport::new())).await;
    for id in 100..350 {
        yard.park(&id.to_string(), &[]).await;
    }
    let began = tokio::time::Instant::now();
    yard.tools.replay(&Selection::all().count(201)).await.expect("replayed");
    assert_eq!(began.elapsed().as_millis(), 2_000, "100 per second, the first at once");
    let began = tokio::time::Instant::now();
    yard.tools
        .clone()
        .rate_per_second(2)
        .replay(&Selection::all().count(5))
        .await
        .expect("replayed");
    assert_eq!(began.elapsed().as_millis(), 2_000, "2 per second");
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    tokio::task::spawn_blocking(work).await.expect("no panic")
}

/// The broker moves a message at least once: what it had not written down it moves again.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_broker_that_is_killed_during_a_replay_loses_nothing() {
    let node =
        Arc::new(blocking(|| RabbitNode::start(&StartOptions::default())).await.expect("a node"));
    let connect = || async {
        let config = AmqpConfig::new(node.amqp_url());
        let transport: Arc<dyn Transport> =
            Arc::new(AmqpTransport::connect(config).await.expect("the broker is up"));
        transport
    };
    let yard = yard(connect().await).await;
    let fresh = Arc::clone(&node);
    blocking(move || fresh.write_down()).await.expect("the queues are written down");
    let ids: BTreeSet<String> = (100..200).map(|number| format!("m{number}")).collect();
    for id in &ids {
        yard.park(id, &[]).await;
    }
    let tools = yard.tools.clone().rate_per_second(100);
    let replay = tokio::spawn(async move { tools.replay(&Selection::all()).await });
    eventually("the replay is on its way", || async {
        matches!(yard.transport.queue_stats(&yard.origin).await, Ok(Some(stats)) if stats.ready > 20)
    })
    .await;
    let killed = Arc::clone(&node);
    blocking(move || killed.kill().and_then(|()| killed.start_again())).await.expect("again");
    let error = replay.await.expect("no panic").expect_err("it was cut off");
    let text = error.to_string();
    assert!(text.contains(" of 100 dead letters: ") && text.contains("do it again"), "{text}");
    let transport = connect().await;
    let tools = DeadLetters::new(Arc::clone(&transport), yard.tools.queue().clone());
    let tools = tools.rate_per_second(1_000);
    let mut arrived = BTreeSet::new();
    eventually("every message is back", || async {
        // An election may be on: the tools say so, and are used again.
        let _ = tools.replay(&Selection::all()).await;
        matches!(transport.queue_stats(&yard.parked.name).await, Ok(Some(stats)) if stats.ready == 0)
            && matches!(transport.queue_stats(&yard.origin).await, Ok(Some(stats)) if stats.ready >= 100)
    })
    .await;
    let stats = transport.queue_stats(&yard.origin).await.expect("asked").expect("there");
    arrived.extend(drain(&transport, &yard.origin, stats.ready).await);
    assert_eq!(arrived, ids);
}
