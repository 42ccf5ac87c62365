//! The only surface that expanded macros may name. Not part of the public promise.
//!
//! Everything here is reached through generated code, which was written by a `mmate-macros` of
//! exactly the same version. What stands outside `runtime_surface` is all that `#[message]`,
//! `#[payload]` and `#[derive(MessageError)]` name: they also expand in build scripts, where the
//! feature `runtime` is off.

use std::error::Error as StdError;

pub use inventory;
pub use schemars;
pub use serde;

pub use crate::contract::{
    Command, Event, Kind, Location, Message, MessageEntry, MessageInfo, Query, Reply, Request,
};
pub use crate::reliability::{ErrorClass, ErrorEntry, MessageError, outcome_is_unknown};
use crate::reliability::{Verdict, classify};

/// Text of a key field: the aggregate id.
#[must_use]
pub fn key<T: Key + ?Sized>(value: &T) -> String {
    value.text()
}

/// What can be a key: whatever has a text.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be the key of a message",
    label = "has no text of its own",
    note = "a key is sent as text: name a field whose type implements `Display`"
)]
pub trait Key {
    /// The text.
    fn text(&self) -> String;
}

#[diagnostic::do_not_recommend]
impl<T: std::fmt::Display + ?Sized> Key for T {
    fn text(&self) -> String {
        self.to_string()
    }
}

/// The description of the answer to `M`.
#[must_use]
pub fn reply_info<M: Request>() -> &'static MessageInfo {
    <M::Reply as Message>::INFO
}

