//! The way back: what is done is undone, the last first, each confirmed before the next.

use super::attempt::{Ran, Target};
use super::book::{Done, End};
use super::case::{Case, Next, Unusable, not_now, over};
use super::definition::{StageEntry, Undo};
use crate::consume::Alert;
use crate::handler::{HandlerError, Outcome};
use crate::reliability::{Backoff, RetryPolicy, Step};
use crate::store::{HistoryEvent, WorkflowStatus};
use std::time::Duration;

/// How an undoing is tried again: 10 attempts, 1 s doubling to a minute; over six minutes in all. After that somebody
/// has to look.
const UNDO_RETRY: RetryPolicy = RetryPolicy::new(10, Backoff::exponential_ms(1_000, 60_000));

impl Case<'_> {
    /// Undoes the stage that the book names.
    pub(super) async fn back(mut self: Box<Self>) -> Outcome {
        let Some((done, stage, undo)) = self.to_undo() else {
            let next = Next::End(self.book.end_of_way_back());
            return self.commit(next).await;
        };
        let attempt = self.book.tries + 1;
        let failure = self.book.back.as_ref().map(|back| back.error.clone()).unwrap_or_default();
        let target = Target {
            graph: self.graph,
            stage,
            run: undo.run,
            instance: self.id,
            round: done.round,
            attempt,
            failure: Some(&failure),
            reply_to: None,
        };
        let options = &self.engine.0.options;
        let limit = stage.timeout_ms.map_or(options.stage_timeout, Duration::from_millis);
        let state = self.book.state.get().to_owned();
        let ran = self.engine.attempt(target, limit, (&state, &[]), self.context).await;
        let Some(ran) = ran else {
            return not_now(self.context, Duration::from_secs(1), "lease");
        };
        self.engine.checkpoint("ran").await;
        self.now = self.engine.now();
        let Ran { end, messages, took } = ran;
        let published = match end {
            Ok(state) => self.engine.publish(messages).await.map(|()| state).map_err(Into::into),
            Err(error) => Err(error),
        };
        let next = match published {
            Ok(state) => {
                self.engine.checkpoint("published").await;
                let line = self.note(stage.name, HistoryEvent::Undone);
                (line.attempt, line.took) = (attempt, took);
                if let Err(error) = self.book.set_state(state) {
                    return Outcome::Failed(error);
                }
                self.undone(End::Undone)
            }
            Err(error) => {
                let next = self.undo_failed(stage, &undo, attempt, &error);
                if let Some(line) = self.history.last_mut() {
                    line.took = took;
                }
                next
            }
        };
        self.commit(next).await
    }

    fn to_undo(&self) -> Option<(Done, &'static StageEntry, Undo)> {
        let at = self.book.back.as_ref()?.at;
        let done = self.book.log.get(at)?;
        // What it does not find is not to be undone: the way back is at its end.
        let is_open = matches!(done.end, End::Done | End::Unknown);
        let stage = self.graph.find(&done.stage).filter(|_| is_open)?;
        Some((done.clone(), stage, stage.undo?))
    }

    /// The stage that was to be undone is; which is next.
    pub(super) fn undone(&mut self, end: End) -> Next {
        if let Some(back) = &self.book.back
            && let Some(done) = self.book.log.get_mut(back.at)
        {
            done.end = end;
        }
        self.book.begin_attempts();
        if self.book.next_undo(self.graph) {
            return Next::Go(WorkflowStatus::Compensating);
        }
        Next::End(self.book.end_of_way_back())
    }

    fn undo_failed(
        &mut self,
        stage: &StageEntry,
        undo: &Undo,
        attempt: u32,
        error: &HandlerError,
    ) -> Next {
        let text = error.chain();
        let (workflow, instance) = (self.graph.entry.id, self.id);
        let step = self.engine.after_failure(undo.name, attempt, Some(UNDO_RETRY), error);
        self.book.tries = attempt;
        match step {
            Step::RetryAfter(wait) => {
                tracing::warn!(workflow, stage = stage.name, %instance, attempt, ?wait, error = %text, "a stage could not be undone; it is tried again");
                let line = self.note(stage.name, HistoryEvent::UndoRetried);
                (line.attempt, line.reason) = (attempt, Some(text));
                Next::Again(wait, "undo_retry")
            }
            Step::GiveUp => self.stuck(stage.name, attempt, text),
        }
    }

    /// Nobody tries any more to undo the stage: an operator has to look.
    pub(super) fn stuck(&mut self, stage: &str, attempt: u32, error: String) -> Next {
        let line = self.note(stage, HistoryEvent::Stuck);
        (line.attempt, line.reason) = (attempt, Some(error.clone()));
        self.engine.0.options.alerts.raise(&Alert::WorkflowStuck {
            workflow: self.graph.entry.id.to_owned(),
            instance: self.id.to_string(),
            stage: stage.to_owned(),
            error,
        });
        Next::Stuck
    }

    /// What becomes of a stuck instance without a store: its message waits with the other dead letters.
    pub(super) fn park(&self) -> Outcome {
        let at = self.book.back.as_ref().map_or(0, |back| back.at);
        let stage = self.book.log.get(at).map_or("", |done| &done.stage);
        over(Unusable(format!(
            "stage `{stage}` of instance `{}` cannot be undone, and without a store nobody keeps the instance\nhelp: mend \
             the cause and replay this message, and it is tried again",
            self.id
        )))
    }
}
