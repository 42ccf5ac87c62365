//! One call of a handler: deadline, panic isolation, span.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use futures_util::FutureExt;
use tracing::Instrument;

use super::failure::{Panicked, TimedOut};
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
    let handler = target.name;
    let span = tracing::info_span!(
        "handle",
        handler,
        message_id = call.context().message_id(),
        correlation_id = call.context().correlation_id(),
        attempt = call.context().attempt(),
    );
    let started = span.in_scope(|| catch_unwind(AssertUnwindSafe(|| (target.start)(&call))));
    let running = match started {
        Ok(Ok(running)) => running,
        Ok(Err(error)) => return Outcome::Failed(error),
        Err(panic) => return Outcome::Failed(Panicked::new(handler, &*panic).into()),
    };
    // The handler's future is dropped at the limit: work that it awaits is cancelled, not abandoned.
    let guarded = tokio::time::timeout(limit, AssertUnwindSafe(running).catch_unwind());
    match guarded.instrument(span).await {
        Ok(Ok(outcome)) => outcome,
        Ok(Err(panic)) => Outcome::Failed(Panicked::new(handler, &*panic).into()),
        Err(_) => Outcome::Failed(HandlerError::from(TimedOut { handler, limit, called: true })),
    }
}
