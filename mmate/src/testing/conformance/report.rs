//! What came of a run.

use std::fmt;

use super::Failure;
use crate::transport::Capability;

/// What came of one behaviour.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Outcome {
    /// It was shown.
    Passed,
    /// It was not.
    Failed(Failure),
    /// The transport does not claim this capability.
    Skipped(Capability),
}

/// What came of a run.
#[derive(Clone, Debug, Default)]
pub struct Report(Vec<(&'static str, Outcome)>);

impl Report {
    pub(in crate::testing) fn add(&mut self, behaviour: &'static str, outcome: Outcome) {
        self.0.push((behaviour, outcome));
    }

    /// True if something was run and nothing failed.
    #[must_use]
    pub fn is_ok(&self) -> bool {
        !self.0.is_empty() && self.failed().next().is_none()
    }

    /// All outcomes, in the order of the run.
    pub fn outcomes(&self) -> impl Iterator<Item = (&'static str, &Outcome)> {
        self.0.iter().map(|(name, outcome)| (*name, outcome))
    }

    /// The behaviours that were shown.
    pub fn passed(&self) -> impl Iterator<Item = &'static str> {
        self.outcomes()
            .filter(|(_, outcome)| matches!(outcome, Outcome::Passed))
            .map(|(name, _)| name)
    }

    /// The behaviours that were not shown, with the reason.
    pub fn failed(&self) -> impl Iterator<Item = (&'static str, &Failure)> {
        self.outcomes().filter_map(|(name, outcome)| match outcome {
            Outcome::Failed(failure) => Some((name, failure)),
            Outcome::Passed | Outcome::Skipped(_) => None,
        })
    }

    /// The behaviours that need what the transport does not claim.
    pub fn skipped(&self) -> impl Iterator<Item = (&'static str, Capability)> {
        self.outcomes().filter_map(|(name, outcome)| match outcome {
            Outcome::Skipped(capability) => Some((name, *capability)),
            Outcome::Passed | Outcome::Failed(_) => None,
        })
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (name, outcome) in self.outcomes() {
            match outcome {
                Outcome::Passed => writeln!(f, "passed   {name}")?,
                Outcome::Failed(failure) => writeln!(f, "FAILED   {name}\n         {failure}")?,
                Outcome::Skipped(capability) => {
                    writeln!(f, "skipped  {name}\n         needs {capability}")?;
                }
            }
        }
        write!(
            f,
            "{} passed, {} failed, {} skipped",
            self.passed().count(),
            self.failed().count(),
            self.skipped().count(),
        )
    }
}
