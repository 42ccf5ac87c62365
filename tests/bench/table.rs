//! The table at the end.

use std::fmt;

use crate::figures::Figure;
use crate::rounds::{Comparison, Outcome};
use crate::statistics::Spread;

const COLUMNS: usize = 10;
const HEAD: [&str; COLUMNS] = [
    "case",
    "program",
    "rounds",
    "figure",
    "median",
    "quartiles",
    "ratio",
    "quartiles",
    "of",
    "bound",
];

type Row = [String; COLUMNS];

/// Rows of text that are printed below each other.
#[derive(Debug, Default)]
pub(crate) struct Table {
    rows: Vec<Row>,
    bounds: usize,
    missed: usize,
}

impl Table {
    /// Adds the programs of a contest, and a row for each figure and ratio.
    pub(crate) fn add(&mut self, outcome: &Outcome) {
        for (program, name) in outcome.names.iter().enumerate() {
            let title = if program == 0 { outcome.title.clone() } else { String::new() };
            let mut row = Row::default();
            (row[0], row[1], row[2]) = (title, (*name).to_owned(), outcome.rounds().to_string());
            for figure in Figure::ALL {
                if let Some(spread) = outcome.figure(program, figure) {
                    row[3] = figure.name().to_owned();
                    row[4] = text(figure, spread.median);
                    row[5] =
                        format!("{} .. {}", text(figure, spread.low), text(figure, spread.high));
                    self.add_figure(outcome, program, figure, std::mem::take(&mut row));
                }
            }
        }
    }

    /// Adds the row of a figure; further ratios stand below it.
    fn add_figure(&mut self, outcome: &Outcome, program: usize, figure: Figure, mut row: Row) {
        let wanted = outcome
            .comparisons
            .iter()
            .filter(|wanted| wanted.program == program && wanted.figure == figure);
        for comparison in wanted {
            self.compare(outcome, *comparison, &mut row);
            self.rows.push(std::mem::take(&mut row));
        }
        if row.iter().any(|cell| !cell.is_empty()) {
            self.rows.push(row);
        }
    }

    fn compare(&mut self, outcome: &Outcome, comparison: Comparison, row: &mut Row) {
        let ratio = outcome.ratio(comparison);
        row[6] = format!("{:.2}", ratio.median);
        row[7] = format!("{:.2} .. {:.2}", ratio.low, ratio.high);
        row[8] = outcome.names[comparison.with].to_owned();
        if let Some(bound) = comparison.bound {
            let figure = comparison.figure;
            self.bounds += 1;
            self.missed += usize::from(!figure.keeps(ratio.median, bound));
            row[9] = format!("{} {bound:.2} {}", figure.sign(), verdict(figure, ratio, bound));
        }
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let rows: Vec<[&str; COLUMNS]> = std::iter::once(HEAD)
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
fn verdict(figure: Figure, ratio: Spread, bound: f64) -> &'static str {
    if figure.keeps(ratio.median, bound) {
        "holds"
    } else if figure.keeps(ratio.low, bound) || figure.keeps(ratio.high, bound) {
        "MISSED, within the spread"
    } else {
        "MISSED"
    }
}

/// Processor times are a few microseconds, of which a tenth tells; all others are large.
fn text(figure: Figure, value: f64) -> String {
    if figure == Figure::Cpu { format!("{value:.1}") } else { thousands(value) }
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
