//! Parameters of handlers: where each comes from and what it needs.

use std::fmt;
use std::ops::Deref;
use std::sync::Arc;

use super::context::{Call, Context};
use super::error::{HandlerError, HandlerResult};
use super::resources::{Requirements, Resources};
use crate::contract::{Envelope, Headers, Message};
use crate::publish::Publisher;

/// The first parameter of a handler: a message, or an [`Envelope`] of one.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a message",
    label = "the first parameter of a handler is its message",
    note = "declare the type with `#[message(command)]`, `#[message(event)]` or `#[message(query, reply = ..)]`; write `Envelope<{Self}>` for all that came with it"
)]
pub trait FromDelivery: Sized + Send + 'static {
    /// The message's type.
    type Message: Message;

    /// Takes the message from a call.
    ///
    /// # Errors
    /// If the payload does not fit the type.
    fn from_call(call: &Call<'_>) -> HandlerResult<Self>;
}

#[diagnostic::do_not_recommend]
impl<M: Message> FromDelivery for M {
    type Message = M;

    fn from_call(call: &Call<'_>) -> HandlerResult<Self> {
        call.message().map_err(HandlerError::from)
    }
}

#[diagnostic::do_not_recommend]
impl<M: Message> FromDelivery for Envelope<M> {
    type Message = M;

    fn from_call(call: &Call<'_>) -> HandlerResult<Self> {
        Ok(Self::new(call.context().meta().clone(), call.message()?))
    }
}

/// Every further parameter of a handler, and every parameter of a stage beside `self` and the values of branches.
///
/// Implement it for types of your own that can be read from what is at hand: a tenant from a header,
/// a clock from the state. What takes time belongs into the handler.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be a parameter of a handler or of a stage",
    label = "not something that a handler or a stage can ask for",
    note = "a handler, after its message, and a stage, after `self`, may ask for `Context`, `State<T>`, `Publisher`, `Bridge`, `Workflows`, `Headers`, `Config`, `Option<..>` of these, and types that implement `FromContext`; a stage also for `StageKey` and `StageInfo`"
)]
pub trait FromContext: Sized + Send {
    /// Takes the value.
    ///
    /// # Errors
    /// The error is handled like one of the handler itself.
    fn from_context(context: &Context) -> HandlerResult<Self>;

    /// Says what must be among the app's resources; a missing one refuses the boot.
    fn requires(requirements: &mut Requirements) {
        let _ = requirements;
    }
}

#[diagnostic::do_not_recommend]
impl FromContext for Context {
    fn from_context(context: &Context) -> HandlerResult<Self> {
        Ok(context.clone())
    }
}

#[diagnostic::do_not_recommend]
impl FromContext for Headers {
    fn from_context(context: &Context) -> HandlerResult<Self> {
        Ok(context.headers().clone())
    }
}

#[diagnostic::do_not_recommend]
impl FromContext for Publisher {
    fn from_context(context: &Context) -> HandlerResult<Self> {
        let publisher: Arc<Self> = find(&context.parts().resources)?;
        Ok(publisher.within(Arc::clone(&context.parts().outbox)))
    }
}

/// The value if it can be had; an error counts as "not there", and nothing is required.
#[diagnostic::do_not_recommend]
impl<E: FromContext> FromContext for Option<E> {
    fn from_context(context: &Context) -> HandlerResult<Self> {
        Ok(E::from_context(context).ok())
    }
}

/// A shared value that a `#[provider]` built, or that the app was given.
pub struct State<T>(Arc<T>);

impl<T> State<T> {
    /// Wraps a value, for calling a handler directly in a unit test.
    #[must_use]
    pub fn new(value: T) -> Self {
        Self(Arc::new(value))
    }

    /// The shared value itself.
    #[must_use]
    pub fn into_inner(self) -> Arc<T> {
        self.0
    }
}

#[diagnostic::do_not_recommend]
impl<T: Send + Sync + 'static> FromContext for State<T> {
    fn from_context(context: &Context) -> HandlerResult<Self> {
        find(&context.parts().resources).map(Self)
    }

    fn requires(requirements: &mut Requirements) {
        requirements.need::<T>();
    }
}

impl<T> Clone for State<T> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<T> Deref for State<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0
    }
}

impl<T: fmt::Debug> fmt::Debug for State<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("State").field(&self.0).finish()
    }
}

/// A parameter of a `#[provider]`: `Config`, `State<T>` of another provider, `Publisher`, `Bridge`.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be a parameter of a provider",
    label = "not something that a provider can ask for",
    note = "a provider may ask for `Config`, `Publisher`, `Bridge` and `State<T>` of other providers"
)]
pub trait FromResources: Sized + Send {
    /// Takes the value.
    ///
    /// # Errors
    /// If it is not there.
    fn from_resources(resources: &Resources) -> HandlerResult<Self>;

    /// Says what must be built before.
    fn requires(requirements: &mut Requirements) {
        let _ = requirements;
    }
}

#[diagnostic::do_not_recommend]
impl<T: Send + Sync + 'static> FromResources for State<T> {
    fn from_resources(resources: &Resources) -> HandlerResult<Self> {
        find(resources).map(Self)
    }

    fn requires(requirements: &mut Requirements) {
        requirements.need::<T>();
    }
}

#[diagnostic::do_not_recommend]
impl FromResources for Publisher {
    fn from_resources(resources: &Resources) -> HandlerResult<Self> {
        find::<Self>(resources).map(|publisher| (*publisher).clone())
    }
}

/// A resource that the boot has checked for; the error is for resources removed by hand.
fn find<T: Send + Sync + 'static>(resources: &Resources) -> HandlerResult<Arc<T>> {
    resources.get().ok_or_else(|| {
        HandlerError::msg(format!(
            "there is no `{}` among the app's resources",
            std::any::type_name::<T>()
        ))
    })
}
