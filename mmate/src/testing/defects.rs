//! Whether every behaviour of a suite can fail, and fails for a reason that points at the defect.

use std::collections::BTreeSet;
use std::fmt::Debug;

use super::conformance::{Outcome, Report};

/// Runs each behaviour against a double with a defect that it must find, and a part of the reason that it must give.
/// Each of `all` behaviours has one.
pub(super) async fn ensure_all_found<F: Copy + Debug>(
    defects: &[(&str, F, &str)],
    all: impl IntoIterator<Item = &'static str>,
    run: impl AsyncFn(F, &str) -> Report,
) {
    let mut wrong = Vec::new();
    for (name, fault, reason) in defects {
        let report = run(*fault, name).await;
        let outcome = report.outcomes().find(|(behaviour, _)| behaviour == name);
        match outcome {
            Some((_, Outcome::Failed(failure))) if failure.to_string().contains(reason) => {}
            other => wrong.push(format!("{name} with {fault:?}: {other:?}")),
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    let all: Vec<&str> = all.into_iter().collect();
    let names: BTreeSet<&str> = all.iter().copied().collect();
    assert_eq!(names, defects.iter().map(|(name, ..)| *name).collect());
    assert_eq!(names.len(), all.len(), "two behaviours have one name");
}
