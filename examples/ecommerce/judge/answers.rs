//! Judges what HTTP answered: every client was told what became of the order, and was told the truth.

use crate::feed::{Line, Way};
use crate::outcome::{Fate, Outcome};

/// What is answered once each, to one who does not wait and to one too many; both asked again.
const PASSING: [(u16, Option<&str>); 2] = [(503, Some("OVERLOADED")), (504, Some("TIMEOUT"))];

pub(super) fn problems(outcome: &Outcome, problems: &mut Vec<String>) {
    for (line, fates) in &outcome.lines {
        let answers = outcome.answers.get(&line.id).map_or(&[][..], Vec::as_slice);
        let told = answers.last().map(|answer| answer.short());
        let expected = (line.way != Way::Message).then(|| expected(line, fates));
        if told != expected {
            let number = line.number;
            problems.push(format!("line {number} was answered {told:?}, expected {expected:?}"));
        }
        let before = answers.iter().rev().skip(1);
        for answer in before.filter(|answer| !PASSING.contains(&answer.short())) {
            problems.push(format!("line {} was answered {answer} before its end", line.number));
        }
        let waits = |answer: &&crate::browser::Answer| answer.status == 503;
        if answers.iter().filter(waits).any(|answer| answer.retry_after.is_none()) {
            problems.push(format!("line {} was not told when to ask again", line.number));
        }
        the_status_is_the_fate(outcome, (line, fates), problems);
    }
    for passing in PASSING {
        let count = outcome.by_answer().get(&passing).copied().unwrap_or_default();
        if count != 1 {
            problems.push(format!("{passing:?} was answered {count} times, expected once"));
        }
    }
}

/// The last answer that the line must have.
fn expected(line: &Line, fates: &[Fate]) -> (u16, Option<&'static str>) {
    if line.must_be_turned_away() {
        return (400, Some("INVALID_REQUEST"));
    }
    match fates.first() {
        Some(Fate::Repeated) => (422, Some("ORDER_EXISTS")),
        Some(Fate::Refused { reason }) => (422, Some(code(reason))),
        // Accepted, whatever happened to it later.
        _ => (201, None),
    }
}

fn code(reason: &str) -> &'static str {
    match reason {
        "the customer is not known" => "UNKNOWN_CUSTOMER",
        "the customer is blocked" => "CUSTOMER_BLOCKED",
        _ => "UNKNOWN_PRODUCT",
    }
}

/// `GET` of what was created says how it ended.
fn the_status_is_the_fate(
    outcome: &Outcome,
    (line, fates): (&Line, &[Fate]),
    problems: &mut Vec<String>,
) {
    let expected = match fates.first() {
        _ if line.way == Way::Message => None,
        Some(Fate::Completed) => Some("completed"),
        Some(Fate::Failed { .. }) => Some("refused"),
        Some(Fate::Stuck { .. }) => Some("undoing"),
        _ => None,
    };
    let found = outcome.states.get(&line.id).map(String::as_str);
    if found != expected {
        let number = line.number;
        problems.push(format!("line {number} is {found:?} by HTTP, expected {expected:?}"));
    }
}
