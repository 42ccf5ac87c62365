//! What runs the workflows of an app: the graphs, the store, and who in this process works on what.

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use tokio::sync::watch;
use uuid::Uuid;

#[cfg(feature = "testing")]
use super::checkpoint::Checkpoints;
use super::graph::Graph;
use super::message::FlowMessage;
use super::waiters::Waiters;
use crate::consume::Alerts;
use crate::contract::Headers;
use crate::publish::{Origin, PublishOptions, Publisher};
use crate::reliability::RetrySettings;
use crate::store::{WorkflowStore, WorkflowVersion};
use crate::transport::{Outgoing, PublishError, PublishErrorKind};

/// What an app says about its workflows.
#[derive(Clone, Debug)]
pub(crate) struct EngineOptions {
    /// Who this process is, among all that work on instances.
    pub(crate) owner: String,
    /// How long a process counts as alive after it was heard of.
    pub(crate) lease: Duration,
    /// After which time without a change an instance is looked after.
    pub(crate) lost_after: Duration,
    /// How long one attempt of a stage may take that says nothing.
    pub(crate) stage_timeout: Duration,
    /// How often an attempt may end without a word before the stage counts as failed.
    pub(crate) interruptions_max: u32,
    /// How long ended instances are kept.
    pub(crate) keep: Duration,
    /// What configuration says about errors.
    pub(crate) retry: Arc<RetrySettings>,
    /// Who hears of stuck instances.
    pub(crate) alerts: Alerts,
}

/// Runs workflows. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Engine(pub(super) Arc<Shared>);

pub(super) struct Shared {
    pub(super) graphs: Arc<Vec<Graph>>,
    /// What of a store that services share is this program's.
    pub(super) versions: Vec<WorkflowVersion>,
    /// The same without the versions.
    pub(super) ids: Vec<String>,
    /// Which graph a queue belongs to.
    queues: HashMap<String, usize>,
    /// Without one the state is in the messages alone.
    pub(super) store: Option<Arc<dyn WorkflowStore>>,
    pub(super) publisher: Publisher,
    pub(super) options: EngineOptions,
    /// Instances that this process works on.
    running: Mutex<HashSet<Uuid>>,
    /// False while nobody knows that this process is alive: then it works on nothing.
    pub(super) alive: watch::Sender<bool>,
    /// Who hears of instances that end in this process.
    pub(super) waiters: Waiters,
    #[cfg(feature = "testing")]
    pub(super) checkpoints: Option<Checkpoints>,
}

impl Engine {
    pub(crate) fn new(
        graphs: Arc<Vec<Graph>>,
        store: Option<Arc<dyn WorkflowStore>>,
        publisher: Publisher,
        options: EngineOptions,
        #[cfg(feature = "testing")] checkpoints: Option<Checkpoints>,
    ) -> Self {
        let mut queues = HashMap::new();
        for (index, graph) in graphs.iter().enumerate() {
            queues.extend(graph.queues.iter().map(|queue| (queue.clone(), index)));
            for queue in [&graph.undo_queue, &graph.reply_queue, &graph.event_queue] {
                queues.insert(queue.clone(), index);
            }
        }
        let own = |graph: &Graph| WorkflowVersion::new(graph.entry.id, graph.entry.version);
        let versions: Vec<WorkflowVersion> = graphs.iter().map(own).collect();
        let mut ids: Vec<String> = versions.iter().map(|own| own.workflow.clone()).collect();
        ids.sort_unstable();
        ids.dedup();
        Self(Arc::new(Shared {
            graphs,
            versions,
            ids,
            queues,
            store,
            publisher,
            options,
            running: Mutex::default(),
            alive: watch::Sender::new(true),
            waiters: Waiters::default(),
            #[cfg(feature = "testing")]
            checkpoints,
        }))
    }

    /// The graph whose stages or compensations come from a queue.
    pub(super) fn graph_of(&self, queue: &str) -> Option<&Graph> {
        self.0.queues.get(queue).map(|index| &self.0.graphs[*index])
    }

    /// The graph of a version; of the latest one if none is named.
    pub(super) fn graph(&self, workflow: &str, version: Option<u32>) -> Option<&Graph> {
        self.0
            .graphs
            .iter()
            .filter(|graph| graph.entry.id == workflow)
            .filter(|graph| version.is_none_or(|version| graph.entry.version == version))
            .max_by_key(|graph| graph.entry.version)
    }

