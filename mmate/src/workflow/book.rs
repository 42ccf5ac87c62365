//! What is known of an instance, and what follows from it. Pure: no clock, no store, no broker.

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::definition::Wait;
use super::graph::{Graph, Step};
use crate::handler::{HandlerError, HandlerResult};
use crate::store::WorkflowStatus;

/// How often a stage is repeated at most: every round is written down, since every round is undone.
pub(crate) const ROUNDS_MAX: u32 = 1_000;

/// The way of an instance so far, and its state. It is what a store keeps, and what travels in messages.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Book {
    /// The state that the user's stages see.
    pub(crate) state: Box<RawValue>,
    /// The hash of the graph that it began with.
    pub(crate) graph: String,
    /// What its messages belong to.
    pub(crate) correlation: String,
    /// When it began, in milliseconds since 1970.
    pub(crate) began: i64,
    /// When its time is over.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) deadline: Option<i64>,
    /// The step that is to be made, while it goes forward.
    pub(crate) step: usize,
    /// How often the step was made before, of one that is repeated.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub(crate) round: u32,
    /// Attempts of this step, or of this undoing, that are over: they failed, or their process ended.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub(crate) tries: u32,
    /// How many of them ended without a word.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub(crate) interruptions: u32,
    /// Whether one of them may have had its effect: nobody knows.
    #[serde(default, skip_serializing_if = "is_false")]
    pub(crate) doubtful: bool,
    /// When the step may be made, if it has a delay.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) wake: Option<i64>,
    /// Until when it waits for mail.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) until: Option<i64>,
    /// The mail that the step has read, until its method is done with it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) mail: Option<String>,
    /// Whether another instance waits for its end.
    #[serde(default, skip_serializing_if = "is_false")]
    pub(crate) has_parent: bool,
    /// The branches of the group that is under way.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) branches: Vec<Branch>,
    /// The values of the group that is to be joined.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) values: Vec<Option<String>>,
    /// The stages that are over, in the order in which they ended.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) log: Vec<Done>,
    /// Why and how far it goes back, once it does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) back: Option<Back>,
}

/// A branch of the group that is under way.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Branch {
    #[serde(default, skip_serializing_if = "is_zero")]
    pub(crate) tries: u32,
    #[serde(default, skip_serializing_if = "is_false")]
    pub(crate) doubtful: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) end: Option<End>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) value: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) error: Option<String>,
}

/// A stage that is over.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Done {
    pub(crate) stage: String,
    #[serde(default, skip_serializing_if = "is_zero")]
    pub(crate) round: u32,
    pub(crate) end: End,
}

/// How a stage ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum End {
    /// It succeeded.
    Done,
    /// It failed, and said so: it has had no effect.
    Failed,
    /// It failed, and may have had its effect.
    Unknown,
    /// It failed, and the workflow went on.
    Tolerated,
    /// Its condition did not hold.
    Skipped,
    /// It was undone.
    Undone,
    /// An operator took it for undone.
    UndoSkipped,
}

/// The way back.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Back {
    pub(crate) cause: Cause,
    /// The stage that failed; empty if none did.
    pub(crate) stage: String,
    /// Why.
    pub(crate) error: String,
    /// The place in the log that is to be undone next.
    pub(crate) at: usize,
}

/// Why an instance goes back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Cause {
    /// A stage failed.
    Failed,
    /// Somebody wished it.
    Cancelled,
    /// Its time was over.
    TimedOut,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde gives references")]
const fn is_zero(number: &u32) -> bool {
    *number == 0
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde gives references")]
const fn is_false(flag: &bool) -> bool {
    !*flag
}

/// What an instance does next, going forward.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Onward {
    /// The step that the book names.
    Step,
    /// Nothing: it has come to its end.
    End,
}

/// Whether a step is the second half of a stage: its condition held when it asked.
fn is_answer(graph: &Graph, step: usize) -> bool {
    graph.hearing(step).is_some_and(|stage| !matches!(stage.wait, Some(Wait::Event(_))))
}

