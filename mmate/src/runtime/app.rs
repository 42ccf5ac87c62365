//! A checked app, and a running one.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout_at};

use super::boot;
use super::builder::{AppBuilder, Prepared};
use super::config::{Config, Loader, Settings};
use super::connect::connect;
use super::plan::Plan;
use super::service::ServiceInfo;
use super::shutdown::{ShutdownReport, Signals};
use super::workflows::{KeptWorkflows, RunningWorkflows};
use crate::bridge::Bridge;
use crate::consume::{Consumer, ConsumerHandle, Counts, Readiness};
use crate::deadletter::{DeadLetterQueue, DeadLetters, DepthWatch};
use crate::error::{BootErrors, Result};
use crate::handler::{FromResources, Resources, State};
use crate::observability::Ledger;
use crate::publish::{FlushError, Publisher};
use crate::transport::Transport;
use crate::workflow::{Graph, Workflows};

/// A checked app that is not connected yet.
#[derive(Debug)]
pub struct App {
    prepared: Prepared,
    config: Config,
    plan: Plan,
}

impl App {
    /// Begins to put an app together, with the configuration of the process: `mmate.toml` and the
    /// environment.
    pub fn builder() -> AppBuilder {
        AppBuilder::new(Loader::of_process(ServiceInfo::current(), super::command::given_flags()))
    }

    pub(super) const fn new(prepared: Prepared, config: Config, plan: Plan) -> Self {
        Self { prepared, config, plan }
    }

    /// Queues, bindings and handlers.
    #[must_use]
    pub const fn plan(&self) -> &Plan {
        &self.plan
    }

    /// The configuration.
    #[must_use]
    pub const fn config(&self) -> &Config {
        &self.config
    }

    /// The framework's own settings.
    #[must_use]
    pub const fn settings(&self) -> &Settings {
        &self.prepared.settings
    }

    pub(super) fn keep_waiting(&mut self) {
        self.prepared.settings.wait = true;
    }

    /// The transport that the code gave, or a new one to `url`; for commands that look at the broker
    /// without starting the service.
    pub(super) async fn connect(&self) -> Result<Arc<dyn Transport>> {
        match &self.prepared.transport {
            Some(transport) => Ok(Arc::clone(transport)),
            None => connect(&self.prepared.settings).await,
        }
    }

    /// The workflows of the app without starting it, for commands that look at instances.
    pub(super) async fn workflows(&self) -> Result<Workflows> {
        super::workflows::tools(&self.prepared, self.connect().await?).await
    }

    /// The workflows.
    pub(super) fn graphs(&self) -> &[Graph] {
        &self.prepared.graphs
    }

    /// The graph of a workflow as Mermaid text; of its latest version.
    pub(super) fn workflow_graph(&self, id: &str) -> Option<String> {
        let graphs = self.prepared.graphs.iter().filter(|graph| graph.entry.id == id);
        let graph = graphs.max_by_key(|graph| graph.entry.version)?;
        Some(crate::workflow::draw(graph, None))
    }

    /// Makes every boot check, the broker included, and takes no message. Declares what is missing
    /// on the broker, as the boot would.
    ///
    /// # Errors
    /// Everything that would keep the app from starting.
    pub async fn check(self) -> Result {
        let opened = boot::open(self.prepared).await?;
        opened.transport.close().await;
        Ok(())
    }

    /// Connects, declares, builds what providers provide, and consumes. Ready when the broker has
    /// confirmed every consumer.
    ///
    /// # Errors
    /// What the broker or a provider refused.
    pub async fn start(self) -> Result<Running> {
        boot::open(self.prepared).await?.start().await
    }
}

/// A consumer that runs, and where its dead letters go.
#[derive(Debug)]
pub(super) struct Supervised {
    pub(super) consumer: ConsumerHandle,
    pub(super) dead_letter: String,
}

