//! Test results, read from what `cargo test` prints.

use std::fmt;
use std::ops::AddAssign;

/// How many tests passed, failed and were skipped.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    pub(crate) passed: u64,
    pub(crate) failed: u64,
    pub(crate) skipped: u64,
}

impl Counts {
    /// Reads a line such as `test result: ok. 3 passed; 0 failed; 1 ignored; ..`, which each test
    /// binary prints once.
    pub(crate) fn of_line(line: &str) -> Option<Self> {
        let (_verdict, numbers) = line.trim().strip_prefix("test result: ")?.split_once(". ")?;
        let count_of = |what: &str| {
            numbers.split("; ").find_map(|part| part.strip_suffix(what)?.trim().parse().ok())
        };
        Some(Self {
            passed: count_of("passed")?,
            failed: count_of("failed")?,
            skipped: count_of("ignored")?,
        })
    }
}

impl AddAssign for Counts {
    fn add_assign(&mut self, other: Self) {
        self.passed += other.passed;
        self.failed += other.failed;
        self.skipped += other.skipped;
    }
}

impl fmt::Display for Counts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} passed, {} failed, {} skipped", self.passed, self.failed, self.skipped)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counts(passed: u64, failed: u64, skipped: u64) -> Counts {
        Counts { passed, failed, skipped }
    }

    #[test]
    fn a_result_line_is_counted() {
        let ok = "test result: ok. 12 passed; 0 failed; 3 ignored; 0 measured; 1 filtered out; \
                  finished in 0.02s\n";
        assert_eq!(Counts::of_line(ok), Some(counts(12, 0, 3)));
        let failed = "test result: FAILED. 5 passed; 1 failed; 0 ignored; 0 measured; 0 filtered \
                      out; finished in 20.63s";
        assert_eq!(Counts::of_line(failed), Some(counts(5, 1, 0)));
    }

    #[test]
    fn other_lines_are_not() {
        for line in ["", "test a ... ok", "running 3 tests", "test result: ok.", "all passed; 3"] {
            assert_eq!(Counts::of_line(line), None, "{line}");
        }
    }

    #[test]
    fn the_closing_line_has_the_sum() {
        let mut sum = counts(1, 2, 3);
        sum += counts(10, 20, 30);
        assert_eq!(sum.to_string(), "11 passed, 22 failed, 33 skipped");
    }
}
