//! The descriptions of workflows that the macro writes down at compile time.

use std::fmt;
use std::future::Future;
use std::pin::Pin;

use super::call::{self, StageCall};
use crate::contract::{Location, MessageInfo};
use crate::handler::{HandlerError, HandlerResult, Requirements};
use crate::reliability::RetryPolicy;

/// What a stage has produced: the state as it is afterwards, or the value of a branch. JSON.
pub type StageEnd = HandlerResult<String>;

/// A stage that is under way.
pub type StageRunning = Pin<Box<dyn Future<Output = StageEnd> + Send>>;

/// What a stage's shim gives: the running stage, or why it could not begin.
pub type StageStarted = Result<StageRunning, HandlerError>;

/// What a test on the state gives, or why the state could not be read.
pub type Tested = HandlerResult<bool>;

/// Decodes the state, extracts the parameters and calls the method.
pub type StageFn = fn(&StageCall<'_>) -> StageStarted;

/// What can be the state of a workflow: it is written down after each stage, and read before the next. Every type is one
/// that serde can write and read, and that may go to another thread.
///
/// The traits of serde are no supertraits: the compiler would name each that is missing beside this one.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be the state of a workflow",
    label = "cannot be written down between two stages",
    note = "put `#[payload]` on the type, or derive `Serialize` and `Deserialize`; the state owns what it holds and may go to another thread"
)]
pub trait WorkflowState: Sized + Send + 'static {
    /// The state as JSON.
    ///
    /// # Errors
    /// If it cannot be written, as with a map whose keys are no texts.
    fn write(&self) -> StageEnd;

    /// The state that was written.
    ///
    /// # Errors
    /// If the text is another type's.
    fn read(text: &str) -> HandlerResult<Self>;
}

#[diagnostic::do_not_recommend]
impl<S: serde::Serialize + serde::de::DeserializeOwned + Send + 'static> WorkflowState for S {
    fn write(&self) -> StageEnd {
        call::write(self)
    }

    fn read(text: &str) -> HandlerResult<Self> {
        call::read(text)
    }
}

/// A state type with a `#[workflow]` on its `impl` block.
pub trait Workflow: WorkflowState {
    /// The description.
    const ENTRY: &'static WorkflowEntry;
}

/// A workflow: its description, and its stages in the order in which they were written.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct WorkflowEntry {
    /// The id, in queue names and listings.
    pub id: &'static str,
    /// The name of the state type.
    pub name: &'static str,
    /// Where the `impl` block stands.
    pub location: Location,
    /// The doc comment of the block.
    pub docs: &'static str,
    /// From 1. Instances end on the version that they started with.
    pub version: u32,
    /// How long an instance may take, in milliseconds.
    pub timeout_ms: Option<u64>,
    /// What queue names begin with, instead of `stageflow.`.
    pub prefix: Option<&'static str>,
    /// How many stages of one kind run at a time, per process.
    pub concurrency: Option<u16>,
    /// Whether its life is published as events.
    pub events: bool,
    /// The stages.
    pub stages: &'static [StageEntry],
}

impl WorkflowEntry {
    /// A workflow with no options.
    #[must_use]
    pub const fn new(
        id: &'static str,
        name: &'static str,
        location: Location,
        stages: &'static [StageEntry],
    ) -> Self {
        Self {
            id,
            name,
            location,
            docs: "",
            version: 1,
            timeout_ms: None,
            prefix: None,
            concurrency: None,
            events: false,
            stages,
        }
    }
}

/// Where a stage stands among the others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    /// Alone: it takes `&mut self`.
    Single,
    /// Beside the others of its group: it takes `&self` and gives a value.
    Branch(&'static str),
    /// After the branches of a group: it takes `&mut self` and their values.
    Join(&'static str),
}

/// A stage: its description, and the shims that call the user's methods.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct StageEntry {
    /// The method's name.
    pub name: &'static str,
    /// The line on which the method stands.
    pub line: u32,
    /// The method's doc comment.
    pub docs: &'static str,
    /// Alone, a branch or a join.
    pub shape: Shape,
    /// How long one attempt may take, in milliseconds.
    pub timeout_ms: Option<u64>,
    /// How it is tried again.
    pub retry: Option<RetryPolicy>,
    /// Whether it is known that it cannot be undone.
    pub irreversible: bool,
    /// Whether the workflow goes on when it has failed for good.
    pub continue_on_failure: bool,
    /// How long the workflow waits before it, in milliseconds.
    pub delay_ms: Option<u64>,
    /// Whether it asks for services: parameters beyond what is read from the message.
    pub takes_services: bool,
    /// Whether it can fail: it returns a `Result`.
    pub can_fail: bool,
    /// It is left out if this does not hold.
    pub when: Option<Test>,
    /// It is done again as long as this holds after it.
    pub repeat: Option<Test>,
    /// How it is undone.
    pub undo: Option<Undo>,
    /// What the workflow waits for before the method is called.
    pub wait: Option<Wait>,
    /// How long it waits at most, in milliseconds.
    pub within_ms: Option<u64>,
    /// Whether the method is also called when nothing came in time.
    pub optional: bool,
    /// Collects what its parameters need.
    pub requires: fn(&mut Requirements),
    /// Decodes, extracts and calls.
    pub run: StageFn,
}

