//! Stage messages as the family writes them.
//!
//! The Go sibling reads and writes the same keys; what only this implementation knows, the book of the instance, travels
//! in `globalData.mmate`, which a sibling hands on untouched.

use std::borrow::Cow;
use std::collections::BTreeMap;

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use uuid::Uuid;

use super::book::{Book, Cause, End};
use super::graph::Graph;
use crate::contract::{Kind, Location, MessageInfo};
use crate::dispatch::ANY_TYPE;
use crate::store::WorkflowStatus;

/// The type of a message that goes forward.
pub(super) const STAGE: &str = "FlowMessageEnvelope";
/// The type of a message that goes back.
pub(super) const UNDO: &str = "CompensationMessageEnvelope";

const HERE: Location = Location { module: module_path!(), file: file!(), line: line!() };

/// What travels between stages: it is never seen by a user's function.
#[derive(Debug, JsonSchema)]
#[schemars(transparent)]
struct Opaque(#[expect(dead_code, reason = "only its schema is used")] serde_json::Value);

/// The description of messages that go forward.
pub(super) static STAGE_INFO: MessageInfo = MessageInfo::new::<Opaque>(Kind::Command, STAGE, HERE);
/// The description of messages that go back.
pub(super) static UNDO_INFO: MessageInfo = MessageInfo::new::<Opaque>(Kind::Command, UNDO, HERE);

/// The description of whatever comes as the reply to what a stage has asked.
pub(super) static ANY_INFO: MessageInfo = MessageInfo::new::<Opaque>(Kind::Reply, ANY_TYPE, HERE);

/// The key in `globalData` that is this implementation's own.
const OWN: &str = "mmate";

/// Says that an instance is at a position: whoever takes it makes the step.
#[derive(Debug)]
pub(super) struct FlowMessage {
    pub(super) workflow: String,
    pub(super) instance: Uuid,
    pub(super) position: u64,
    pub(super) book: Book,
    /// How many steps a sibling has made since the position.
    pub(super) hops: u64,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct StageOut<'a> {
    workflow_id: &'a str,
    instance_id: Uuid,
    stage_name: &'a str,
    current_stage_index: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    next_stage_queue: Option<&'a str>,
    payload: &'a RawValue,
    payload_type: &'a str,
    workflow_state_type: &'static str,
    serialized_workflow_state: String,
    checkpoint: Checkpoint,
}

/// The Go sibling writes it and never fills it.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Checkpoint {
    stage_id: &'static str,
    step_completed: bool,
    last_update: &'static str,
    retry_count: u32,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct UndoOut<'a> {
    workflow_id: &'a str,
    instance_id: Uuid,
    failed_stage_index: usize,
    compensation_index: usize,
    stage_to_compensate: &'a str,
    total_compensations: usize,
    payload: &'a RawValue,
    serialized_workflow_state: String,
    workflow_state_type: &'static str,
    serialized_original_result: String,
    original_result_type: &'static str,
    original_error: &'a str,
    failure_timestamp: Timestamp,
    compensation_results: [(); 0],
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct StateOut<'a> {
    workflow_id: &'a str,
    instance_id: Uuid,
    status: &'static str,
    #[serde(skip_serializing_if = "str::is_empty")]
    current_stage: &'a str,
    stage_results: Vec<ResultOut<'a>>,
    global_data: Global<'a>,
    start_time: Timestamp,
    last_modified: Timestamp,
    #[serde(skip_serializing_if = "Option::is_none")]
    error_message: Option<&'a str>,
    /// From 1; one more with every step.
    version: u64,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ResultOut<'a> {
    stage_id: &'a str,
    status: &'static str,
    start_time: Timestamp,
    duration: u64,
}

#[derive(Serialize)]
struct Global<'a> {
    mmate: Cow<'a, Book>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct MessageIn {
    workflow_id: String,
    instance_id: Uuid,
    payload: Option<Box<RawValue>>,
    serialized_workflow_state: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct StateIn {
    version: u64,
    /// The book under [`OWN`], and what stages of siblings have added.
    global_data: BTreeMap<String, Box<RawValue>>,
}

impl FlowMessage {
    /// Reads a message of either direction.
    ///
    /// # Errors
    /// Says what is wrong with it.
    pub(super) fn read(payload: &str) -> Result<Self, String> {
        let message: MessageIn = serde_json::from_str(payload)
            .map_err(|error| format!("this is no stage message of a workflow: {error}"))?;
        let state: StateIn = serde_json::from_str(&message.serialized_workflow_state)
            .map_err(|error| format!("its `serializedWorkflowState` cannot be read: {error}"))?;
        let mut added = state.global_data;
        let own = added.remove(OWN).ok_or_else(|| {
            format!("it has no `globalData.{OWN}`: this instance was not started by a service of this kind")
        })?;
        let mut book: Book = serde_json::from_str(own.get())
            .map_err(|error| format!("its `globalData.{OWN}` cannot be read: {error}"))?;
        if let Some(payload) = message.payload {
            book.state = payload;
        }
        add_to_state(&mut book, added).map_err(|error| {
            format!("its `payload` cannot take what a stage has added: {error}")
        })?;
        let position = state.version.saturating_sub(1);
        let (workflow, instance) = (message.workflow_id, message.instance_id);
        Ok(Self { workflow, instance, position, book, hops: 0 })
    }

