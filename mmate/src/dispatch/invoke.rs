//! One call of a handler: deadline, panic isolation, span.

use std::panic::{AssertUnwindSafe, catch_unwind};

use futures_util::FutureExt;
use tracing::Instrument;

use super::failure::{Panicked, TimedOut};
use super::routes::Route;
use crate::handler::{Call, HandlerError, Outcome};

/// Calls the handler. A panic, also one while decoding, and an overrun come back as failures.
pub(super) async fn invoke(route: &Route, call: Call<'_>) -> Outcome {
    #[cfg(feature = "testing")]
    if let Some(faults) = &route.faults
        && let Some(error) = faults.take(route.entry, call.context().queue())
    {
        return Outcome::Failed(error);
    }
    let handler = route.entry.name;
    let span = tracing::info_span!(
        "handle",
        handler,
        message_id = call.context().message_id(),
        correlation_id = call.context().correlation_id(),
        attempt = call.context().attempt(),
    );
    let started = span.in_scope(|| catch_unwind(AssertUnwindSafe(|| (route.entry.start)(&call))));
    let running = match started {
        Ok(Ok(running)) => running,
        Ok(Err(error)) => return Outcome::Failed(error),
        Err(panic) => return Outcome::Failed(Panicked::new(handler, &*panic).into()),
    };
    // The handler's future is dropped at the limit: work that it awaits is cancelled, not abandoned.
    let guarded = tokio::time::timeout(route.timeout, AssertUnwindSafe(running).catch_unwind());
    match guarded.instrument(span).await {
        Ok(Ok(outcome)) => outcome,
        Ok(Err(panic)) => Outcome::Failed(Panicked::new(handler, &*panic).into()),
        Err(_) => Outcome::Failed(HandlerError::from(TimedOut { handler, limit: route.timeout })),
    }
}