/// The class of an error behind another one, as far as it is a class; what asks for more is found
/// through the sources.
#[must_use]
pub fn class_of(error: &(dyn StdError + 'static)) -> ErrorClass {
    match classify(error) {
        Verdict::Policy(class, None) => class,
        _ => ErrorClass::Unknown,
    }
}

/// An error behind another one, boxed or not, as what `source` gives.
pub trait AsError {
    /// The error.
    fn as_error(&self) -> &(dyn StdError + 'static);
}

#[diagnostic::do_not_recommend]
impl<E: StdError + 'static> AsError for E {
    fn as_error(&self) -> &(dyn StdError + 'static) {
        self
    }
}

impl AsError for dyn StdError {
    fn as_error(&self) -> &(dyn StdError + 'static) {
        self
    }
}

impl AsError for dyn StdError + Send {
    fn as_error(&self) -> &(dyn StdError + 'static) {
        self
    }
}

impl AsError for dyn StdError + Send + Sync {
    fn as_error(&self) -> &(dyn StdError + 'static) {
        self
    }
}

#[cfg(feature = "runtime")]
pub use runtime_surface::*;

#[cfg(feature = "runtime")]
mod runtime_surface {
    use std::error::Error as StdError;
    use std::fmt;
    use std::future::Future;

    use crate::contract::{Kind, MessageInfo};
    pub use crate::handler::{
        Building, Bulkhead, CachePolicy, Call, Fallback, FromContext, FromDelivery, FromResources,
        Handler, HandlerEntry, IntoOutcome, ProviderEntry, Requirements, Resources, Running,
        Started,
    };
    use crate::handler::{HandlerError, HandlerResult};
    pub use crate::reliability::{Backoff, BreakerPolicy, RatePolicy, RetryPolicy};
    pub use crate::transport::QueueKind;
    pub use crate::workflow::{
        Asker, Asking, Asks, Awaited, Beginning, Begins, Branch, BranchResult, ChildWait, Coming,
        EndFor, EventFor, EventWait, GivesAnything, GivesValue, JoinValue, OptionalJoinValue,
        ReplyFor, ReplyWait, Shape, StageArgument, StageCall, StageEnd, StageEntry, StageResult,
        StageStarted, StateOf, TakesAnything, TakesEnd, TakesEvent, TakesReply, Test, Tested, Undo,
        Wait, Workflow, WorkflowEntry, asking, beginning, branch, changed, coming, event_info,
        only_with_key, produced, running, stage_argument, state_of, step,
    };

    /// The first parameter of a handler: its description, and how it is taken.
    #[derive(Debug)]
    pub struct Incoming<T> {
        /// The message's description.
        pub info: &'static MessageInfo,
        /// Decodes it.
        pub take: fn(&Call<'_>) -> HandlerResult<T>,
    }

    /// The witness that `T` is a message or an envelope.
    #[must_use]
    pub const fn incoming<T: FromDelivery>() -> Incoming<T> {
        Incoming { info: <T::Message as crate::contract::Message>::INFO, take: T::from_call }
    }

    /// Refuses a handler whose answers cannot be cached, while the user's crate is compiled.
    ///
    /// # Panics
    /// If the message is no query.
    #[track_caller]
    pub const fn only_queries(message: &MessageInfo) {
        assert!(
            matches!(message.kind, Kind::Query),
            "`cache` keeps the answers to queries, and this handler takes no query\nhelp: remove `cache`, or declare the \
             message with `#[message(query, reply = YourReply)]`"
        );
    }

    /// Runs the handler of a message to an outcome. The compiler finds it before [`RunsAnything`].
    pub trait RunsHandler<M> {
        /// Runs the handler's future.
        fn run<R, F>(self, call: F) -> Running
        where
            R: IntoOutcome<M>,
            F: Future<Output = R> + Send + 'static;
    }

    impl<T: FromDelivery> RunsHandler<T::Message> for Incoming<T> {
        fn run<R, F>(self, call: F) -> Running
        where
            R: IntoOutcome<T::Message>,
            F: Future<Output = R> + Send + 'static,
        {
            Box::pin(async move { call.await.into_outcome() })
        }
    }

    /// Stands in where the first parameter is no message: that has been reported, and nothing more
    /// can be said about the result.
    pub trait RunsAnything {
        /// Accepts any future.
        fn run<R, F: Future<Output = R>>(self, call: F) -> Running;
    }

    impl<T> RunsAnything for &Incoming<T> {
        fn run<R, F: Future<Output = R>>(self, _: F) -> Running {
            Box::pin(std::future::pending())
        }
    }

    /// A further parameter of a handler: how it is taken, and what it needs.
    #[derive(Debug)]
    pub struct Argument<T> {
        /// Takes it.
        pub take: fn(&Call<'_>) -> HandlerResult<T>,
        /// Says what it needs.
        pub requires: fn(&mut Requirements),
    }

    /// The witness that a handler may ask for `T`.
    #[must_use]
    pub const fn argument<T: FromContext>() -> Argument<T> {
        Argument { take: |call| T::from_context(call.context()), requires: T::requires }
    }

    /// A parameter of a provider: how it is taken, and what it needs.
    #[derive(Debug)]
    pub struct Ingredient<T> {
        /// Takes it.
        pub take: fn(&Resources) -> HandlerResult<T>,
        /// Says what it needs.
        pub requires: fn(&mut Requirements),
    }

    /// The witness that a provider may ask for `T`.
    #[must_use]
    pub const fn ingredient<T: FromResources>() -> Ingredient<T> {
        Ingredient { take: T::from_resources, requires: T::requires }
    }

    /// What a provider's shim gives: the value that is being built, or why it could not begin.
    pub type Begun = HandlerResult<Building<'static>>;

    /// The result of a provider that can fail.
    #[diagnostic::on_unimplemented(
        message = "a provider cannot return `{Self}`",
        label = "not a result that a provider may return",
        note = "return `T` or `Result<T, E>`, where `T` is `Send + Sync + 'static` and `E` is any error type"
    )]
    pub trait Fallible {
        /// The value that is provided.
        type Value: Send + Sync + 'static;

        /// The value, or the error boxed.
        ///
        /// # Errors
        /// The provider's own.
        fn into_value(self) -> HandlerResult<Self::Value>;
    }

    #[diagnostic::do_not_recommend]
    impl<T, E> Fallible for Result<T, E>
    where
        T: Send + Sync + 'static,
        E: Into<Box<dyn StdError + Send + Sync>>,
    {
        type Value = T;

        fn into_value(self) -> HandlerResult<T> {
            self.map_err(|error| HandlerError::from_boxed(error.into()))
        }
    }

    /// What a provider returns.
    pub struct Provided<R> {
        /// Says which type it provides.
        pub provides: fn(&mut Requirements),
        store: fn(R) -> HandlerResult<Resources>,
    }

    /// The witness that a provider may return the result `R`.
    #[must_use]
    pub const fn fallible<R: Fallible>() -> Provided<R> {
        Provided {
            provides: Requirements::need::<R::Value>,
            store: |result| result.into_value().map(Resources::holding),
        }
    }

    /// A value that handlers on all threads may share.
    #[diagnostic::on_unimplemented(
        message = "a provider cannot return `{Self}`",
        label = "cannot be shared between threads",
        note = "handlers run on many threads: return a type that is `Send + Sync + 'static`"
    )]
    pub trait Shared: Sized {
        /// Says which type it is.
        fn provides(requirements: &mut Requirements);

        /// The value among resources.
        fn store(self) -> Resources;
    }

    #[diagnostic::do_not_recommend]
    impl<T: Send + Sync + 'static> Shared for T {
        fn provides(requirements: &mut Requirements) {
            requirements.need::<T>();
        }

        fn store(self) -> Resources {
            Resources::holding(self)
        }
    }

    /// The witness that a provider may return the value `T`.
    #[must_use]
    pub const fn infallible<T: Shared>() -> Provided<T> {
        Provided { provides: T::provides, store: |value| Ok(value.store()) }
    }

    impl<R: 'static> Provided<R> {
        /// Takes the value of a provider that is no `async fn`.
        pub fn done(&self, result: R) -> Building<'static> {
            Box::pin(std::future::ready((self.store)(result)))
        }

        /// Runs the provider's future to the value.
        pub fn build<F>(&self, call: F) -> Building<'static>
        where
            F: Future<Output = R> + Send + 'static,
        {
            let store = self.store;
            Box::pin(async move { store(call.await) })
        }
    }

    impl<R> fmt::Debug for Provided<R> {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.debug_struct("Provided").finish_non_exhaustive()
        }
    }

    /// What was begun, or the error as what came of it.
    #[must_use]
    pub fn building(begun: Begun) -> Building<'static> {
        begun.unwrap_or_else(|error| Box::pin(std::future::ready(Err(error))))
    }

    pub use crate::runtime::ServiceInfo;

    /// Runs the program of a service.
    pub fn main<F>(service: ServiceInfo, body: impl FnOnce() -> F) -> std::process::ExitCode
    where
        F: Future,
        F::Output: crate::runtime::MainResult,
    {
        crate::runtime::main(service, body)
    }

    /// Runs a test of a service.
    #[cfg(feature = "testing")]
    pub fn test<F: Future>(
        service: ServiceInfo,
        body: impl FnOnce(crate::testing::TestApp) -> F,
    ) -> F::Output {
        crate::testing::run_test(service, body)
    }
}
