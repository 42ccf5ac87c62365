//! Fixtures of the integration tests: a transport of either kind, unique names, waiting with a deadline.

pub mod client;
pub mod postgres;

use std::future::Future;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use mmate::App;
use mmate::contract::address::Address;
use mmate::runtime::AppBuilder;
use mmate::transport::memory::MemoryTransport;
use mmate::transport::{
    Delivery, Intake, Outgoing, Properties, Settlement, SubscribeOptions, Transport,
};
use tokio::net::TcpSocket;
use tokio::sync::Notify;

/// How long a test waits for what must happen.
pub const DEADLINE: Duration = Duration::from_secs(20);

/// What a test runs on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Backend {
    /// The broker in this process.
    Memory,
    /// The RabbitMQ of `MMATE_TEST_AMQP_URL`.
    RabbitMq,
    /// The same, with services that ask their own handlers without it.
    Local,
}

impl Backend {
    /// A broker for one test: fresh in memory, shared on RabbitMQ.
    pub async fn broker(self) -> Broker {
        match self {
            Self::Memory => Broker { memory: Some(MemoryTransport::new()), local: false },
            Self::RabbitMq | Self::Local => Broker { memory: None, local: self == Self::Local },
        }
    }
}

/// Where the services of one test meet.
#[derive(Debug)]
pub struct Broker {
    memory: Option<MemoryTransport>,
    local: bool,
}

impl Broker {
    /// A new connection.
    pub async fn connect(&self) -> Arc<dyn Transport> {
        match &self.memory {
            Some(memory) => Arc::new(memory.clone()),
            None => rabbitmq().await,
        }
    }

    /// A service with a connection of its own and nothing else yet.
    pub async fn service(&self, name: &str) -> AppBuilder {
        let service = App::builder().name(name).transport(self.connect().await);
        service.config("bridge.local", self.local)
    }
}

/// A connection to the RabbitMQ under test.
pub async fn rabbitmq() -> Arc<dyn Transport> {
    use mmate::transport::amqp::{AmqpConfig, AmqpTransport};
    let transport = AmqpTransport::connect(AmqpConfig::new(amqp_url())).await;
    Arc::new(transport.expect("the broker of MMATE_TEST_AMQP_URL accepts connections"))
}

/// The URL of the RabbitMQ under test.
#[must_use]
pub fn amqp_url() -> String {
    let url = std::env::var("MMATE_TEST_AMQP_URL");
    url.expect(
        "MMATE_TEST_AMQP_URL names a RabbitMQ for tests; `cargo xtask test` starts one and sets it",
    )
}

/// A name that no other test, and no earlier run on the same broker, has used.
#[must_use]
pub fn unique(prefix: &str) -> String {
    static RUN: OnceLock<u128> = OnceLock::new();
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let run = RUN.get_or_init(|| {
        let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
        since.unwrap_or_default().as_micros() ^ u128::from(std::process::id())
    });
    format!("{prefix}-{run:x}-{}", NEXT.fetch_add(1, Ordering::Relaxed))
}

/// A loopback port that is held and refuses connections, until the socket listens.
///
/// A port that was listened on and given back is not the same: another test may get it.
///
/// # Panics
/// If there is none.
#[must_use]
pub fn refusing_port() -> (TcpSocket, SocketAddr) {
    let socket = TcpSocket::new_v4().expect("a socket");
    socket.bind((Ipv4Addr::LOCALHOST, 0).into()).expect("a port");
    let address = socket.local_addr().expect("an address");
    (socket, address)
}

/// Notes of what happened, and waiting for them. Given to handlers as `State<Probe>`.
#[derive(Clone, Debug, Default)]
pub struct Probe(Arc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    notes: Mutex<Vec<String>>,
    changed: Notify,
}

impl Probe {
    /// Writes a note; gives how many there are now.
    pub fn note(&self, text: impl Into<String>) -> usize {
        let mut notes = self.0.notes.lock().unwrap_or_else(PoisonError::into_inner);
        notes.push(text.into());
        self.0.changed.notify_waiters();
        notes.len()
    }

