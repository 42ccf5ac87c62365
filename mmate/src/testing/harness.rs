//! The test app.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::faults::{DeliveryFault, Fault};
use super::recorder::{Captured, Recorder};
use crate::bridge::{Ask, Bridge};
use crate::consume::{Alert, Counts, Readiness};
use crate::contract::headers::names;
use crate::contract::{Command, Event, Message, Request, Source};
use crate::deadletter::DeadLetters;
use crate::dispatch::{HandlerFault, HandlerFaults, Target};
use crate::handler::{Handler, HandlerEntry, State};
use crate::observability::Ledger;
use crate::publish::{IntoDuration, Publish, Publisher};
use crate::runtime::{AppBuilder, ConsumerHealth, Running, ServiceInfo};
use crate::store::WorkflowStore;
use crate::transport::memory::MemoryTransport;
use crate::transport::{Properties, Queue, QueueKind, Topology, Transport};
use crate::workflow::{Workflow, Workflows};

/// How much virtual time a test may take to become quiet.
const SETTLE_MAX: Duration = Duration::from_secs(24 * 60 * 60);

/// How often a test looks whether a consumer is back.
const RESUBSCRIBE_STEP: Duration = Duration::from_millis(10);

/// The seed of tests that give none.
const SEED: u64 = 1;

/// A whole service in memory, on a virtual clock and with repeatable ids.
///
/// Everything that is published is kept, also what nobody consumes.
#[derive(Debug)]
pub struct TestApp {
    running: Running,
    recorder: Arc<Recorder>,
    handlers: Vec<&'static HandlerEntry>,
    faults: HandlerFaults,
}

impl TestApp {
    /// Begins to put a test app together. It reads no file and no environment.
    pub fn builder() -> TestAppBuilder {
        TestAppBuilder::new(ServiceInfo::current())
    }

    /// Publishes an event.
    pub fn publish<M: Event>(&self, event: M) -> Publish<'_, M> {
        self.publisher().publish(event)
    }

    /// Sends a command.
    pub fn send<M: Command>(&self, command: M) -> Publish<'_, M> {
        self.publisher().send(command)
    }

    /// Asks a handler of the app, and waits for its reply.
    pub fn ask<M: Request>(&self, message: M) -> Ask<'_, M::Reply> {
        self.bridge().ask(message)
    }

    /// The bridge outside any handler.
    #[must_use]
    pub const fn bridge(&self) -> &Bridge {
        self.running.bridge()
    }

    /// The publisher outside any handler.
    #[must_use]
    pub const fn publisher(&self) -> &Publisher {
        self.running.publisher()
    }

    /// Waits until nothing is in flight: no message waits for a handler of this app, none is being
    /// handled, none waits for another attempt. Time is virtual, so waits cost nothing.
    ///
    /// # Panics
    /// If it does not become quiet within 24 hours of virtual time.
    pub async fn settle(&self) {
        let quiet = tokio::time::timeout(SETTLE_MAX, async {
            loop {
                self.recorder.inner.idle().await;
                // A consumer that has lost its connection holds nothing and will be back for more.
                let back = |one: &ConsumerHealth| !matches!(one.readiness, Readiness::Unready(_));
                if self.health().iter().all(back) {
                    break;
                }
                tokio::time::sleep(RESUBSCRIBE_STEP).await;
            }
        })
        .await;
        assert!(quiet.is_ok(), "not quiet after 24 hours of virtual time: {:?}", self.health());
    }

    /// The workflows of the app: to start instances, and to look at them.
    ///
    /// # Panics
    /// If it has none.
    #[must_use]
    #[track_caller]
    pub fn workflows(&self) -> Workflows {
        let workflows = self.running.workflows();
        assert!(workflows.is_some(), "the app has no workflow");
        workflows.expect("invariant: asserted above")
    }

    /// The messages of a type that were published so far, by this test or by handlers.
    #[must_use]
    pub fn published<M: Message>(&self) -> Captured<M> {
        self.recorder.captured()
    }

    /// What waits in the dead-letter queue of `queue`.
    #[must_use]
    pub fn dead_letters(&self, queue: &str) -> Vec<DeadLettered> {
        let name = crate::contract::address::dead_letter_queue(queue);
        self.recorder
            .inner
            .messages(&name)
            .into_iter()
            .map(|(properties, body)| DeadLettered { properties, body })
            .collect()
    }

    /// The tools for the dead letters of a queue, as an operator has them: to replay them, for example.
    #[must_use]
    pub fn dead_letter_tools(&self, queue: &str) -> Option<DeadLetters> {
        self.running.dead_letters(queue)
    }

    /// A value that a provider built or that the app was given.
    ///
    /// # Panics
    /// If there is none.
    #[must_use]
    #[track_caller]
    pub fn state<T: Send + Sync + 'static>(&self) -> State<T> {
        let state = self.running.state();
        assert!(state.is_some(), "the app has no `{}`", std::any::type_name::<T>());
        state.expect("invariant: asserted above")
    }

    /// Every consumer: whether it consumes, and what became of its messages.
    #[must_use]
    pub fn health(&self) -> Vec<ConsumerHealth> {
        self.running.health().consumers
    }

    /// What became of all messages so far.
    #[must_use]
    pub fn counts(&self) -> Counts {
        self.health()
            .iter()
            .map(|consumer| consumer.counts)
            .fold(Counts::default(), |sum, one| sum + one)
    }

    /// What became of every message that the app took or published.
    #[must_use]
    pub const fn ledger(&self) -> &Ledger {
        self.running.ledger()
    }

    /// The in-memory transport itself.
    #[must_use]
    pub fn transport(&self) -> &MemoryTransport {
        &self.recorder.inner
    }

    /// Moves the virtual clock, and lets everything that is due happen.
    pub async fn advance(&self, duration: Duration) {
        tokio::time::sleep(duration).await;
    }

    /// Stops in order, as a service does at SIGTERM.
    pub async fn stop(self) -> crate::runtime::ShutdownReport {
        self.running.stop().await
    }
}