    pub(super) fn now(&self) -> Timestamp {
        self.0.publisher.encoder().source.now()
    }

    /// The moment after which an instance that has not changed is looked after.
    pub(super) fn due_after(&self, now: Timestamp, wait: Duration) -> Timestamp {
        after(now, wait.saturating_add(self.0.options.lost_after))
    }

    /// Takes an instance for this process, unless it works on it already.
    pub(super) fn enter(&self, instance: Uuid) -> Option<Guard> {
        let mut running = self.0.running.lock().unwrap_or_else(PoisonError::into_inner);
        running.insert(instance).then(|| Guard { engine: self.clone(), instance })
    }

    /// Writes the message that says where an instance stands. Its id follows from instance and position, so that
    /// everybody who says it says the same.
    pub(super) fn encode(
        &self,
        graph: &Graph,
        message: &FlowMessage,
        origin: Option<&Origin>,
        not_before: Option<i64>,
    ) -> Result<Outgoing, PublishError> {
        let now = self.now();
        let id = message_id(message.instance, message.position);
        let (name, queue, payload) = message.write(graph, now).map_err(|error| {
            PublishError::new(PublishErrorKind::Invalid, &id, error.to_string())
        })?;
        let mut options = PublishOptions::default();
        options.message_id = Some(id.into());
        options.correlation_id = Some(message.book.correlation.clone().into());
        let outgoing =
            self.0.publisher.encoder().encode_to(name, &payload, queue, options, origin)?;
        Ok(later(outgoing, not_before, now))
    }

    /// Gives a message to the broker, and waits for its yes.
    pub(super) async fn send(&self, outgoing: Outgoing) -> Result<(), PublishError> {
        self.0.publisher.depart(outgoing).await.map(|_| ())
    }

    /// Waits until nobody knows any more that this process is alive: others may take what it works on.
    pub(super) async fn lease_lost(&self) {
        let mut alive = self.0.alive.subscribe();
        if alive.wait_for(|alive| !alive).await.is_err() {
            std::future::pending::<()>().await;
        }
    }

    /// A place where a test may end the process.
    #[cfg(feature = "testing")]
    pub(super) async fn checkpoint(&self, name: &'static str) {
        if let Some(checkpoints) = &self.0.checkpoints {
            checkpoints.reach(name).await;
        }
    }

    #[cfg(not(feature = "testing"))]
    pub(super) async fn checkpoint(&self, _: &'static str) {}
}

/// A message that is not due yet waits at the broker.
fn later(mut outgoing: Outgoing, not_before: Option<i64>, now: Timestamp) -> Outgoing {
    use crate::contract::headers::names;

    let Some(wake) = not_before else { return outgoing };
    let Ok(wait) = u64::try_from(wake.saturating_sub(now.as_millisecond())) else {
        return outgoing;
    };
    if wait == 0 {
        return outgoing;
    }
    let headers: &mut Headers = &mut outgoing.properties.headers;
    headers.set(names::NOT_BEFORE, wake);
    outgoing.delayed(Duration::from_millis(wait))
}

/// The id of the message that says that an instance is at a position.
pub(super) fn message_id(instance: Uuid, position: u64) -> String {
    Uuid::new_v5(&instance, &position.to_be_bytes()).to_string()
}

/// A moment that lies a while from another.
pub(super) fn after(at: Timestamp, wait: Duration) -> Timestamp {
    let wait = SignedDuration::try_from(wait).unwrap_or(SignedDuration::MAX);
    at.saturating_add(wait).unwrap_or(Timestamp::MAX)
}

/// Says that this process works on an instance; dropped, it no longer does.
pub(super) struct Guard {
    engine: Engine,
    instance: Uuid,
}

impl Drop for Guard {
    fn drop(&mut self) {
        let mut running = self.engine.0.running.lock().unwrap_or_else(PoisonError::into_inner);
        running.remove(&self.instance);
    }
}

impl fmt::Debug for Engine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ids: Vec<&str> = self.0.graphs.iter().map(|graph| graph.entry.id).collect();
        f.debug_struct("Engine").field("workflows", &ids).field("store", &self.0.store).finish()
    }
}
