//! One fault under load, and the verdict on it.

use std::io;
use std::time::{Duration, Instant};

use super::faults::{Fault, Manner};
use super::ledger::Tally;
use super::programs::{Program, lock};
use super::scene::Scene;

/// How much is handled before the fault, so that it hits something.
const BEFORE: usize = 40;
const BEFORE_TIMEOUT: Duration = Duration::from_secs(60);
/// A recovery that takes longer is none.
const RECOVERY_TIMEOUT: Duration = Duration::from_secs(150);
/// The load goes on for at least so long after the recovery: what was confirmed then must be handled too.
pub(super) const AFTER: Duration = Duration::from_secs(1);
/// How long the first fault is given to be noticed before the second one.
const NOTICE_TIMEOUT: Duration = Duration::from_secs(1);

const SETTLE_TIMEOUT: Duration = Duration::from_secs(90);

/// Every kind of message and wish; well-behaved ones are the most.
const MIX: &str = "work:ok,event:ok,work:slow,plain:ok,work:ok,ask:ok,work:flaky1,event:ok,work:ok,work:always,\
    work:ok,event:flaky3,work:reject,plain:ok,work:slow,work:discard,event:ok,ask:flaky1,work:ok,plain:always,\
    work:ok,ask:reject,event:slow,work:panic,work:ok,work:schema,event:always,work:ok,work:flaky3,timed:overrun,\
    work:ok,work:notjson,ask:slow,work:ok,event:ok,work:unknown,work:slow,timed:ok,ask:always,work:ok";

/// How a round is run.
#[derive(Debug, Clone, Copy)]
pub(super) struct Pace {
    /// Messages per second of each foreign publisher.
    pub(super) rate: u32,
    /// How many foreign publishers there are.
    pub(super) publishers: u32,
    /// How long the load goes on after the recovery.
    pub(super) after: Duration,
    /// Whether a second fault of the same kind follows in the recovery from the first.
    pub(super) twice: bool,
    /// How long confirmed messages may take to end after the load has ended.
    pub(super) settle_timeout: Duration,
    pub(super) mix: &'static str,
}

impl Pace {
    /// For a sound service.
    pub(super) const fn new(rate: u32, twice: bool) -> Self {
        let (publishers, after) = (1, AFTER);
        Self { rate, publishers, after, twice, settle_timeout: SETTLE_TIMEOUT, mix: MIX }
    }
}

/// A line of the report.
#[derive(Debug)]
pub(super) struct Row {
    pub(super) round: usize,
    pub(super) fault: &'static str,
    pub(super) queue_type: &'static str,
    /// Nothing may come twice.
    pub(super) orderly: bool,
    /// The defect that was planted: the row passes if it was found.
    pub(super) planted: bool,
    pub(super) tally: Tally,
    pub(super) operator_restarts: u32,
    pub(super) took: Duration,
}

/// Runs one fault.
pub(super) fn run(scene: &mut Scene, fault: Fault, pace: Pace) -> io::Result<Row> {
    let begun = Instant::now();
    let round = lock(&scene.ledger).next_round();
    let restarts = scene.operator_restarts;
    let mut load = Load::start(scene, round, pace)?;
    if !scene.wait_for(BEFORE_TIMEOUT, |scene| lock(&scene.ledger).ended_in(round) >= BEFORE) {
        lock(&scene.ledger).incident("the load does not get through before the fault");
    }
    if fault.manner == Manner::Resting {
        load.end(scene)?;
        settle(scene, round, pace);
    }
    (fault.hurt)(scene)?;
    if pace.twice && matches!(fault.manner, Manner::Twice | Manner::Resting) {
        // While it recovers, or soon if there is nothing to be seen of the first.
        scene.wait_for(NOTICE_TIMEOUT, |scene| !scene.is_ready());
        if fault.manner == Manner::Resting {
            scene.wait_until_healthy(RECOVERY_TIMEOUT)?;
        }
        (fault.hurt)(scene)?;
    }
    if !scene.wait_until_healthy(RECOVERY_TIMEOUT)? {
        let complaint = format!("no recovery within {RECOVERY_TIMEOUT:?}: {}", scene.complaint());
        lock(&scene.ledger).incident(complaint);
    }
    if fault.manner == Manner::Resting {
        load = Load::start(scene, round, pace)?;
    }
    scene.let_pass(pace.after);
    load.end(scene)?;
    settle(scene, round, pace);
    // What the service publishes of its own from here on belongs to no fault.
    lock(&scene.ledger).next_round();
    let mut row = Row {
        round,
        fault: fault.name,
        queue_type: scene.plan.queue_type,
        orderly: fault.manner == Manner::Orderly,
        planted: false,
        tally: Tally::default(),
        operator_restarts: scene.operator_restarts - restarts,
        took: begun.elapsed(),
    };
    row.judge(scene);
    Ok(row)
}

/// Waits until what was confirmed has ended. What has not by then is lost.
fn settle(scene: &Scene, round: usize, pace: Pace) {
    if !scene.wait_for(pace.settle_timeout, |scene| lock(&scene.ledger).open(round) == 0) {
        // Whose fault it may be; it is an incident all the same.
        let leaderless = scene.leaderless_queues();
        let mut ledger = lock(&scene.ledger);
        match leaderless {
            Ok(queues) if queues.is_empty() => {}
            Ok(queues) => ledger.incident(format!("the broker has no leader for {queues}")),
            Err(error) => ledger.incident(format!("the broker does not answer: {error}")),
        }
    }
}

impl Row {
    /// Whether it shows what it should: nothing wrong, or the defect that was planted.
    pub(super) fn passed(&self) -> bool {
        self.tally.is_clean() != self.planted
    }

    /// Takes the figures of its round, which may have changed since: an end can come twice, and late.
    pub(super) fn judge(&mut self, scene: &Scene) {
        self.tally = lock(&scene.ledger).tally(self.round);
        if self.orderly && self.tally.duplicated > 0 {
            self.tally.unexpected += 1;
            self.tally
                .examples
                .push("something came twice although nothing was cut off".to_owned());
        }
    }
}

/// The foreign publishers of a round.
struct Load {
    programs: Vec<Program>,
}

impl Load {
    fn start(scene: &mut Scene, round: usize, pace: Pace) -> io::Result<Self> {
        let mut programs = Vec::new();
        for number in 0..pace.publishers {
            let prefix = format!("r{round}-{number}-{}", scene.random(1_000_000));
            programs.push(scene.publish(&prefix, pace.rate, 0, pace.mix)?);
        }
        Ok(Self { programs })
    }

    fn end(&mut self, scene: &Scene) -> io::Result<()> {
        for program in self.programs.drain(..) {
            if !program.terminate()? {
                lock(&scene.ledger).incident("a foreign publisher did not end well");
            }
        }
        Ok(())
    }
}