/// A running app. Dropping it ends everything at once; [`Running::stop`] ends it in order.
#[derive(Debug)]
pub struct Running {
    settings: Settings,
    pub(super) transport: Arc<dyn Transport>,
    publisher: Publisher,
    pub(super) bridge: Bridge,
    workflows: Option<RunningWorkflows>,
    ledger: Ledger,
    resources: Resources,
    /// True once the app is not ready for good: the first word of a stop.
    pub(super) leaving: watch::Sender<bool>,
    /// True once consumers are to stop.
    stopping: watch::Sender<bool>,
    tasks: JoinSet<()>,
    pub(super) consumers: Vec<Supervised>,
    dead_letters: Vec<DeadLetterQueue>,
}

/// What the boot has made of an app.
#[derive(Debug)]
pub(super) struct Parts {
    pub(super) transport: Arc<dyn Transport>,
    pub(super) publisher: Publisher,
    pub(super) bridge: Bridge,
    pub(super) workflows: Option<KeptWorkflows>,
    pub(super) ledger: Ledger,
    pub(super) resources: Resources,
    pub(super) stopping: watch::Sender<bool>,
}

impl Running {
    pub(super) fn new(settings: Settings, parts: Parts) -> Self {
        let Parts { transport, publisher, bridge, workflows, ledger, resources, stopping } = parts;
        let mut tasks = JoinSet::new();
        if ledger.keeps_snapshots() {
            let every = settings.ledger_every;
            tasks.spawn(keep_snapshots(ledger.clone(), every, stopping.subscribe()));
        }
        Self {
            settings,
            transport,
            publisher,
            bridge,
            workflows: workflows.map(RunningWorkflows::start),
            ledger,
            resources,
            leaving: watch::Sender::new(false),
            stopping,
            tasks,
            consumers: Vec::new(),
            dead_letters: Vec::new(),
        }
    }

    pub(super) fn add(&mut self, consumer: Consumer, dead_letter: String) {
        self.consumers.push(Supervised { consumer: consumer.handle(), dead_letter });
        self.tasks.spawn(consumer.run(self.stopping.subscribe()));
    }

    pub(super) fn watch_dead_letters(&mut self, queues: Vec<DeadLetterQueue>, watch: DepthWatch) {
        self.dead_letters = queues;
        self.tasks.spawn(watch.run(self.stopping.subscribe()));
    }

    /// Waits for the first word of every consumer; one that cannot consume refuses the boot.
    pub(super) async fn wait_until_consuming(&self) -> Result {
        let mut errors = BootErrors::default();
        for Supervised { consumer, .. } in &self.consumers {
            let queue = consumer.queue();
            let state = consumer.wait_for(|state| *state != Readiness::Starting).await;
            if let Some(Readiness::Unready(reason)) = state {
                errors.push(format!("queue `{queue}` cannot be consumed: {reason}"));
            }
        }
        Ok(errors.or(())?)
    }

    /// A publisher outside any handler.
    #[must_use]
    pub const fn publisher(&self) -> &Publisher {
        &self.publisher
    }

    /// The bridge outside any handler: to ask other services.
    #[must_use]
    pub const fn bridge(&self) -> &Bridge {
        &self.bridge
    }

    /// The workflows outside any handler: to start instances, and to look at them. Nothing if the app has none.
    #[must_use]
    pub fn workflows(&self) -> Option<Workflows> {
        self.workflows.as_ref().map(RunningWorkflows::handle)
    }

    /// What became of every message that this process took or published.
    #[must_use]
    pub const fn ledger(&self) -> &Ledger {
        &self.ledger
    }