impl Book {
    /// The book of an instance that begins: its first step is found by [`Book::settle_on`].
    pub(crate) fn new(
        state: Box<RawValue>,
        graph: &Graph,
        correlation: String,
        began: i64,
    ) -> Self {
        let timeout = graph.entry.timeout_ms.map(|ms| i64::try_from(ms).unwrap_or(i64::MAX));
        Self {
            state,
            graph: graph.hash.clone(),
            correlation,
            began,
            deadline: timeout.map(|timeout| began.saturating_add(timeout)),
            step: 0,
            round: 0,
            tries: 0,
            interruptions: 0,
            doubtful: false,
            wake: None,
            until: None,
            mail: None,
            has_parent: false,
            branches: Vec::new(),
            values: Vec::new(),
            log: Vec::new(),
            back: None,
        }
    }

    /// Takes what a stage has made of the state.
    ///
    /// # Errors
    /// If it is no JSON, which the shims of the macro never give.
    pub(crate) fn set_state(&mut self, state: String) -> HandlerResult {
        self.state = RawValue::from_string(state)?;
        Ok(())
    }

    /// Writes down that attempts ended without a word.
    pub(crate) fn interrupted(&mut self, times: u32) {
        self.tries += times;
        self.interruptions += times;
        self.doubtful = true;
        for branch in self.branches.iter_mut().filter(|branch| branch.end.is_none()) {
            branch.tries += times;
            branch.doubtful = true;
        }
    }

    /// Writes down how a stage ended.
    pub(crate) fn ended(&mut self, stage: &str, end: End) {
        let round = self.round;
        self.log.push(Done { stage: stage.to_owned(), round, end });
    }

    /// Goes on after the step is done: the same again, or the next one whose condition holds.
    ///
    /// # Errors
    /// What a condition says, or that the state cannot be read; with the name of the condition's stage.
    pub(crate) fn onward(&mut self, graph: &Graph) -> Result<Onward, (&'static str, HandlerError)> {
        if let Some(Step::Single(index)) = graph.steps.get(self.step) {
            let stage = graph.stage(*index);
            if let Some(repeat) = stage.repeat
                && (repeat.test)(self.state.get()).map_err(|error| (stage.name, error))?
            {
                let round = self.round + 1;
                if round >= ROUNDS_MAX {
                    let text = format!("`{}` asked for more than {ROUNDS_MAX} rounds", repeat.name);
                    return Err((stage.name, HandlerError::msg(text)));
                }
                self.begin_step(graph, self.step);
                self.round = round;
                return Ok(Onward::Step);
            }
        }
        // Who has not asked waits for no answer.
        let unasked = matches!(graph.steps.get(self.step), Some(Step::Ask(index))
            if !self.has_asked(graph.stage(*index).name));
        self.settle_on(graph, self.step + 1 + usize::from(unasked))
    }

    /// Whether a stage has asked, and nobody knows what came of it.
    fn has_asked(&self, stage: &str) -> bool {
        let last = self.log.iter().rev().find(|done| done.stage == stage);
        last.is_some_and(|done| done.end == End::Unknown)
    }

    /// Writes down anew how a stage ended that has asked. False if it has not.
    pub(crate) fn redo_last(&mut self, stage: &str, end: End) -> bool {
        let last = self.log.iter_mut().rev().find(|done| done.stage == stage);
        let Some(last) = last.filter(|done| done.end == End::Unknown) else { return false };
        last.end = end;
        true
    }

