//! What stands between a message and its handler: rate, bulkhead, circuit breaker.
//!
//! A message waits here before the handler is called: no attempt is used up, nothing is dropped, and as it
//! keeps its place among the running ones, a queue whose places all wait takes nothing more from the
//! broker. The order is rate, bulkhead, breaker, call. Only the bulkhead and the breaker are held, each for
//! a single call, and nobody waits for anything while holding either:
//!
//! - while the breaker refuses, a message waits for it holding nothing, so that handlers which share the
//!   bulkhead go on;
//! - a probe is taken last, so that none idles while its message waits for the rate or the bulkhead;
//! - if the breaker refuses after all, the place in the bulkhead is given back and it all begins again. The
//!   place in the rate is lost then: fewer calls than allowed, never more.
//!
//! Nor does a message wait here without end: brokers close the channel of a consumer that holds a message for
//! long (RabbitMQ after 30 min), and each such loss would use up an attempt of everything that it holds. What
//! waits too long goes back to the broker as a copy with its number of attempts, and comes again.

use std::collections::BTreeMap;
use std::fmt;
use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::sync::{Mutex, Notify, OwnedSemaphorePermit, Semaphore, watch};
use tokio::time::{Instant, sleep_until};

use super::failure::{BreakerOpen, Panicked};
use super::routes::Route;
use crate::contract::DecodeError;
use crate::handler::{HandlerEntry, Outcome};
use crate::reliability::{
    BreakerPolicy, CallEnd, Change, CircuitBreaker, ErrorClass, Permit, RateLimiter, Refusal,
    RetrySettings, Role, Verdict, classify,
};

/// The shortest time for which a message that waited too long stays away.
pub(super) const LATE_WAIT_MIN: Duration = Duration::from_secs(2);

/// The breakers and bulkheads of an app, which handlers share by name.
#[derive(Debug, Default)]
pub struct SharedLimits {
    breakers: BTreeMap<&'static str, Arc<Breaker>>,
    bulkheads: BTreeMap<&'static str, Arc<Semaphore>>,
}

impl SharedLimits {
    /// The limits of a handler, for which no message waits that came longer than `hold_max` ago; nothing if it
    /// has none. The plan has checked that handlers which share something agree on it.
    #[must_use]
    pub fn of(&mut self, entry: &HandlerEntry, hold_max: Duration) -> Option<Limits> {
        let options = &entry.options;
        let rate = options.rate.map(|policy| Rate {
            limiter: RateLimiter::new(policy),
            first_in_line: Mutex::new(()),
        });
        let bulkhead = options.bulkhead.map(|bulkhead| {
            let places = usize::from(bulkhead.places);
            let shared = self.bulkheads.entry(bulkhead.name);
            Arc::clone(shared.or_insert_with(|| Arc::new(Semaphore::new(places))))
        });
        let breaker = options.breaker.map(|policy| match options.breaker_name {
            None => Breaker::new(entry.name, policy),
            Some(name) => {
                let shared = self.breakers.entry(name);
                Arc::clone(shared.or_insert_with(|| Breaker::new(name, policy)))
            }
        });
        let limited = rate.is_some() || bulkhead.is_some() || breaker.is_some();
        limited.then(|| Limits {
            handler: entry.name,
            rate,
            bulkhead,
            breaker,
            falls_back: options.fallback.is_some(),
            hold_max,
            waiting: AtomicUsize::new(0),
        })
    }
}

/// How long a message may wait in this process.
#[derive(Clone, Copy, Debug)]
pub struct Hold<'a> {
    /// When it came, or any time before.
    pub since: Instant,
    /// True once nothing new is to be begun.
    pub halted: &'a watch::Sender<bool>,
}

/// The limits of one handler.
#[derive(Debug)]
pub struct Limits {
    handler: &'static str,
    rate: Option<Rate>,
    bulkhead: Option<Arc<Semaphore>>,
    breaker: Option<Arc<Breaker>>,
    falls_back: bool,
    hold_max: Duration,
    /// Messages that wait for the breaker.
    waiting: AtomicUsize,
}

/// What came of asking for a call.
#[derive(Debug)]
pub(super) enum Admitted {
    /// The handler may be called.
    Call(Box<Ticket>),
    /// The breaker is open, and there is a fallback.
    FallBack(BreakerOpen),
    /// The app stops, or the queue is paused: the message goes back to the queue.
    Left,
    /// It waited too long: the message goes back to the broker for this time.
    Late(Duration),
}

