//! One call of a handler: deadline, panic isolation, span.

use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::time::Duration;

use futures_util::FutureExt;
use tracing::{Instrument, Span};

use super::failure::{Callee, Panicked, TimedOut};
use crate::handler::{Call, Fallback, HandlerEntry, HandlerError, Outcome, Started};

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

/// Calls the function. A panic, also one while decoding, and an overrun come back as failures.
pub(super) async fn invoke(target: Target, limit: Duration, call: Call<'_>) -> Outcome {
    let span = tracing::info_span!(
        "handle",
        handler = target.name,
        message_id = call.context().message_id(),
        correlation_id = call.context().correlation_id(),
        attempt = call.context().attempt(),
    );
    guarded(Callee("handler", target.name), limit, span, || (target.start)(&call))
        .await
        .unwrap_or_else(Outcome::Failed)
}

/// A call of the user's code that is under way.
type Running<T> = Pin<Box<dyn Future<Output = T> + Send>>;

/// Runs a call of the user's code in its span. What it is called goes into the errors.
///
/// # Errors
/// That it could not begin; [`Panicked`], also while it began; [`TimedOut`].
pub(crate) async fn guarded<T>(
    callee: Callee,
    limit: Duration,
    span: Span,
    start: impl FnOnce() -> Result<Running<T>, HandlerError>,
) -> Result<T, HandlerError> {
    let started = span.in_scope(|| catch_unwind(AssertUnwindSafe(start)));
    let running = match started {
        Ok(started) => started?,
        Err(panic) => return Err(Panicked::new(callee, &*panic).into()),
    };
    // The future is dropped at the limit: work that it awaits is cancelled, not abandoned.
    let guarded = tokio::time::timeout(limit, AssertUnwindSafe(running).catch_unwind());
    match guarded.instrument(span).await {
        Ok(Ok(ended)) => Ok(ended),
        Ok(Err(panic)) => Err(Panicked::new(callee, &*panic).into()),
        Err(_) => Err(TimedOut { callee, limit, called: true }.into()),
    }
}
