//! The table at the end.

use std::fmt;

use crate::rounds::{Comparison, Outcome};
use crate::statistics::Spread;

const HEAD: [&str; 9] =
    ["case", "program", "rounds", "msg/s", "quartiles", "ratio", "quartiles", "of", "bound"];

/// Rows of text that are printed below each other.
#[derive(Debug, Default)]
pub(crate) struct Table {
    rows: Vec<[String; 9]>,
    bounds: usize,
    missed: usize,
}

impl Table {
    /// Adds the programs of a contest, and a row for each ratio.
    pub(crate) fn add(&mut self, outcome: &Outcome) {
        for (program, name) in outcome.names.iter().enumerate() {
            let rate = outcome.rate(program);
            let title = if program == 0 { outcome.title.clone() } else { String::new() };
            let mut row = [
                title,
                (*name).to_owned(),
                outcome.rounds().to_string(),
                thousands(rate.median),
                format!("{} .. {}", thousands(rate.low), thousands(rate.high)),
                String::new(),
                String::new(),
                String::new(),
                String::new(),
            ];
            let wanted = outcome.comparisons.iter().filter(|wanted| wanted.program == program);
            for comparison in wanted {
                self.compare(outcome, *comparison, &mut row);
                self.rows.push(std::mem::take(&mut row));
            }
            if row.iter().any(|cell| !cell.is_empty()) {
                self.rows.push(row);
            }
        }
    }

    fn compare(&mut self, outcome: &Outcome, comparison: Comparison, row: &mut [String; 9]) {
        let ratio = outcome.ratio(comparison);
        row[5] = format!("{:.2}", ratio.median);
        row[6] = format!("{:.2} .. {:.2}", ratio.low, ratio.high);
        row[7] = outcome.names[comparison.with].to_owned();
        if let Some(bound) = comparison.bound {
            self.bounds += 1;
            self.missed += usize::from(ratio.median < bound);
            row[8] = format!(">= {bound:.2} {}", verdict(ratio, bound));
        }
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let rows: Vec<[&str; 9]> = std::iter::once(HEAD)
            .chain(self.rows.iter().map(|row| row.each_ref().map(String::as_str)))
            .collect();
        let widths: Vec<usize> = (0..HEAD.len())
            .map(|column| rows.iter().map(|row| row[column].len()).max().unwrap_or(0))
            .collect();
        for row in rows {
            let cells: Vec<String> =
                row.iter().zip(&widths).map(|(cell, width)| format!("{cell:width$}")).collect();
            writeln!(f, "{}", cells.join("  ").trim_end())?;
        }
        write!(f, "\n{} of {} bounds missed", self.missed, self.bounds)
    }
}

/// A miss within the spread of its rounds is not sure: more rounds on a quieter machine tell.
fn verdict(ratio: Spread, bound: f64) -> &'static str {
    if ratio.median >= bound {
        "holds"
    } else if ratio.high >= bound {
        "MISSED, within the spread"
    } else {
        "MISSED"
    }
}

/// A whole number with commas.
fn thousands(figure: f64) -> String {
    let digits = format!("{figure:.0}");
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thousands_have_commas() {
        for (figure, expected) in
            [(0.4, "0"), (999.6, "1,000"), (12_345.0, "12,345"), (1_234_567.0, "1,234,567")]
        {
            assert_eq!(thousands(figure), expected);
        }
    }
}
