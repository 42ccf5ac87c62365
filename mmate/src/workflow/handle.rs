//! What services and handlers do with workflows: start them, wait for them, look at them, change their way.

use std::fmt;
use std::future::{Future, IntoFuture};
use std::pin::Pin;
use std::time::Duration;

use serde_json::value::RawValue;
use tokio::time::{Instant, timeout_at};
use uuid::Uuid;

use super::book::{Book, Onward};
use super::case::read_book;
use super::definition::Workflow;
use super::engine::Engine;
use super::error::{WorkflowError, WorkflowErrorKind as Kind};
use super::graph::Graph;
use super::instance::{Begun, Ended, Failure, InstanceId, InstanceView, Run};
use super::message::FlowMessage;
use crate::handler::{Context, FromContext, FromResources, HandlerError, HandlerResult, Resources};
use crate::publish::IntoDuration;
use crate::store::{HistoryEntry, Instance, InstanceFilter, Wish, WorkflowStatus, WorkflowStore};

/// How often somebody who waits looks at the store, at first and in the end.
const LOOKS: (Duration, Duration) = (Duration::from_millis(20), Duration::from_secs(1));

/// The workflows of an app. Cheap to clone.
///
/// Outside a handler [`Workflows::start`] returns when the instance is durable. Inside a handler, as a parameter of it,
/// an instance starts only if the handler succeeds.
#[derive(Clone)]
pub struct Workflows {
    engine: Engine,
    /// The call that it belongs to, inside a handler.
    context: Option<Context>,
}

impl Workflows {
    pub(crate) const fn new(engine: Engine) -> Self {
        Self { engine, context: None }
    }

