//! One request and its reply.

use std::fmt;
use std::future::{Future, IntoFuture};
use std::pin::Pin;
use std::time::Duration;

use super::error::AskError;
use super::reply;
use super::request::{Bridge, Notes};
use crate::contract::{HeaderValue, Message, Reply, Request, Text};
use crate::publish::{IntoDuration, PublishOptions};

/// A request with its options; awaiting it sends it and waits for the reply, an `R`.
#[must_use = "nothing is asked until it is awaited"]
pub struct Ask<'a, R> {
    options: AskOptions,
    /// Knows the message. Its type stands nowhere here: asking what cannot be asked is then one mistake,
    /// at the message, and not another one at every method and at the `.await`.
    run: Box<dyn FnOnce(AskOptions) -> Asking<'a, R> + Send + 'a>,
}

/// What awaiting comes to.
pub(super) type Asking<'a, T> = Pin<Box<dyn Future<Output = Result<T, AskError>> + Send + 'a>>;

/// What a caller may say about one request.
#[derive(Clone, Debug, Default)]
pub(super) struct AskOptions {
    /// Boxed, and only where something is said: the future that waits for the reply would keep the place of what is
    /// read at its beginning.
    pub(super) publish: Option<Box<PublishOptions>>,
    pub(super) timeout: Option<Duration>,
}

impl AskOptions {
    /// What is said beside the timeout.
    pub(super) fn publish(&mut self) -> &mut PublishOptions {
        self.publish.get_or_insert_default()
    }

    pub(super) fn set_timeout(&mut self, timeout: Result<Duration, String>) {
        match timeout {
            Ok(timeout) if timeout.is_zero() => self
                .publish()
                .note("the timeout is zero: nobody would wait for the reply".to_owned()),
            Ok(timeout) => self.timeout = Some(timeout),
            Err(mistake) => self.publish().note(mistake),
        }
    }
}

impl<'a, R> Ask<'a, R> {
    pub(super) fn new<M: Request<Reply = R>>(bridge: &'a Bridge, message: M) -> Self
    where
        R: Reply,
    {
        let run = move |options| -> Asking<'a, R> { Box::pin(ask(bridge, message, options)) };
        Self { options: AskOptions::default(), run: Box::new(run) }
    }

    /// Sets how long to wait for the reply instead of `bridge.timeout` (30 s by default): a `Duration`,
    /// or text like `"60s"`. All waits count: for a place, for the broker, for the reply.
    pub fn timeout(mut self, timeout: impl IntoDuration) -> Self {
        self.options.set_timeout(timeout.into_duration());
        self
    }

    /// Adds a header: text, a number or a boolean.
    pub fn header(mut self, name: impl Into<Text>, value: impl Into<HeaderValue>) -> Self {
        self.options.publish().set_header(name.into(), value.into());
        self
    }

    /// Sets the priority, from 0 to 9; 5 is ordinary.
    pub fn priority(mut self, priority: u8) -> Self {
        self.options.publish().set_priority(priority);
        self
    }

    /// Sets the correlation id instead of inheriting or making one. At most 255 bytes.
    pub fn correlation_id(mut self, id: impl Into<Text>) -> Self {
        self.options.publish().correlation_id = Some(id.into());
        self
    }

    /// Sets the request's id instead of making one: ask again with the id of an
    /// [`AskError`](AskError::id). At most 255 bytes.
    pub fn id(mut self, id: impl Into<Text>) -> Self {
        self.options.publish().message_id = Some(id.into());
        self
    }
}

/// Not an `async fn`: options that are read before the first wait take no place in the future.
fn ask<'a, M: Request>(
    bridge: &'a Bridge,
    message: M,
    mut options: AskOptions,
) -> impl Future<Output = Result<M::Reply, AskError>> + Send + 'a {
    let call = bridge.call(M::INFO, &mut options);
    async move {
        let ready = bridge.prepare(&call).await?;
        let notes = Notes { deadline: true, near: true, flag: None };
        let mut letter = bridge.write(&call, &message, options, &ready, notes)?;
        let expected = Some(<M::Reply as Message>::INFO);
        let reply = bridge.exchange(&call, &mut letter, &ready, expected).await?;
        reply::read::<M::Reply>(&call.asked, &reply)
    }
}

impl<'a, R> IntoFuture for Ask<'a, R> {
    type Output = Result<R, AskError>;
    type IntoFuture = Pin<Box<dyn Future<Output = Self::Output> + Send + 'a>>;

    fn into_future(self) -> Self::IntoFuture {
        (self.run)(self.options)
    }
}

impl<R> fmt::Debug for Ask<'_, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ask").field("options", &self.options).finish_non_exhaustive()
    }
}
