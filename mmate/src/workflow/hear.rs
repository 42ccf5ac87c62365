//! Stages that wait: for an event, for the reply to what they asked, for the end of a workflow that they started.
//!
//! While an instance waits there is nothing but its row: no task, no message. What it waits for comes as mail, which the
//! store keeps whether or not an instance has got that far; whoever keeps it announces those that wait.

use std::time::Duration;

use serde::Deserialize;
use uuid::Uuid;

use super::ask::{ChildEnd, ReplyTo};
use super::book::End;
use super::case::{Case, Next, Unusable, not_now, outage, over, read_book};
use super::definition::{StageEntry, Wait};
use super::engine::Engine;
use super::forward::{AWAY_WAIT, Verdict};
use super::graph::Graph;
use super::instance::Failure;
use crate::contract::Refusal;
use crate::handler::{Call, Context, HandlerError, Outcome, Started};
use crate::reliability::Reject;
use crate::store::{HistoryEvent, Instance, Mail, Saved, StoreError, Wish, WorkflowStore};

/// The shim of the queues on which mail comes.
pub(super) fn start(call: &Call<'_>) -> Started {
    let engine = call
        .context()
        .resources()
        .get::<Engine>()
        .ok_or_else(|| HandlerError::msg("the app has no engine for workflows"))?;
    let (payload, context) = (call.payload()?.to_owned(), call.context().clone());
    Ok(Box::pin(async move { engine.receive(&payload, &context).await }))
}

/// What an event says of the thing that it is about.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct About {
    aggregate_id: Option<String>,
}

/// Where the reply to a request waits.
fn reply_address(id: &str) -> String {
    format!("reply:{id}")
}

/// Where the end of an instance waits for the one that has started it.
pub(super) fn child_address(id: Uuid) -> String {
    format!("child:{id}")
}

impl Engine {
    /// Keeps an event or a reply, and announces the instances that wait for it.
    async fn receive(&self, payload: &str, context: &Context) -> Outcome {
        let (graph, address) = match self.address_of(payload, context) {
            Ok(found) => found,
            Err(why) => return over(Unusable(why)),
        };
        let Some(store) = &self.0.store else {
            return over(Unusable("without a store there is no mail for workflows".to_owned()));
        };
        let (id, body) = (context.message_id(), payload.to_owned());
        let mail = Mail::new(graph.entry.id, &address, id, body, self.now());
        // Crash window: kept and not announced. The redelivery keeps it again, as the same mail, and announces it.
        match self.deliver(&**store, &mail).await {
            Ok(()) => Outcome::Done,
            Err(error) => {
                tracing::warn!(queue = context.queue(), message_id = context.message_id(), error = %error.chain(), "mail for workflows cannot be delivered; tried again");
                not_now(context, AWAY_WAIT, "mail")
            }
        }
    }

    /// For whom a message is, and where they wait for it.
    fn address_of(&self, payload: &str, context: &Context) -> Result<(&Graph, String), String> {
        let graph = self
            .graph_of(context.queue())
            .ok_or_else(|| format!("queue `{}` belongs to no workflow", context.queue()))?;
        check_keepable("its id", context.message_id(), Mail::ID_BYTES_MAX)?;
        if context.queue() == graph.reply_queue {
            let address = reply_address(context.correlation_id());
            check_keepable("its correlation id", &address, Mail::ADDRESS_BYTES_MAX)?;
            return Ok((graph, address));
        }
        let name = context.message_type();
        let info = graph.events().into_iter().find(|info| info.names().any(|known| known == name));
        let info = info.ok_or_else(|| format!("no stage waits for `{name}`"))?;
        let about: Option<About> = serde_json::from_str(payload).ok();
        let key = about.and_then(|about| about.aggregate_id).ok_or_else(|| {
            format!("an event `{name}` came without `aggregateId`, so nobody knows which instance it is for")
        })?;
        Ok((graph, event_address(graph, info.name, &key)?))
    }

