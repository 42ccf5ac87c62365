//! Workflows: stages that run one after another, each once it is durable that the one before is done, and that are
//! undone in reverse when one fails.

mod arrival;
mod ask;
mod attempt;
mod back;
mod book;
mod call;
mod case;
#[cfg(feature = "testing")]
mod checkpoint;
mod definition;
mod engine;
mod entries;
mod error;
mod events;
mod forward;
mod graph;
mod handle;
mod hear;
mod keeper;
mod key;
mod mermaid;
mod message;
mod result;
mod run;

pub use arrival::{
    Awaited, Coming, EndFor, EventFor, ReplyFor, TakesAnything, TakesEnd, TakesEvent, TakesReply,
    coming, event_info, only_with_key,
};
pub use ask::{Asker, Asking, Asks, Beginning, Begins, asking, beginning};
pub use call::{StageArgument, StageCall, StateOf, running, stage_argument, state_of, step};
#[cfg(feature = "testing")]
pub use checkpoint::Checkpoints;
pub use definition::{
    ChildWait, EventWait, ReplyWait, Shape, StageEnd, StageEntry, StageFn, StageRunning,
    StageStarted, Test, Tested, Undo, Wait, Workflow, WorkflowEntry, WorkflowState,
    registered_workflows,
};
pub(crate) use engine::{Engine, EngineOptions};
pub(crate) use entries::Need;
pub use error::{WorkflowError, WorkflowErrorKind};
pub use events::{
    StageCompensated, StageCompleted, StageOutcome, WorkflowCancelled, WorkflowCompensated,
    WorkflowCompleted, WorkflowFailed, WorkflowStarted, WorkflowStuck, WorkflowTimedOut,
};
pub(crate) use graph::Graph;
pub use handle::{Ended, Failure, InstanceId, InstanceView, Run, Start, Workflows};
pub use key::{StageInfo, StageKey};
pub(crate) use mermaid::draw;
pub use result::{
    Branch, BranchResult, GivesAnything, GivesValue, JoinValue, OptionalJoinValue, StageResult,
    branch, changed, produced,
};
