//! Outcome -> acknowledge, try again, dead-letter. The only place that decides the fate of a delivery.

use std::future::{Future, ready};
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::Either;
use futures_util::{FutureExt, TryFutureExt};
use tokio::sync::watch;
use tokio::time::Instant;

use super::alert::Alerts;
use super::answer::{Caller, No};
use super::dead_letter::{both_error_texts, error_text};
use super::failure::{Failure, id_of, reason_of};
use super::park::Parking;
use super::postpone;
use super::status::Counters;
use crate::contract::envelope::format_timestamp;
use crate::contract::refusal::codes;
use crate::contract::{DecodeError, Refusal};
use crate::dispatch::{Dispatched, Handled, Route, Wait};
use crate::handler::{Answer, HandlerError, Outcome};
use crate::observability::{Account, Fate, Note};
use crate::publish::{Outbox, Publisher};
use crate::reliability::{ErrorClass, Reject, RetrySettings, Step, Verdict, classify};
use crate::transport::{Delivery, Outgoing, Queue, Settlement, Transport};

/// What follows an outcome.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Decision {
    /// Tell the broker.
    Settle(Settlement),
    /// Hand it to the handler after this wait, for the given time.
    RetryAfter { attempt: u32, wait: Duration },
    /// Say nothing: the app stops, and the broker gives the message to somebody else.
    Leave,
}

/// Decides the fate of the deliveries of one queue.
#[derive(Clone, Debug)]
pub struct Settler {
    publisher: Publisher,
    counters: Arc<Counters>,
    parking: Parking,
    retry: Arc<RetrySettings>,
    delays: bool,
}

impl Settler {
    /// A settler that dead-letters to `dead_letter`.
    #[must_use]
    pub fn new(
        publisher: Publisher,
        transport: Arc<dyn Transport>,
        counters: Arc<Counters>,
        dead_letter: Queue,
        stopping: watch::Receiver<bool>,
    ) -> Self {
        let alerts = Alerts::default();
        let parking = Parking {
            publisher: publisher.clone(),
            transport,
            queue: dead_letter,
            alerts,
            stopping,
        };
        Self { publisher, counters, parking, retry: Arc::default(), delays: false }
    }

    /// Says what configuration says about failures.
    #[must_use]
    pub fn retry(mut self, retry: Arc<RetrySettings>) -> Self {
        self.retry = retry;
        self
    }

    /// Says whether waits of more than a second are left to the broker.
    #[must_use]
    pub const fn delays(mut self, delays: bool) -> Self {
        self.delays = delays;
        self
    }

    /// Says who hears that a message cannot be dead-lettered.
    #[must_use]
    pub fn alerts(mut self, alerts: Alerts) -> Self {
        self.parking.alerts = alerts;
        self
    }

    /// Where failed messages go.
    pub(super) fn dead_letter_queue(&self) -> &str {
        &self.parking.queue.name
    }

    /// Moves a message to the dead-letter queue.
    pub(super) async fn dead_letter(
        &self,
        failure: &Failure<'_>,
        reason: &'static str,
    ) -> Decision {
        self.parking.dead_letter(failure, reason).await
    }

    /// Where messages without a handler are counted.
    pub(super) fn unrouted(&self) -> &Account {
        self.counters.unrouted()
    }

