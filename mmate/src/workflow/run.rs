//! A stage message: read, given to the case that it is about, and ended.

use std::time::Duration;

use super::book::Cause;
use super::book::End;
use super::case::{Case, Next, Opened, Unusable, not_now, over};
use super::engine::Engine;
use super::graph::Graph;
use super::message::FlowMessage;
use crate::handler::{Call, Context, HandlerError, Outcome, Started};
use crate::store::{HistoryEvent, Wish, WorkflowStatus};

/// The shim of all queues of all workflows: the engine knows what each is for.
pub(super) fn start(call: &Call<'_>) -> Started {
    let engine = call
        .context()
        .resources()
        .get::<Engine>()
        .ok_or_else(|| HandlerError::msg("the app has no engine for workflows"))?;
    let (payload, context) = (call.payload()?.to_owned(), call.context().clone());
    Ok(Box::pin(async move { engine.handle(&payload, &context).await }))
}

impl Engine {
    async fn handle(&self, payload: &str, context: &Context) -> Outcome {
        let (graph, message) = match self.read(payload, context) {
            Ok(read) => read,
            Err(why) => return over(Unusable(why)),
        };
        match self.open(graph, context, message).await {
            Opened::Over(outcome) => outcome,
            Opened::Case(case) => {
                self.checkpoint("claimed").await;
                case.run().await
            }
        }
    }

    fn read(&self, payload: &str, context: &Context) -> Result<(&Graph, FlowMessage), String> {
        let queue = context.queue();
        let graph = self
            .graph_of(queue)
            .ok_or_else(|| format!("queue `{queue}` belongs to no workflow of this service"))?;
        let mut message = FlowMessage::read(payload)?;
        if message.workflow != graph.entry.id {
            return Err(format!(
                "a message of workflow `{}` came to queue `{queue}`, which belongs to `{}`",
                message.workflow, graph.entry.id
            ));
        }
        if message.book.graph != graph.hash {
            return Err(format!(
                "the stages of workflow `{}` version {} are not those with which instance `{}` began\nhelp: leave a \
                 version as it is while instances of it run, and write the new stages as `version = {}`",
                graph.entry.id,
                graph.entry.version,
                message.instance,
                graph.entry.version + 1
            ));
        }
        if let Some(step) = graph.queues.iter().position(|known| known == queue) {
            message.adopt(graph, step);
        }
        Ok((graph, message))
    }
}

impl Case<'_> {
    async fn run(mut self: Box<Self>) -> Outcome {
        self.count_interruptions();
        if let Some(next) = self.wished() {
            self.cancel_child().await;
            return self.commit(next).await;
        }
        if let Some(instance) = self.instance.as_ref().filter(|_| self.is_stuck()) {
            // Crash window: stuck, and nobody was told.
            let told = self.engine.tell_again(instance, self.position).await;
            self.release().await;
            return told.map_or_else(Outcome::Failed, |()| Outcome::Done);
        }
        if self.book.back.is_some() {
            if self.is_deadly() {
                let (stage, error) = (self.current_stage(), self.silence());
                let next = self.stuck(&stage, self.book.tries, error);
                // This claim is over too, and was not interrupted.
                self.book.tries += 1;
                return self.commit(next).await;
            }
            return Box::pin(self.back()).await;
        }
        if self.is_overdue() {
            self.cancel_child().await;
            self.abandon_step();
            let next = self.time_is_over();
            return self.commit(next).await;
        }
        if self.is_deadly() {
            self.cancel_child().await;
            let next = self.give_up();
            return self.commit(next).await;
        }
        if let Some(wait) = self.wait_left() {
            // Somebody asked before the time: the message that waits at the broker may be this one.
            self.release().await;
            return not_now(self.context, wait, "not_before");
        }
        self.forward().await
    }

    /// Attempts that were begun and of which nobody has written the end: their process was killed, or lost its
    /// connection or its lease.
    fn count_interruptions(&mut self) {
        let Some(instance) = &self.instance else { return };
        let missed = instance.claims.saturating_sub(1 + self.book.tries);
        if missed == 0 {
            return;
        }
        self.book.interrupted(missed);
        let stage = self.current_stage();
        let tries = self.book.tries;
        self.note(&stage, HistoryEvent::Interrupted).attempt = tries;
    }

    fn current_stage(&self) -> String {
        match &self.book.back {
            Some(back) => {
                self.book.log.get(back.at).map_or_else(String::new, |done| done.stage.clone())
            }
            None => self.graph.name(self.book.step).to_owned(),
        }
    }

    fn is_stuck(&self) -> bool {
        self.instance.as_ref().is_some_and(|instance| instance.status == WorkflowStatus::Stuck)
    }

    /// What follows from a wish, if there is one that changes anything.
    fn wished(&mut self) -> Option<Next> {
        let wish = self.instance.as_ref()?.wish?;
        // Whatever comes of it, it is not looked at again.
        self.fulfilled = true;
        match wish {
            Wish::Cancel if self.book.back.is_none() => {
                self.note("", HistoryEvent::Cancelled);
                self.abandon_step();
                Some(self.turn_back(Cause::Cancelled, "", "it was cancelled".to_owned()))
            }
            Wish::Resume if self.is_stuck() => {
                let stage = self.current_stage();
                self.note(&stage, HistoryEvent::Resumed);
                self.book.begin_attempts();
                Some(Next::Go(WorkflowStatus::Compensating))
            }
            Wish::Skip if self.is_stuck() => {
                let stage = self.current_stage();
                self.note(&stage, HistoryEvent::UndoSkipped);
                Some(self.undone(End::UndoSkipped))
            }
            _ => None,
        }
    }

    /// Every attempt of the step, or of what undoes it, killed its process, or so it seems.
    fn is_deadly(&self) -> bool {
        self.book.interruptions > self.engine.0.options.interruptions_max
    }

    fn silence(&self) -> String {
        format!(
            "{} attempts ended without a word: the process was killed or lost its connection each time \
             (`consume.redeliveries_max` is {})",
            self.book.interruptions, self.engine.0.options.interruptions_max
        )
    }

    fn give_up(&mut self) -> Next {
        let (stage, error) = (self.current_stage(), self.silence());
        self.note(&stage, HistoryEvent::Failed).reason = Some(error.clone());
        self.abandon_step();
        self.turn_back(Cause::Failed, &stage, error)
    }

    fn wait_left(&self) -> Option<Duration> {
        let left = self.book.wake?.saturating_sub(self.now.as_millisecond());
        u64::try_from(left).ok().filter(|left| *left > 0).map(Duration::from_millis)
    }

    /// Nothing was begun.
    pub(super) async fn release(&self) {
        let (Some(store), Some(_)) = (&self.engine.0.store, &self.instance) else { return };
        if let Err(error) = store.release(self.id, &self.engine.0.options.owner).await {
            // It is this process's until the lease is over, or until the next message.
            tracing::warn!(instance = %self.id, %error, "an instance could not be let go");
        }
    }
}
