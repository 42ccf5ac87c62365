//! Where processes run: what outlives them, whatever store and broker they have.

use std::fmt;
use std::future::Future;
use std::sync::{Arc, OnceLock};

use mmate::App;
use mmate::contract::Source;
use mmate::runtime::AppBuilder;
use mmate::store::{WorkflowStore, connect};
use mmate::transport::Transport;
use mmate::transport::amqp::{AmqpConfig, AmqpTransport};
use mmate::transport::memory::MemoryTransport;
use tokio::runtime::{Builder, Runtime};

use super::apart::Apart;
use crate::amqp::proxy::Proxy;

/// Where instances are kept.
#[derive(Clone, Debug)]
pub(super) enum Keeping {
    /// In a store that all processes of the scene share, as if it were a database.
    Shared(Arc<dyn WorkflowStore>),
    /// In a database, to which each process opens its own way.
    Url(String),
    /// In the messages alone.
    Nowhere,
}

/// What carries the messages.
#[derive(Clone, Debug)]
pub(super) enum Carrying {
    /// A broker in memory that outlives the process, as if it were another one.
    Kept(MemoryTransport),
    /// One that outlives the process although nobody relies on it: every start announces all instances, while the messages of
    /// the last life come again.
    Embedded(MemoryTransport),
    /// A broker in memory that is gone with each process, as the embedded one is.
    Forgetful,
    /// RabbitMQ, to which each process opens its own connection.
    RabbitMq(Line),
    /// RabbitMQ at a URL, for a process of its own.
    Url(String),
}

/// A way to RabbitMQ that ends with each process: the client's library has a thread of its own, which would keep the
/// connection.
#[derive(Clone)]
pub(super) struct Line(Arc<Proxy>);

impl Line {
    pub(super) fn new() -> Self {
        static LINES: OnceLock<Runtime> = OnceLock::new();
        let lines = LINES.get_or_init(|| Builder::new_multi_thread().enable_all().build().unwrap());
        // From a thread of its own, since whoever asks may be in a runtime.
        let start = || lines.block_on(Proxy::start());
        Self(Arc::new(std::thread::scope(|scope| scope.spawn(start).join().unwrap())))
    }

    /// Where it begins.
    pub(super) fn url(&self) -> String {
        self.0.url()
    }

    /// Cuts off all that are connected.
    pub(super) fn cut(&self) {
        self.0.kick();
    }
}

impl fmt::Debug for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Line")
    }
}

async fn rabbitmq(url: &str) -> Arc<dyn Transport> {
    Arc::new(AmqpTransport::connect(AmqpConfig::new(url)).await.unwrap())
}

/// What a process has besides the scene.
#[derive(Clone, Debug)]
pub(super) struct Place {
    /// The service's name.
    pub(super) name: String,
    pub(super) keeping: Keeping,
    pub(super) carrying: Carrying,
    pub(super) source: Source,
    pub(super) config: &'static [(&'static str, &'static str)],
}

impl Place {
    /// A store handle of one's own, if there is a store.
    pub(super) fn store(&self) -> Option<Arc<dyn WorkflowStore>> {
        match &self.keeping {
            Keeping::Shared(store) => Some(Arc::clone(store)),
            Keeping::Url(url) => Some(connect(url, self.source.clone()).unwrap()),
            Keeping::Nowhere => None,
        }
    }

    async fn transport(&self) -> Arc<dyn Transport> {
        match &self.carrying {
            Carrying::Kept(transport) => Arc::new(Apart(transport.clone())),
            Carrying::Embedded(transport) => Arc::new(transport.clone()),
            Carrying::Forgetful => Arc::new(MemoryTransport::new().source(self.source.clone())),
            Carrying::RabbitMq(line) => rabbitmq(&line.url()).await,
            Carrying::Url(url) => rabbitmq(url).await,
        }
    }

    /// A process that has no workflow yet.
    pub(super) async fn process(&self) -> AppBuilder {
        let builder = App::builder()
            .name(&self.name)
            .transport(self.transport().await)
            .source(self.source.clone());
        let builder = match self.store() {
            Some(store) => builder.workflow_store(store),
            None => builder.config("workflows.store", "none"),
        };
        self.config.iter().fold(builder, |builder, (key, value)| builder.config(*key, *value))
    }
}

/// Runs something in a runtime of its own, with which everything ends that it has begun: tasks and timers are dropped
/// where they stand.
pub(super) fn alone<T>(life: impl Future<Output = T>) -> T {
    let runtime = Builder::new_current_thread().enable_all().build().unwrap();
    let end = runtime.block_on(life);
    runtime.shutdown_background();
    end
}
