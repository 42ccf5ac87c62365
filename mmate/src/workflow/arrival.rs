//! What comes for a stage that waits, as the first parameter of its method: the witnesses through which the macro's
//! shims take it.

use std::fmt;
use std::marker::PhantomData;

use super::ask::{Asks, Begins, ChildEnd};
use super::call::{StageCall, read};
use super::definition::Workflow;
use super::instance::Ended;
use crate::contract::{Event, Message, MessageInfo, Request};
use crate::handler::{HandlerError, HandlerResult};

/// What a stage may wait for with `wait_for`.
#[diagnostic::on_unimplemented(
    message = "a stage cannot wait for `{Self}`",
    label = "not an event",
    note = "a stage waits for what is published: declare it with `#[message(event, key = ..)]`; for the answer to a command or a query there is `reply = ..`"
)]
pub trait Awaited: Event {}

#[diagnostic::do_not_recommend]
impl<E: Event> Awaited for E {}

/// The description of an event that a stage waits for.
#[must_use]
pub const fn event_info<E: Awaited>() -> &'static MessageInfo {
    E::INFO
}

/// Refuses an event without a key, while the user's crate is compiled: nobody could tell for which instance it is.
///
/// # Panics
/// If the event has no key.
#[track_caller]
pub const fn only_with_key(event: &MessageInfo) {
    assert!(
        event.key.is_some(),
        "a stage waits for an event by its key, and this event has none\nhelp: declare it with `#[message(event, key = ..)]`"
    );
}

/// The first parameter of a stage that waits for the event `E`.
#[diagnostic::on_unimplemented(
    message = "a stage that waits for `{E}` does not take `{Self}` first",
    label = "not the event that it waits for",
    note = "the first parameter is the event, or an `Option` of it: then the method is also called, with `None`, when nothing came `within` the time"
)]
pub trait EventFor<E>: Sized {
    /// Takes it.
    ///
    /// # Errors
    /// If what came is another event, or nothing did.
    fn from_mail(mail: Option<&str>) -> HandlerResult<Self>;
}

#[diagnostic::do_not_recommend]
impl<E: Event> EventFor<E> for E {
    fn from_mail(mail: Option<&str>) -> HandlerResult<E> {
        read(mail.ok_or_else(nothing)?)
    }
}

#[diagnostic::do_not_recommend]
impl<E: Event> EventFor<E> for Option<E> {
    fn from_mail(mail: Option<&str>) -> HandlerResult<Self> {
        mail.map(read).transpose()
    }
}

/// The first parameter of the method that takes the reply `T`.
#[diagnostic::on_unimplemented(
    message = "the reply that comes is `{T}`, and the method takes `{Self}`",
    label = "not the reply of the request",
    note = "the first parameter is what the request names as `reply = ..`; what else a stage may ask for comes after it"
)]
pub trait ReplyFor<T>: Sized {
    /// Takes it.
    ///
    /// # Errors
    /// If what came is another reply.
    fn from_mail(mail: &str) -> HandlerResult<Self>;
}

#[diagnostic::do_not_recommend]
impl<T: Message> ReplyFor<T> for T {
    fn from_mail(mail: &str) -> HandlerResult<T> {
        read(mail)
    }
}

/// The first parameter of the method that takes the end of the workflow `W`.
#[diagnostic::on_unimplemented(
    message = "what comes is the end of `{W}`, and the method takes `{Self}`",
    label = "not the end of the workflow that was started",
    note = "the first parameter is `Ended<W>`, where `W` is what the starting method returns; what else a stage may ask for comes after it"
)]
pub trait EndFor<W>: Sized {
    /// Takes it.
    ///
    /// # Errors
    /// If its state is another workflow's.
    fn from_mail(mail: &str) -> HandlerResult<Self>;
}

#[diagnostic::do_not_recommend]
impl<W: Workflow> EndFor<W> for Ended<W> {
    fn from_mail(mail: &str) -> HandlerResult<Self> {
        let ChildEnd { id, status, state, failure } = read(mail)?;
        let status = status.parse().map_err(|error: String| HandlerError::msg(error))?;
        Ok(Self { id: id.into(), status, state: W::read(state.get())?, failure })
    }
}

/// The witness of what a stage waits for: an event, or the result of the method that asks or starts.
pub struct Coming<T>(PhantomData<fn() -> T>);

impl<T> fmt::Debug for Coming<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Coming")
    }
}

/// What comes by `T`, whether anything can or not: that is judged elsewhere.
#[must_use]
pub const fn coming<T>() -> Coming<T> {
    Coming(PhantomData)
}

/// Takes an event. The compiler finds it before [`TakesAnything`].
pub trait TakesEvent<E> {
    /// The event.
    ///
    /// # Errors
    /// If what came is none.
    fn event<P: EventFor<E>>(self, call: &StageCall<'_>) -> HandlerResult<P>;
}

impl<E: Event> TakesEvent<E> for Coming<E> {
    fn event<P: EventFor<E>>(self, call: &StageCall<'_>) -> HandlerResult<P> {
        P::from_mail(call.value(0))
    }
}

/// Takes a reply. The compiler finds it before [`TakesAnything`].
pub trait TakesReply {
    /// The type of the reply.
    type Reply;

    /// The reply.
    ///
    /// # Errors
    /// If what came is none.
    fn reply<P: ReplyFor<Self::Reply>>(self, call: &StageCall<'_>) -> HandlerResult<P>;
}

impl<R: Asks> TakesReply for Coming<R> {
    type Reply = <R::Request as Request>::Reply;

    fn reply<P: ReplyFor<Self::Reply>>(self, call: &StageCall<'_>) -> HandlerResult<P> {
        P::from_mail(call.value(0).ok_or_else(nothing)?)
    }
}

/// Takes the end of a workflow. The compiler finds it before [`TakesAnything`].
pub trait TakesEnd {
    /// The state of the workflow.
    type State;

    /// The end.
    ///
    /// # Errors
    /// If what came is none.
    fn end<P: EndFor<Self::State>>(self, call: &StageCall<'_>) -> HandlerResult<P>;
}

impl<R: Begins> TakesEnd for Coming<R> {
    type State = R::State;

    fn end<P: EndFor<Self::State>>(self, call: &StageCall<'_>) -> HandlerResult<P> {
        P::from_mail(call.value(0).ok_or_else(nothing)?)
    }
}

/// Stands in where nothing can come: that has been reported, and nothing more can be said about the parameter.
pub trait TakesAnything: Sized {
    /// Accepts any type.
    ///
    /// # Errors
    /// Always: it is never called.
    fn event<P>(self, _: &StageCall<'_>) -> HandlerResult<P> {
        Err(nothing())
    }

    /// Accepts any type.
    ///
    /// # Errors
    /// Always: it is never called.
    fn reply<P>(self, _: &StageCall<'_>) -> HandlerResult<P> {
        Err(nothing())
    }

    /// Accepts any type.
    ///
    /// # Errors
    /// Always: it is never called.
    fn end<P>(self, _: &StageCall<'_>) -> HandlerResult<P> {
        Err(nothing())
    }
}

impl<T> TakesAnything for &Coming<T> {}

#[cold]
fn nothing() -> HandlerError {
    HandlerError::msg("nothing came for this stage")
}
