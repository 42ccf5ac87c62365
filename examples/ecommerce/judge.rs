//! Judges an end state: what must be true however the messages went.

mod answers;
mod books;

use crate::journal::Ending;
use crate::outcome::{Fate, Outcome};

pub use books::problems as problems_of_books;

/// Everything that is wrong, or nothing.
pub fn problems(outcome: &Outcome) -> Vec<String> {
    let mut problems = Vec::new();
    every_line_has_one_fate(outcome, &mut problems);
    every_line_has_the_fate_that_it_must_have(outcome, &mut problems);
    the_events_tell_the_same(outcome, &mut problems);
    what_was_done_is_undone(outcome, &mut problems);
    answers::problems(outcome, &mut problems);
    problems.extend(books::problems(&outcome.orders, &outcome.books));
    problems
}

fn every_line_has_one_fate(outcome: &Outcome, problems: &mut Vec<String>) {
    for (line, fates) in outcome.lines.iter().filter(|(_, fates)| fates.len() != 1) {
        let fates: Vec<String> = fates.iter().map(ToString::to_string).collect();
        let fates = if fates.is_empty() { "no fate".to_owned() } else { fates.join(", and ") };
        problems.push(format!("line {} has {fates}; it must have one fate", line.number));
    }
}

/// Where the customer, the card or the content says how it must go, it went so.
fn every_line_has_the_fate_that_it_must_have(outcome: &Outcome, problems: &mut Vec<String>) {
    for (line, fates) in &outcome.lines {
        let number = line.number;
        let parked = fates.iter().find_map(|fate| match fate {
            Fate::Parked { reason, .. } => Some(reason.as_str()),
            _ => None,
        });
        let expected = line.must_be_parked();
        if parked != expected {
            problems.push(format!("line {number} is parked as {parked:?}, expected {expected:?}"));
        }
        let failed = fates.iter().find_map(|fate| match fate {
            Fate::Failed { stage, .. } => Some((stage.as_str(), false)),
            Fate::Stuck { stage, .. } => Some((stage.as_str(), true)),
            _ => None,
        });
        if matches!(fates.first(), Some(Fate::Repeated | Fate::Refused { .. })) {
            continue;
        }
        let stage = line.must_fail_at();
        let is_stuck = line.must_be_stuck() && !outcome.was_repaired;
        let expected = stage.map(|stage| (stage, is_stuck));
        // Who finds no stock depends on who came first.
        let is_short = expected.is_none() && failed == Some(("reserve_inventory", false));
        if failed != expected && !is_short {
            problems.push(format!("line {number} has failed as {failed:?}, expected {expected:?}"));
        }
    }
}

/// One event about the end of every order, and it is true.
fn the_events_tell_the_same(outcome: &Outcome, problems: &mut Vec<String>) {
    for (order_id, order) in &outcome.orders {
        let heard = outcome.endings.get(&order.flow.placed_by).map_or(&[][..], Vec::as_slice);
        let expected = match &order.fate {
            Fate::Completed => vec![Ending::Completed { total: order.flow.total }],
            Fate::Failed { reason, .. } => vec![Ending::Refused { reason: reason.clone() }],
            _ => Vec::new(),
        };
        if heard != expected {
            let fate = &order.fate;
            problems.push(format!("order {order_id} is {fate}, and the events say {heard:?}"));
        }
    }
}

/// The histories say that everything was undone that had to be, the last first.
fn what_was_done_is_undone(outcome: &Outcome, problems: &mut Vec<String>) {
    const STAGES: [&str; 4] = ["ship", "charge", "reserve_inventory", "accept"];
    for (order_id, order) in &outcome.orders {
        let (fate, undone) = (&order.fate, &order.undone);
        let expected = match fate {
            Fate::Failed { stage, .. } => match stage.as_str() {
                "ship" => &STAGES[1..],
                "charge" => &STAGES[2..],
                _ => &STAGES[3..],
            },
            _ => &[],
        };
        // And the stage itself if it may have had its effect: an attempt was cut off, by its time limit or with its process.
        let failed = match fate {
            Fate::Failed { stage, reason } => Some((stage, reason.contains("did not end"))),
            _ => None,
        };
        let (itself, must) = failed.map_or((None, false), |(stage, must)| (Some(stage), must));
        let others = undone.strip_prefix(itself.map_or(&[][..], std::slice::from_ref));
        let is_right = others.is_some_and(|others| itself.is_some() && others == expected);
        if !is_right && (must || undone != expected) {
            problems.push(format!("order {order_id} is {fate}, and {undone:?} is undone"));
        }
    }
}