    /// Keeps mail, and announces the instances that wait for it.
    async fn deliver(&self, store: &dyn WorkflowStore, mail: &Mail) -> Result<(), HandlerError> {
        for instance in store.post(mail).await? {
            // One of a version that this program lacks hears of it from those that have it.
            if self.graph(&instance.workflow, Some(instance.version)).is_some() {
                self.say_where(&instance).await?;
            }
        }
        Ok(())
    }

    /// Tells the one that has started an instance how it ended. Told again, it is the same mail.
    pub(super) async fn tell_parent(&self, instance: &Instance) -> Result<(), HandlerError> {
        let Some(store) = &self.0.store else { return Ok(()) };
        let book = read_book(instance)?;
        if !book.has_parent {
            return Ok(());
        }
        let failure = book.back.as_ref().map(|back| Failure::new(&back.stage, &back.error));
        let end = ChildEnd::new(instance.id, instance.status, book.state, failure);
        let body = serde_json::to_string(&end)?;
        let address = child_address(instance.id);
        let mail = Mail::new(&instance.workflow, &address, &address, body, self.now());
        self.deliver(&**store, &mail).await
    }
}

/// Where the instances of a workflow, whatever their version, wait for an event. Each workflow gets an event for
/// itself, as each handler does.
///
/// # Errors
/// If no store can keep it.
fn event_address(graph: &Graph, name: &str, key: &str) -> Result<String, String> {
    let address = format!("event:{}:{name}:{key}", graph.entry.id);
    check_keepable(&format!("the key of event `{name}`"), &address, Mail::ADDRESS_BYTES_MAX)?;
    Ok(address)
}

/// What a database refuses would be tried again for ever.
fn check_keepable(what: &str, text: &str, bytes_max: usize) -> Result<(), String> {
    if text.len() > bytes_max {
        return Err(format!(
            "{what} is too long to be looked up by; it comes to {} bytes, and may to {bytes_max}",
            text.len()
        ));
    }
    if text.contains('\0') {
        return Err(format!("{what} holds a NUL character, which databases do not keep"));
    }
    Ok(())
}

impl<'a> Case<'a> {
    /// Where the reply to what the stage at this step asks goes.
    pub(super) fn reply_to(&self, stage: &StageEntry) -> Option<ReplyTo> {
        let Some(Wait::Reply(_)) = stage.wait else { return None };
        let queue = self.graph.reply_queue.clone();
        Some(ReplyTo { id: self.asked_id(stage).to_string(), queue })
    }

    /// The id of what the stage asks or starts: the same in every attempt of every process.
    fn asked_id(&self, stage: &StageEntry) -> Uuid {
        Uuid::new_v5(&self.id, format!("asked:{}", stage.name).as_bytes())
    }

    /// The stage has asked: from now on nobody knows what the other side has done. A workflow that it starts begins here.
    pub(super) async fn asked(
        &mut self,
        stage: &'static StageEntry,
        produced: &str,
    ) -> Result<Next, HandlerError> {
        if let Some(Wait::Child(child)) = stage.wait {
            let id = self.asked_id(stage);
            self.engine
                .start_child((child.workflow)(), produced, id, &self.book.correlation)
                .await?;
        }
        self.book.ended(stage.name, End::Unknown);
        Ok(self.onward())
    }

