//! One call of a stage: the state's text, the context, and the witnesses through which the macro's shims take both.

use std::error::Error as StdError;

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::definition::StageEnd;
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

/// The witness that `S` can be the state of a workflow.
#[must_use]
pub const fn state_of<S: Serialize + DeserializeOwned + Send + 'static>() -> StateOf<S> {
    StateOf { take: |call| read(call.state), give: write, read }
}

fn read<S: DeserializeOwned>(text: &str) -> HandlerResult<S> {
    serde_json::from_str(text).map_err(|error| {
        HandlerError::msg(format!(
            "the state of the workflow cannot be read as `{}`: {error}",
            std::any::type_name::<S>()
        ))
    })
}

fn write<S: Serialize>(value: &S) -> StageEnd {
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

/// The result of a stage: nothing, or a `Result` with any error.
#[diagnostic::on_unimplemented(
    message = "a stage cannot return `{Self}`",
    label = "not a result that a stage may return",
    note = "return nothing, `Result`, or `Result<(), E>` with any error type `E`; a branch (`parallel = ..`) returns `Result<T>` or `Result<T, E>` with the value for its join"
)]
pub trait StageResult {
    /// The value: nothing, unless it is a branch's.
    type Value;

    /// The value, or the error boxed.
    ///
    /// # Errors
    /// The stage's own.
    fn into_result(self) -> HandlerResult<Self::Value>;
}

#[diagnostic::do_not_recommend]
impl StageResult for () {
    type Value = ();

    fn into_result(self) -> HandlerResult<()> {
        Ok(())
    }
}

#[diagnostic::do_not_recommend]
impl<T, E: Into<Box<dyn StdError + Send + Sync>>> StageResult for Result<T, E> {
    type Value = T;

    fn into_result(self) -> HandlerResult<T> {
        self.map_err(|error| HandlerError::from_boxed(error.into()))
    }
}

/// The end of a stage that changes the state.
///
/// # Errors
/// The stage's own, or that the state cannot be written.
pub fn changed<S, R: StageResult<Value = ()>>(
    give: fn(&S) -> StageEnd,
    state: &S,
    result: R,
) -> StageEnd {
    result.into_result().and_then(|()| give(state))
}

/// The end of a branch: its value.
///
/// # Errors
/// The branch's own, or that the value cannot be written.
pub fn produced<R: StageResult<Value: Serialize>>(result: R) -> StageEnd {
    result.into_result().and_then(|value| write(&value))
}

/// The value of the branch at this place of the group, for the join. `R` is what the branch returns.
///
/// # Errors
/// If it cannot be read; or if the branch gave none, as one that was left out.
pub fn value<R: StageResult<Value: DeserializeOwned>>(
    call: &StageCall<'_>,
    place: usize,
) -> HandlerResult<R::Value> {
    optional_value::<R>(call, place)?
        .ok_or_else(|| HandlerError::msg(format!("branch {place} of the group has no value")))
}

/// The value of a branch that may have been left out, or failed without harm.
///
/// # Errors
/// If it cannot be read.
pub fn optional_value<R: StageResult<Value: DeserializeOwned>>(
    call: &StageCall<'_>,
    place: usize,
) -> HandlerResult<Option<R::Value>> {
    call.values.get(place).and_then(Option::as_deref).map(read).transpose()
}
