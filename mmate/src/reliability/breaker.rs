//! When to stop calling what keeps failing.
//!
//! The breaker only admits and records: its lock is never held while somebody is called, so calls run
//! in parallel. Time is handed in; waiting is the caller's business.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// When a circuit breaker opens and closes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct BreakerPolicy {
    /// Failures in a row that open it; at least 1. Only a success breaks the row.
    pub failures: u32,
    /// How long nothing is called once it is open.
    pub reset: Duration,
    /// How many calls are let through afterwards; it closes when all of them have come back without a
    /// failure. At least 1.
    pub probes: u32,
}

impl BreakerPolicy {
    /// Opens after 5 failures in a row, stays quiet for 30 s, closes after 3 good probes.
    pub const DEFAULT: Self = Self::new(5, 30_000, 3);

    /// A policy; `reset_ms` in milliseconds.
    #[must_use]
    pub const fn new(failures: u32, reset_ms: u64, probes: u32) -> Self {
        Self { failures, reset: Duration::from_millis(reset_ms), probes }
    }

    /// Sets the failures in a row that open it.
    #[must_use]
    pub const fn failures(mut self, failures: u32) -> Self {
        self.failures = failures;
        self
    }

    /// Sets the quiet time, in milliseconds.
    #[must_use]
    pub const fn reset_ms(mut self, reset_ms: u64) -> Self {
        self.reset = Duration::from_millis(reset_ms);
        self
    }

    /// Sets how many probes must pass.
    #[must_use]
    pub const fn probes(mut self, probes: u32) -> Self {
        self.probes = probes;
        self
    }
}

/// How a call ended, as far as a breaker cares.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CallEnd {
    /// What was called works.
    Success,
    /// What was called is away, broken or overloaded.
    Failure,
    /// The error was about the message: it says nothing of what was called. It does not count while
    /// the breaker is closed, and completes a probe.
    Neutral,
}

/// What a result changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// The breaker opened; nothing is called until then.
    Opened {
        /// When probes are let through.
        until: Instant,
    },
    /// The breaker closed.
    Closed,
}

/// Why a call is not admitted now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// Open.
    Open {
        /// When probes are let through.
        until: Instant,
    },
    /// As many probes as may be are under way; their ends decide.
    Probing,
}

/// Something that gives one caller at a time access to a value: a mutex, or that of a model checker.
pub trait Exclusive<T> {
    /// Guards a value.
    fn guard(value: T) -> Self;

    /// Works on the value while nobody else does.
    fn with<R>(&self, work: impl FnOnce(&mut T) -> R) -> R;
}

impl<T> Exclusive<T> for Mutex<T> {
    fn guard(value: T) -> Self {
        Self::new(value)
    }

