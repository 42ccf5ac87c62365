//! Planted defects: a suite that stays green with them proves nothing.

use std::io;
use std::time::Duration;

use super::faults::{FAULTS, Fault};
use super::round::{self, Pace, Row};
use super::scene::Scene;

/// Slow messages are in flight at any moment; none takes long, so that what has not ended soon is lost.
const MIX: &str = "work:slow,event:ok,work:ok,plain:ok,work:slow,ask:ok,event:slow,work:flaky1";
const SETTLE_TIMEOUT: Duration = Duration::from_secs(5);
/// Longer than a service may be green and idle.
const IDLE_SETTLE_TIMEOUT: Duration = Duration::from_secs(13);

/// A defect of the service under test (`SOAK_DEFECT`), and the fault that must bring it to light.
const DEFECTS: [(&str, &str, Duration); 4] = [
    ("ack-first", "kill-service", SETTLE_TIMEOUT),
    ("false-confirm", "kill-service", SETTLE_TIMEOUT),
    ("stale-ack", "resets", SETTLE_TIMEOUT),
    ("silent-loss", "resets", IDLE_SETTLE_TIMEOUT),
];

/// Plants one defect after the other. A row passes if the suite's own verdict is red.
pub(super) fn find_all(scene: &mut Scene) -> io::Result<Vec<Row>> {
    let mut rows = Vec::new();
    for (defect, fault, settle_timeout) in DEFECTS {
        scene.plant(defect)?;
        let Some(fault) = FAULTS.iter().find(|known| known.name == fault) else { continue };
        let fault = Fault { name: defect, ..*fault };
        let pace = Pace { mix: MIX, settle_timeout, ..Pace::new(60, false) };
        let row = round::run(scene, fault, pace)?;
        rows.push(Row { planted: true, ..row });
    }
    Ok(rows)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_defect_has_a_fault_that_finds_it() {
        for (_, fault, _) in DEFECTS {
            assert!(FAULTS.iter().any(|known| known.name == fault), "{fault}");
        }
    }
}