    /// Starts an instance with this state.
    pub fn start<W: Workflow>(&self, state: W) -> Start<'_, W> {
        Start { workflows: self, state, id: None, correlation_id: None }
    }

    /// Waits until an instance has come to its end; for at most so long.
    ///
    /// # Errors
    /// [`WorkflowErrorKind::Timeout`](Kind::Timeout) if it has not, which changes nothing about it: wait again, or cancel it.
    /// [`WorkflowErrorKind::Stuck`](Kind::Stuck) if it is stuck. Those of the store.
    pub async fn wait<W: Workflow>(
        &self,
        id: InstanceId<W>,
        timeout: impl IntoDuration,
    ) -> Result<Ended<W>, WorkflowError> {
        let timeout =
            timeout.into_duration().map_err(|why| WorkflowError::new(Kind::Invalid, why))?;
        let store = self.store(W::ENTRY.id)?;
        let until = Instant::now() + timeout;
        let mut waiter = self.engine.0.waiters.wait_for(id.uuid());
        let mut pause = LOOKS.0;
        loop {
            if let Some(instance) = store.get(id.uuid()).await?
                && let Some(ended) = at_its_end(&instance)?
            {
                return Ok(ended);
            }
            if Instant::now() >= until {
                return Err(WorkflowError::new(
                    Kind::Timeout,
                    format!("instance `{id}` was not at its end after {timeout:?}; it goes on"),
                ));
            }
            // Woken when it ends in this process; one that ends elsewhere is found by looking.
            let _ = timeout_at((Instant::now() + pause).min(until), waiter.woken()).await;
            pause = (pause * 2).min(LOOKS.1);
        }
    }

    /// How far an instance is; nothing if there is none.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn get(&self, id: impl Into<Uuid>) -> Result<Option<InstanceView>, WorkflowError> {
        let found = self.store("")?.get(id.into()).await?;
        found.map(|instance| self.view(instance)).transpose()
    }

    /// Instances, the newest first: of the workflows of this app, if the filter names none. Other services may keep
    /// theirs in the same database.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn list(&self, filter: &InstanceFilter) -> Result<Vec<InstanceView>, WorkflowError> {
        let mut filter = filter.clone();
        if filter.workflows.is_empty() {
            filter.workflows.clone_from(&self.engine.0.ids);
        }
        let found = self.store("")?.list(&filter).await?;
        found.into_iter().map(|instance| self.view(instance)).collect()
    }

    /// What happened to an instance, in order; empty if there is none.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn history(&self, id: impl Into<Uuid>) -> Result<Vec<HistoryEntry>, WorkflowError> {
        Ok(self.store("")?.history(id.into()).await?)
    }

    /// Has an instance undo what is done, and end as cancelled. A stage that is running comes to its end first. Returns
    /// when the wish is durable; [`Workflows::wait`] waits for the end.
    ///
    /// # Errors
    /// [`WorkflowErrorKind::NotFound`](Kind::NotFound); [`WorkflowErrorKind::TooLate`](Kind::TooLate) if it goes back
    /// already, or has ended.
    pub async fn cancel(&self, id: impl Into<Uuid>) -> Result<(), WorkflowError> {
        let can = |status: WorkflowStatus| {
            !status.is_end()
                && !matches!(status, WorkflowStatus::Compensating | WorkflowStatus::Stuck)
        };
        self.wish(id.into(), Wish::Cancel, can).await
    }

    /// Tries the compensation again that an instance is stuck in.
    ///
    /// # Errors
    /// [`WorkflowErrorKind::NotFound`](Kind::NotFound); [`WorkflowErrorKind::TooLate`](Kind::TooLate) if it is not stuck.
    pub async fn resume(&self, id: impl Into<Uuid>) -> Result<(), WorkflowError> {
        self.wish(id.into(), Wish::Resume, |status| status == WorkflowStatus::Stuck).await
    }

    /// Takes the compensation that an instance is stuck in for done, and goes on undoing: somebody has undone it by hand.
    ///
    /// # Errors
    /// As [`Workflows::resume`].
    pub async fn skip(&self, id: impl Into<Uuid>) -> Result<(), WorkflowError> {
        self.wish(id.into(), Wish::Skip, |status| status == WorkflowStatus::Stuck).await
    }

    async fn wish(
        &self,
        id: Uuid,
        wish: Wish,
        can: impl Fn(WorkflowStatus) -> bool,
    ) -> Result<(), WorkflowError> {
        let store = self.store("")?;
        let not_found = || WorkflowError::not_found(id);
        let before = store.get(id).await?.ok_or_else(not_found)?;
        if !can(before.status) {
            return Err(WorkflowError::new(
                Kind::TooLate,
                format!("instance `{id}` is {}; `{wish}` has nothing to change", before.status),
            ));
        }
        let instance = store.wish(id, wish, self.engine.now()).await?.ok_or_else(not_found)?;
        // Crash window: the wish is kept and nobody is told. It is due, so whoever looks after instances tells.
        if let Err(error) = self.engine.say_where(&instance).await {
            tracing::info!(instance = %id, error = %error.chain(), "a wish is kept; it is announced by a service that runs the workflow");
        }
        Ok(())
    }

    fn store(&self, workflow: &str) -> Result<&dyn WorkflowStore, WorkflowError> {
        self.engine.0.store.as_deref().ok_or_else(|| {
            let of = if workflow.is_empty() { String::new() } else { format!(" of `{workflow}`") };
            WorkflowError::new(
                Kind::NoStore,
                format!(
                    "instances{of} are in their messages alone, so nobody can look them up\nhelp: name a database in \
                     `workflows.store`, like `sqlite://workflows.db` or `postgres://..`"
                ),
            )
        })
    }

    /// An instance as Mermaid text.
    pub(crate) fn draw(&self, view: &InstanceView, history: &[HistoryEntry]) -> String {
        let instance = &view.instance;
        match self.engine.graph(&instance.workflow, Some(instance.version)) {
            Some(graph) => super::mermaid::draw(graph, Some(history)),
            None => String::new(),
        }
    }

    fn view(&self, instance: Instance) -> Result<InstanceView, WorkflowError> {
        let book = read_book(&instance).map_err(|error| unreadable(&error))?;
        let graph = self.engine.graph(&instance.workflow, Some(instance.version));
        let stage = match (&book.back, graph) {
            _ if instance.status.is_end() => String::new(),
            (Some(back), _) => {
                book.log.get(back.at).map_or_else(String::new, |done| done.stage.clone())
            }
            (None, Some(graph)) => graph.name(book.step).to_owned(),
            (None, None) => format!("step {}", book.step),
        };
        let failure = failure_of(&book);
        Ok(InstanceView { instance, stage, state: book.state, failure })
    }
}

fn unreadable(error: &HandlerError) -> WorkflowError {
    WorkflowError::new(Kind::Store, error.chain())
}

fn failure_of(book: &Book) -> Option<Failure> {
    let back = book.back.as_ref()?;
    Some(Failure::new(&back.stage, &back.error))
}

