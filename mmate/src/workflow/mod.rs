//! Workflows: stages that run one after another, each once it is durable that the one before is done, and that are
//! undone in reverse when one fails.

mod call;
mod definition;
mod key;

pub use call::{
    StageArgument, StageCall, StageResult, StateOf, changed, optional_value, produced,
    stage_argument, state_of, value,
};
pub use definition::{
    Shape, StageEnd, StageEntry, StageFn, StageRunning, StageStarted, Test, Undo, Workflow,
    WorkflowEntry, registered_workflows,
};
pub use key::{StageInfo, StageKey};