impl StageEntry {
    /// A stage with no options, which stands alone.
    #[must_use]
    pub const fn new(
        name: &'static str,
        line: u32,
        requires: fn(&mut Requirements),
        run: StageFn,
    ) -> Self {
        Self {
            name,
            line,
            docs: "",
            shape: Shape::Single,
            timeout_ms: None,
            retry: None,
            irreversible: false,
            continue_on_failure: false,
            delay_ms: None,
            takes_services: false,
            can_fail: false,
            when: None,
            repeat: None,
            undo: None,
            wait: None,
            within_ms: None,
            optional: false,
            requires,
            run,
        }
    }
}

macro_rules! setters {
    ($entry:ident { $($(#[$doc:meta])* $name:ident: $type:ty => $value:expr;)* }) => {
        impl $entry {
            $($(#[$doc])* #[must_use] pub const fn $name(mut self, $name: $type) -> Self {
                self.$name = $value;
                self
            })*
        }
    };
}

setters! { WorkflowEntry {
    /// Sets the doc comment.
    docs: &'static str => docs;
    /// Sets the version.
    version: u32 => version;
    /// Sets how long an instance may take, in milliseconds.
    timeout_ms: u64 => Some(timeout_ms);
    /// Sets what queue names begin with.
    prefix: &'static str => Some(prefix);
    /// Sets how many stages of one kind run at a time.
    concurrency: u16 => Some(concurrency);
    /// Sets whether its life is published as events.
    events: bool => events;
} }

setters! { StageEntry {
    /// Sets the doc comment.
    docs: &'static str => docs;
    /// Sets where it stands.
    shape: Shape => shape;
    /// Sets how long one attempt may take, in milliseconds.
    timeout_ms: u64 => Some(timeout_ms);
    /// Sets the retry policy.
    retry: RetryPolicy => Some(retry);
    /// Says that it cannot be undone.
    irreversible: bool => irreversible;
    /// Says that the workflow goes on without it.
    continue_on_failure: bool => continue_on_failure;
    /// Sets how long the workflow waits before it, in milliseconds.
    delay_ms: u64 => Some(delay_ms);
    /// Says that it asks for services.
    takes_services: bool => takes_services;
    /// Says that it can fail.
    can_fail: bool => can_fail;
    /// Sets its condition.
    when: Test => Some(when);
    /// Sets what makes it be done again.
    repeat: Test => Some(repeat);
    /// Sets how it is undone.
    undo: Undo => Some(undo);
    /// Sets what it waits for.
    wait: Wait => Some(wait);
    /// Sets how long it waits at most, in milliseconds.
    within_ms: u64 => Some(within_ms);
    /// Says that the method is also called when nothing came in time.
    optional: bool => optional;
} }

/// A method that undoes a stage. It takes `&mut self` and services, and is called until it succeeds.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Undo {
    /// The method's name.
    pub name: &'static str,
    /// Collects what its parameters need.
    pub requires: fn(&mut Requirements),
    /// Decodes, extracts and calls.
    pub run: StageFn,
}

impl Undo {
    /// A method by its name and shims.
    #[must_use]
    pub const fn new(name: &'static str, requires: fn(&mut Requirements), run: StageFn) -> Self {
        Self { name, requires, run }
    }
}

/// What a workflow waits for before the method of a stage is called with it.
#[derive(Clone, Copy, Debug)]
pub enum Wait {
    /// An event of this type.
    Event(EventWait),
    /// The reply to a request that another method gives.
    Reply(ReplyWait),
    /// The end of a workflow that another method starts.
    Child(ChildWait),
}

/// An event, and the key by which it is known that it is for an instance.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct EventWait {
    /// The event's type.
    pub info: &'static MessageInfo,
    /// Reads from the state which key the event has.
    pub key: fn(&str) -> HandlerResult<String>,
}

impl EventWait {
    /// An event whose key is what `key` reads from the state.
    #[must_use]
    pub const fn new(info: &'static MessageInfo, key: fn(&str) -> HandlerResult<String>) -> Self {
        Self { info, key }
    }
}

/// A request, and the type of its reply.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct ReplyWait {
    /// The method that gives the request.
    pub ask: StageFn,
    /// The request's type.
    pub request: &'static MessageInfo,
}

impl ReplyWait {
    /// The reply to what `ask` gives.
    #[must_use]
    pub const fn new(ask: StageFn, request: &'static MessageInfo) -> Self {
        Self { ask, request }
    }
}

/// A workflow that a stage starts.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct ChildWait {
    /// The method that gives its state.
    pub begin: StageFn,
    /// The workflow. A function, since workflows may start each other.
    pub workflow: fn() -> &'static WorkflowEntry,
}

impl ChildWait {
    /// A workflow that begins with the state that `begin` gives.
    #[must_use]
    pub const fn new(begin: StageFn, workflow: fn() -> &'static WorkflowEntry) -> Self {
        Self { begin, workflow }
    }
}

/// A method that looks at the state and says yes or no.
#[derive(Clone, Copy)]
#[non_exhaustive]
pub struct Test {
    /// The method's name.
    pub name: &'static str,
    /// Decodes the state and calls.
    pub test: fn(&str) -> Tested,
}

impl Test {
    /// A method by its name and shim.
    #[must_use]
    pub const fn new(name: &'static str, test: fn(&str) -> Tested) -> Self {
        Self { name, test }
    }
}

impl fmt::Debug for Test {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Test").field(&self.name).finish()
    }
}

inventory::collect!(WorkflowEntry);

/// All workflows that are linked into this program, by id and version.
#[must_use]
pub fn registered_workflows() -> Vec<&'static WorkflowEntry> {
    let mut all: Vec<&'static WorkflowEntry> =
        inventory::iter::<WorkflowEntry>.into_iter().collect();
    all.sort_by_key(|entry| (entry.id, entry.version, entry.location.module));
    all
}
