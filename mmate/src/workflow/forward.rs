//! The way forward: a stage, or the branches of a group.

use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;

use super::attempt::{Ran, Target};
use super::book::{Cause, End, Onward};
use super::case::{Case, Next, not_now, outage};
use super::definition::{StageEntry, Wait};
use super::graph::Step as Place;
use crate::handler::{HandlerError, Outcome};
use crate::reliability::Step;
use crate::store::{HistoryEvent, WorkflowStatus};

/// How long a stage waits that the broker or a lease kept from its end.
pub(super) const AWAY_WAIT: Duration = Duration::from_secs(1);

/// What came of a stage's attempt, in the end.
pub(super) enum Verdict {
    Done,
    Again(Duration),
    /// It failed for good, and why.
    Failed(String),
}

impl<'a> Case<'a> {
    /// Makes the step that the book names.
    pub(super) async fn forward(mut self: Box<Self>) -> Outcome {
        let graph = self.graph;
        match graph.steps.get(self.book.step) {
            Some(Place::Single(index) | Place::Ask(index)) => {
                self.single(graph.stage(*index)).await
            }
            Some(Place::Hear(index)) => {
                let stage = graph.stage(*index);
                let Some(wait) = stage.wait else { return Outcome::Done };
                Box::pin(self.hear(stage, wait)).await
            }
            Some(Place::Group(branches)) => Box::pin(self.group(branches)).await,
            None => {
                let next = self.onward();
                self.commit(next).await
            }
        }
    }

    async fn single(mut self: Box<Self>, stage: &'static StageEntry) -> Outcome {
        let limit = self.limit(stage);
        let attempt = self.book.tries + 1;
        let target = self.target(stage, attempt);
        let values = std::mem::take(&mut self.book.values);
        let state = self.book.state.get().to_owned();
        let ran = self.engine.attempt(target, limit, (&state, &values), self.context).await;
        self.book.values = values;
        let Some(ran) = ran else { return not_now(self.context, AWAY_WAIT, "lease") };
        self.engine.checkpoint("ran").await;
        self.now = self.engine.now();
        let next = match self.judge(stage, attempt, ran).await {
            (Verdict::Done, produced) if stage.wait.is_some() => {
                match self.asked(stage, &produced).await {
                    Ok(next) => next,
                    Err(error) => {
                        tracing::warn!(instance = %self.id, stage = stage.name, error = %error.chain(), "what the stage starts has not begun; tried again");
                        (self.book.tries, self.book.doubtful) = (attempt, true);
                        Next::Again(AWAY_WAIT, "begin")
                    }
                }
            }
            (Verdict::Done, state) => {
                if let Err(error) = self.book.set_state(state) {
                    return Outcome::Failed(error);
                }
                self.book.values.clear();
                self.book.ended(stage.name, End::Done);
                self.onward()
            }
            (Verdict::Again(wait), _) => Next::Again(wait, "stage_retry"),
            (Verdict::Failed(error), _) => {
                self.cancel_child().await;
                self.failed(stage, error)
            }
        };
        self.commit(next).await
    }

    /// Runs all branches that are not over, each until the end of its attempt. Those that are over are kept at once, so
    /// that no crash runs them again.
    async fn group(mut self: Box<Self>, branches: &[usize]) -> Outcome {
        let graph = self.graph;
        let state = self.book.state.get().to_owned();
        let mut running = FuturesUnordered::new();
        for (place, index) in branches.iter().enumerate() {
            let stage = graph.stage(*index);
            let Some(branch) = self.book.branches.get(place).filter(|branch| branch.end.is_none())
            else {
                continue;
            };
            let limit = self.limit(stage);
            let attempt = branch.tries + 1;
            let target = self.target(stage, attempt);
            let (engine, context, state) = (self.engine, self.context, &state);
            running.push(async move {
                let ran = engine.attempt(target, limit, (state, &[]), context).await;
                (place, stage, attempt, ran)
            });
        }
        let mut wait: Option<Duration> = None;
        while let Some((place, stage, attempt, ran)) = running.next().await {
            let Some(ran) = ran else { return not_now(self.context, AWAY_WAIT, "lease") };
            self.engine.checkpoint("ran").await;
            self.now = self.engine.now();
            let doubtful = ran.is_doubtful();
            let verdict = self.judge(stage, attempt, ran).await;
            let branch = &mut self.book.branches[place];
            branch.doubtful |= doubtful;
            match verdict {
                (Verdict::Done, value) => {
                    (branch.end, branch.value) = (Some(End::Done), Some(value));
                }
                (Verdict::Again(again), _) => {
                    branch.tries = attempt;
                    wait = Some(wait.map_or(again, |wait| wait.min(again)));
                }
                (Verdict::Failed(error), _) => {
                    let end = if stage.continue_on_failure {
                        End::Tolerated
                    } else if branch.doubtful {
                        End::Unknown
                    } else {
                        End::Failed
                    };
                    (branch.end, branch.error) = (Some(end), Some(error));
                }
            }
            if !running.is_empty() {
                match self.keep().await {
                    Ok(true) => {}
                    Ok(false) => return not_now(self.context, AWAY_WAIT, "taken_over"),
                    Err(error) => return outage(self.context, self.id, &error),
                }
                self.engine.checkpoint("kept").await;
            }
        }
        drop(running);
        let next = match wait {
            Some(wait) => {
                self.book.tries += 1;
                Next::Again(wait, "stage_retry")
            }
            None => self.close_group(branches),
        };
        self.commit(next).await
    }