fn at_its_end<W: Workflow>(instance: &Instance) -> Result<Option<Ended<W>>, WorkflowError> {
    // With a wish it is about to go on.
    if instance.status == WorkflowStatus::Stuck && instance.wish.is_none() {
        return Err(WorkflowError::new(
            Kind::Stuck,
            format!(
                "instance `{}` is stuck: a stage could not be undone\nhelp: mend the cause, then `workflows resume {}`",
                instance.id, instance.id
            ),
        ));
    }
    if !instance.status.is_end() {
        return Ok(None);
    }
    let book = read_book(instance).map_err(|error| unreadable(&error))?;
    let failure = failure_of(&book);
    let state = W::read(book.state.get()).map_err(|error| {
        let text = format!("instance `{}`: {}", instance.id, error.chain());
        WorkflowError::new(Kind::Store, text)
    })?;
    Ok(Some(Ended { id: instance.id.into(), status: instance.status, state, failure }))
}

/// A start with its options; awaiting it starts the instance.
#[must_use = "nothing is started until it is awaited"]
pub struct Start<'a, W> {
    workflows: &'a Workflows,
    state: W,
    id: Option<Uuid>,
    correlation_id: Option<String>,
}

impl<W> Start<'_, W> {
    /// Sets the instance's id instead of making one. An id that was used before starts nothing, and is no error: so a
    /// caller that does not know whether it has started can ask again. [`Run::begun`] says which it was. An id that an
    /// instance of another workflow has is an error.
    pub const fn id(mut self, id: Uuid) -> Self {
        self.id = Some(id);
        self
    }

    /// Sets the correlation id of everything that the instance publishes, instead of inheriting one or taking its id.
    pub fn correlation_id(mut self, id: impl Into<String>) -> Self {
        self.correlation_id = Some(id.into());
        self
    }
}

impl<'a, W: Workflow> IntoFuture for Start<'a, W> {
    type Output = Result<Run<W>, WorkflowError>;
    type IntoFuture = Pin<Box<dyn Future<Output = Self::Output> + Send + 'a>>;

    fn into_future(self) -> Self::IntoFuture {
        let Self { workflows, state, id, correlation_id } = self;
        let written = state.write().and_then(|text| Ok(RawValue::from_string(text)?));
        let text = written.map_err(|error| {
            let text = format!("workflow `{}` cannot be started: {}", W::ENTRY.id, error.chain());
            WorkflowError::new(Kind::Invalid, text)
        });
        Box::pin(async move {
            let (id, begun) = workflows.begin(W::ENTRY.id, text?, id, correlation_id).await?;
            Ok(Run { id: id.into(), begun })
        })
    }
}

/// An instance that is to begin.
pub(super) struct Begin<'a> {
    pub(super) graph: &'a Graph,
    pub(super) state: Box<RawValue>,
    pub(super) id: Uuid,
    pub(super) correlation: String,
    pub(super) has_parent: bool,
}

impl Workflows {
    /// Not generic: one copy serves all workflows.
    async fn begin(
        &self,
        workflow: &'static str,
        state: Box<RawValue>,
        id: Option<Uuid>,
        correlation_id: Option<String>,
    ) -> Result<(Uuid, Begun), WorkflowError> {
        let engine = &self.engine;
        let graph = engine.graph(workflow, None).ok_or_else(|| WorkflowError::unknown(workflow))?;
        let origin = self.context.as_ref().map(Context::origin);
        let id = match id {
            Some(id) => id,
            None => made_id(&engine.0.publisher.encoder().next_id(origin)),
        };
        let correlation = correlation_id
            .or_else(|| origin.map(|origin| origin.correlation_id().to_string()))
            .unwrap_or_else(|| id.to_string());
        let begin = Begin { graph, state, id, correlation, has_parent: false };
        Ok((id, self.begin_as(begin).await?))
    }

    pub(super) async fn begin_as(&self, begin: Begin<'_>) -> Result<Begun, WorkflowError> {
        let Begin { graph, state, id, correlation, has_parent } = begin;
        let now = self.engine.now();
        let mut book = Book::new(state, graph, correlation, now.as_millisecond());
        book.has_parent = has_parent;
        match book.settle_on(graph, 0) {
            Ok(Onward::Step) => {
                book.wait_before(graph, now.as_millisecond());
            }
            Ok(Onward::End) => {}
            Err((stage, error)) => {
                let text = format!(
                    "whether stage `{stage}` comes first cannot be told: {}",
                    error.chain()
                );
                return Err(WorkflowError::new(Kind::Invalid, text));
            }
        }
        self.announce(graph, id, book).await
    }