    /// A value that a provider built or that the app was given.
    #[must_use]
    pub fn state<T: Send + Sync + 'static>(&self) -> Option<State<T>> {
        State::from_resources(&self.resources).ok()
    }

    /// The tools for the dead letters of a queue: to list, replay and purge them. Takes the name of
    /// the queue or of its dead-letter queue; nothing if this app consumes no such queue.
    #[must_use]
    pub fn dead_letters(&self, queue: &str) -> Option<DeadLetters> {
        let found = self.dead_letters.iter().find(|known| known.answers_to(queue))?;
        Some(DeadLetters::new(self.transport(), found.clone()))
    }

    /// How long handlers, and requests of an edge, may take to end.
    #[cfg(feature = "http")]
    pub(crate) const fn drain_timeout(&self) -> Duration {
        self.settings.drain_timeout
    }

    /// The transport.
    #[must_use]
    pub fn transport(&self) -> Arc<dyn Transport> {
        Arc::clone(&self.transport)
    }

    /// Runs until the process is asked to stop (Ctrl-C or SIGTERM), then stops in order. A second
    /// signal ends it at once.
    ///
    /// Signals count from the call on, not only from the first await.
    pub fn until_stopped(self) -> impl Future<Output = ShutdownReport> + Send {
        self.until(Signals::install())
    }

    pub(super) async fn until(self, mut signals: Signals) -> ShutdownReport {
        signals.next().await;
        tracing::info!("asked to stop; letting handlers end (again to end at once)");
        self.stop_after(async {}, signals.next()).await
    }

    /// Stops in order once `first` has ended, whose time counts; or at once if `again` ends before.
    pub(crate) async fn stop_after(
        self,
        first: impl Future<Output = ()>,
        again: impl Future<Output = ()>,
    ) -> ShutdownReport {
        let began = Instant::now();
        self.announce_stop();
        let (counts, publisher) = (self.counts(), self.publisher.clone());
        let in_order = async {
            let _ = timeout_at(began + self.settings.force_timeout, first).await;
            self.stop_since(began).await
        };
        tokio::select! {
            report = in_order => report,
            () = again => {
                ShutdownReport::new(false, counts, began.elapsed()).unpublished(publisher.pending())
            }
        }
    }

    /// Says in every report of its health from now on that the app stops, so that nobody sends it more work.
    /// It goes on to take messages, and to ask, until [`Running::stop`], which says the same.
    pub fn announce_stop(&self) {
        self.leaving.send_replace(true);
    }

    /// Stops in order: intake ends, handlers end (`shutdown.drain`), acks are written, what was accepted to
    /// be published later leaves, connections close; after `shutdown.force` everything ends however it stands.
    pub async fn stop(self) -> ShutdownReport {
        self.stop_since(Instant::now()).await
    }

    async fn stop_since(mut self, began: Instant) -> ShutdownReport {
        self.announce_stop();
        self.stopping.send_replace(true);
        let phases = async {
            while self.tasks.join_next().await.is_some() {}
            // Not before: handlers that end may wait for replies. Whoever waits outside of them is told now.
            self.bridge.close();
            // No stage runs any more: others take over what waits.
            if let Some(workflows) = self.workflows.take() {
                workflows.stop().await;
            }
            // Before the connection goes: what was accepted to be published later leaves now.
            let failed = self.publisher.flush().await.err();
            self.transport.close().await;
            failed.map_or(0, |error| report_unpublished(&error))
        };
        let ended = timeout_at(began + self.settings.force_timeout, phases).await;
        let in_time = ended.is_ok();
        let unpublished = ended.unwrap_or_else(|_| self.publisher.pending());
        snapshot(&self.ledger);
        let counts = self.counts();
        ShutdownReport::new(in_time && counts.abandoned == 0, counts, began.elapsed())
            .unpublished(unpublished)
    }

    fn counts(&self) -> Counts {
        self.consumers
            .iter()
            .map(|supervised| supervised.consumer.counts())
            .fold(Counts::default(), |sum, one| sum + one)
    }
}

/// Writes the sums of the ledger from time to time.
async fn keep_snapshots(ledger: Ledger, every: Duration, mut stopping: watch::Receiver<bool>) {
    loop {
        tokio::select! {
            () = tokio::time::sleep(every) => snapshot(&ledger),
            _ = stopping.wait_for(|stop| *stop) => return,
        }
    }
}

fn report_unpublished(error: &FlushError) -> usize {
    for failed in &error.failed {
        tracing::error!(message_id = %failed.id, message_type = %failed.message_type, error = %failed.error, "not published");
    }
    error.failed.len()
}

fn snapshot(ledger: &Ledger) {
    if let Err(error) = ledger.snapshot() {
        tracing::error!(%error, "the sums were not written; they stay in memory");
    }
}