impl Limits {
    /// Waits until the handler may be called, until the consumer is halted, or for too long.
    pub(super) async fn admit(&self, hold: Hold<'_>) -> Admitted {
        let mut halted = hold.halted.subscribe();
        tokio::select! {
            biased;
            // An error means that the consumer is gone, which is as halted as it can be.
            _ = halted.wait_for(|halted| *halted) => Admitted::Left,
            admitted = self.pass() => admitted,
            () = sleep_until(hold.since + self.hold_max) => Admitted::Late(self.late_wait()),
        }
    }

    /// As long as the breaker is open, if it is.
    pub(super) fn late_wait(&self) -> Duration {
        let now = Instant::now();
        let refusal = self.breaker.as_ref().and_then(|breaker| breaker.circuit.refusal(now));
        let open = match refusal {
            Some(Refusal::Open { until }) => until.saturating_duration_since(now),
            _ => Duration::ZERO,
        };
        open.max(LATE_WAIT_MIN)
    }

    async fn pass(&self) -> Admitted {
        loop {
            if let Some(breaker) = &self.breaker
                && breaker.circuit.refusal(Instant::now()).is_some()
            {
                if self.falls_back {
                    let (handler, breaker) = (self.handler, breaker.name);
                    return Admitted::FallBack(BreakerOpen { handler, breaker });
                }
                let _waiting = Waiting::new(&self.waiting, breaker);
                breaker.until_admitting().await;
            }
            if let Some(rate) = &self.rate {
                rate.take().await;
            }
            // The semaphore is never closed; an error would mean "no limit", not "no call".
            let place = match &self.bulkhead {
                Some(bulkhead) => Arc::clone(bulkhead).acquire_owned().await.ok(),
                None => None,
            };
            let held = match &self.breaker {
                Some(breaker) => match breaker.try_hold(self.handler) {
                    Some(held) => Some(held),
                    None => continue,
                },
                None => None,
            };
            return Admitted::Call(Box::new(Ticket { held, _place: place }));
        }
    }
}

/// A rate limit, and the line of those who wait for it.
#[derive(Debug)]
struct Rate {
    limiter: RateLimiter,
    /// Held while waiting: the others wait for it in the order in which they came, and one that stops waiting has
    /// taken nothing.
    first_in_line: Mutex<()>,
}

impl Rate {
    async fn take(&self) {
        let _first = self.first_in_line.lock().await;
        while let Err(at) = self.limiter.try_take(Instant::now()) {
            sleep_until(at).await;
        }
    }
}

/// The right to one call. Whoever drops it without an end gives everything back.
#[derive(Debug)]
pub(super) struct Ticket {
    held: Option<Held>,
    _place: Option<OwnedSemaphorePermit>,
}

impl Ticket {
    /// Tells the breaker how the call ended.
    pub(super) fn end(self, handler: &'static str, outcome: &Outcome, retry: &RetrySettings) {
        if let Some(held) = self.held
            && let Some(end) = call_end(outcome, handler, retry)
        {
            held.record(handler, end);
        }
    }
}

/// What an outcome says of whatever is behind the handler; nothing where the handler did not end by itself.
///
/// The class is the one that decides about retries, rules of the configuration included.
fn call_end(outcome: &Outcome, handler: &str, retry: &RetrySettings) -> Option<CallEnd> {
    let failed = match outcome {
        Outcome::Failed(failed) => failed,
        Outcome::Done | Outcome::Answered(_) => return Some(CallEnd::Success),
        Outcome::Later { .. } => return None,
    };
    let error = failed.as_error();
    if error.is::<DecodeError>() || error.is::<Panicked>() {
        return None;
    }
    Some(match retry.judge(classify(error), handler, || failed.chain()) {
        Verdict::Policy(ErrorClass::Transient | ErrorClass::Throttle | ErrorClass::System, _) => {
            CallEnd::Failure
        }
        _ => CallEnd::Neutral,
    })
}

/// A breaker, and how those who wait for it hear of its changes.
struct Breaker {
    name: &'static str,
    policy: BreakerPolicy,
    circuit: Arc<CircuitBreaker>,
    /// Rings when somebody should look again: a change, a place given back, somebody who waits.
    changed: Notify,
}

impl Breaker {
    fn new(name: &'static str, policy: BreakerPolicy) -> Arc<Self> {
        let circuit = CircuitBreaker::new(policy);
        Arc::new(Self { name, policy, circuit, changed: Notify::new() })
    }

    /// Waits until a call might be admitted.
    async fn until_admitting(&self) {
        loop {
            // Before the look: a change between look and wait rings this one.
            let changed = self.changed.notified();
            match self.circuit.refusal(Instant::now()) {
                None => return,
                Some(Refusal::Open { until }) => {
                    tokio::select! {
                        () = changed => {}
                        () = sleep_until(until) => {}
                    }
                }
                Some(Refusal::Probing) => changed.await,
            }
        }
    }

