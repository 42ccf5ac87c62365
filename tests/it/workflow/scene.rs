//! One instance of a generated workflow and what outlives the processes that run it, whatever store and broker they
//! have.

use std::fmt;
use std::future::Future;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use mmate::App;
use mmate::contract::Source;
use mmate::runtime::{AppBuilder, Running};
use mmate::store::{
    HistoryEntry, HistoryEvent, InstanceFilter, WorkflowStatus, WorkflowStore, connect,
};
use mmate::transport::Transport;
use mmate::transport::amqp::{AmqpConfig, AmqpTransport};
use mmate::transport::memory::MemoryTransport;
use mmate::workflow::{Checkpoints, InstanceId, WorkflowEntry};
use tokio::runtime::{Builder, Runtime};
use tokio::sync::Notify;
use uuid::Uuid;

use super::generated::{Generated, Model, Plan, model, state};
use super::world::World;
use crate::amqp::proxy::Proxy;

/// How long an instance may take, whatever happens to it.
const PATIENCE: Duration = Duration::from_secs(60);

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
    /// A broker in memory that is gone with each process, as the embedded one is.
    Forgetful,
    /// RabbitMQ, to which each process opens its own connection.
    RabbitMq(Line),
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

    async fn connect(&self) -> Arc<dyn Transport> {
        Arc::new(AmqpTransport::connect(AmqpConfig::new(self.0.url())).await.unwrap())
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
            Carrying::Kept(transport) => Arc::new(transport.clone()),
            Carrying::Forgetful => Arc::new(MemoryTransport::new().source(self.source.clone())),
            Carrying::RabbitMq(line) => line.connect().await,
        }
    }

    /// A process that is to run this workflow.
    pub(super) async fn process(&self, entry: &'static WorkflowEntry, world: &World) -> AppBuilder {
        let builder = App::builder()
            .name(&self.name)
            .transport(self.transport().await)
            .source(self.source.clone())
            .workflow_entry(entry)
            .provide(world.clone());
        let builder = match self.store() {
            Some(store) => builder.workflow_store(store),
            None => builder.config("workflows.store", "none"),
        };
        self.config.iter().fold(builder, |builder, (key, value)| builder.config(*key, *value))
    }
}

/// One instance, from its start to its end, through as many lives as it takes.
#[derive(Debug)]
pub(super) struct Scene {
    pub(super) place: Place,
    pub(super) entry: &'static WorkflowEntry,
    pub(super) plan: Vec<Plan>,
    pub(super) world: World,
    pub(super) id: Uuid,
}

/// How a life ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Life {
    /// At a checkpoint.
    Killed,
    /// With the instance, after so many checkpoints.
    Ended(usize),
}

impl Scene {
    /// One life of the process. It is to end at the checkpoint with this number, from 0.
    pub(super) async fn live(&self, life: usize, kill: Option<usize>) -> Life {
        let (reached, killed) = (Arc::new(AtomicUsize::new(0)), Arc::new(Notify::new()));
        let (count, ring) = (Arc::clone(&reached), Arc::clone(&killed));
        let checkpoints = Checkpoints::new(move |_| {
            let now = Some(count.fetch_add(1, Ordering::Relaxed)) == kill;
            if now {
                ring.notify_one();
            }
            now
        });
        let process = self.place.process(self.entry, &self.world).await.provide(checkpoints);
        let running = process.start().await.unwrap();
        let workflows = running.workflows().unwrap();
        if life == 0 {
            workflows.start(state(&self.plan)).id(self.id).await.unwrap();
        }
        let to_the_end = async {
            self.end(&running).await;
            running.stop().await;
        };
        tokio::select! {
            biased;
            () = killed.notified() => Life::Killed,
            () = to_the_end => Life::Ended(reached.load(Ordering::Relaxed)),
        }
    }

    /// Waits for the end of the instance.
    async fn end(&self, running: &Running) {
        let workflows = running.workflows().unwrap();
        if matches!(self.place.keeping, Keeping::Nowhere) {
            let Model { applied, undone, .. } = model(&self.plan);
            let over = self.world.wait_for(self.id, &applied, &undone);
            if tokio::time::timeout(PATIENCE, over).await.is_err() {
                panic!("after {PATIENCE:?} {:?}\n{:#?}", self.world, self.plan);
            }
            return;
        }
        let ended = workflows.wait(InstanceId::<Generated>::from(self.id), PATIENCE).await;
        if let Err(error) = ended {
            panic!("{error}\n{:?}\n{:#?}", self.plan, workflows.history(self.id).await);
        }
    }

    /// What must be so at the end, however often the process was killed.
    pub(super) async fn judge(&self, kills: &[usize]) {
        let model = model(&self.plan);
        let told = || format!("killed at {kills:?} on {:?}\n{:#?}", self.place, self.plan);
        assert_eq!(self.world.kept(self.id), model.kept(), "{}", told());
        // Without a store a stage that is not acknowledged runs again, even if it has been undone meanwhile.
        let Some(store) = self.place.store() else { return };
        assert_eq!(self.world.wrong(), [""; 0], "{}", told());
        let instance = store.get(self.id).await.unwrap().unwrap();
        let history = store.history(self.id).await.unwrap();
        let told = || format!("{}\n{:?}\n{history:#?}", told(), instance.status);
        assert_eq!(instance.status == WorkflowStatus::Completed, model.completed, "{}", told());
        assert_eq!(instance.owner, None, "{}", told());
        if let Err(why) = check_history(&history) {
            panic!("{why}: {}", told());
        }
        let live = WorkflowStatus::ALL.iter().copied().filter(|status| !status.is_end());
        let mut filter = InstanceFilter::default();
        filter.statuses = live.collect();
        assert_eq!(store.list(&filter).await.unwrap(), [], "{}", told());
        if matches!(self.place.keeping, Keeping::Url(_)) {
            store.close().await;
        }
    }
}

/// What must be so of every history: nothing happens twice, nothing is out of order, and the end is the end.
pub(super) fn check_history(history: &[HistoryEntry]) -> Result<(), String> {
    let count = |stage: &str, event| {
        history.iter().filter(|line| line.stage == stage && line.event == event).count()
    };
    for line in history {
        if matches!(line.event, HistoryEvent::Completed | HistoryEvent::Undone)
            && count(&line.stage, line.event) != 1
        {
            return Err(format!("`{}` is {} more than once", line.stage, line.event));
        }
    }
    if !history.is_sorted_by_key(|line| line.position) {
        return Err("positions go back".to_owned());
    }
    let seqs = history.iter().map(|line| line.seq);
    if !seqs.eq(1..=history.len() as u64) {
        return Err("the lines are not numbered without a gap".to_owned());
    }
    match history.last() {
        Some(last) if last.event == HistoryEvent::Ended && count("", HistoryEvent::Ended) == 1 => {
            Ok(())
        }
        _ => Err("the end is not the one last line".to_owned()),
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