    fn with<R>(&self, work: impl FnOnce(&mut T) -> R) -> R {
        work(&mut self.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// A circuit breaker: closed, open, or half-open while it lets probes through.
#[derive(Debug)]
pub struct CircuitBreaker<L: Exclusive<Machine> = Mutex<Machine>> {
    machine: L,
}

impl<L: Exclusive<Machine>> CircuitBreaker<L> {
    /// A closed breaker.
    #[must_use]
    pub fn new(policy: BreakerPolicy) -> Arc<Self> {
        let phase = Phase::Closed { failures: 0 };
        Arc::new(Self { machine: L::guard(Machine { policy, generation: 0, phase }) })
    }

    /// Asks to make a call. The first one after the quiet time half-opens the breaker.
    ///
    /// # Errors
    /// If the call must wait.
    pub fn try_acquire(self: &Arc<Self>, now: Instant) -> Result<Permit<L>, Refusal> {
        let (generation, role) = self.machine.with(|machine| machine.admit(now))?;
        Ok(Permit { breaker: Arc::clone(self), generation, role, pending: true })
    }

    /// Why a call would be refused now, if it would; changes nothing.
    #[must_use]
    pub fn refusal(&self, now: Instant) -> Option<Refusal> {
        self.machine.with(|machine| machine.refusal(now))
    }
}

/// The right to make one call. Dropped without a result, as by a panic or a cancellation, it gives its
/// place back, so that the breaker never waits for a probe that is gone.
#[derive(Debug)]
#[must_use = "a permit that is dropped gives its place back"]
pub struct Permit<L: Exclusive<Machine> = Mutex<Machine>> {
    breaker: Arc<CircuitBreaker<L>>,
    generation: u64,
    role: Role,
    pending: bool,
}

/// What an admitted call is to the breaker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// One among many: the breaker is closed.
    Call,
    /// The call that half-opened the breaker.
    FirstProbe,
    /// A further probe.
    Probe,
}

impl<L: Exclusive<Machine>> Permit<L> {
    /// What the call is to the breaker.
    #[must_use]
    pub const fn role(&self) -> Role {
        self.role
    }

    /// Says how the call ended. A result that comes after the breaker has moved on is ignored.
    #[expect(clippy::must_use_candidate, reason = "recording is the purpose, the change is news")]
    pub fn record(mut self, end: CallEnd, now: Instant) -> Option<Change> {
        self.pending = false;
        self.breaker.machine.with(|machine| machine.record(self.generation, end, now))
    }
}

impl<L: Exclusive<Machine>> Drop for Permit<L> {
    fn drop(&mut self) {
        if self.pending {
            self.breaker.machine.with(|machine| machine.give_back(self.generation));
        }
    }
}

/// The state behind the lock.
#[derive(Debug)]
pub struct Machine {
    policy: BreakerPolicy,
    /// One more at each change of phase: results of earlier phases are known by it.
    generation: u64,
    phase: Phase,
}

#[derive(Debug)]
enum Phase {
    Closed {
        failures: u32,
    },
    Open {
        until: Instant,
    },
    /// Probes that are under way, and those that came back without a failure.
    HalfOpen {
        out: u32,
        passed: u32,
    },
}

impl Machine {
    fn refusal(&self, now: Instant) -> Option<Refusal> {
        match self.phase {
            Phase::Open { until } if now < until => Some(Refusal::Open { until }),
            // Never more than are needed to decide: each place is decided by an end or given back.
            Phase::HalfOpen { out, passed } if out + passed >= self.policy.probes.max(1) => {
                Some(Refusal::Probing)
            }
            _ => None,
        }
    }

    fn admit(&mut self, now: Instant) -> Result<(u64, Role), Refusal> {
        if let Some(refusal) = self.refusal(now) {
            return Err(refusal);
        }
        let role = match &mut self.phase {
            Phase::Closed { .. } => Role::Call,
            Phase::Open { .. } => {
                self.enter(Phase::HalfOpen { out: 1, passed: 0 });
                Role::FirstProbe
            }
            Phase::HalfOpen { out, .. } => {
                *out += 1;
                Role::Probe
            }
        };
        Ok((self.generation, role))
    }

    fn record(&mut self, generation: u64, end: CallEnd, now: Instant) -> Option<Change> {
        if generation != self.generation {
            return None;
        }
        match (&mut self.phase, end) {
            (Phase::Closed { failures }, CallEnd::Success) => {
                *failures = 0;
                None
            }
            (Phase::Closed { failures }, CallEnd::Failure) => {
                *failures += 1;
                (*failures >= self.policy.failures).then(|| self.open(now))
            }
            (Phase::HalfOpen { .. }, CallEnd::Failure) => Some(self.open(now)),
            (Phase::HalfOpen { out, passed }, _) => {
                *out = out.saturating_sub(1);
                *passed += 1;
                let all_passed = *passed >= self.policy.probes;
                all_passed.then(|| {
                    self.enter(Phase::Closed { failures: 0 });
                    Change::Closed
                })
            }
            // Nothing is admitted while it is open, so no permit has its generation.
            (Phase::Closed { .. }, CallEnd::Neutral) | (Phase::Open { .. }, _) => None,
        }
    }

    fn give_back(&mut self, generation: u64) {
        if generation == self.generation
            && let Phase::HalfOpen { out, .. } = &mut self.phase
        {
            *out = out.saturating_sub(1);
        }
    }

    fn open(&mut self, now: Instant) -> Change {
        let until = now + self.policy.reset;
        self.enter(Phase::Open { until });
        Change::Opened { until }
    }

    fn enter(&mut self, phase: Phase) {
        self.generation += 1;
        self.phase = phase;
    }
}

#[cfg(test)]
mod tests;