    /// Takes what has come; or waits.
    pub(super) async fn hear(
        mut self: Box<Self>,
        stage: &'static StageEntry,
        wait: Wait,
    ) -> Outcome {
        let Some(store) = self.engine.0.store.clone() else {
            return over(Unusable(format!(
                "stage `{}` waits, and without a store it cannot",
                stage.name
            )));
        };
        let address = match self.address(stage, wait) {
            Ok(address) => address,
            Err(error) => {
                let next = self.unheard(stage, End::Failed, error.chain());
                return self.commit(next).await;
            }
        };
        let mail = match self.look(&*store, &address).await {
            Ok(mail) => mail,
            Err(outcome) => return outcome,
        };
        let until = stage.within_ms.map(|within| {
            let within = i64::try_from(within).unwrap_or(i64::MAX);
            let now = self.now.as_millisecond();
            *self.book.until.get_or_insert(now.saturating_add(within))
        });
        let is_over = until.is_some_and(|until| until <= self.now.as_millisecond());
        match mail {
            Some(mail) => self.heard(stage, wait, Some(mail)).await,
            None if is_over && stage.optional => self.heard(stage, wait, None).await,
            None if is_over => {
                self.cancel_child().await;
                let within = Duration::from_millis(stage.within_ms.unwrap_or_default());
                // Whoever was asked may have done it.
                let end = if matches!(wait, Wait::Event(_)) { End::Failed } else { End::Unknown };
                let next = self.unheard(stage, end, format!("nothing came within {within:?}"));
                self.commit(next).await
            }
            // It waits already, and somebody has knocked: for a wish that is fulfilled, or too early.
            None if self.is_waiting_at(&address) => {
                self.release().await;
                Outcome::Done
            }
            None => {
                self.engine.checkpoint("looked").await;
                // What was interrupted so far did no more than look.
                self.book.begin_attempts();
                self.note(stage.name, HistoryEvent::Waiting);
                self.commit(Next::Wait { address, until }).await
            }
        }
    }

    /// What this instance has read, or can read now.
    async fn look(
        &mut self,
        store: &dyn WorkflowStore,
        address: &str,
    ) -> Result<Option<String>, Outcome> {
        let (context, id) = (self.context, self.id);
        let away = |error: StoreError| outage(context, id, &error);
        loop {
            if let Some(mail) = &self.book.mail {
                return Ok(Some(mail.clone()));
            }
            let Some(mail) = store.mail(address).await.map_err(away)? else { return Ok(None) };
            match self.take(mail).await.map_err(away)? {
                Saved::Made => self.engine.checkpoint("taken").await,
                // Another one was faster; there may be more.
                Saved::MailGone => {}
                Saved::TooLate => return Err(not_now(context, AWAY_WAIT, "taken_over")),
            }
        }
    }

    fn is_waiting_at(&self, address: &str) -> bool {
        self.instance.as_ref().is_some_and(|instance| instance.awaits.as_deref() == Some(address))
    }

    fn address(&self, stage: &StageEntry, wait: Wait) -> Result<String, HandlerError> {
        Ok(match wait {
            Wait::Event(event) => {
                let key = (event.key)(self.book.state.get())?;
                event_address(self.graph, event.info.name, &key).map_err(HandlerError::msg)?
            }
            Wait::Reply(_) => reply_address(&self.asked_id(stage).to_string()),
            Wait::Child(_) => child_address(self.asked_id(stage)),
        })
    }

    /// Calls the stage's method with what has come.
    async fn heard(
        mut self: Box<Self>,
        stage: &'static StageEntry,
        wait: Wait,
        mail: Option<String>,
    ) -> Outcome {
        if let (Wait::Reply(_), Some(refusal)) = (wait, mail.as_deref().and_then(Refusal::read)) {
            // A "no" of the other side is the end of the stage, as a `Reject` of its own would be. One that has failed may
            // have done what it was asked for.
            let end = if refusal.is_failure() { End::Unknown } else { End::Failed };
            let error = Reject::new(refusal.code, refusal.message).to_string();
            let next = self.unheard(stage, end, error);
            return self.commit(next).await;
        }
        let attempt = self.book.tries + 1;
        let (target, limit) = (self.target(stage, attempt), self.limit(stage));
        let state = self.book.state.get().to_owned();
        let ran = self.engine.attempt(target, limit, (&state, &[mail]), self.context).await;
        let Some(ran) = ran else { return not_now(self.context, AWAY_WAIT, "lease") };
        self.engine.checkpoint("ran").await;
        self.now = self.engine.now();
        let next = match self.judge(stage, attempt, ran).await {
            (Verdict::Done, state) => {
                if let Err(error) = self.book.set_state(state) {
                    return Outcome::Failed(error);
                }
                self.close_wait(stage, End::Done);
                self.onward()
            }
            (Verdict::Again(wait), _) => Next::Again(wait, "stage_retry"),
            (Verdict::Failed(error), _) if stage.continue_on_failure => {
                tracing::debug!(stage = stage.name, error, "goes on without it");
                self.close_wait(stage, End::Tolerated);
                self.onward()
            }
            (Verdict::Failed(error), _) => {
                // What was asked for has been done; what failed is the answer's way into the state.
                let asked = !matches!(wait, Wait::Event(_));
                let end = if asked || self.book.doubtful { End::Unknown } else { End::Failed };
                self.close_wait(stage, end);
                self.after_failed_stage(stage, error)
            }
        };
        self.commit(next).await
    }

