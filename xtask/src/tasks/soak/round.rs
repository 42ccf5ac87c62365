//! One fault under load, and the verdict on it.

use std::io;
use std::time::{Duration, Instant};

use super::faults::Fault;
use super::ledger::Tally;
use super::programs::lock;
use super::scene::Scene;

/// How much is handled before the fault, so that it hits something.
const BEFORE: usize = 40;
const BEFORE_TIMEOUT: Duration = Duration::from_secs(60);
/// A recovery that takes longer is none.
const RECOVERY_TIMEOUT: Duration = Duration::from_secs(150);
/// The load goes on for so long after the recovery: what was confirmed then must be handled too.
const AFTER: Duration = Duration::from_secs(1);
/// How long the first fault is given to be noticed before the second one.
const NOTICE_TIMEOUT: Duration = Duration::from_secs(1);

/// Every kind of message and wish; well-behaved ones are the most.
const MIX: &str = "work:ok,event:ok,work:slow,plain:ok,work:ok,ask:ok,work:flaky1,event:ok,work:ok,work:always,\
    work:ok,event:flaky3,work:reject,plain:ok,work:slow,work:discard,event:ok,ask:flaky1,work:ok,plain:always,\
    work:ok,ask:reject,event:slow,work:panic,work:ok,work:schema,event:always,work:ok,work:flaky3,timed:overrun,\
    work:ok,work:notjson,ask:slow,work:ok,event:ok,work:unknown,work:slow,timed:ok,ask:always,work:ok";

/// How a round is run.
#[derive(Debug, Clone, Copy)]
pub(super) struct Pace {
    /// Messages per second of the foreign publisher.
    pub(super) rate: u32,
    /// Whether a second fault of the same kind follows in the recovery from the first.
    pub(super) twice: bool,
    /// How long confirmed messages may take to end after the load has ended.
    pub(super) settle_timeout: Duration,
}

/// A line of the report.
#[derive(Debug)]
pub(super) struct Row {
    pub(super) fault: &'static str,
    pub(super) queue_type: &'static str,
    pub(super) tally: Tally,
    pub(super) operator_restarts: u32,
    pub(super) took: Duration,
}

/// Runs one fault.
pub(super) fn run(scene: &mut Scene, fault: Fault, pace: Pace) -> io::Result<Row> {
    let begun = Instant::now();
    let round = lock(&scene.ledger).next_round();
    let restarts = scene.operator_restarts;
    let load = scene.publish(&format!("f{round}"), pace.rate, 0, MIX)?;
    if !scene.wait_for(BEFORE_TIMEOUT, |scene| lock(&scene.ledger).ended_in(round) >= BEFORE) {
        lock(&scene.ledger).incident("the load does not get through before the fault".to_owned());
    }
    (fault.hurt)(scene)?;
    if pace.twice {
        // While it recovers, or at once if there is nothing to be seen of the first.
        scene.wait_for(NOTICE_TIMEOUT, |scene| !scene.is_ready());
        (fault.hurt)(scene)?;
    }
    if !scene.wait_until_healthy(RECOVERY_TIMEOUT)? {
        let complaint = format!("no recovery within {RECOVERY_TIMEOUT:?}: {}", scene.complaint());
        lock(&scene.ledger).incident(complaint);
    }
    scene.let_pass(AFTER);
    let published_all = load.terminate()?;
    if !published_all {
        lock(&scene.ledger).incident("the foreign publisher did not end well".to_owned());
    }
    // What does not come to its end by then is in the tally as lost.
    scene.wait_for(pace.settle_timeout, |scene| lock(&scene.ledger).open(round) == 0);
    Ok(Row {
        fault: fault.name,
        queue_type: scene.plan.queue_type,
        tally: lock(&scene.ledger).tally(round),
        operator_restarts: scene.operator_restarts - restarts,
        took: begun.elapsed(),
    })
}