/// Faults, so that a test shows what becomes of messages without any mock. Each is in force from the call
/// on, for one call or delivery unless `times(..)` says more.
///
/// ```
/// use mmate::prelude::*;
///
/// #[message(command)]
/// struct Pay {
///     order: String,
/// }
///
/// #[message(event, aggregate = "order", key = order)]
/// struct Paid {
///     order: String,
/// }
///
/// #[handler]
/// async fn pay(command: Pay, publisher: Publisher) -> Result {
///     publisher.publish(Paid { order: command.order }).await?;
///     Ok(())
/// }
///
/// #[mmate::test]
/// async fn a_bank_that_is_away_for_a_moment_is_asked_again(app: TestApp) {
///     let away = app.fail::<pay>().times(2).with(|| std::io::Error::other("the bank is away"));
///     app.send(Pay { order: "A1".into() }).await.unwrap();
///     app.settle().await;
///     app.published::<Paid>().one();
///     assert_eq!((away.hits(), app.counts().retried), (2, 2));
/// }
/// ```
impl TestApp {
    /// Lets the next call of a handler fail instead of calling it.
    ///
    /// # Panics
    /// If the app does not have this handler.
    #[track_caller]
    #[expect(
        clippy::must_use_candidate,
        reason = "the fault is in force whether it is kept or not"
    )]
    pub fn fail<H: Handler>(&self) -> HandlerFault {
        let place = |entry: &HandlerEntry| (entry.name, entry.location);
        let known = self.handlers.iter().any(|entry| place(entry) == place(H::ENTRY));
        assert!(known, "the app has no handler `{}`", H::ENTRY.name);
        self.faults.add(Target::Handler(H::ENTRY))
    }

    /// Lets the next call of any handler of a queue fail instead of calling it.
    ///
    /// # Panics
    /// If no handler takes messages from this queue.
    #[track_caller]
    #[expect(
        clippy::must_use_candidate,
        reason = "the fault is in force whether it is kept or not"
    )]
    pub fn fail_queue(&self, queue: &str) -> HandlerFault {
        self.must_consume(queue);
        self.faults.add(Target::Queue(queue))
    }

    /// Loses the connection of a queue's consumer when it is about to settle its next message: the
    /// handler is done, what it published is confirmed, and the message comes again.
    ///
    /// # Panics
    /// If no handler takes messages from this queue.
    #[track_caller]
    #[expect(
        clippy::must_use_candidate,
        reason = "the fault is in force whether it is kept or not"
    )]
    pub fn drop_connection(&self, queue: &str) -> DeliveryFault {
        self.must_consume(queue);
        self.recorder.faults.add(queue, Fault::Drop)
    }

    /// Delivers the next message of a queue later, by a `Duration` or a text like `"30s"`; others overtake
    /// it.
    ///
    /// # Panics
    /// If no handler takes messages from this queue, or the text is no duration.
    #[track_caller]
    pub fn delay(&self, queue: &str, by: impl IntoDuration) -> DeliveryFault {
        self.must_consume(queue);
        match by.into_duration() {
            Ok(by) => self.recorder.faults.add(queue, Fault::Delay(by)),
            Err(why) => std::panic::panic_any(why),
        }
    }

    /// Delivers the next message of a queue twice, as if its publisher had sent it again.
    ///
    /// # Panics
    /// If no handler takes messages from this queue.
    #[track_caller]
    #[expect(
        clippy::must_use_candidate,
        reason = "the fault is in force whether it is kept or not"
    )]
    pub fn duplicate(&self, queue: &str) -> DeliveryFault {
        self.must_consume(queue);
        self.recorder.faults.add(queue, Fault::Duplicate)
    }

    #[track_caller]
    fn must_consume(&self, queue: &str) {
        let queues: Vec<String> = self.health().into_iter().map(|one| one.queue).collect();
        let known = queues.iter().any(|known| known == queue);
        assert!(
            known,
            "no handler takes messages from `{queue}`; the queues are `{}`",
            queues.join("`, `")
        );
    }
}

