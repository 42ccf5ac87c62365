//! One delivery of a stage message: whose turn it is, and what is written down at its end.

use std::time::Duration;

use jiff::Timestamp;
use uuid::Uuid;

use super::book::{Book, Cause};
use super::engine::{Engine, Guard, message_id};
use super::graph::Graph;
use super::message::FlowMessage;
use crate::handler::{Context, HandlerError, Outcome};
use crate::reliability::{ErrorClass, ErrorEntry, MessageError};
use crate::store::{
    Claim, HistoryEntry, HistoryEvent, Instance, Mail, NewInstance, Save, Saved, StoreError,
    WorkflowStatus, WorkflowStore,
};

/// How long a message waits whose instance is being worked on.
const BUSY_WAIT: Duration = Duration::from_secs(1);

/// How long a message waits that the store or the broker could not help with.
const OUTAGE_WAIT: Duration = Duration::from_secs(2);

/// A stage message that nobody can act on. It is dead-lettered at once.
#[derive(Debug)]
pub(super) struct Unusable(pub(super) String);

impl std::fmt::Display for Unusable {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Unusable {}

impl MessageError for Unusable {
    fn class(&self) -> ErrorClass {
        ErrorClass::Invalid
    }
}

inventory::submit!(ErrorEntry::of::<Unusable>());

/// An instance that this delivery works on.
pub(super) struct Case<'a> {
    pub(super) engine: &'a Engine,
    pub(super) graph: &'a Graph,
    pub(super) context: &'a Context,
    pub(super) id: Uuid,
    pub(super) position: u64,
    /// As the store has it, if there is one.
    pub(super) instance: Option<Instance>,
    pub(super) book: Book,
    pub(super) now: Timestamp,
    /// What has happened and is not written down yet.
    pub(super) history: Vec<HistoryEntry>,
    /// What has happened and is written down, and not told of yet.
    pub(super) told: Vec<HistoryEntry>,
    /// Whether the wish is fulfilled with the next change.
    pub(super) fulfilled: bool,
    /// So long the instance is this process's alone.
    pub(super) guard: Guard,
}

/// Whether a delivery is to be worked on.
pub(super) enum Opened<'a> {
    Case(Box<Case<'a>>),
    /// No: this is what becomes of it.
    Over(Outcome),
}

