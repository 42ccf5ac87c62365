//! One attempt of one of the user's methods: deadline, panic isolation, an outbox of its own.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;
use uuid::Uuid;

use super::ask::ReplyTo;
use super::call::StageCall;
use super::definition::{StageEntry, StageFn};
use super::engine::Engine;
use super::graph::Graph;
use super::key::{StageInfo, StageKey};
use crate::dispatch::{Callee, Panicked, TimedOut, begin, guarded};
use crate::handler::{Context, HandlerError};
use crate::publish::{Origin, Outbox};
use crate::reliability::{RetryPolicy, Step, Verdict, classify, outcome_is_unknown};
use crate::transport::{Outgoing, PublishError};

/// Which method of which stage is called, and for whom.
#[derive(Clone)]
pub(super) struct Target<'a> {
    pub(super) graph: &'a Graph,
    pub(super) stage: &'static StageEntry,
    /// The method, which undoes the stage if `failure` is given.
    pub(super) run: StageFn,
    pub(super) instance: Uuid,
    pub(super) round: u32,
    pub(super) attempt: u32,
    /// Why the instance goes back.
    pub(super) failure: Option<&'a str>,
    /// Where the reply to its request goes, if it asks.
    pub(super) reply_to: Option<ReplyTo>,
}

/// What came of an attempt.
pub(super) struct Ran {
    /// The new state or the branch's value, or the failure.
    pub(super) end: Result<String, HandlerError>,
    /// What it published; it leaves only if the attempt succeeded.
    pub(super) messages: Vec<Outgoing>,
    pub(super) took: Duration,
}

impl Ran {
    /// Whether a failed attempt may have had its effect: it did not come to an end of its own, or says so.
    pub(super) fn is_doubtful(&self) -> bool {
        self.end.as_ref().is_err_and(|error| {
            let error = error.as_error();
            error.is::<TimedOut>() || error.is::<Panicked>() || outcome_is_unknown(error)
        })
    }
}

impl Engine {
    /// Calls a method. Nothing if this process lost its lease meanwhile: the work is dropped, and others may have begun
    /// it.
    pub(super) async fn attempt(
        &self,
        target: Target<'_>,
        limit: Duration,
        (state, values): (&str, &[Option<String>]),
        context: &Context,
    ) -> Option<Ran> {
        let began = Instant::now();
        let name = target.stage.name;
        let origin = context.origin();
        // Of its own: what a failed branch published must not leave with what the others did, and ids follow from the
        // stage and the order within it, not from which branch was faster.
        let outbox = Arc::new(Outbox::new(Origin::new(
            origin.meta().clone(),
            Arc::clone(&context.parts().queue),
            name,
        )));
        let info = StageInfo {
            workflow: target.graph.entry.id,
            instance: target.instance,
            stage: name,
            key: StageKey::new(target.instance, name, target.round),
            attempt: target.attempt,
            undoing: target.failure.is_some(),
            failure: target.failure.map(str::to_owned),
            reply_to: target.reply_to,
        };
        let context = context.extended(info, name, began + limit, Arc::clone(&outbox));
        let span = tracing::info_span!(
            "stage",
            workflow = target.graph.entry.id,
            instance = %target.instance,
            stage = name,
            attempt = target.attempt,
            undoing = target.failure.is_some(),
        );
        let call = StageCall::new(state, values, &context);
        let role = if target.failure.is_some() { "the undoing of stage" } else { "stage" };
        let callee = Callee(role, name);
        let running = begin(callee, &span, || (target.run)(&call));
        let end = self.while_alive(guarded(callee, limit, span, running)).await?;
        let messages = outbox.close();
        Some(Ran { end: end.and_then(|end| end), messages, took: began.elapsed() })
    }

    async fn while_alive<T>(&self, running: impl Future<Output = T>) -> Option<T> {
        if self.0.store.is_none() {
            return Some(running.await);
        }
        tokio::select! {
            biased;
            ended = running => Some(ended),
            () = self.lease_lost() => None,
        }
    }

    /// Publishes what a method published, now that it has succeeded.
    ///
    /// Crash window: it has left and the step is not durable. The stage runs again and publishes the same ids.
    pub(super) async fn publish(&self, messages: Vec<Outgoing>) -> Result<(), PublishError> {
        if messages.is_empty() {
            return Ok(());
        }
        Box::pin(self.0.publisher.deliver_all(messages)).await
    }

    /// What follows the failed attempt with this number.
    pub(super) fn after_failure(
        &self,
        name: &str,
        attempt: u32,
        policy: Option<RetryPolicy>,
        error: &HandlerError,
    ) -> Step {
        let retry = &self.0.options.retry;
        match retry.judge(classify(error.as_error()), name, || error.chain()) {
            Verdict::Policy(class, wait) => {
                let fraction = self.0.publisher.encoder().source.fraction();
                retry.policies.of(class, policy).next(attempt, wait, fraction)
            }
            // A refusal is an answer: no other attempt gives another one.
            Verdict::Reject(_) | Verdict::DeadLetter | Verdict::Discard => Step::GiveUp,
        }
    }
}