    /// All notes so far.
    #[must_use]
    pub fn notes(&self) -> Vec<String> {
        self.0.notes.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Waits until there are this many notes.
    ///
    /// # Panics
    /// After the deadline, with the notes.
    pub async fn wait_for(&self, count: usize) -> Vec<String> {
        let waiting = async {
            loop {
                let changed = self.0.changed.notified();
                let notes = self.notes();
                if notes.len() >= count {
                    return notes;
                }
                changed.await;
            }
        };
        let waited = tokio::time::timeout(DEADLINE, waiting).await;
        waited.unwrap_or_else(|_| panic!("expected {count} notes, got {:?}", self.notes()))
    }
}

/// Waits until a condition holds.
///
/// # Panics
/// After the deadline.
pub async fn eventually<F: Future<Output = bool>>(what: &str, mut holds: impl FnMut() -> F) {
    let waiting = async {
        while !holds().await {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    assert!(
        tokio::time::timeout(DEADLINE, waiting).await.is_ok(),
        "not within {DEADLINE:?}: {what}"
    );
}

/// Takes the next message of a queue and acknowledges it.
///
/// # Panics
/// If none comes before the deadline.
pub async fn take(transport: &Arc<dyn Transport>, queue: &str) -> Delivery {
    let mut subscription = subscribe(transport, queue).await;
    let next = tokio::time::timeout(DEADLINE, subscription.next()).await;
    match next {
        Ok(Intake::Delivery(delivery)) => {
            subscription.settle(delivery.tag, Settlement::Ack);
            subscription.flush().await.expect("the ack is written");
            delivery
        }
        other => panic!("no message came from `{queue}`: {other:?}"),
    }
}

async fn subscribe(
    transport: &Arc<dyn Transport>,
    queue: &str,
) -> Box<dyn mmate::transport::Subscription> {
    let subscribed = transport.subscribe(SubscribeOptions::new(queue, 1)).await;
    subscribed.unwrap_or_else(|error| panic!("`{queue}` can be consumed: {error}"))
}

/// Waits until a queue exists and holds this many waiting messages.
///
/// # Panics
/// After the deadline.
pub async fn wait_for_ready(transport: &Arc<dyn Transport>, queue: &str, count: u64) {
    eventually(&format!("{count} messages in `{queue}`"), || async {
        matches!(transport.queue_stats(queue).await, Ok(Some(stats)) if stats.ready == count)
    })
    .await;
}

/// Publishes raw bytes to a queue.
///
/// # Panics
/// If the broker refuses.
pub async fn publish_raw(
    transport: &Arc<dyn Transport>,
    queue: &str,
    properties: Properties,
    body: impl Into<Bytes>,
) {
    let outgoing = Outgoing::new(Address::queue(queue), properties, body.into());
    transport.publish(outgoing).await.expect("the broker takes the message");
}

/// Declares a test once for each transport: `on_every_transport! { a_case another_case }` where each is an
/// `async fn(Backend)`.
#[macro_export]
macro_rules! on_every_transport {
    ($($case:ident)*) => {
        mod memory {
            $(#[tokio::test]
            async fn $case() {
                super::$case($crate::Backend::Memory).await;
            })*
        }
        mod rabbitmq {
            $(#[tokio::test]
            async fn $case() {
                super::$case($crate::Backend::RabbitMq).await;
            })*
        }
    };
}

/// As [`on_every_transport`], and once more on RabbitMQ with the short way to handlers of the same process.
#[macro_export]
macro_rules! on_every_way {
    ($($case:ident)*) => {
        $crate::on_every_transport! { $($case)* }
        mod local {
            $(#[tokio::test]
            async fn $case() {
                super::$case($crate::Backend::Local).await;
            })*
        }
    };
}

/// The code in the README compiles.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
#[derive(Debug)]
pub struct Readme;