    /// Finishes an attempt.
    ///
    /// No `async fn`, which would keep a second place for what it is given in the future of every message.
    ///
    /// # Errors
    /// The failure that used up the attempts, if the handler has a fallback: its turn has come.
    pub(super) fn finish<'a>(
        &'a self,
        queue: &'a str,
        delivery: &'a Delivery,
        dispatched: Dispatched,
        attempt: u32,
    ) -> impl Future<Output = Result<Decision, HandlerError>> + Send + use<'a> {
        // Boxed, as all that few messages need: every message makes room for what is not.
        let handled = match dispatched {
            Dispatched::Handled(handled) => handled,
            Dispatched::Left => return Either::Left(ready(Ok(Decision::Leave)).boxed()),
            // With the number of this attempt: it was not made.
            Dispatched::Late(wait) => {
                let postponed = self.postpone(queue, delivery, attempt, wait);
                return Either::Left(postponed.map(Ok).boxed());
            }
        };
        if handled.instead_of.is_some() {
            let finished = self.finish_instead(queue, delivery, handled, attempt);
            return Either::Left(finished.map(Ok).boxed());
        }
        let Handled { outcome, route, outbox, reply_to, began, caching, .. } = handled;
        if let Outcome::Later { attempt: next, wait, reason } = outcome {
            drop(caching);
            let account = route.as_ref().map_or_else(|| self.unrouted(), |route| &*route.account);
            account.record(Fate::Retried, Note::new(id_of(delivery), attempt).because(reason));
            return Either::Left(self.postpone(queue, delivery, next, wait).map(Ok).boxed());
        }
        // Taken in any case: what a leftover task of the handler publishes later is refused.
        let messages = outbox.as_deref().map(Outbox::close).unwrap_or_default();
        Either::Right(async move {
            let place = (queue, delivery);
            let caller = Caller::of(place, reply_to.as_deref(), outbox.as_deref(), began);
            let account = route.as_ref().map_or_else(|| self.unrouted(), |route| &*route.account);
            let error = match self.complete(outcome, messages, caller).await {
                Ok(()) => {
                    // Everything has left, so it is handled whatever comes; and only now is the ack handed on.
                    // Crash window: counted and not acknowledged. The redelivery counts it again, with the
                    // same id, and a full ledger shows both. The other order would lose what was handled.
                    let reason = caching.finish();
                    account.record(Fate::Handled, Note { id: id_of(delivery), attempt, reason });
                    return Ok(Decision::Settle(Settlement::Ack));
                }
                Err(error) => error,
            };
            // The next equal query has its turn now, and not after this one's dead letter is confirmed.
            drop(caching);
            let handler = route.as_ref().map_or("-", |route| route.entry.name);
            let failure = Failure { queue, delivery, handler, attempt, error, account };
            Box::pin(self.failed(failure, route.as_deref(), caller)).await
        })
    }

    /// Finishes the call of a fallback: there is no further attempt.
    pub(super) async fn finish_instead(
        &self,
        queue: &str,
        delivery: &Delivery,
        handled: Handled,
        attempt: u32,
    ) -> Decision {
        let Handled { outcome, route, outbox, reply_to, instead_of, began, .. } = handled;
        let messages = outbox.as_deref().map(Outbox::close).unwrap_or_default();
        let place = (queue, delivery);
        let caller = Caller::of(place, reply_to.as_deref(), outbox.as_deref(), began);
        let account = route.as_ref().map_or_else(|| self.unrouted(), |route| &*route.account);
        let completed = self.complete(outcome, messages, caller).await;
        let (handler, fallback) = route.as_ref().map_or(("-", "-"), |route| {
            let fallback = route.entry.options.fallback;
            (route.entry.name, fallback.map_or("-", |fallback| fallback.name))
        });
        let original =
            instead_of.unwrap_or_else(|| HandlerError::msg("the handler was not called"));
        let reason = reason_of(&original, ErrorClass::Unknown);
        match completed {
            Ok(()) => {
                let (message_id, error) = (id_of(delivery), error_text(&original));
                tracing::info!(queue, handler, fallback, message_id, attempt, %error, "handled by the fallback");
                account.record(Fate::FellBack, Note::new(message_id, attempt).because(reason));
                Decision::Settle(Settlement::Ack)
            }
            Err(failed) => {
                let error = HandlerError::msg(both_error_texts(&original, fallback, &failed));
                let failure = Failure { queue, delivery, handler, attempt, error, account };
                self.park(&failure, reason, caller).await
            }
        }
    }

    /// What follows a success, in an order in which a crash leads to redelivery and never to loss.
    ///
    /// No `async fn`, as [`Settler::finish`].
    fn complete<'a>(
        &'a self,
        outcome: Outcome,
        messages: Vec<Outgoing>,
        caller: Option<Caller<'a>>,
    ) -> impl Future<Output = Result<(), HandlerError>> + Send + use<'a> {
        let answer = match outcome {
            Outcome::Failed(error) => return Either::Left(ready(Err(error)).boxed()),
            Outcome::Done => None,
            Outcome::Answered(answer) => Some(answer),
            Outcome::Later { .. } => {
                let error = HandlerError::msg("only what is tried again may come later");
                return Either::Left(ready(Err(error)).boxed());
            }
        };
        // Crash window 1: the handler's effect is done and its messages have not left. The broker
        // redelivers, the handler runs again. If only some of them are taken, that is a failed attempt,
        // and the next one publishes all of them with the same ids.
        if messages.is_empty() {
            return Either::Right(self.answer(caller, answer));
        }
        let all = async move {
            self.publisher.deliver_all(messages).await?;
            // Crash window 2: the messages are confirmed and the reply has not left. The redelivery
            // publishes the same ids again, which an idempotent consumer sees once.
            self.answer(caller, answer).await
        };
        Either::Left(all.boxed())
    }

    /// Crash window 3: the reply has left and the ack has not. As window 2, with a second reply.
    fn answer<'a>(
        &'a self,
        caller: Option<Caller<'a>>,
        answer: Option<Answer>,
    ) -> impl Future<Output = Result<(), HandlerError>> + Send + use<'a> {
        match caller {
            Some(caller) => Either::Left(caller.answer(&self.publisher, answer).err_into()),
            None => Either::Right(ready(Ok(()))),
        }
    }

    /// Parks a message, and tells whoever waits for its answer.
    async fn park(
        &self,
        failure: &Failure<'_>,
        reason: &'static str,
        caller: Option<Caller<'_>>,
    ) -> Decision {
        let decision = self.dead_letter(failure, reason).await;
        // Crash window: parked and not answered. The redelivery is parked and answered again.
        if let (Some(caller), Decision::Settle(_)) = (caller, decision) {
            caller.refuse(&self.publisher, No::Failed, failure.refusal(reason)).await;
        }
        decision
    }

    async fn failed(
        &self,
        failure: Failure<'_>,
        route: Option<&Route>,
        caller: Option<Caller<'_>>,
    ) -> Result<Decision, HandlerError> {
        let error = failure.error.as_error();
        if let Some(undecodable) = error.downcast_ref::<DecodeError>() {
            return Ok(self.park(&failure, undecodable.reason().as_str(), caller).await);
        }
        let policy = route.and_then(|route| route.retry);
        let falls_back = route.is_some_and(|route| route.entry.options.fallback.is_some());
        let own = classify(error);
        Ok(match self.retry.judge(own, failure.handler, || failure.error.chain()) {
            Verdict::Reject(reject) => self.reject(&failure, reject, caller).await,
            Verdict::DeadLetter => self.park(&failure, "asked_by_handler", caller).await,
            Verdict::Discard => {
                failure.log("discarded at the handler's wish");
                if let Some(caller) = caller {
                    let refusal = Refusal::new(codes::DISCARDED, "the handler did not want it");
                    caller.refuse(&self.publisher, No::Rejected, refusal).await;
                }
                failure.settled(Fate::Discarded)
            }
            Verdict::Policy(class, wait) => {
                let next = self.retry.policies.of(class, policy).next(
                    failure.attempt,
                    wait,
                    self.fraction(),
                );
                match next {
                    Step::RetryAfter(wait) => {
                        failure.log_retry(class, wait);
                        failure.record(Fate::Retried, Some(class.as_str()));
                        let Failure { queue, delivery, attempt, .. } = failure;
                        self.postpone(queue, delivery, attempt + 1, wait).await
                    }
                    // What no attempt can help, a fallback cannot handle either: the message is wrong.
                    Step::GiveUp
                        if falls_back
                            && !matches!(class, ErrorClass::Invalid | ErrorClass::Permanent) =>
                    {
                        return Err(failure.error);
                    }
                    Step::GiveUp => {
                        self.park(&failure, reason_of(&failure.error, class), caller).await
                    }
                }
            }
        })
    }

    /// What messages wait for, in words and with the time of day.
    pub(super) fn describe(&self, wait: Wait) -> String {
        let Wait { breaker, handler, until, .. } = wait;
        let which = format!("circuit breaker `{breaker}` of handler `{handler}`");
        match until {
            None => format!("every place waits for {which}, which is being probed"),
            Some(until) => {
                let wait = until.saturating_duration_since(Instant::now());
                let now = self.publisher.encoder().source.now();
                let at = format_timestamp(postpone::moment(now, wait));
                format!("{which} is open; it tries again at {at}")
            }
        }
    }

    /// How long a message must still wait that came before its time: brokers keep messages back in
    /// steps, and bring them early rather than late.
    pub(super) fn wait_left(&self, delivery: &Delivery) -> Option<Duration> {
        postpone::wait_left(delivery, || self.publisher.encoder().source.now())
    }

    /// Lets a message wait for an attempt: a short time in this process, a longer one at the broker.
    ///
    /// The copy carries the number of the attempt, and is confirmed before the original is
    /// acknowledged. Crash window: both exist for a moment, and the attempt is made twice; the count is
    /// never lost.
    pub(super) async fn postpone(
        &self,
        queue: &str,
        delivery: &Delivery,
        attempt: u32,
        wait: Duration,
    ) -> Decision {
        let wait = wait.min(postpone::WAIT_MAX);
        if !self.delays || wait <= postpone::IN_PROCESS_MAX {
            return Decision::RetryAfter { attempt, wait };
        }
        let due = postpone::moment(self.publisher.encoder().source.now(), wait);
        let copy = postpone::copy(delivery, queue, attempt, due, wait);
        match self.publisher.forward(copy).await {
            Ok(()) => Decision::Settle(Settlement::Ack),
            Err(error) => {
                // Better a place of the prefetch than a message that nobody waits for.
                tracing::warn!(queue, ?wait, %error, "a retry cannot wait at the broker; it waits in this process");
                Decision::RetryAfter { attempt, wait }
            }
        }
    }

    fn fraction(&self) -> f64 {
        self.publisher.encoder().source.fraction()
    }

    /// Answers a refusal, then acknowledges. Without a caller it is only logged and counted.
    async fn reject(
        &self,
        failure: &Failure<'_>,
        reject: Reject,
        caller: Option<Caller<'_>>,
    ) -> Decision {
        failure.log("refused by the handler, never retried");
        if let Some(caller) = caller {
            let Reject { code, message, details } = reject;
            let refusal = Refusal::new(code, message).details(details);
            // Crash window: answered and not acknowledged. The redelivery refuses and answers again.
            caller.refuse(&self.publisher, No::Rejected, refusal).await;
        }
        failure.settled(Fate::Rejected)
    }
}
