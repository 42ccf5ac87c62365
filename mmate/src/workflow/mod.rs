//! Workflows: stages that run one after another, each once it is durable that the one before is done, and that are
//! undone in reverse when one fails.

mod call;
mod definition;
mod key;
mod result;

pub use call::{StageArgument, StageCall, StateOf, running, stage_argument, state_of, step};
pub use definition::{
    Shape, StageEnd, StageEntry, StageFn, StageRunning, StageStarted, Test, Tested, Undo, Workflow,
    WorkflowEntry, WorkflowState, registered_workflows,
};
pub use key::{StageInfo, StageKey};
pub use result::{
    Branch, BranchResult, GivesAnything, GivesValue, JoinValue, OptionalJoinValue, StageResult,
    branch, changed, produced,
};
