//! What a stage asks of others: a request whose reply it waits for, or an instance of another workflow whose end it
//! waits for. The witnesses through which the macro's shims do it.

use std::error::Error as StdError;

use serde_json::value::RawValue;
use uuid::Uuid;

use super::call::StageCall;
use super::definition::{StageEnd, Workflow, WorkflowEntry, WorkflowState as _};
use super::instance::Failure;
use crate::contract::{Message, MessageInfo, Request};
use crate::handler::{Context, FromContext, HandlerError, HandlerResult};
use crate::publish::{PublishOptions, Publisher};
use crate::store::WorkflowStatus;

/// Where the reply to a request of a stage goes, and by what it is known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ReplyTo {
    pub(super) id: String,
    pub(super) queue: String,
}

/// Sends the request of a stage, once its method has given it.
#[derive(Debug)]
pub struct Asker {
    context: Context,
    to: ReplyTo,
}

impl Asker {
    /// The one of this call.
    ///
    /// # Errors
    /// If the call is not that of a stage that asks.
    pub fn of(call: &StageCall<'_>) -> HandlerResult<Self> {
        let context = call.context().clone();
        let to = context
            .extension::<super::key::StageInfo>()
            .and_then(|info| info.reply_to.clone())
            .ok_or_else(|| HandlerError::msg("this stage asks nobody"))?;
        Ok(Self { context, to })
    }

    /// Keeps the request: it leaves with what the stage published, before the stage is durable as asked.
    fn keep<R: Asks>(self, result: R) -> StageEnd {
        let request = result.into_request()?;
        let publisher = Publisher::from_context(&self.context)?;
        let mut options = PublishOptions::default();
        // Both are the request's own, so that peers of all families send back what it is known by.
        options.message_id = Some(self.to.id.clone().into());
        options.correlation_id = Some(self.to.id.into());
        options.reply_to = Some(self.to.queue.into());
        let outgoing = publisher.encode_from(&request, options, Some(self.context.origin()))?;
        self.context.keep(outgoing).map_err(HandlerError::msg)?;
        Ok("null".to_owned())
    }
}

/// A method that asks.
#[derive(Debug)]
pub struct Asking<R> {
    /// The description of the request.
    pub request: &'static MessageInfo,
    /// The end of the method: the request that it has given is kept.
    pub end: fn(Asker, R) -> StageEnd,
}

/// The witness that a method may ask by what it returns.
#[must_use]
pub const fn asking<R: Asks>() -> Asking<R> {
    Asking { request: <R::Request as Message>::INFO, end: Asker::keep }
}

/// A method that starts another workflow.
#[derive(Debug)]
pub struct Beginning<R> {
    /// The workflow. A function, since workflows may start each other.
    pub workflow: fn() -> &'static WorkflowEntry,
    /// The end of the method: the state that the workflow begins with.
    pub end: fn(R) -> StageEnd,
}

/// The witness that a method may start a workflow by what it returns.
#[must_use]
pub const fn beginning<R: Begins>() -> Beginning<R> {
    Beginning {
        workflow: || <R::State as Workflow>::ENTRY,
        end: |result| result.into_state().and_then(|state| state.write()),
    }
}

/// The result of a method that asks: a `Result` of a message that names its reply.
#[diagnostic::on_unimplemented(
    message = "a stage that waits for a reply cannot return `{Self}`",
    label = "not a request",
    note = "return `Result<M>` or `Result<M, E>`, where `M` is a message with `reply = ..`, like `#[message(command, reply = Reserved)]`"
)]
pub trait Asks {
    /// The request.
    type Request: Request;

    /// The request, or the error boxed.
    ///
    /// # Errors
    /// The method's own.
    fn into_request(self) -> HandlerResult<Self::Request>;
}

#[diagnostic::do_not_recommend]
impl<M: Request, E: Into<Box<dyn StdError + Send + Sync>>> Asks for Result<M, E> {
    type Request = M;

    fn into_request(self) -> HandlerResult<M> {
        self.map_err(|error| HandlerError::from_boxed(error.into()))
    }
}

/// The result of a method that starts another workflow: a `Result` of its state.
#[diagnostic::on_unimplemented(
    message = "a stage that waits for a workflow cannot return `{Self}`",
    label = "not the state of a workflow",
    note = "return `Result<W>` or `Result<W, E>`, where `W` is a type with `#[workflow]` on its `impl` block"
)]
pub trait Begins {
    /// The state.
    type State: Workflow;

    /// The state, or the error boxed.
    ///
    /// # Errors
    /// The method's own.
    fn into_state(self) -> HandlerResult<Self::State>;
}

#[diagnostic::do_not_recommend]
impl<W: Workflow, E: Into<Box<dyn StdError + Send + Sync>>> Begins for Result<W, E> {
    type State = W;

    fn into_state(self) -> HandlerResult<W> {
        self.map_err(|error| HandlerError::from_boxed(error.into()))
    }
}

/// How the end of an instance is told to the one that has started it.
#[derive(serde::Serialize, serde::Deserialize)]
pub(super) struct ChildEnd {
    pub(super) id: Uuid,
    pub(super) status: String,
    pub(super) state: Box<RawValue>,
    pub(super) failure: Option<Failure>,
}

impl ChildEnd {
    pub(super) fn new(
        id: Uuid,
        status: WorkflowStatus,
        state: Box<RawValue>,
        failure: Option<Failure>,
    ) -> Self {
        Self { id, status: status.as_str().to_owned(), state, failure }
    }
}