/// What becomes of an instance after a step.
pub(super) enum Next {
    /// It goes on from the place that its book names.
    Go(WorkflowStatus),
    /// The same again after a wait.
    Again(Duration, &'static str),
    /// It has come to its end.
    End(WorkflowStatus),
    /// It waits for mail at an address, until a moment.
    Wait { address: String, until: Option<i64> },
    /// It waits for an operator.
    Stuck,
}

pub(super) fn over(error: impl Into<HandlerError>) -> Outcome {
    Outcome::Failed(error.into())
}

/// The message comes again, and nothing counts as tried.
pub(super) fn not_now(context: &Context, wait: Duration, reason: &'static str) -> Outcome {
    Outcome::Later { attempt: context.attempt(), wait, reason }
}

impl Engine {
    /// Finds out whether it is this delivery's turn.
    pub(super) async fn open<'a>(
        &'a self,
        graph: &'a Graph,
        context: &'a Context,
        message: FlowMessage,
    ) -> Opened<'a> {
        let FlowMessage { instance: id, position, .. } = message;
        let Some(guard) = self.enter(id) else {
            return Opened::Over(not_now(context, BUSY_WAIT, "busy"));
        };
        let now = self.now();
        let case = |instance: Option<Instance>, book: Book| {
            Box::new(Case {
                engine: self,
                graph,
                context,
                id,
                position,
                instance,
                book,
                now,
                history: Vec::new(),
                told: Vec::new(),
                fulfilled: false,
                guard,
            })
        };
        let Some(store) = &self.0.store else {
            // Nobody counts here but the broker: an earlier attempt may have had its effect.
            let mut book = message.book;
            book.tries = context.attempt().saturating_sub(1);
            book.doubtful = book.tries > 0;
            for branch in &mut book.branches {
                (branch.tries, branch.doubtful) = (book.tries, book.doubtful);
            }
            return Opened::Case(case(None, book));
        };
        if !*self.0.alive.borrow() {
            return Opened::Over(not_now(context, OUTAGE_WAIT, "lease"));
        }
        // What a sibling has done is in the message alone.
        let adopted = (message.hops > 0).then(|| message.book.clone());
        match self.claim(&**store, graph, message).await {
            Ok(Claim::Taken(instance)) => match adopted.map_or_else(|| read_book(&instance), Ok) {
                Ok(book) => Opened::Case(case(Some(instance), book)),
                Err(error) => Opened::Over(over(error)),
            },
            Ok(Claim::Busy) => Opened::Over(not_now(context, BUSY_WAIT, "busy")),
            Ok(Claim::Elsewhere(instance)) => {
                Opened::Over(self.elsewhere(context, position, &instance).await)
            }
            Ok(Claim::Unknown) => Opened::Over(over(Unusable(format!(
                "instance `{id}` of workflow `{}` is not in the store, and this message is not its first\nhelp: is this \
                 service connected to the store that the instance was started with?",
                graph.entry.id
            )))),
            Err(error) => Opened::Over(outage(context, id, &error)),
        }
    }

    /// Claims the instance of a message; one that was started inside a handler is made now.
    async fn claim(
        &self,
        store: &dyn WorkflowStore,
        graph: &Graph,
        message: FlowMessage,
    ) -> Result<Claim, StoreError> {
        let FlowMessage { instance, position, book, .. } = message;
        let owner = &self.0.options.owner;
        let claim = store.claim(instance, position, owner).await?;
        if claim != Claim::Unknown || position > 0 {
            return Ok(claim);
        }
        // Crash window: made and not claimed. The redelivery claims it.
        store.create(&self.new_instance(graph, instance, &book)).await?;
        store.claim(instance, position, owner).await
    }

    /// A new instance as the store is to have it.
    pub(super) fn new_instance(&self, graph: &Graph, id: Uuid, book: &Book) -> NewInstance {
        let now = self.now();
        let entry = graph.entry;
        NewInstance::new(id, entry.id, entry.version, &graph.hash, write_book(book))
            .times(now, self.due_after(now, wait_of(book, now)))
    }

    /// The instance has moved: this message, or one like it, was acted on.
    ///
    /// Crash window: the step was durable and the process ended before the message of the next one was confirmed. So
    /// whoever finds the instance one step further says where it stands once more; what comes twice finds the
    /// instance elsewhere and ends here.
    async fn elsewhere(&self, context: &Context, position: u64, instance: &Instance) -> Outcome {
        if instance.position < position {
            return over(Unusable(format!(
                "instance `{}` is at position {} in the store, and this message is for position {position}: the store is \
                 older than the message\nhelp: was the database set back?",
                instance.id, instance.position
            )));
        }
        // Also of one that has gone on since: whoever moved it has told of its own steps alone.
        let told = match self.tell_again(instance, position).await {
            Ok(()) if instance.position != position + 1 => Ok(()),
            Ok(()) if instance.status.is_end() => self.tell_parent(instance).await,
            Ok(()) => self.say_where(instance).await,
            Err(error) => Err(error),
        };
        match told {
            Ok(()) => Outcome::Done,
            Err(error) => {
                tracing::warn!(instance = %instance.id, error = %error.chain(), "the next step cannot be announced; tried again");
                not_now(context, OUTAGE_WAIT, "announce")
            }
        }
    }

    /// Publishes the message for the place where an instance stands.
    pub(super) async fn say_where(&self, instance: &Instance) -> Result<(), HandlerError> {
        let graph = self.graph(&instance.workflow, Some(instance.version)).ok_or_else(|| {
            HandlerError::msg(format!(
                "there is no version {} of workflow `{}` in this service",
                instance.version, instance.workflow
            ))
        })?;
        let message = FlowMessage {
            workflow: instance.workflow.clone(),
            instance: instance.id,
            position: instance.position,
            book: read_book(instance)?,
            hops: 0,
        };
        // A wish, or the end of the workflow's time, does not wait for the moment that the step waits for.
        let now = self.now().as_millisecond();
        let is_overdue = message.book.deadline.is_some_and(|deadline| deadline <= now);
        let at = message.book.wake.filter(|_| instance.wish.is_none() && !is_overdue);
        Ok(self.send(self.encode(graph, &message, None, at)?).await?)
    }
}

