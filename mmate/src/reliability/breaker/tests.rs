//! The states one by one, then all interleavings of callers under a model checker.

use std::collections::HashMap;

use shuttle::rand::Rng as _;

use super::*;

const RESET: Duration = Duration::from_secs(30);

fn breaker(failures: u32, probes: u32) -> (Arc<CircuitBreaker>, Instant) {
    (CircuitBreaker::new(BreakerPolicy::new(failures, 30_000, probes)), Instant::now())
}

fn call(breaker: &Arc<CircuitBreaker>, now: Instant, end: CallEnd) -> Option<Change> {
    breaker.try_acquire(now).expect("admitted").record(end, now)
}

#[test]
fn it_opens_after_failures_in_a_row_and_stays_quiet_for_the_reset() {
    let (breaker, now) = breaker(3, 1);
    for end in [CallEnd::Failure, CallEnd::Failure, CallEnd::Success, CallEnd::Failure] {
        assert_eq!(call(&breaker, now, end), None);
    }
    assert_eq!(call(&breaker, now, CallEnd::Failure), None);
    let until = now + RESET;
    assert_eq!(call(&breaker, now, CallEnd::Failure), Some(Change::Opened { until }));
    for later in [now, until - Duration::from_nanos(1)] {
        assert_eq!(breaker.refusal(later), Some(Refusal::Open { until }));
        assert_eq!(breaker.try_acquire(later).err(), Some(Refusal::Open { until }));
    }
    assert_eq!(breaker.refusal(until), None, "a look alone does not half-open it");
    assert_eq!(breaker.try_acquire(until).expect("a probe").role(), Role::FirstProbe);
}

#[test]
fn errors_about_the_message_neither_count_nor_break_the_row() {
    let (breaker, now) = breaker(2, 1);
    for _ in 0..9 {
        assert_eq!(call(&breaker, now, CallEnd::Neutral), None);
    }
    assert_eq!(call(&breaker, now, CallEnd::Failure), None);
    assert_eq!(call(&breaker, now, CallEnd::Neutral), None);
    assert!(matches!(call(&breaker, now, CallEnd::Failure), Some(Change::Opened { .. })));
}

#[test]
fn it_lets_probes_through_and_closes_when_all_have_passed() {
    let (breaker, now) = breaker(1, 3);
    call(&breaker, now, CallEnd::Failure);
    let now = now + RESET;
    let mut probes: Vec<_> = (0..3).map(|_| breaker.try_acquire(now).expect("a probe")).collect();
    assert_eq!(breaker.try_acquire(now).err(), Some(Refusal::Probing));
    let mut next = || probes.pop().expect("three probes");
    assert_eq!(next().record(CallEnd::Success, now), None);
    assert_eq!(breaker.refusal(now), Some(Refusal::Probing), "three in all, not three at a time");
    assert_eq!(next().record(CallEnd::Neutral, now), None, "an error about the message passes");
    assert_eq!(next().record(CallEnd::Success, now), Some(Change::Closed));
    assert_eq!(breaker.refusal(now), None);
}

#[test]
fn any_failed_probe_opens_it_again_and_the_other_probes_are_late() {
    let (breaker, now) = breaker(1, 3);
    call(&breaker, now, CallEnd::Failure);
    let now = now + RESET;
    let first = breaker.try_acquire(now).expect("a probe");
    let second = breaker.try_acquire(now).expect("a probe");
    let until = now + RESET;
    assert_eq!(first.record(CallEnd::Failure, now), Some(Change::Opened { until }));
    assert_eq!(second.record(CallEnd::Success, now), None);
    assert_eq!(breaker.refusal(now), Some(Refusal::Open { until }));
}

#[test]
fn a_result_of_an_earlier_phase_is_ignored() {
    let (breaker, now) = breaker(1, 1);
    let [slow, slower] = [(); 2].map(|()| breaker.try_acquire(now).expect("closed"));
    call(&breaker, now, CallEnd::Failure);
    let now = now + RESET;
    let probe = breaker.try_acquire(now).expect("a probe");
    assert_eq!(slow.record(CallEnd::Success, now), None, "it does not close");
    assert_eq!(slower.record(CallEnd::Failure, now), None, "it does not open");
    assert_eq!(breaker.refusal(now), Some(Refusal::Probing));
    assert_eq!(probe.record(CallEnd::Success, now), Some(Change::Closed));
}

#[test]
fn a_probe_that_is_dropped_gives_its_place_back() {
    let (breaker, now) = breaker(1, 2);
    call(&breaker, now, CallEnd::Failure);
    let now = now + RESET;
    let early = breaker.try_acquire(now).expect("a probe");
    for _ in 0..9 {
        drop(breaker.try_acquire(now).expect("the place of the last one"));
    }
    assert_eq!(early.record(CallEnd::Success, now), None);
    assert_eq!(call(&breaker, now, CallEnd::Success), Some(Change::Closed));
}

type ShuttleMutex<T> = shuttle::sync::Mutex<T>;

impl<T> Exclusive<T> for ShuttleMutex<T> {
    fn guard(value: T) -> Self {
        Self::new(value)
    }

