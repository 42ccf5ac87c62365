//! One call of a stage: the state's text, the context, and the witnesses through which the macro's shims take both.

use std::future::Future;
use std::pin::Pin;

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::definition::{StageEnd, StageStarted, Workflow};
use crate::handler::{Context, FromContext, HandlerError, HandlerResult, Requirements};

/// One call of a stage or of what undoes it. The shim takes its arguments from it.
#[derive(Clone, Copy, Debug)]
pub struct StageCall<'a> {
    state: &'a str,
    /// The values of the branches, by position; nothing for one that was left out or has failed.
    values: &'a [Option<String>],
    context: &'a Context,
}

impl<'a> StageCall<'a> {
    pub(crate) const fn new(
        state: &'a str,
        values: &'a [Option<String>],
        context: &'a Context,
    ) -> Self {
        Self { state, values, context }
    }

    pub(super) const fn context(&self) -> &'a Context {
        self.context
    }

    /// The value of the branch at this place of the group; at the first place what came for a stage that has waited.
    pub(super) fn value(&self, place: usize) -> Option<&'a str> {
        self.values.get(place).and_then(Option::as_deref)
    }
}

/// The state of a workflow: how it is taken and given back.
#[derive(Debug)]
pub struct StateOf<S> {
    /// Takes it.
    pub take: fn(&StageCall<'_>) -> HandlerResult<S>,
    /// Writes it down.
    pub give: fn(&S) -> StageEnd,
    /// Reads it without a call, for a test.
    pub read: fn(&str) -> HandlerResult<S>,
}

/// The witness of a workflow's state. That the type can be one is asked where it becomes a [`Workflow`], and nowhere
/// else, so that the compiler says once what is missing.
#[must_use]
pub const fn state_of<S: Workflow>() -> StateOf<S> {
    StateOf { take: |call| S::read(call.state), give: S::write, read: S::read }
}

pub(super) fn read<S: DeserializeOwned>(text: &str) -> HandlerResult<S> {
    serde_json::from_str(text).map_err(|error| {
        HandlerError::msg(format!(
            "what a stage has left cannot be read as `{}`: {error}",
            std::any::type_name::<S>()
        ))
    })
}

pub(super) fn write<S: Serialize>(value: &S) -> StageEnd {
    serde_json::to_string(value).map_err(|error| {
        HandlerError::msg(format!(
            "`{}` cannot be written as JSON: {error}",
            std::any::type_name::<S>()
        ))
    })
}

/// A parameter of a stage: how it is taken, and what it needs.
#[derive(Debug)]
pub struct StageArgument<T> {
    /// Takes it.
    pub take: fn(&StageCall<'_>) -> HandlerResult<T>,
    /// Says what it needs.
    pub requires: fn(&mut Requirements),
}

/// The witness that a stage may ask for `T`.
#[must_use]
pub const fn stage_argument<T: FromContext>() -> StageArgument<T> {
    StageArgument { take: |call| T::from_context(call.context), requires: T::requires }
}

/// A stage that was called and is now awaited. A future that is not `Send` is reported here, at the method's name; behind
/// the box it is one, so that nothing more is said about it.
pub fn step<'a, F: Future + Send + 'a>(
    stage: F,
) -> Pin<Box<dyn Future<Output = F::Output> + Send + 'a>> {
    Box::pin(stage)
}

/// The running stage, boxed.
///
/// # Errors
/// None: it is what a shim gives.
pub fn running(stage: impl Future<Output = StageEnd> + Send + 'static) -> StageStarted {
    Ok(Box::pin(stage))
}