impl Case<'_> {
    /// Writes a line of the history.
    pub(super) fn note(&mut self, stage: &str, event: HistoryEvent) -> &mut HistoryEntry {
        self.history.push(HistoryEntry::new(self.position, stage, event, self.now));
        let last = self.history.len() - 1;
        &mut self.history[last]
    }

    /// Turns round; what is undone first is the next step.
    pub(super) fn turn_back(&mut self, cause: Cause, stage: &str, error: String) -> Next {
        if self.book.turn_back(self.graph, cause, stage, error) {
            return Next::Go(WorkflowStatus::Compensating);
        }
        Next::End(self.book.end_of_way_back())
    }

    /// Makes a part of a step durable, and keeps the instance. False if it is no longer this process's.
    pub(super) async fn keep(&mut self) -> Result<bool, StoreError> {
        let (Some(store), Some(instance)) = (&self.engine.0.store, &self.instance) else {
            return Ok(true);
        };
        let mut save = Save::of(instance, write_book(&self.book), self.engine.now());
        save.history = std::mem::take(&mut self.history);
        self.told.extend(save.history.iter().cloned());
        Ok(store.save(&save).await? == Saved::Made)
    }

    /// Takes mail for this instance and keeps it in the book, before anything is done with it: of several that wait for
    /// it, the first that saves.
    ///
    /// Crash window: taken, and the method not called. Whoever claims the instance next finds it in the book.
    pub(super) async fn take(&mut self, mail: Mail) -> Result<Saved, StoreError> {
        let (Some(store), Some(instance)) = (&self.engine.0.store, &self.instance) else {
            return Ok(Saved::TooLate);
        };
        let now = self.engine.now();
        self.book.mail = Some(mail.body);
        let mut save = Save::of(instance, write_book(&self.book), now);
        save.status = WorkflowStatus::Running;
        save.due_at = Some(self.due(now, Duration::ZERO));
        save.read = Some((mail.address, mail.id));
        save.history.clone_from(&self.history);
        let saved = store.save(&save).await?;
        match saved {
            Saved::Made => self.told.append(&mut self.history),
            Saved::MailGone | Saved::TooLate => self.book.mail = None,
        }
        Ok(saved)
    }

    /// Makes the end of a step durable, and says what comes next.
    ///
    /// Crash windows: before the change is saved, the stage is done and comes again with the same key; after it,
    /// the next message has not left, and the redelivery of this one sends it ([`Engine::elsewhere`]).
    pub(super) async fn commit(mut self: Box<Self>, next: Next) -> Outcome {
        let moves = !matches!(next, Next::Again(..) | Next::Stuck);
        let to = self.position + u64::from(moves);
        if let Next::End(status) = next {
            self.note("", HistoryEvent::Ended).reason = Some(status.as_str().to_owned());
        }
        let mut lines = std::mem::take(&mut self.told);
        lines.extend(self.history.iter().cloned());
        match self.save(&next, to).await {
            Ok(Saved::Made) => {}
            Ok(Saved::TooLate | Saved::MailGone) => {
                tracing::warn!(instance = %self.id, workflow = self.graph.entry.id, "another process has taken the instance over; what this one did is not kept");
                return not_now(self.context, BUSY_WAIT, "taken_over");
            }
            Err(error) => return outage(self.context, self.id, &error),
        }
        self.engine.checkpoint("saved").await;
        if let Err(error) = self.tell(lines).await {
            tracing::warn!(instance = %self.id, workflow = self.graph.entry.id, error = %error.chain(), "what has happened to the instance is not told yet; tried again");
            return not_now(self.context, OUTAGE_WAIT, "announce");
        }
        match next {
            Next::Go(_) => self.send_on(to, None).await,
            Next::Wait { address, until } => self.after_wait(&address, until, to).await,
            Next::Again(wait, reason) => {
                Outcome::Later { attempt: self.context.attempt() + 1, wait, reason }
            }
            Next::End(status) => self.after_end(status, to).await,
            Next::Stuck if self.instance.is_none() => self.park(),
            Next::Stuck => {
                self.engine.0.waiters.wake(self.id);
                Outcome::Done
            }
        }
    }

    fn was_claimed_before(&self) -> bool {
        self.instance.as_ref().is_some_and(|instance| instance.claims > 1)
    }

    /// Publishes the events of what was written down, if the workflow has any.
    async fn tell(&self, lines: Vec<HistoryEntry>) -> Result<(), HandlerError> {
        if !self.graph.entry.events {
            return Ok(());
        }
        let lines = match &self.engine.0.store {
            // Earlier attempts may have written lines that nobody has told of.
            Some(store) if self.was_claimed_before() => store.history(self.id).await?,
            _ => lines,
        };
        let lines: Vec<HistoryEntry> =
            lines.into_iter().filter(|line| line.position == self.position).collect();
        let (place, origin) = ((self.id, self.position), Some(self.context.origin()));
        let events = self.engine.events(self.graph, place, &self.book, &lines, origin)?;
        Ok(self.engine.publish(events).await?)
    }

    /// Whoever waits for the end hears of it.
    async fn after_end(self: Box<Self>, status: WorkflowStatus, position: u64) -> Outcome {
        let Self { engine, context, id, instance, book, .. } = *self;
        engine.0.waiters.wake(id);
        if !book.has_parent {
            return Outcome::Done;
        }
        let Some(instance) = instance else { return Outcome::Done };
        let ended = Instance { status, position, book: write_book(&book), ..instance };
        match engine.tell_parent(&ended).await {
            Ok(()) => Outcome::Done,
            Err(error) => {
                tracing::warn!(instance = %ended.id, error = %error.chain(), "whoever waits for the end of this instance has not heard of it; tried again");
                not_now(context, OUTAGE_WAIT, "announce")
            }
        }
    }

    async fn save(&mut self, next: &Next, to: u64) -> Result<Saved, StoreError> {
        let (Some(store), Some(instance)) = (&self.engine.0.store, &self.instance) else {
            return Ok(Saved::Made);
        };
        let now = self.engine.now();
        let mut save = Save::of(instance, write_book(&self.book), now);
        save.next = to;
        save.keep = false;
        save.fulfilled = self.fulfilled;
        save.history = std::mem::take(&mut self.history);
        save.status = match *next {
            Next::Go(WorkflowStatus::Running) if self.book.wake.is_some() => {
                WorkflowStatus::Waiting
            }
            Next::Go(status) | Next::End(status) => status,
            Next::Wait { .. } => WorkflowStatus::Waiting,
            Next::Again(..) if self.book.back.is_some() => WorkflowStatus::Compensating,
            Next::Again(..) => WorkflowStatus::Running,
            Next::Stuck => WorkflowStatus::Stuck,
        };
        save.due_at = match *next {
            Next::Go(_) => Some(self.due(now, wait_of(&self.book, now))),
            Next::Again(wait, _) => Some(self.due(now, wait)),
            Next::End(_) | Next::Stuck => None,
            Next::Wait { ref address, until } => {
                save.awaits = Some(address.clone());
                self.due_while_waiting(until)
            }
        };
        store.save(&save).await
    }

    /// When somebody has to look: when nothing has happened for too long, or when the workflow's time is over.
    fn due(&self, now: Timestamp, wait: Duration) -> Timestamp {
        let due = self.engine.due_after(now, wait);
        let deadline = self.book.deadline.filter(|_| self.book.back.is_none());
        deadline.and_then(|at| Timestamp::from_millisecond(at).ok()).map_or(due, |at| due.min(at))
    }

    /// While it waits nobody has to look before its time is over.
    fn due_while_waiting(&self, until: Option<i64>) -> Option<Timestamp> {
        let deadline = self.book.deadline;
        let due = until.map_or(deadline, |until| Some(deadline.map_or(until, |at| at.min(until))));
        Timestamp::from_millisecond(due?).ok()
    }

    pub(super) async fn send_on(self: Box<Self>, position: u64, at: Option<i64>) -> Outcome {
        let Self { engine, graph, context, id, book, guard, .. } = *self;
        // The next message may be here before its confirm is, and finds the instance free.
        drop(guard);
        let message = FlowMessage {
            workflow: graph.entry.id.to_owned(),
            instance: id,
            position,
            book,
            hops: 0,
        };
        let at = at.or(message.book.wake);
        let sent = match engine.encode(graph, &message, Some(context.origin()), at) {
            Ok(outgoing) => engine.send(outgoing).await,
            Err(error) => Err(error),
        };
        if let Err(error) = sent {
            tracing::warn!(instance = %id, workflow = graph.entry.id, message_id = %message_id(id, position), %error, "the next step cannot be announced; tried again");
            return not_now(context, OUTAGE_WAIT, "announce");
        }
        engine.checkpoint("sent").await;
        Outcome::Done
    }
}

/// How long an instance is to wait before its next step.
fn wait_of(book: &Book, now: Timestamp) -> Duration {
    let left = book.wake.map_or(0, |wake| wake.saturating_sub(now.as_millisecond()));
    Duration::from_millis(u64::try_from(left).unwrap_or(0))
}

#[cold]
pub(super) fn outage(context: &Context, id: Uuid, error: &StoreError) -> Outcome {
    tracing::error!(instance = %id, queue = context.queue(), %error, "the workflow store does not answer; the stage waits");
    not_now(context, OUTAGE_WAIT, "store")
}

pub(super) fn read_book(instance: &Instance) -> Result<Book, HandlerError> {
    serde_json::from_str(&instance.book).map_err(|error| {
        Unusable(format!("the book of instance `{}` cannot be read: {error}", instance.id)).into()
    })
}

pub(super) fn write_book(book: &Book) -> String {
    serde_json::to_string(book).expect("invariant: a book holds text, numbers and JSON")
}