    /// All branches are over: their join is next, unless one failed.
    fn close_group(&mut self, branches: &[usize]) -> Next {
        let graph = self.graph;
        let mut failed: Option<(&'static StageEntry, String)> = None;
        let mut values = Vec::with_capacity(branches.len());
        for (branch, index) in std::mem::take(&mut self.book.branches).into_iter().zip(branches) {
            let stage = graph.stage(*index);
            let end = branch.end.unwrap_or(End::Unknown);
            // What was left out stands in the log since the group began.
            if end != End::Skipped {
                self.book.ended(stage.name, end);
            }
            if matches!(end, End::Failed | End::Unknown) {
                failed.get_or_insert((stage, branch.error.unwrap_or_default()));
            }
            values.push(branch.value);
        }
        match failed {
            Some((stage, error)) => self.turn_back(Cause::Failed, stage.name, error),
            None => {
                self.book.values = values;
                self.onward()
            }
        }
    }

    /// What an attempt means, and what it has produced. What it published has left if it succeeded.
    pub(super) async fn judge(
        &mut self,
        stage: &'static StageEntry,
        attempt: u32,
        ran: Ran,
    ) -> (Verdict, String) {
        let doubtful = ran.is_doubtful();
        let Ran { end, messages, took } = ran;
        let error = match end {
            Ok(produced) => {
                if let Err(error) = self.engine.publish(messages).await {
                    tracing::warn!(instance = %self.id, stage = stage.name, %error, "what the stage published did not leave; it runs again");
                    self.book.tries = attempt;
                    self.book.doubtful = true;
                    return (Verdict::Again(AWAY_WAIT), String::new());
                }
                self.engine.checkpoint("published").await;
                let line = self.note(stage.name, HistoryEvent::Completed);
                (line.attempt, line.took) = (attempt, took);
                return (Verdict::Done, produced);
            }
            Err(error) => error,
        };
        self.book.doubtful |= doubtful;
        let text = error.chain();
        let step = self.engine.after_failure(stage.name, attempt, stage.retry, &error);
        self.log_failure(stage, attempt, &error, step);
        let event = match step {
            Step::RetryAfter(_) => HistoryEvent::Retried,
            Step::GiveUp if stage.continue_on_failure => HistoryEvent::Tolerated,
            Step::GiveUp => HistoryEvent::Failed,
        };
        let line = self.note(stage.name, event);
        (line.attempt, line.took) = (attempt, took);
        line.reason = Some(text.clone());
        match step {
            Step::RetryAfter(wait) => {
                if self.book.branches.is_empty() {
                    self.book.tries = attempt;
                }
                (Verdict::Again(wait), String::new())
            }
            Step::GiveUp => (Verdict::Failed(text), String::new()),
        }
    }

    #[cold]
    fn log_failure(&self, stage: &StageEntry, attempt: u32, error: &HandlerError, step: Step) {
        let (workflow, stage, instance) = (self.graph.entry.id, stage.name, self.id);
        let error = error.chain();
        match step {
            Step::RetryAfter(wait) => {
                tracing::warn!(workflow, stage, %instance, attempt, ?wait, %error, "a stage failed; it is tried again");
            }
            Step::GiveUp => {
                tracing::error!(workflow, stage, %instance, attempt, %error, "a stage failed for good");
            }
        }
    }

    /// A stage that stands alone has failed for good.
    fn failed(&mut self, stage: &'static StageEntry, error: String) -> Next {
        if stage.continue_on_failure {
            self.book.ended(stage.name, End::Tolerated);
            self.book.values.clear();
            return self.onward();
        }
        let end = if self.book.doubtful { End::Unknown } else { End::Failed };
        self.book.ended(stage.name, end);
        self.after_failed_stage(stage, error)
    }

    /// The way back from a stage that failed for good.
    pub(super) fn after_failed_stage(&mut self, stage: &StageEntry, error: String) -> Next {
        // The workflow's time may have cut the attempt short: then that is why.
        if self.is_overdue() {
            return self.time_is_over();
        }
        self.turn_back(Cause::Failed, stage.name, error)
    }

    /// The step is over: the next one, or the end.
    pub(super) fn onward(&mut self) -> Next {
        let skipped = self.book.log.len();
        let found = self.book.onward(self.graph);
        self.after_looking(skipped, found)
    }

    /// What follows from having looked for the next step; `known` is how much of the log was there before.
    pub(super) fn after_looking(
        &mut self,
        known: usize,
        found: Result<Onward, (&'static str, HandlerError)>,
    ) -> Next {
        let new: Vec<String> =
            self.book.log.iter().skip(known).map(|done| done.stage.clone()).collect();
        for stage in new {
            self.note(&stage, HistoryEvent::Skipped);
        }
        match found {
            Ok(Onward::Step) => {
                let now = self.now.as_millisecond();
                if let Some(stage) = self.book.wait_before(self.graph, now) {
                    self.note(stage, HistoryEvent::Waiting);
                }
                Next::Go(WorkflowStatus::Running)
            }
            Ok(Onward::End) => Next::End(WorkflowStatus::Completed),
            Err((stage, error)) => {
                let text = format!("its condition cannot be told: {}", error.chain());
                self.note(stage, HistoryEvent::Failed).reason = Some(text.clone());
                self.turn_back(Cause::Failed, stage, text)
            }
        }
    }

    /// The workflow's time is over.
    pub(super) fn time_is_over(&mut self) -> Next {
        self.note("", HistoryEvent::TimedOut);
        let limit = self.graph.entry.timeout_ms.map_or(Duration::ZERO, Duration::from_millis);
        let error = format!("the workflow was not at its end after {limit:?}");
        self.turn_back(Cause::TimedOut, "", error)
    }

    /// Leaves the step that was to be made. What an attempt may have done, and what branches did, is undone.
    pub(super) fn abandon_step(&mut self) {
        let graph = self.graph;
        if self.book.branches.is_empty() {
            let has_asked = graph
                .hearing(self.book.step)
                .is_some_and(|stage| !matches!(stage.wait, Some(Wait::Event(_))));
            // What was asked stands in the log as unknown since then.
            if self.book.doubtful && !has_asked {
                self.book.ended(graph.name(self.book.step), End::Unknown);
            }
            return;
        }
        let branches = std::mem::take(&mut self.book.branches);
        for (branch, index) in branches.into_iter().zip(graph.stages_of(self.book.step)) {
            let doubt = branch.doubtful.then_some(End::Unknown);
            // What was left out stands in the log since the group began.
            if let Some(end) = branch.end.or(doubt).filter(|end| *end != End::Skipped) {
                self.book.ended(graph.stage(*index).name, end);
            }
        }
    }

    /// Whether the workflow's time is over.
    pub(super) fn is_overdue(&self) -> bool {
        self.book.deadline.is_some_and(|deadline| deadline <= self.engine.now().as_millisecond())
    }

    /// How long an attempt may take.
    pub(super) fn limit(&self, stage: &StageEntry) -> Duration {
        let own =
            stage.timeout_ms.map_or(self.engine.0.options.stage_timeout, Duration::from_millis);
        let Some(deadline) = self.book.deadline else { return own };
        let left = deadline.saturating_sub(self.engine.now().as_millisecond());
        own.min(Duration::from_millis(u64::try_from(left).unwrap_or(0)))
    }

    pub(super) fn target(&self, stage: &'static StageEntry, attempt: u32) -> Target<'a> {
        let asks = matches!(self.graph.steps.get(self.book.step), Some(Place::Ask(_)));
        let run = match stage.wait {
            Some(Wait::Reply(reply)) if asks => reply.ask,
            Some(Wait::Child(child)) if asks => child.begin,
            _ => stage.run,
        };
        Target {
            graph: self.graph,
            stage,
            run,
            instance: self.id,
            round: self.book.round,
            attempt,
            failure: None,
            reply_to: if asks { self.reply_to(stage) } else { None },
        }
    }
}