    fn try_hold(self: &Arc<Self>, handler: &'static str) -> Option<Held> {
        let permit = self.circuit.try_acquire(Instant::now()).ok()?;
        if permit.role() == Role::FirstProbe {
            let (breaker, probes) = (self.name, self.policy.probes);
            tracing::info!(breaker, handler, probes, "circuit breaker is half-open: probing");
            self.changed.notify_waiters();
        }
        Some(Held { permit: Some(permit), breaker: Arc::clone(self) })
    }
}

impl fmt::Debug for Breaker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Breaker")
            .field("name", &self.name)
            .field("circuit", &self.circuit)
            .finish_non_exhaustive()
    }
}

/// A breaker's permit. Those who wait hear of its end, whichever way it ends.
#[derive(Debug)]
struct Held {
    permit: Option<Permit>,
    breaker: Arc<Breaker>,
}

impl Held {
    fn record(mut self, handler: &'static str, end: CallEnd) {
        let Some(permit) = self.permit.take() else { return };
        let (breaker, policy) = (self.breaker.name, self.breaker.policy);
        match permit.record(end, Instant::now()) {
            Some(Change::Opened { .. }) => tracing::warn!(
                breaker,
                handler,
                failures = policy.failures,
                reset = ?policy.reset,
                "circuit breaker opened: nothing is called until the reset time is over"
            ),
            Some(Change::Closed) => tracing::info!(breaker, handler, "circuit breaker closed"),
            None => {}
        }
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        // The place is given back first, or those who are woken would find none.
        drop(self.permit.take());
        self.breaker.changed.notify_waiters();
    }
}

/// Counts a message that waits for a breaker, also if it stops waiting by being dropped.
struct Waiting<'a> {
    count: &'a AtomicUsize,
    breaker: &'a Breaker,
}

impl<'a> Waiting<'a> {
    fn new(count: &'a AtomicUsize, breaker: &'a Breaker) -> Self {
        count.fetch_add(1, Ordering::Relaxed);
        breaker.changed.notify_waiters();
        Self { count, breaker }
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.count.fetch_sub(1, Ordering::Relaxed);
        self.breaker.changed.notify_waiters();
    }
}

/// The breakers for which messages of a queue may wait: those of its handlers without a fallback.
#[derive(Debug)]
pub struct Waits(Vec<Arc<Route>>);

/// Why messages of a queue wait, though its consumer is confirmed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Wait {
    /// The breaker.
    pub breaker: &'static str,
    /// The handler that waits for it.
    pub handler: &'static str,
    /// When it tries again; nothing while probes decide.
    pub until: Option<Instant>,
}

impl Waits {
    pub(super) fn of(routes: impl Iterator<Item = Arc<Route>>) -> Option<Self> {
        let mut waiting: Vec<_> = routes.filter(|route| breaker_of(route).is_some()).collect();
        // A handler stands there once for each name of its message.
        waiting.sort_by_key(|route| (route.entry.location.module, route.entry.name));
        waiting.dedup_by(|a, b| Arc::ptr_eq(a, b));
        (!waiting.is_empty()).then_some(Self(waiting))
    }

    /// The reason now, if there is one: a breaker is open, or all of the queue's `places` wait while
    /// probes are under way elsewhere.
    #[must_use]
    pub fn look(&self, places: usize) -> Option<Wait> {
        let now = Instant::now();
        let all = || self.0.iter().filter_map(|route| breaker_of(route));
        let waiting: usize = all().map(|(limits, _)| limits.waiting.load(Ordering::Relaxed)).sum();
        let wait = |(limits, breaker): (&Limits, &Arc<Breaker>)| {
            let until = match breaker.circuit.refusal(now)? {
                Refusal::Open { until } => Some(until),
                Refusal::Probing if waiting >= places => None,
                Refusal::Probing => return None,
            };
            Some(Wait { breaker: breaker.name, handler: limits.handler, until })
        };
        // The one that tries again last decides when all is well again.
        all().filter_map(wait).max_by_key(|wait| wait.until)
    }

    /// Resolves at the next change after the call, not after the first poll.
    pub fn changed(&self) -> impl Future<Output = ()> {
        let changes: Vec<_> = self
            .0
            .iter()
            .filter_map(|route| breaker_of(route))
            .map(|(_, breaker)| Box::pin(breaker.changed.notified()))
            .collect();
        async move {
            futures_util::future::select_all(changes).await;
        }
    }
}

fn breaker_of(route: &Route) -> Option<(&Limits, &Arc<Breaker>)> {
    let limits = route.limits.as_ref().filter(|limits| !limits.falls_back)?;
    Some((limits, limits.breaker.as_ref()?))
}
