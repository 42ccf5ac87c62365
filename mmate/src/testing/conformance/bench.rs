//! Where a check is done: connections, names of its own, and what it has to clean up.

use std::borrow::Cow;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::{Instant, sleep, timeout};

use super::Failure;
use super::behaviour::{Checked, ensure};
use super::consumer::Consumer;
use crate::contract::Source;
use crate::contract::address::Address;
use crate::transport::{
    Capability, ExchangeKind, Outgoing, Properties, PublishError, PublishErrorKind, Queue,
    QueueStats, SubscribeOptions, Topology, Transport, TransportError,
};

/// How long something that must happen may take.
const DEADLINE: Duration = Duration::from_secs(10);
/// The pause between two looks at what a broker only tells when asked.
const LOOK_AGAIN: Duration = Duration::from_millis(20);

pub(super) type Connected = Result<Arc<dyn Transport>, TransportError>;
pub(super) type Connect =
    Arc<dyn Fn() -> Pin<Box<dyn Future<Output = Connected> + Send>> + Send + Sync>;

/// The connections, names and leftovers of one check.
pub struct Bench {
    connect: Connect,
    transport: Arc<dyn Transport>,
    prefix: String,
    made: Mutex<Made>,
}

/// What is to be cleaned up.
#[derive(Default)]
struct Made {
    queues: Vec<String>,
    transports: Vec<Arc<dyn Transport>>,
}

/// Waits for something that must happen.
pub(super) async fn within<T>(what: &str, future: impl Future<Output = T>) -> Result<T, Failure> {
    let late = || Failure::new(format!("{what}: not within {} s", DEADLINE.as_secs()));
    let began = Instant::now();
    let outcome = timeout(DEADLINE, future).await.map_err(|_| late())?;
    // A timeout looks once more when it is over, and would hide that nobody was woken.
    if began.elapsed() < DEADLINE { Ok(outcome) } else { Err(late()) }
}

/// The exchange of a kind that all checks share.
pub(super) const fn exchange(kind: ExchangeKind) -> &'static str {
    match kind {
        ExchangeKind::Topic => "mmate.conformance.topic",
        ExchangeKind::Direct => "mmate.conformance.direct",
        ExchangeKind::Fanout => "mmate.conformance.fanout",
    }
}

/// A message for a queue.
pub(super) fn to_queue(queue: &str, body: impl Into<String>) -> Outgoing {
    Outgoing::new(Address::queue(queue), Properties::default(), body.into())
}

/// A message for one of the shared exchanges.
pub(super) fn to_exchange(kind: ExchangeKind, key: &str, body: &str) -> Outgoing {
    let mut outgoing = to_queue(key, body);
    outgoing.address.exchange = Cow::Borrowed(exchange(kind));
    outgoing
}

/// Checks that a publish failed in a certain way.
pub(super) fn ensure_refused(
    outcome: Result<(), PublishError>,
    expected: PublishErrorKind,
) -> Checked {
    match outcome {
        Ok(()) => {
            Err(Failure::new(format!("the publish succeeded instead of failing as {expected:?}")))
        }
        Err(error) if error.kind() == expected => Ok(()),
        Err(error) => Err(Failure::new(format!(
            "the publish failed as {:?} instead of {expected:?}: {error}",
            error.kind()
        ))),
    }
}

impl Bench {
    pub(super) async fn new(connect: Connect, number: usize) -> Result<Self, Failure> {
        let transport = within("connecting", connect()).await??;
        let run = Source::system().id().simple().to_string();
        Ok(Self {
            connect,
            // One word without dots, to stand in patterns too.
            prefix: format!("conformance-{}-{number}", &run[..12]),
            made: Mutex::new(Made { queues: Vec::new(), transports: vec![Arc::clone(&transport)] }),
            transport,
        })
    }

    /// The capability that is needed and not there.
    pub(super) fn lacks(&self, needs: &[Capability]) -> Option<Capability> {
        let capabilities = self.transport.capabilities();
        needs.iter().copied().find(|need| !capabilities.has(*need))
    }

    /// The connection that most checks do with.
    pub(super) fn transport(&self) -> &Arc<dyn Transport> {
        &self.transport
    }

    /// Another connection to the same broker.
    pub(super) async fn connect(&self) -> Result<Arc<dyn Transport>, Failure> {
        let transport = within("connecting", (self.connect)()).await??;
        self.made().transports.push(Arc::clone(&transport));
        Ok(transport)
    }

    /// A name that no other check uses. Its first word is the same in the whole check.
    pub(super) fn name(&self, part: &str) -> String {
        format!("{}.{part}", self.prefix)
    }

    /// Makes a queue without arguments.
    pub(super) async fn queue(&self, part: &str) -> Result<String, Failure> {
        let name = self.name(part);
        self.declare(Queue::new(&name)).await?;
        Ok(name)
    }