    /// The stage did not get what it waits for.
    fn unheard(&mut self, stage: &'static StageEntry, end: End, error: String) -> Next {
        let (event, end) = match stage.continue_on_failure {
            true => (HistoryEvent::Tolerated, End::Tolerated),
            false => (HistoryEvent::Failed, end),
        };
        self.note(stage.name, event).reason = Some(error.clone());
        self.close_wait(stage, end);
        if stage.continue_on_failure {
            return self.onward();
        }
        self.after_failed_stage(stage, error)
    }

    fn close_wait(&mut self, stage: &StageEntry, end: End) {
        (self.book.until, self.book.mail) = (None, None);
        if !self.book.redo_last(stage.name, end) {
            self.book.ended(stage.name, end);
        }
    }

    /// Who waits no longer has no use for the workflow that it has started, or may have in an attempt that was interrupted.
    pub(super) async fn cancel_child(&self) {
        let Some(index) = self.graph.stages_of(self.book.step).first() else { return };
        let stage = self.graph.stage(*index);
        let (Some(Wait::Child(_)), Some(store)) = (stage.wait, &self.engine.0.store) else {
            return;
        };
        let id = self.asked_id(stage);
        let told = match store.wish(id, Wish::Cancel, self.engine.now()).await {
            Ok(Some(child)) if child.owner.is_none() && !child.status.is_end() => {
                self.engine.say_where(&child).await.map_err(|error| error.chain())
            }
            Ok(_) => Ok(()),
            Err(error) => Err(error.to_string()),
        };
        if let Err(error) = told {
            tracing::warn!(instance = %self.id, child = %id, error, "a workflow that was started by this one is not cancelled yet");
        }
    }

    /// The instance waits: it is announced if what it waits for came in this moment, and when its time is over.
    ///
    /// Crash window: the row says that it waits, and nobody has looked once more. The redelivery of this message finds
    /// the instance one step further and announces it, and so it looks again.
    pub(super) async fn after_wait(
        self: Box<Self>,
        address: &str,
        until: Option<i64>,
        position: u64,
    ) -> Outcome {
        let Some(store) = &self.engine.0.store else { return Outcome::Done };
        match store.mail(address).await {
            Ok(Some(_)) => self.send_on(position, None).await,
            Ok(None) if until.is_some() => self.send_on(position, until).await,
            Ok(None) => Outcome::Done,
            Err(error) => outage(self.context, self.id, &error),
        }
    }
}

impl Engine {
    /// Starts the instance that a stage has asked for. Asked again, it is the same.
    async fn start_child(
        &self,
        entry: &'static super::definition::WorkflowEntry,
        state: &str,
        id: Uuid,
        correlation: &str,
    ) -> Result<(), HandlerError> {
        let graph: &Graph = self.graph(entry.id, None).ok_or_else(|| {
            HandlerError::msg(format!("this service has no workflow `{}`", entry.id))
        })?;
        let state = serde_json::value::RawValue::from_string(state.to_owned())?;
        let workflows = super::handle::Workflows::new(self.clone());
        let start = super::handle::Begin {
            graph,
            state,
            id,
            correlation: correlation.to_owned(),
            has_parent: true,
        };
        workflows.begin_as(start).await?;
        Ok(())
    }
}