    async fn announce(&self, graph: &Graph, id: Uuid, book: Book) -> Result<Begun, WorkflowError> {
        let (engine, has_parent) = (&self.engine, book.has_parent);
        let new = engine.new_instance(graph, id, &book);
        let message = FlowMessage {
            workflow: graph.entry.id.to_owned(),
            instance: id,
            position: 0,
            book,
            hops: 0,
        };
        let invalid = |error: crate::transport::PublishError| {
            WorkflowError::new(Kind::Invalid, error.to_string())
        };
        if let Some(context) = &self.context {
            let at = message.book.wake;
            let outgoing =
                engine.encode(graph, &message, Some(context.origin()), at).map_err(invalid)?;
            // It leaves when the handler succeeds, and the instance is made by the one who takes it.
            let kept = context.keep(outgoing).map(|()| Begun::Later);
            return kept.map_err(|why| WorkflowError::new(Kind::Invalid, why));
        }
        let at = message.book.wake;
        let outgoing = engine.encode(graph, &message, None, at).map_err(invalid)?;
        let Some(store) = &engine.0.store else {
            let sent = engine.send(outgoing).await.map(|()| Begun::Later);
            return sent.map_err(|error| WorkflowError::new(Kind::Unannounced, error.to_string()));
        };
        if !store.create(&new).await? {
            return self.found(&**store, graph, id).await;
        }
        if has_parent {
            engine.checkpoint("begun").await;
        }
        // Crash window: kept and not announced. It is announced when it is due; so it has started, whatever the
        // broker says now.
        if let Err(error) = engine.send(outgoing).await {
            tracing::warn!(instance = %id, workflow = graph.entry.id, %error, "an instance is kept, and its first stage not announced yet");
        }
        Ok(Begun::Now)
    }

    /// There is an instance with this id, and one of the same workflow is meant. Whoever made it may have ended before it
    /// was announced, and asks again now; where it has begun there is nothing to say.
    async fn found(
        &self,
        store: &dyn WorkflowStore,
        graph: &Graph,
        id: Uuid,
    ) -> Result<Begun, WorkflowError> {
        let Some(there) = store.get(id).await? else { return Ok(Begun::Before) };
        if there.workflow != graph.entry.id {
            let text = format!(
                "`{id}` is an instance of workflow `{}`, so none of `{}` can have it\nhelp: derive ids from the workflow \
                 too, as with UUID v5",
                there.workflow, graph.entry.id
            );
            return Err(WorkflowError::new(Kind::Invalid, text));
        }
        let has_begun = there.position > 0 || there.owner.is_some() || there.status.is_end();
        if !has_begun && let Err(error) = self.engine.say_where(&there).await {
            tracing::warn!(instance = %id, workflow = there.workflow, error = %error.chain(), "an instance is kept, and its first stage not announced yet");
        }
        Ok(Begun::Before)
    }
}

/// Ids of messages are UUIDs; one that a test's source makes otherwise still gives one.
fn made_id(id: &str) -> Uuid {
    Uuid::parse_str(id).unwrap_or_else(|_| Uuid::new_v5(&Uuid::NAMESPACE_OID, id.as_bytes()))
}

#[diagnostic::do_not_recommend]
impl FromContext for Workflows {
    fn from_context(context: &Context) -> HandlerResult<Self> {
        let engine = find(context.resources())?;
        Ok(Self { engine, context: Some(context.clone()) })
    }
}

#[diagnostic::do_not_recommend]
impl FromResources for Workflows {
    fn from_resources(resources: &Resources) -> HandlerResult<Self> {
        find(resources).map(Self::new)
    }
}

fn find(resources: &Resources) -> HandlerResult<Engine> {
    let engine = resources.get::<Engine>();
    engine
        .map(|engine| (*engine).clone())
        .ok_or_else(|| HandlerError::msg("the app has no engine for workflows"))
}

impl fmt::Debug for Workflows {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Workflows")
            .field("engine", &self.engine)
            .field("inside_handler", &self.context.is_some())
            .finish()
    }
}

impl<W> fmt::Debug for Start<'_, W> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Start").field("id", &self.id).finish_non_exhaustive()
    }
}