/// A message in a dead-letter queue.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct DeadLettered {
    /// Its properties and headers.
    pub properties: Properties,
    /// The body as it came.
    pub body: bytes::Bytes,
}

impl DeadLettered {
    /// The short word for why.
    #[must_use]
    pub fn reason(&self) -> &str {
        self.properties.headers.text(names::DEATH_REASON).unwrap_or_default()
    }

    /// The error that a person reads.
    #[must_use]
    pub fn error(&self) -> &str {
        self.properties.headers.text(names::DEATH_ERROR).unwrap_or_default()
    }

    /// How many attempts were made.
    #[must_use]
    pub fn attempts(&self) -> i64 {
        self.properties
            .headers
            .get(names::DEATH_ATTEMPTS)
            .and_then(crate::contract::HeaderValue::as_i64)
            .unwrap_or_default()
    }
}

/// Chooses what a test app consists of.
#[derive(Debug)]
#[must_use = "a test app does nothing until it is started"]
pub struct TestAppBuilder {
    app: AppBuilder,
    seed: u64,
}

impl TestAppBuilder {
    pub(crate) fn new(service: ServiceInfo) -> Self {
        Self { app: AppBuilder::isolated(service), seed: SEED }
    }

    /// Takes all linked handlers and providers.
    pub fn registered(mut self) -> Self {
        self.app = self.app.registered();
        self
    }

    /// Takes those whose module path begins with `module`.
    pub fn registered_in(mut self, module: &str) -> Self {
        self.app = self.app.registered_in(module);
        self
    }

    /// Takes one handler.
    pub fn handler<H: Handler>(mut self) -> Self {
        self.app = self.app.handler::<H>();
        self
    }

    /// Takes one workflow.
    pub fn workflow<W: Workflow>(mut self) -> Self {
        self.app = self.app.workflow::<W>();
        self
    }

    /// Keeps instances of workflows here, instead of in a memory of its own.
    pub fn workflow_store(mut self, store: impl Into<Arc<dyn WorkflowStore>>) -> Self {
        self.app = self.app.workflow_store(store);
        self
    }

    /// Gives a value that handlers ask for as `State<T>`.
    pub fn provide<T: Send + Sync + 'static>(mut self, value: T) -> Self {
        self.app = self.app.provide(value);
        self
    }

    /// Sets a configuration value.
    pub fn config(mut self, key: impl Into<String>, value: impl Into<toml::Value>) -> Self {
        self.app = self.app.config(key, value);
        self
    }

    /// Tells `hook` what needs a person, as [`AppBuilder::on_alert`] does.
    pub fn on_alert(mut self, hook: impl Fn(&Alert) + Send + Sync + 'static) -> Self {
        self.app = self.app.on_alert(hook);
        self
    }

    /// Names the service.
    pub fn name(mut self, name: &str) -> Self {
        self.app = self.app.name(name);
        self
    }

    /// Sets the seed of ids and jitter.
    pub const fn seed(mut self, seed: u64) -> Self {
        self.seed = seed;
        self
    }

    /// Starts the app.
    ///
    /// # Errors
    /// What the boot refuses.
    pub async fn start(self) -> crate::Result<TestApp> {
        let began = Instant::now();
        let source = Source::seeded(self.seed, move || began.elapsed());
        let recorder = Recorder::new(MemoryTransport::new().source(source.clone()));
        keep_what_nobody_consumes(&recorder.inner).await?;
        let transport: Arc<dyn Transport> = Arc::clone(&recorder) as _;
        let faults = HandlerFaults::default();
        let app = self.app.provide(faults.clone());
        let app = app.source(source).transport(transport).publish_only().build()?;
        let handlers = app.plan().handlers().iter().map(|handler| handler.entry).collect();
        let running = app.start().await?;
        Ok(TestApp { running, recorder, handlers, faults })
    }
}

/// A queue behind all exchanges: a test may publish what only another service consumes.
async fn keep_what_nobody_consumes(transport: &MemoryTransport) -> crate::Result {
    let mut topology = Topology::default();
    topology.queue(Queue::new(UNCONSUMED).kind(QueueKind::Classic));
    for exchange in crate::contract::address::exchanges::TOPICS {
        topology.exchange(exchange, crate::transport::ExchangeKind::Topic);
        topology.bind(exchange, UNCONSUMED, "#");
    }
    Ok(transport.declare(&topology).await?)
}

const UNCONSUMED: &str = "test.unconsumed";

/// What `#[mmate::test]` calls: a paused clock, one thread, all linked handlers.
pub(crate) fn run_test<F: Future>(
    service: ServiceInfo,
    body: impl FnOnce(TestApp) -> F,
) -> F::Output {
    service.make_current();
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build();
    let runtime = runtime.expect("invariant: a runtime of one thread can be built");
    runtime.block_on(async {
        match TestAppBuilder::new(service).registered().start().await {
            Ok(app) => body(app).await,
            Err(error) => std::panic::panic_any(error.to_string()),
        }
    })
}
