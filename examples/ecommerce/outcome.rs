//! What became of a run: the fate of every line, and what the services have on their books.

use std::collections::BTreeMap;
use std::fmt;

use mmate::prelude::*;

use crate::browser::{Answer, Answers};
use crate::contracts::Service;
use crate::feed::Line;
use crate::inventory::Inventory;
use crate::journal::{Ending, Endings};
use crate::orders::Order;
use crate::parked::{Letter, Letters};
use crate::payment::Capture;

/// What became of a line.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fate {
    /// Sold.
    Completed,
    /// Ended by a service, for a reason of the business.
    Refused { by: Service, reason: String },
    /// Asked for an order that was there already.
    Repeated,
    /// Not an order, and not let in by the edge.
    TurnedAway { why: String },
    /// In a dead-letter queue, for a person to look at.
    Parked { queue: String, reason: String },
}

impl fmt::Display for Fate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Completed => f.write_str("completed"),
            Self::Refused { by, reason } => write!(f, "refused by {by}: {reason}"),
            Self::Repeated => f.write_str("rejected: the order is there already"),
            Self::TurnedAway { why } => write!(f, "turned away: {why}"),
            Self::Parked { queue, reason } => write!(f, "parked from {queue}: {reason}"),
        }
    }
}

/// The end state of a run.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// Every line of the file, with all fates that were found for it; it should be one.
    pub lines: Vec<(Line, Vec<Fate>)>,
    /// What completed orders cost, as the events say.
    pub sold: Decimal,
    /// What HTTP answered, and what it says of the accepted orders; by line.
    pub answers: Answers,
    pub states: BTreeMap<String, String>,
    /// The orders of this run.
    pub orders: BTreeMap<String, Order>,
    pub inventory: Inventory,
    /// The money that was taken for orders of this run.
    pub captures: Vec<Capture>,
    /// True if the payment provider was repaired and what its outage had parked was sent back.
    pub was_repaired: bool,
}

/// All that is known about the fates of lines.
#[derive(Debug)]
pub struct Fates {
    pub endings: Endings,
    pub repetitions: Vec<String>,
    pub answers: Answers,
    pub letters: Letters,
}

impl Fates {
    /// All fates of a line.
    pub fn of(&self, line: &Line) -> Vec<Fate> {
        let ended = self.endings.get(&line.id).into_iter().flatten().map(Fate::from);
        let repeated = self.repetitions.iter().filter(|id| **id == line.id).map(|_| Fate::Repeated);
        let parked = self.letters.get(&line.id).into_iter().flatten().map(Fate::from);
        let answers = self.answers.get(&line.id).into_iter().flatten();
        let turned_away = answers.filter(|answer| answer.status == 400);
        let turned_away = turned_away.map(|answer| Fate::TurnedAway { why: answer.to_string() });
        ended.chain(repeated).chain(turned_away).chain(parked).collect()
    }
}

impl Outcome {
    /// How many lines met each fate.
    pub fn by_fate(&self) -> BTreeMap<&Fate, usize> {
        let mut counts = BTreeMap::new();
        for fate in self.lines.iter().flat_map(|(_, fates)| fates) {
            *counts.entry(fate).or_default() += 1;
        }
        counts
    }

    /// How often HTTP answered what.
    pub fn by_answer(&self) -> BTreeMap<(u16, Option<&str>), usize> {
        let mut counts = BTreeMap::new();
        for answer in self.answers.values().flatten() {
            *counts.entry(Answer::short(answer)).or_default() += 1;
        }
        counts
    }

    /// All money that was taken.
    pub fn charged(&self) -> Decimal {
        self.captures.iter().map(|capture| capture.amount).sum()
    }
}

impl From<&Ending> for Fate {
    fn from(ending: &Ending) -> Self {
        match ending {
            Ending::Completed { .. } => Self::Completed,
            Ending::Refused { by, reason } => Self::Refused { by: *by, reason: reason.clone() },
        }
    }
}

impl From<&Letter> for Fate {
    fn from(letter: &Letter) -> Self {
        Self::Parked { queue: letter.queue.clone(), reason: letter.reason.clone() }
    }
}
