//! What stages and branches may return, and how a join takes the values of its branches.

use std::error::Error as StdError;
use std::fmt;
use std::marker::PhantomData;

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::call::{StageCall, read, write};
use super::definition::StageEnd;
use crate::handler::{HandlerError, HandlerResult};

/// The result of a stage that changes the state, or of what undoes one: nothing, or a `Result` of nothing.
#[diagnostic::on_unimplemented(
    message = "a stage cannot return `{Self}`",
    label = "not a result that a stage may return",
    note = "return nothing, `Result`, or `Result<(), E>` with any error type `E`, and keep values in `self`; the same holds for a method that undoes a stage"
)]
pub trait StageResult {
    /// The result with its error boxed.
    ///
    /// # Errors
    /// The stage's own.
    fn into_result(self) -> HandlerResult<()>;
}

#[diagnostic::do_not_recommend]
impl StageResult for () {
    fn into_result(self) -> HandlerResult<()> {
        Ok(())
    }
}

#[diagnostic::do_not_recommend]
impl<E: Into<Box<dyn StdError + Send + Sync>>> StageResult for Result<(), E> {
    fn into_result(self) -> HandlerResult<()> {
        self.map_err(|error| HandlerError::from_boxed(error.into()))
    }
}

/// The end of a stage that changes the state, or of what undoes one.
///
/// # Errors
/// The stage's own, or that the state cannot be written.
pub fn changed<S, R: StageResult>(give: fn(&S) -> StageEnd, state: &S, result: R) -> StageEnd {
    result.into_result().and_then(|()| give(state))
}

/// The result of a branch: a `Result` of a value.
#[diagnostic::on_unimplemented(
    message = "a branch cannot return `{Self}`",
    label = "not a result that a branch may return",
    note = "return `Result<T>`, or `Result<T, E>` with any error type `E`, where `T` is the value for the join: a type with `#[payload]`, or another that serde can write and read"
)]
pub trait BranchResult {
    /// The value for the join.
    type Value: Serialize + DeserializeOwned + Send + 'static;

    /// The value, or the error boxed.
    ///
    /// # Errors
    /// The branch's own.
    fn into_value(self) -> HandlerResult<Self::Value>;
}

#[diagnostic::do_not_recommend]
impl<T, E> BranchResult for Result<T, E>
where
    T: Serialize + DeserializeOwned + Send + 'static,
    E: Into<Box<dyn StdError + Send + Sync>>,
{
    type Value = T;

    fn into_value(self) -> HandlerResult<T> {
        self.map_err(|error| HandlerError::from_boxed(error.into()))
    }
}

/// The end of a branch: its value.
///
/// # Errors
/// The branch's own, or that the value cannot be written.
pub fn produced<R: BranchResult>(result: R) -> StageEnd {
    result.into_value().and_then(|value| write(&value))
}

/// A parameter of a join for the value of a branch that returns `R`.
#[diagnostic::on_unimplemented(
    message = "a branch that returns `{R}` does not give its join a `{Self}`",
    label = "not the value of the branch at this place",
    note = "a join takes the values of its branches first, in the order in which they are written, each as the `T` of its `Result<T>`; `Option<T>` only if the branch has `when` or `continue_on_failure`"
)]
pub trait JoinValue<R>: Sized {
    /// Reads it.
    ///
    /// # Errors
    /// If it is another value.
    fn from_text(text: &str) -> HandlerResult<Self>;
}

#[diagnostic::do_not_recommend]
impl<T: DeserializeOwned, R: BranchResult<Value = T>> JoinValue<R> for T {
    fn from_text(text: &str) -> HandlerResult<T> {
        read(text)
    }
}

/// A parameter of a join for the value of a branch that returns `R` and may be left out, or fail without harm.
#[diagnostic::on_unimplemented(
    message = "a branch that returns `{R}` and may give nothing does not give its join a `{Self}`",
    label = "not an `Option` of the value of the branch at this place",
    note = "the branch has `when` or `continue_on_failure`, so there may be no value: its join takes `Option<T>` for its `Result<T>`; a join takes the values of its branches first, in the order in which they are written"
)]
pub trait OptionalJoinValue<R>: Sized {
    /// Reads it, if there is one.
    ///
    /// # Errors
    /// If it is another value.
    fn from_text(text: Option<&str>) -> HandlerResult<Self>;
}

#[diagnostic::do_not_recommend]
impl<T: DeserializeOwned, R: BranchResult<Value = T>> OptionalJoinValue<R> for Option<T> {
    fn from_text(text: Option<&str>) -> HandlerResult<Self> {
        text.map(read).transpose()
    }
}

/// The witness of a branch's result, for its join.
pub struct Branch<R>(PhantomData<fn() -> R>);

impl<R> fmt::Debug for Branch<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Branch")
    }
}

/// The branch that returns `R`, whether it may or not: that is judged where the branch itself is called.
#[must_use]
pub const fn branch<R>() -> Branch<R> {
    Branch(PhantomData)
}

/// Takes the value of a branch for its join. The compiler finds it before [`GivesAnything`].
pub trait GivesValue<R> {
    /// The value.
    ///
    /// # Errors
    /// If it cannot be read, or is not there.
    fn value<T: JoinValue<R>>(self, call: &StageCall<'_>, place: usize) -> HandlerResult<T>;

    /// The value, or nothing if the branch was left out or has failed without harm.
    ///
    /// # Errors
    /// If it cannot be read.
    fn optional_value<T: OptionalJoinValue<R>>(
        self,
        call: &StageCall<'_>,
        place: usize,
    ) -> HandlerResult<T>;
}

impl<R: BranchResult> GivesValue<R> for Branch<R> {
    fn value<T: JoinValue<R>>(self, call: &StageCall<'_>, place: usize) -> HandlerResult<T> {
        let text = call.value(place).ok_or_else(|| {
            HandlerError::msg(format!("the branch at place {place} of the group has left no value"))
        })?;
        T::from_text(text)
    }

    fn optional_value<T: OptionalJoinValue<R>>(
        self,
        call: &StageCall<'_>,
        place: usize,
    ) -> HandlerResult<T> {
        T::from_text(call.value(place))
    }
}

/// Stands in where a branch's result is none that a branch may return: that has been reported, and nothing more can be
/// said about its value.
pub trait GivesAnything {
    /// Accepts any type.
    ///
    /// # Errors
    /// Always: it is never called.
    fn value<T>(self, call: &StageCall<'_>, place: usize) -> HandlerResult<T>;

    /// Accepts any type.
    ///
    /// # Errors
    /// Always: it is never called.
    fn optional_value<T>(self, call: &StageCall<'_>, place: usize) -> HandlerResult<T>;
}

impl<R> GivesAnything for &Branch<R> {
    fn value<T>(self, _: &StageCall<'_>, _: usize) -> HandlerResult<T> {
        Err(HandlerError::msg("the branch has no value"))
    }

    fn optional_value<T>(self, _: &StageCall<'_>, _: usize) -> HandlerResult<T> {
        Err(HandlerError::msg("the branch has no value"))
    }
}
