//! The report.

use super::round::Row;

pub(super) const HEADING: &str = "fault                queues   attempted confirmed handled parked duplicated  lost unexpected  operator  seconds";

/// One line, and below it what is wrong.
pub(super) fn lines(row: &Row) -> String {
    let tally = &row.tally;
    let mut text = format!(
        "{:<20} {:<8} {:>9} {:>9} {:>7} {:>6} {:>10} {:>5} {:>10} {:>9} {:>8.1}",
        row.fault,
        row.queue_type,
        tally.attempted,
        tally.confirmed,
        tally.handled,
        tally.parked,
        tally.duplicated,
        tally.lost,
        tally.unexpected,
        row.operator_restarts,
        row.took.as_secs_f64()
    );
    if row.planted {
        text += if row.passed() { "  planted, found" } else { "  PLANTED, NOT FOUND" };
        return text;
    }
    if !row.passed() {
        text += "  FAILED";
    }
    for example in &tally.examples {
        text += &format!("\n    {example}");
    }
    text
}
