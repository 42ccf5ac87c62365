//! The life of an instance as events, for whoever listens: published where the workflow says `events`.
//!
//! They follow from the lines of the history that a step has written, after the step is durable: who hears of a stage may
//! rely on it. Each has an id that follows from instance, position and stage, so that one which is told twice is one.

use jiff::{SignedDuration, Timestamp};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use uuid::Uuid;

use super::book::{Book, End};
use super::case::read_book;
use super::engine::Engine;
use super::graph::Graph;
use crate::contract::{Event, Kind, Location, Message, MessageInfo};
use crate::handler::HandlerError;
use crate::publish::{Origin, PublishOptions};
use crate::store::{HistoryEntry, HistoryEvent, Instance, WorkflowStatus};
use crate::transport::{Outgoing, PublishError};

const HERE: Location = Location { module: module_path!(), file: file!(), line: line!() };

/// What events of workflows have in common with the siblings': who says it.
const SOURCE: &str = "stageflow";

macro_rules! events {
    ($($(#[$doc:meta])* $name:ident as $wire:literal { $($(#[$field_doc:meta])* $field:ident: $type:ty,)* })*) => {
        $(
            $(#[$doc])*
            #[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
            #[serde(rename_all = "camelCase")]
            #[non_exhaustive]
            pub struct $name {
                /// The workflow's id.
                pub workflow_id: String,
                /// The instance.
                pub instance_id: Uuid,
                /// How many steps the instance had made.
                pub sequence: u64,
                /// Always `stageflow`.
                pub source: String,
                /// When the instance was started.
                pub start_time: Timestamp,
                $($(#[$field_doc])* #[serde(default, skip_serializing_if = "is_nothing")] pub $field: $type,)*
            }

            impl Message for $name {
                const INFO: &'static MessageInfo =
                    &MessageInfo::new::<Self>(Kind::Event, $wire, HERE).aggregate("workflow").key("instanceId");

                fn key(&self) -> Option<String> {
                    Some(self.instance_id.to_string())
                }
            }

            impl Event for $name {}
        )*
    };
}

/// Nulls are left out, as everywhere.
fn is_nothing<T: Serialize>(value: &T) -> bool {
    serde_json::to_value(value).is_ok_and(|value| value.is_null())
}

events! {
    /// An instance was started, and its first stage has ended.
    WorkflowStarted as "WorkflowStartedEvent" {
        /// How many stages the workflow has.
        total_stages: usize,
    }
    /// A stage is over: `completed`, `failed` without harm, or `skipped`.
    StageCompleted as "StageCompletedEvent" {
        /// The stage.
        stage_id: String,
        /// The stage once more; siblings tell id and name apart.
        stage_name: String,
        /// Its place among the stages, from 0.
        stage_index: usize,
        /// How it ended.
        status: String,
        /// When it ended.
        end_time: Timestamp,
        /// How long its last attempt took, in nanoseconds.
        duration: u64,
        /// Why it failed.
        error: Option<String>,
        /// How many stages are over.
        current_stage: usize,
        /// How many stages the workflow has.
        total_stages: usize,
    }
    /// A stage is undone.
    StageCompensated as "StageCompensatedEvent" {
        /// The stage.
        stage_id: String,
        /// When it was undone.
        end_time: Timestamp,
    }
    /// Every stage is over, and the workflow is at its good end.
    WorkflowCompleted as "WorkflowCompletedEvent" {
        /// The name of the state type.
        workflow_name: String,
        /// Always `completed`.
        status: String,
        /// When.
        end_time: Timestamp,
        /// From start to end, in nanoseconds.
        duration: u64,
        /// How many stages the workflow has.
        total_stages: usize,
        /// Stages that succeeded.
        completed_stages: usize,
        /// Stages that failed without harm.
        failed_stages: usize,
        /// Stages that were left out.
        skipped_stages: usize,
        /// The stages that are over, in order.
        stage_results: Vec<StageOutcome>,
        /// The state at the end.
        final_data: Value,
    }
    /// A stage failed for good: what is done is being undone.
    WorkflowFailed as "WorkflowFailedEvent" {
        /// The name of the state type.
        workflow_name: String,
        /// The stage that failed.
        failed_stage_id: String,
        /// Its place among the stages, from 0.
        failed_stage_index: usize,
        /// Why.
        error: String,
        /// When.
        failure_time: Timestamp,
        /// From the start to the failure, in nanoseconds.
        duration: u64,
        /// Stages that had succeeded.
        completed_stages: usize,
        /// How many stages the workflow has.
        total_stages: usize,
        /// The stages that are over, in order.
        stage_results: Vec<StageOutcome>,
        /// The state when it failed.
        state_data: Value,
        /// Always false: undoing follows.
        compensation_executed: bool,
    }
    /// Everything that had to be undone is undone.
    WorkflowCompensated as "WorkflowCompensatedEvent" {
        /// The name of the state type.
        workflow_name: String,
        /// `compensated`, `failed` if there was nothing to undo, `cancelled` or `timed_out`.
        status: String,
        /// Why it went back.
        original_error: String,
        /// When the last stage was undone.
        compensation_end_time: Timestamp,
        /// How many stages were to be undone.
        total_compensations: usize,
        /// How many were.
        successful_compensations: usize,
        /// How many an operator took for undone.
        skipped_compensations: usize,
        /// The state at the end.
        workflow_data: Value,
    }
    /// An instance was cancelled: what is done is being undone.
    WorkflowCancelled as "WorkflowCancelledEvent" {}
    /// An instance took longer than it may: what is done is being undone.
    WorkflowTimedOut as "WorkflowTimedOutEvent" {}
    /// A stage cannot be undone: somebody has to look.
    WorkflowStuck as "WorkflowStuckEvent" {
        /// The stage.
        stage_id: String,
        /// Why.
        error: String,
    }
}

/// How a stage ended, in the family's words.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct StageOutcome {
    /// The stage.
    pub stage_id: String,
    /// `completed`, `failed`, `skipped` or `compensated`.
    pub status: String,
}

/// An event with what all have in common.
macro_rules! event {
    ($life:ident, $name:ident { $($rest:tt)* }) => {
        $name {
            workflow_id: $life.graph.entry.id.to_owned(),
            instance_id: $life.id,
            sequence: $life.position + 1,
            source: SOURCE.to_owned(),
            start_time: $life.began(),
            $($rest)*
        }
    };
}

/// What events are made of.
struct Life<'a> {
    engine: &'a Engine,
    graph: &'a Graph,
    id: Uuid,
    position: u64,
    book: &'a Book,
    origin: Option<&'a Origin>,
}

impl Engine {
    /// The events of what a step has written down. Empty unless the workflow wants them.
    pub(super) fn events(
        &self,
        graph: &Graph,
        (id, position): (Uuid, u64),
        book: &Book,
        lines: &[HistoryEntry],
        origin: Option<&Origin>,
    ) -> Result<Vec<Outgoing>, PublishError> {
        if !graph.entry.events {
            return Ok(Vec::new());
        }
        let life = Life { engine: self, graph, id, position, book, origin };
        let mut events = Vec::new();
        if position == 0 {
            events.push(life.started()?);
        }
        for line in lines {
            events.extend(life.of(line)?);
        }
        Ok(events)
    }

    /// Tells once more what a step of an instance has written down: nobody knows whether it was told.
    pub(super) async fn tell_again(
        &self,
        instance: &Instance,
        position: u64,
    ) -> Result<(), HandlerError> {
        let graph = self.graph(&instance.workflow, Some(instance.version));
        let (Some(store), Some(graph)) = (&self.0.store, graph) else { return Ok(()) };
        if !graph.entry.events {
            return Ok(());
        }
        let lines = store.history(instance.id).await?;
        let lines: Vec<HistoryEntry> =
            lines.into_iter().filter(|line| line.position == position).collect();
        let book = read_book(instance)?;
        let events = self.events(graph, (instance.id, position), &book, &lines, None)?;
        Ok(self.publish(events).await?)
    }
}

impl Life<'_> {
    fn began(&self) -> Timestamp {
        Timestamp::from_millisecond(self.book.began).unwrap_or(Timestamp::UNIX_EPOCH)
    }

    fn encode<M: Message>(&self, event: &M, about: &str) -> Result<Outgoing, PublishError> {
        let name = format!("event:{}:{}:{about}", self.position, M::INFO.name);
        let mut options = PublishOptions::default();
        options.message_id = Some(Uuid::new_v5(&self.id, name.as_bytes()).to_string().into());
        options.correlation_id = Some(self.book.correlation.clone().into());
        // Nobody need listen.
        options.optional = true;
        self.engine.0.publisher.encode_from(event, options, self.origin)
    }

    fn started(&self) -> Result<Outgoing, PublishError> {
        let total_stages = self.graph.entry.stages.len();
        let event = event!(self, WorkflowStarted { total_stages });
        self.encode(&event, "")
    }

    fn of(&self, line: &HistoryEntry) -> Result<Option<Outgoing>, PublishError> {
        Ok(Some(match line.event {
            HistoryEvent::Completed => self.stage(line, "completed")?,
            HistoryEvent::Tolerated => self.stage(line, "failed")?,
            HistoryEvent::Skipped => self.stage(line, "skipped")?,
            HistoryEvent::Failed if self.is_why(&line.stage) => self.failed(line)?,
            HistoryEvent::Undone => {
                let (stage_id, end_time) = (line.stage.clone(), line.at);
                let event = event!(self, StageCompensated { stage_id, end_time });
                self.encode(&event, &line.stage)?
            }
            HistoryEvent::Cancelled => {
                let event = event!(self, WorkflowCancelled {});
                self.encode(&event, &line.stage)?
            }
            HistoryEvent::TimedOut => {
                let event = event!(self, WorkflowTimedOut {});
                self.encode(&event, &line.stage)?
            }
            HistoryEvent::Stuck => {
                let (stage_id, error) =
                    (line.stage.clone(), line.reason.clone().unwrap_or_default());
                let event = event!(self, WorkflowStuck { stage_id, error });
                self.encode(&event, &line.stage)?
            }
            HistoryEvent::Ended if self.book.back.is_some() => self.compensated(line)?,
            HistoryEvent::Ended => self.completed(line)?,
            _ => return Ok(None),
        }))
    }

    /// Whether it is because of this stage that the instance goes back. Of branches that fail beside each other it is one.
    fn is_why(&self, stage: &str) -> bool {
        self.book.back.as_ref().is_some_and(|back| back.stage == stage)
    }

    fn stage(&self, line: &HistoryEntry, status: &str) -> Result<Outgoing, PublishError> {
        let event = event!(
            self,
            StageCompleted {
                stage_id: line.stage.clone(),
                stage_name: line.stage.clone(),
                stage_index: self.index(&line.stage),
                status: status.to_owned(),
                end_time: line.at,
                duration: u64::try_from(line.took.as_nanos()).unwrap_or(u64::MAX),
                error: line.reason.clone(),
                current_stage: self.book.log.len(),
                total_stages: self.graph.entry.stages.len(),
            }
        );
        self.encode(&event, &line.stage)
    }

    fn completed(&self, line: &HistoryEntry) -> Result<Outgoing, PublishError> {
        let event = event!(
            self,
            WorkflowCompleted {
                workflow_name: self.graph.entry.name.to_owned(),
                status: WorkflowStatus::Completed.as_str().to_owned(),
                end_time: line.at,
                duration: self.since_start(line.at),
                total_stages: self.graph.entry.stages.len(),
                completed_stages: self.count(&[End::Done]),
                failed_stages: self.count(&[End::Tolerated]),
                skipped_stages: self.count(&[End::Skipped]),
                stage_results: self.results(),
                final_data: self.state(),
            }
        );
        self.encode(&event, &line.stage)
    }

    fn failed(&self, line: &HistoryEntry) -> Result<Outgoing, PublishError> {
        let event = event!(
            self,
            WorkflowFailed {
                workflow_name: self.graph.entry.name.to_owned(),
                failed_stage_id: line.stage.clone(),
                failed_stage_index: self.index(&line.stage),
                error: line.reason.clone().unwrap_or_default(),
                failure_time: line.at,
                duration: self.since_start(line.at),
                completed_stages: self.count(&[End::Done]),
                total_stages: self.graph.entry.stages.len(),
                stage_results: self.results(),
                state_data: self.state(),
                compensation_executed: false,
            }
        );
        self.encode(&event, &line.stage)
    }

    fn compensated(&self, line: &HistoryEntry) -> Result<Outgoing, PublishError> {
        let event = event!(
            self,
            WorkflowCompensated {
                workflow_name: self.graph.entry.name.to_owned(),
                status: line.reason.clone().unwrap_or_default(),
                original_error: self
                    .book
                    .back
                    .as_ref()
                    .map(|back| back.error.clone())
                    .unwrap_or_default(),
                compensation_end_time: line.at,
                total_compensations: self.count(&[End::Undone, End::UndoSkipped]),
                successful_compensations: self.count(&[End::Undone]),
                skipped_compensations: self.count(&[End::UndoSkipped]),
                workflow_data: self.state(),
            }
        );
        self.encode(&event, &line.stage)
    }

    fn index(&self, stage: &str) -> usize {
        let stages = self.graph.entry.stages;
        stages.iter().position(|known| known.name == stage).unwrap_or(stages.len())
    }

    fn count(&self, ends: &[End]) -> usize {
        self.book.log.iter().filter(|done| ends.contains(&done.end)).count()
    }

    fn results(&self) -> Vec<StageOutcome> {
        let outcome = |done: &super::book::Done| StageOutcome {
            stage_id: done.stage.clone(),
            status: super::message::family_status(done.end).to_owned(),
        };
        self.book.log.iter().map(outcome).collect()
    }

    fn state(&self) -> Value {
        serde_json::from_str(self.book.state.get()).unwrap_or(Value::Null)
    }

    fn since_start(&self, at: Timestamp) -> u64 {
        let since: SignedDuration = at.duration_since(self.began());
        u64::try_from(since.as_nanos()).unwrap_or(0)
    }
}
