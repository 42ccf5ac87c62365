//! One call of a handler: deadline, panic isolation, span.

use std::future::{Future, ready};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::Either;
use tracing::level_filters::LevelFilter;
use tracing::{Instrument, Span};

use super::failure::{Callee, Panicked, TimedOut};
use crate::handler::{Call, Context, Fallback, HandlerEntry, HandlerError, Outcome, Started};

/// What is called for a message: its handler, or the handler's fallback.
#[derive(Clone, Copy)]
pub(super) struct Target {
    pub(super) name: &'static str,
    pub(super) is_fallback: bool,
    start: fn(&Call<'_>) -> Started,
}

impl From<&HandlerEntry> for Target {
    fn from(entry: &HandlerEntry) -> Self {
        Self { name: entry.name, is_fallback: false, start: entry.start }
    }
}

impl From<Fallback> for Target {
    fn from(fallback: Fallback) -> Self {
        Self { name: fallback.name, is_fallback: true, start: fallback.start }
    }
}

/// Calls the function, at once; what this gives resolves when the call has ended. A panic, also one while decoding, and
/// an overrun come back as failures. With a `fault` nothing is called.
pub(super) fn invoke(
    target: Target,
    limit: Duration,
    fault: Option<HandlerError>,
    call: &Call<'_>,
) -> impl Future<Output = Outcome> + Send + use<> {
    let span = span(target, call.context());
    let callee = Callee("handler", target.name);
    let running = fault.map_or_else(|| begin(callee, &span, || (target.start)(call)), Err);
    guarded(callee, limit, span, running).map(|ended| ended.unwrap_or_else(Outcome::Failed))
}

/// Where nobody listens there is no span at all: a database driver turns on `tracing`'s feature `log`, with which also a
/// span that is off says each time that it is entered and left.
fn span(target: Target, context: &Context) -> Span {
    if LevelFilter::current() < LevelFilter::INFO {
        return Span::none();
    }
    tracing::info_span!(
        "handle",
        handler = target.name,
        message_id = context.message_id(),
        correlation_id = context.correlation_id(),
        attempt = context.attempt(),
    )
}

/// A call of the user's code that is under way.
type Running<T> = Pin<Box<dyn Future<Output = T> + Send>>;

/// Begins a call of the user's code in its span. What it is called goes into the errors.
///
/// # Errors
/// That it could not begin; [`Panicked`].
pub(crate) fn begin<T>(
    callee: Callee,
    span: &Span,
    start: impl FnOnce() -> Result<Running<T>, HandlerError>,
) -> Result<Running<T>, HandlerError> {
    span.in_scope(|| catch_unwind(AssertUnwindSafe(start)))
        .unwrap_or_else(|panic| Err(Panicked::new(callee, &*panic).into()))
}

/// Goes on with a call that has begun, in its span.
///
/// No `async fn`, which would keep a place for what it is given beside the one for what it waits for: such a future is
/// part of every message's.
///
/// # Errors
/// That it could not begin; [`Panicked`]; [`TimedOut`].
pub(crate) fn guarded<T: Send>(
    callee: Callee,
    limit: Duration,
    span: Span,
    running: Result<Running<T>, HandlerError>,
) -> impl Future<Output = Result<T, HandlerError>> + Send + use<T> {
    let running = match running {
        Ok(running) => running,
        Err(error) => return Either::Left(ready(Err(error))),
    };
    // The future is dropped at the limit: work that it awaits is cancelled, not abandoned.
    let ended = tokio::time::timeout(limit, AssertUnwindSafe(running).catch_unwind());
    Either::Right(ended.instrument(span).map(move |ended| match ended {
        Ok(Ok(ended)) => Ok(ended),
        Ok(Err(panic)) => Err(Panicked::new(callee, &*panic).into()),
        Err(_) => Err(TimedOut { callee, limit, called: true }.into()),
    }))
}