    /// Takes the first step from `from` on whose condition holds.
    ///
    /// # Errors
    /// As [`Book::onward`].
    pub(crate) fn settle_on(
        &mut self,
        graph: &Graph,
        from: usize,
    ) -> Result<Onward, (&'static str, HandlerError)> {
        let mut step = from;
        while step < graph.steps.len() {
            self.begin_step(graph, step);
            if is_answer(graph, step) {
                return Ok(Onward::Step);
            }
            let mut any = false;
            for (place, index) in graph.stages_of(step).iter().enumerate() {
                let stage = graph.stage(*index);
                let holds = match stage.when {
                    Some(when) => {
                        (when.test)(self.state.get()).map_err(|error| (stage.name, error))?
                    }
                    None => true,
                };
                any |= holds;
                if !holds {
                    self.ended(stage.name, End::Skipped);
                    if let Some(branch) = self.branches.get_mut(place) {
                        branch.end = Some(End::Skipped);
                    }
                }
            }
            if any {
                return Ok(Onward::Step);
            }
            if !self.branches.is_empty() {
                // A group that was left out whole: its join gets no values.
                self.values = vec![None; self.branches.len()];
            }
            step += if matches!(graph.steps.get(step), Some(Step::Ask(_))) { 2 } else { 1 };
        }
        self.step = graph.steps.len();
        Ok(Onward::End)
    }

    /// A stage with a delay is due later; says which, if there is one.
    pub(crate) fn wait_before(&mut self, graph: &Graph, now: i64) -> Option<&'static str> {
        let Some(Step::Single(index) | Step::Ask(index)) = graph.steps.get(self.step) else {
            return None;
        };
        let stage = graph.stage(*index);
        let delay = i64::try_from(stage.delay_ms?).unwrap_or(i64::MAX);
        self.wake = Some(now.saturating_add(delay));
        Some(stage.name)
    }

    /// Takes the steps before `step` for done by somebody else, and goes on with that one.
    pub(crate) fn run_elsewhere(&mut self, graph: &Graph, step: usize) {
        for passed in self.step..step {
            self.round = 0;
            for index in graph.stages_of(passed) {
                self.ended(graph.stage(*index).name, End::Done);
            }
        }
        self.begin_step(graph, step);
    }

    fn begin_step(&mut self, graph: &Graph, step: usize) {
        self.step = step;
        self.round = 0;
        self.begin_attempts();
        self.wake = None;
        self.until = None;
        self.mail = None;
        self.branches = match graph.steps.get(step) {
            Some(Step::Group(branches)) => vec![Branch::default(); branches.len()],
            _ => Vec::new(),
        };
    }

    /// Forgets the attempts of what was before.
    pub(crate) const fn begin_attempts(&mut self) {
        self.tries = 0;
        self.interruptions = 0;
        self.doubtful = false;
    }

    /// Turns round, and finds what is to be undone first.
    pub(crate) fn turn_back(
        &mut self,
        graph: &Graph,
        cause: Cause,
        stage: &str,
        error: String,
    ) -> bool {
        self.begin_attempts();
        self.wake = None;
        self.until = None;
        self.mail = None;
        self.branches.clear();
        self.values.clear();
        let at = self.log.len();
        self.back = Some(Back { cause, stage: stage.to_owned(), error, at });
        self.next_undo(graph)
    }

    /// Finds what is to be undone next, before the place where it stands. False if there is nothing.
    pub(crate) fn next_undo(&mut self, graph: &Graph) -> bool {
        let Some(back) = &mut self.back else { return false };
        let undoable = |done: &Done| {
            matches!(done.end, End::Done | End::Unknown)
                && graph.find(&done.stage).is_some_and(|stage| stage.undo.is_some())
        };
        let found = self.log.iter().take(back.at).rposition(undoable);
        back.at = found.unwrap_or(0);
        found.is_some()
    }

    /// What an instance is called that has come to the end of its way back.
    pub(crate) fn end_of_way_back(&self) -> WorkflowStatus {
        let undone = |done: &Done| matches!(done.end, End::Undone | End::UndoSkipped);
        match self.back.as_ref().map(|back| back.cause) {
            Some(Cause::Cancelled) => WorkflowStatus::Cancelled,
            Some(Cause::TimedOut) => WorkflowStatus::TimedOut,
            _ if self.log.iter().any(undone) => WorkflowStatus::Compensated,
            _ => WorkflowStatus::Failed,
        }
    }
}
