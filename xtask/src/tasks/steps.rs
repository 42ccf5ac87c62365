//! The bookkeeping of a run of steps: headings, durations, what depends on what, the closing table.

use std::time::{Duration, Instant};

use super::results::Counts;
use crate::interrupt;

/// What a step came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Verdict {
    Passed,
    Failed(String),
    Skipped(String),
}

/// One step of a run; `C` is what all steps work on.
#[derive(Debug)]
pub(crate) struct Step<C> {
    pub(crate) name: &'static str,
    pub(crate) title: &'static str,
    /// Names of earlier steps without which this one says nothing.
    pub(crate) needs: &'static [&'static str],
    pub(crate) action: fn(&mut C) -> (Verdict, Counts),
}

/// What is known of a step after the run.
#[derive(Debug)]
pub(crate) struct Record {
    name: &'static str,
    verdict: Verdict,
    counts: Counts,
    took: Duration,
}

/// Runs all steps in order, whether or not earlier ones failed, so that a developer sees
/// everything at once; only what needs a failed step is skipped.
pub(crate) fn run_all<C>(steps: &[&Step<C>], context: &mut C) -> Vec<Record> {
    let mut records: Vec<Record> = Vec::new();
    for step in steps {
        println!("\n==> {}: {}", step.name, step.title);
        let begun = Instant::now();
        let (verdict, counts) = match reason_to_skip(step, &records) {
            Some(reason) => (Verdict::Skipped(reason), Counts::default()),
            None => (step.action)(context),
        };
        let record = Record { name: step.name, verdict, counts, took: begun.elapsed() };
        println!("<== {}", record.line());
        records.push(record);
    }
    records
}

fn reason_to_skip<C>(step: &Step<C>, records: &[Record]) -> Option<String> {
    if interrupt::is_requested() {
        return Some("interrupted".to_owned());
    }
    let missing = records
        .iter()
        .find(|record| step.needs.contains(&record.name) && record.verdict != Verdict::Passed)?;
    Some(format!("needs `{}`, which did not pass", missing.name))
}

/// Prints the table and the closing line. Gives whether no step failed.
pub(crate) fn summarize(records: &[Record]) -> bool {
    println!("\n==> summary");
    for record in records {
        println!("{}", record.line());
    }
    println!("{}", total(records));
    records.iter().all(|record| !matches!(record.verdict, Verdict::Failed(_)))
}

/// Sums up the tests. A step that failed without a failed test, such as one that did not compile,
/// counts as one failure, and a skipped step as one skip: neither may look like success.
fn total(records: &[Record]) -> Counts {
    let mut total = Counts::default();
    for record in records {
        total += record.counts;
        match record.verdict {
            Verdict::Failed(_) if record.counts.failed == 0 => total.failed += 1,
            Verdict::Skipped(_) => total.skipped += 1,
            Verdict::Failed(_) | Verdict::Passed => {}
        }
    }
    total
}

impl Record {
    fn line(&self) -> String {
        let (word, detail) = match &self.verdict {
            Verdict::Passed if self.counts == Counts::default() => ("passed", String::new()),
            Verdict::Passed => ("passed", self.counts.to_string()),
            Verdict::Failed(why) => ("FAILED", format!("{} ({why})", self.counts)),
            Verdict::Skipped(why) => ("skipped", why.clone()),
        };
        let line =
            format!("{:<8} {word:<8} {:>7.1} s  {detail}", self.name, self.took.as_secs_f64());
        line.trim_end().to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn passing(ran: &mut Vec<&'static str>) -> (Verdict, Counts) {
        ran.push("passing");
        (Verdict::Passed, Counts { passed: 4, failed: 0, skipped: 1 })
    }

    fn failing(ran: &mut Vec<&'static str>) -> (Verdict, Counts) {
        ran.push("failing");
        (Verdict::Failed("exit status: 101".to_owned()), Counts::default())
    }

    #[test]
    fn what_needs_a_failed_step_is_skipped_and_the_rest_runs() {
        let build = Step { name: "build", title: "", needs: &[], action: failing };
        let test = Step { name: "test", title: "", needs: &["build"], action: passing };
        let doc = Step { name: "doc", title: "", needs: &[], action: passing };
        let mut ran = Vec::new();
        let records = run_all(&[&build, &test, &doc], &mut ran);
        assert_eq!(ran, ["failing", "passing"]);
        assert_eq!(total(&records), Counts { passed: 4, failed: 1, skipped: 2 });
        assert!(!summarize(&records));
    }

    #[test]
    fn a_failed_step_with_failed_tests_is_not_counted_twice() {
        let record = Record {
            name: "test",
            verdict: Verdict::Failed("exit status: 101".to_owned()),
            counts: Counts { passed: 5, failed: 2, skipped: 0 },
            took: Duration::from_secs(1),
        };
        assert_eq!(
            record.line(),
            "test     FAILED       1.0 s  5 passed, 2 failed, 0 skipped (exit status: 101)"
        );
        assert_eq!(total(&[record]), Counts { passed: 5, failed: 2, skipped: 0 });
    }
}