    /// Makes a queue.
    pub(super) async fn declare(&self, queue: Queue) -> Checked {
        self.declare_on(&self.transport, queue).await
    }

    /// Makes a queue by another connection.
    pub(super) async fn declare_on(&self, transport: &Arc<dyn Transport>, queue: Queue) -> Checked {
        let mut topology = Topology::default();
        topology.queue(queue);
        self.declare_all_on(transport, &topology).await
    }

    /// Makes a topology by some connection and notes its queues for cleaning up.
    pub(super) async fn declare_all_on(
        &self,
        transport: &Arc<dyn Transport>,
        topology: &Topology,
    ) -> Checked {
        let names = topology.queues.iter().map(|queue| queue.name.clone());
        self.made().queues.extend(names);
        within("declaring", transport.declare(topology)).await??;
        Ok(())
    }

    /// Makes a queue that is bound to the shared exchange of a kind.
    pub(super) async fn bound(
        &self,
        part: &str,
        kind: ExchangeKind,
        patterns: &[&str],
    ) -> Result<String, Failure> {
        let name = self.name(part);
        let mut topology = Topology::default();
        topology.exchange(exchange(kind), kind);
        topology.queue(Queue::new(&name));
        for pattern in patterns {
            topology.bind(exchange(kind), name.clone(), self.name(pattern));
        }
        self.declare_all_on(&self.transport, &topology).await?;
        Ok(name)
    }

    /// Publishes; the outcome is the caller's to judge.
    pub(super) async fn try_publish(
        &self,
        outgoing: Outgoing,
    ) -> Result<Result<(), PublishError>, Failure> {
        within("publishing", self.transport.publish(outgoing)).await
    }

    /// Publishes what must be taken.
    pub(super) async fn publish(&self, outgoing: Outgoing) -> Checked {
        Ok(self.try_publish(outgoing).await??)
    }

    /// Publishes bodies to a queue, one after another.
    pub(super) async fn fill(&self, queue: &str, bodies: &[&str]) -> Checked {
        for body in bodies {
            self.publish(to_queue(queue, *body)).await?;
        }
        Ok(())
    }

    /// Consumes a queue.
    pub(super) async fn consume(&self, queue: &str, prefetch: u16) -> Result<Consumer, Failure> {
        self.consume_on(&self.transport, queue, prefetch).await
    }

    /// Consumes a queue by another connection.
    pub(super) async fn consume_on(
        &self,
        transport: &Arc<dyn Transport>,
        queue: &str,
        prefetch: u16,
    ) -> Result<Consumer, Failure> {
        let options = SubscribeOptions::new(queue, prefetch);
        let subscription = within("subscribing", transport.subscribe(options)).await??;
        Ok(Consumer::new(subscription, queue))
    }

    /// Publishes a last message and checks that it is the next to come, by a new consumer: that
    /// nothing older is left is shown without waiting for nothing.
    pub(super) async fn ensure_empty(&self, queue: &str) -> Checked {
        self.publish(to_queue(queue, "the end")).await?;
        let mut consumer = self.consume(queue, 1).await?;
        consumer.ack_next("the end").await
    }

    /// What the broker says about a queue.
    pub(super) async fn stats(&self, queue: &str) -> Result<Option<QueueStats>, Failure> {
        let stats = self.transport.queue_stats(queue);
        Ok(within("asking about a queue", stats).await??)
    }

    /// Asks about a queue until the broker says what is expected: brokers count with a delay.
    pub(super) async fn ensure_stats(&self, queue: &str, expected: Option<QueueStats>) -> Checked {
        let give_up = Instant::now() + DEADLINE;
        loop {
            let stats = self.stats(queue).await?;
            if stats == expected {
                return Ok(());
            }
            ensure!(
                Instant::now() < give_up,
                "the broker says {stats:?} about `{queue}`, not {expected:?}"
            );
            sleep(LOOK_AGAIN).await;
        }
    }

    /// Closes the check's connections and removes its queues.
    pub(super) async fn clean_up(&self) -> Checked {
        let made = std::mem::take(&mut *self.made());
        // One failure must not keep the rest from being cleaned up.
        let mut outcome = Ok(());
        for transport in made.transports {
            outcome = outcome.and(within("closing", transport.close()).await);
        }
        let transport = within("connecting", (self.connect)()).await??;
        for queue in made.queues {
            let deleted = within("deleting a queue", transport.delete_queue(&queue)).await;
            outcome = outcome.and(deleted.and_then(|it| it.map_err(Failure::from)));
        }
        outcome.and(within("closing", transport.close()).await)
    }

    fn made(&self) -> MutexGuard<'_, Made> {
        self.made.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Bench {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Bench")
            .field("transport", &self.transport)
            .field("prefix", &self.prefix)
            .finish_non_exhaustive()
    }
}