    /// Takes the steps up to the one whose queue it came from for done: a sibling has run them, and has counted each.
    pub(super) fn adopt(&mut self, graph: &Graph, step: usize) {
        if self.book.back.is_some() || step <= self.book.step {
            return;
        }
        self.hops = (step - self.book.step) as u64;
        self.position = self.position.saturating_sub(self.hops);
        self.book.run_elsewhere(graph, step);
    }

    /// Writes the message, and says its type and its queue.
    ///
    /// # Errors
    /// If something cannot be written as JSON.
    pub(super) fn write<'a>(
        &'a self,
        graph: &'a Graph,
        now: Timestamp,
    ) -> serde_json::Result<(&'static str, &'a str, Box<RawValue>)> {
        match &self.book.back {
            Some(_) => Ok((UNDO, &graph.undo_queue, self.write_undo(graph, now)?)),
            None => {
                // Where every stage was left out, the last one's queue is where that is found out.
                let queue = graph.queues.get(self.book.step).or(graph.queues.last());
                let queue = queue.map_or("", String::as_str);
                Ok((STAGE, queue, self.write_stage(graph, now)?))
            }
        }
    }

    fn write_stage(&self, graph: &Graph, now: Timestamp) -> serde_json::Result<Box<RawValue>> {
        let step = self.book.step;
        serde_json::value::to_raw_value(&StageOut {
            workflow_id: &self.workflow,
            instance_id: self.instance,
            stage_name: graph.name(step),
            current_stage_index: step,
            next_stage_queue: graph.queues.get(step + 1).map(String::as_str),
            payload: &self.book.state,
            payload_type: graph.entry.name,
            workflow_state_type: "WorkflowState",
            serialized_workflow_state: self.state(graph, now)?,
            checkpoint: Checkpoint {
                stage_id: "",
                step_completed: false,
                last_update: "0001-01-01T00:00:00Z",
                retry_count: 0,
            },
        })
    }

    fn write_undo(&self, graph: &Graph, now: Timestamp) -> serde_json::Result<Box<RawValue>> {
        let book = &self.book;
        let back = book.back.as_ref();
        let at = back.map_or(0, |back| back.at);
        let began = Timestamp::from_millisecond(book.began).unwrap_or(now);
        let original = book.log.get(at).map(|done| result(done, began));
        serde_json::value::to_raw_value(&UndoOut {
            workflow_id: &self.workflow,
            instance_id: self.instance,
            failed_stage_index: book.step,
            compensation_index: at,
            stage_to_compensate: book.log.get(at).map_or("", |done| &done.stage),
            total_compensations: book.log.iter().filter(|done| is_done(done.end)).count(),
            payload: &book.state,
            serialized_workflow_state: self.state(graph, now)?,
            workflow_state_type: "WorkflowState",
            serialized_original_result: serde_json::to_string(&original)?,
            original_result_type: "StageResult",
            original_error: back.map_or("", |back| &back.error),
            failure_timestamp: now,
            compensation_results: [],
        })
    }

    fn state(&self, graph: &Graph, now: Timestamp) -> serde_json::Result<String> {
        let book = &self.book;
        let began = Timestamp::from_millisecond(book.began).unwrap_or(now);
        // The state is in `payload`, and once is enough.
        let mut rest = book.clone();
        rest.state = RawValue::NULL.to_owned();
        serde_json::to_string(&StateOut {
            workflow_id: &self.workflow,
            instance_id: self.instance,
            status: match &book.back {
                Some(back) if back.cause == Cause::Cancelled => WorkflowStatus::Cancelled.as_str(),
                Some(_) => WorkflowStatus::Failed.as_str(),
                None => WorkflowStatus::Running.as_str(),
            },
            current_stage: graph.name(book.step),
            stage_results: book.log.iter().map(|done| result(done, began)).collect(),
            global_data: Global { mmate: Cow::Owned(rest) },
            start_time: began,
            last_modified: now,
            error_message: book.back.as_ref().map(|back| back.error.as_str()),
            version: self.position + 1,
        })
    }
}

/// What a sibling's stage gives becomes part of the state, under its own name: `<stage>.<key>`.
fn add_to_state(book: &mut Book, added: BTreeMap<String, Box<RawValue>>) -> serde_json::Result<()> {
    if added.is_empty() {
        return Ok(());
    }
    let mut state: BTreeMap<String, Box<RawValue>> = serde_json::from_str(book.state.get())?;
    state.extend(added);
    book.state = serde_json::value::to_raw_value(&state)?;
    Ok(())
}

const fn is_done(end: End) -> bool {
    matches!(end, End::Done | End::Unknown)
}

/// A stage's result.
fn result(done: &super::book::Done, began: Timestamp) -> ResultOut<'_> {
    let status = family_status(done.end);
    ResultOut { stage_id: &done.stage, status, start_time: began, duration: 0 }
}

/// How a stage ended, in the family's words.
pub(super) const fn family_status(end: End) -> &'static str {
    match end {
        End::Done => "completed",
        End::Failed | End::Unknown | End::Tolerated => "failed",
        End::Skipped => "skipped",
        End::Undone | End::UndoSkipped => "compensated",
    }
}
