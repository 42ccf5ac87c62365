//! Workflows: stages that run one after another, each once it is durable that the one before is done, and that are
//! undone in reverse when one fails.
//!
//! In: a state with `#[workflow]` on its `impl` block, started through [`Workflows`]. Out: an instance that comes to its
//! end, whatever happens to the processes that work on it; what it did is in the store, and in events if it says so.
//! Services and handlers call [`Workflows`]; everything else begins with a message, which `dispatch` gives to the shim of a
//! queue as it gives any message to a handler.
//!
//! The way of a message: `run` reads it, `case` finds out whose turn it is, `forward`, `back` and `hear` make the step,
//! `attempt` calls the user's method, `book` says what follows, and `case` makes it durable and says what comes next.
//! `keeper` stands beside it: this process is alive, and what nobody has moved is announced again.
//!
//! # Rules
//!
//! - A step is made from a known position by the one process that has claimed the instance, and is durable before the
//!   next one is announced and before its message is acknowledged.
//! - Whoever comes too late finds the instance elsewhere, and does nothing but say where it stands.
//! - What may have had its effect is undone: a stage that timed out, panicked, or whose process was killed.
//! - An instance is called compensated only when every undoing has succeeded, or an operator has said so.
//!
//! # Crash windows, in the order in which a step passes them
//!
//! - Claimed, and nothing begun; the stage done, and nothing saved; what it published has left, and nothing is saved: the
//!   redelivery runs the stage again, with the same key and the same ids.
//! - Saved, and the next message has not left, or its events have not: the redelivery finds the instance one step further,
//!   and sends both.
//! - The next message has left, and the delivery is not acknowledged: the redelivery sends it again; of two that are the
//!   same, the second finds the instance elsewhere.

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
mod instance;
mod keeper;
mod key;
mod mermaid;
mod message;
mod result;
mod run;
mod waiters;

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
pub(crate) use graph::{Graph, hash};
pub use handle::{Start, Workflows};
pub use instance::{Begun, Ended, Failure, InstanceId, InstanceView, Run};
pub use key::{StageInfo, StageKey};
pub(crate) use mermaid::draw;
pub use result::{
    Branch, BranchResult, GivesAnything, GivesValue, JoinValue, OptionalJoinValue, StageResult,
    branch, changed, produced,
};
