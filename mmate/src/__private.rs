//! The only surface that expanded macros may name. Not part of the public promise.
//!
//! Everything here is reached through generated code, which was written by a `mmate-macros` of
//! exactly the same version.

pub use inventory;
pub use schemars;
pub use serde;

pub use crate::contract::{
    Command, Event, Kind, Location, Message, MessageEntry, MessageInfo, Query, Reply, Request,
};

/// Text of a key field: the aggregate id.
#[must_use]
pub fn key<T: std::fmt::Display + ?Sized>(value: &T) -> String {
    value.to_string()
}

#[cfg(feature = "runtime")]
pub use runtime_surface::*;

#[cfg(feature = "runtime")]
mod runtime_surface {
    pub use std::boxed::Box;

    use crate::contract::MessageInfo;
    pub use crate::handler::{Building, Running, Started};
    pub use crate::handler::{
        Call, FromContext, FromDelivery, FromResources, Handler, HandlerEntry, IntoOutcome,
        ProviderEntry, Requirements, Resources,
    };
    use crate::handler::{HandlerResult, Outcome};
    pub use crate::reliability::{Backoff, ErrorClass, ErrorEntry, MessageError, RetryPolicy};
    pub use crate::transport::QueueKind;

    /// How the first parameter is taken: one use of the bound, so one error if it does not hold.
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

    /// Takes a further parameter.
    pub fn extract<T: FromContext>(call: &Call<'_>) -> HandlerResult<T> {
        T::from_context(call.context())
    }

    /// Says what a further parameter needs.
    pub fn require<T: FromContext>(requirements: &mut Requirements) {
        T::requires(requirements);
    }

    /// The meaning of a handler's result.
    pub fn outcome<T: FromDelivery, R: IntoOutcome<T::Message>>(result: R) -> Outcome {
        result.into_outcome()
    }

    /// Takes a parameter of a provider.
    pub fn provide_argument<T: FromResources>(resources: &Resources) -> HandlerResult<T> {
        T::from_resources(resources)
    }

    /// Says what a parameter of a provider needs.
    pub fn require_argument<T: FromResources>(requirements: &mut Requirements) {
        T::requires(requirements);
    }

    /// Says what a provider provides.
    pub fn provides<T: Send + Sync + 'static>(requirements: &mut Requirements) {
        requirements.need::<T>();
    }

    /// The result of a provider that can fail.
    pub fn provided<T, E>(result: Result<T, E>) -> HandlerResult<Resources>
    where
        T: Send + Sync + 'static,
        E: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        result
            .map(provided_value)
            .map_err(|error| crate::handler::HandlerError::from_boxed(error.into()))
    }

    /// The result of a provider that cannot fail.
    pub fn provided_value<T: Send + Sync + 'static>(value: T) -> Resources {
        let mut resources = Resources::new();
        resources.insert(value);
        resources
    }

    pub use crate::runtime::ServiceInfo;

    /// The program that `#[mmate::main]` makes.
    pub fn main<F>(
        service: ServiceInfo,
        worker_threads: Option<usize>,
        body: impl FnOnce() -> F,
    ) -> std::process::ExitCode
    where
        F: Future,
        F::Output: crate::runtime::MainResult,
    {
        crate::runtime::main(service, worker_threads, body)
    }

    /// The test that `#[mmate::test]` makes.
    #[cfg(feature = "testing")]
    pub fn test<F>(service: ServiceInfo, body: impl FnOnce(crate::testing::TestApp) -> F)
    where
        F: Future,
        F::Output: crate::testing::ServiceTest,
    {
        crate::testing::run_test(service, body);
    }
}