    fn with<R>(&self, work: impl FnOnce(&mut T) -> R) -> R {
        work(&mut self.lock().expect("no thread panicked"))
    }
}

const POLICY: BreakerPolicy = BreakerPolicy::new(2, 10, 2);
const CALLERS: usize = 4;
const CALLS: usize = 6;
/// Enough for every state to be met from every other many times over.
const SCHEDULES: usize = 4_000;

type Breaker = Arc<CircuitBreaker<ShuttleMutex<Machine>>>;

/// What the callers of one schedule know together, beside the breaker.
#[derive(Default)]
struct Ledger {
    /// Milliseconds since the beginning.
    clock: u64,
    /// Generations that began with a first probe.
    half_open: Vec<u64>,
    /// Probes that are out, by generation.
    out: HashMap<u64, u32>,
    /// Results that were recorded, by generation and whether they failed.
    ends: HashMap<(u64, bool), u32>,
}

impl Ledger {
    /// Time goes on with each question, also under the feet of those who are about to answer.
    fn tick(&mut self, epoch: Instant) -> Instant {
        self.clock += 4;
        epoch + Duration::from_millis(self.clock)
    }

    fn take(&mut self, generation: u64, role: Role) {
        if role == Role::FirstProbe {
            assert!(!self.half_open.contains(&generation), "half-opened twice in one generation");
            self.half_open.push(generation);
        }
        if role != Role::Call {
            let out = self.out.entry(generation).or_default();
            *out += 1;
            assert!(*out <= POLICY.probes, "{out} probes at a time");
        }
    }

    fn end(&mut self, generation: u64, role: Role, end: Option<CallEnd>) {
        if role != Role::Call {
            *self.out.get_mut(&generation).expect("taken before") -= 1;
        }
        if let Some(end) = end {
            *self.ends.entry((generation, end == CallEnd::Failure)).or_default() += 1;
        }
    }

    /// A change follows from results of one generation alone, or a late result was counted.
    fn explain(&self, generation: u64, role: Role, change: Change) {
        let count = |failed| self.ends.get(&(generation, failed)).copied().unwrap_or_default();
        match (change, role) {
            (Change::Closed, Role::Call) => panic!("closed by a call from before it opened"),
            (Change::Closed, _) => {
                assert!(count(false) >= POLICY.probes, "closed after {} probes", count(false));
            }
            (Change::Opened { .. }, Role::Call) => {
                assert!(count(true) >= POLICY.failures, "opened after {} failures", count(true));
            }
            (Change::Opened { .. }, _) => assert!(count(true) >= 1),
        }
    }
}

/// One caller. An end is noted before the breaker hears of it, a permit after it was given: the ledger
/// sees at most what is out, never more.
fn caller(breaker: &Breaker, ledger: &ShuttleMutex<Ledger>, epoch: Instant) {
    let mut random = shuttle::rand::thread_rng();
    for _ in 0..CALLS {
        let now = ledger.with(|ledger| ledger.tick(epoch));
        let Ok(permit) = breaker.try_acquire(now) else { continue };
        let (generation, role) = (permit.generation, permit.role());
        ledger.with(|ledger| ledger.take(generation, role));
        shuttle::thread::yield_now();
        let end = match random.gen_range(0..4) {
            0 => Some(CallEnd::Success),
            1 | 2 => Some(CallEnd::Failure),
            _ => None,
        };
        ledger.with(|ledger| ledger.end(generation, role, end));
        match end {
            None => drop(permit),
            Some(end) => {
                if let Some(change) = permit.record(end, now) {
                    ledger.with(|ledger| ledger.explain(generation, role, change));
                }
            }
        }
    }
}

/// Whatever happened, with nobody calling it closes after as many good calls as it wants.
fn is_not_stuck(breaker: &Breaker, epoch: Instant) {
    let now = epoch + Duration::from_secs(3_600);
    for _ in 0..POLICY.probes {
        let permit = breaker.try_acquire(now).expect("not stuck: nobody holds a permit");
        permit.record(CallEnd::Success, now);
    }
    let closed = breaker.machine.with(|machine| matches!(machine.phase, Phase::Closed { .. }));
    assert!(closed, "good calls close it");
}

#[test]
fn whatever_callers_do_at_the_same_time_probes_are_limited_and_it_is_never_stuck() {
    let epoch = Instant::now();
    let model = move || {
        let breaker = CircuitBreaker::<ShuttleMutex<Machine>>::new(POLICY);
        let ledger = Arc::new(ShuttleMutex::new(Ledger::default()));
        let callers: Vec<_> = (0..CALLERS)
            .map(|_| {
                let (breaker, ledger) = (Arc::clone(&breaker), Arc::clone(&ledger));
                shuttle::thread::spawn(move || caller(&breaker, &ledger, epoch))
            })
            .collect();
        for caller in callers {
            caller.join().expect("the caller's own assertions hold");
        }
        is_not_stuck(&breaker, epoch);
    };
    shuttle::check_random(model, SCHEDULES);
}
