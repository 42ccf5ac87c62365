//! What became of a run: the fate of every line, and what shop and world have on their books.

use std::collections::BTreeMap;
use std::fmt;

use mmate::prelude::*;
use mmate::store::{HistoryEvent, InstanceFilter, WorkflowStatus};

use crate::browser::{Answer, Answers};
use crate::feed::Line;
use crate::journal::{Ending, Endings};
use crate::orders::OrderFlow;
use crate::parked::{Letter, Letters};
use crate::world::Books;

/// What became of a line.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fate {
    /// Sold.
    Completed,
    /// Refused when it was placed, for a reason of the business.
    Refused { reason: String },
    /// Accepted, failed at a stage, and undone.
    Failed { stage: String, reason: String },
    /// Failed at a stage, and what was done cannot be undone.
    Stuck { stage: String, reason: String },
    /// Asked for an order that was there already.
    Repeated,
    /// Not an order, and not let in by the edge.
    TurnedAway { why: String },
    /// In a dead-letter queue, for a person to look at.
    Parked { queue: String, reason: String },
    /// On its way.
    Underway,
}

impl fmt::Display for Fate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Completed => f.write_str("completed"),
            Self::Refused { reason } => write!(f, "refused: {reason}"),
            Self::Failed { stage, reason } => write!(f, "failed at {stage}: {reason}"),
            Self::Stuck { stage, reason } => {
                write!(f, "STUCK since it failed at {stage}: {reason}")
            }
            Self::Repeated => f.write_str("rejected: the order is there already"),
            Self::TurnedAway { why } => write!(f, "turned away: {why}"),
            Self::Parked { queue, reason } => write!(f, "parked from {queue}: {reason}"),
            Self::Underway => f.write_str("underway"),
        }
    }
}

/// An order, and how far its workflow is.
#[derive(Clone, Debug)]
pub struct Order {
    pub flow: OrderFlow,
    pub fate: Fate,
    /// The stages that were undone, in order.
    pub undone: Vec<String>,
    /// The stages that failed without harm.
    pub tolerated: Vec<String>,
}

/// Orders by id.
pub type Orders = BTreeMap<String, Order>;

/// The end state of a run.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// Every line of the file, with all fates that were found for it; it should be one.
    pub lines: Vec<(Line, Vec<Fate>)>,
    /// How orders ended, as the events say; by line.
    pub endings: Endings,
    /// What HTTP answered, and what it says of the accepted orders; by line.
    pub answers: Answers,
    pub states: BTreeMap<String, String>,
    /// The orders of this run.
    pub orders: Orders,
    /// What the world has on its books.
    pub books: Books,
    /// True if the closed accounts were opened again and what was stuck was resumed.
    pub was_repaired: bool,
}

/// All that is known about the fates of lines.
#[derive(Debug)]
pub struct Fates {
    pub orders: Orders,
    pub endings: Endings,
    pub repetitions: Vec<String>,
    pub answers: Answers,
    pub letters: Letters,
}

impl Fates {
    /// All fates of a line.
    pub fn of(&self, line: &Line) -> Vec<Fate> {
        let order = self.orders.get(line.name()).filter(|order| order.flow.placed_by == line.id);
        let ended = order.map(|order| order.fate.clone());
        // What was refused at once is no order, and only heard of.
        let refused = self.endings.get(&line.id).into_iter().flatten();
        let refused = refused.filter_map(|ending| match ending {
            Ending::Refused { reason } if order.is_none() => {
                Some(Fate::Refused { reason: reason.clone() })
            }
            _ => None,
        });
        let repeated = self.repetitions.iter().filter(|id| **id == line.id).map(|_| Fate::Repeated);
        let parked = self.letters.get(&line.id).into_iter().flatten().map(Fate::from);
        let answers = self.answers.get(&line.id).into_iter().flatten();
        let turned_away = answers.filter(|answer| answer.status == 400);
        let turned_away = turned_away.map(|answer| Fate::TurnedAway { why: answer.to_string() });
        ended.into_iter().chain(refused).chain(repeated).chain(turned_away).chain(parked).collect()
    }

    /// Whether everything has come to its end: every line has a fate, and every order was heard of.
    pub fn are_complete(&self, lines: &[Line]) -> bool {
        let is_over = |fate: &Fate| *fate != Fate::Underway;
        let has_fate = |line: &Line| {
            let fates = self.of(line);
            !fates.is_empty() && fates.iter().all(is_over)
        };
        let was_heard_of = |order: &Order| {
            matches!(order.fate, Fate::Stuck { .. })
                || self.endings.contains_key(&order.flow.placed_by)
        };
        lines.iter().all(has_fate) && self.orders.values().all(was_heard_of)
    }
}

/// The orders of a run, as the workflows have them.
pub async fn orders(workflows: &Workflows, run: &str) -> Result<Orders> {
    let mut filter = InstanceFilter::default();
    filter.limit = Some(InstanceFilter::LIMIT_MAX);
    let mut orders = Orders::new();
    for view in workflows.list(&filter).await? {
        let flow: OrderFlow = serde_json::from_str(view.state.get())?;
        if !flow.order_id.starts_with(run) {
            continue;
        }
        let (stage, reason) =
            view.failure.map(|failure| (failure.stage, failure.error)).unwrap_or_default();
        let fate = match view.instance.status {
            WorkflowStatus::Completed => Fate::Completed,
            WorkflowStatus::Stuck if view.instance.wish.is_none() => Fate::Stuck { stage, reason },
            status if status.is_end() => Fate::Failed { stage, reason },
            _ => Fate::Underway,
        };
        let (undone, tolerated) = (Vec::new(), Vec::new());
        orders.insert(flow.order_id.clone(), Order { flow, fate, undone, tolerated });
    }
    Ok(orders)
}

/// Adds what the histories of the orders say.
pub async fn look_back(workflows: &Workflows, orders: &mut Orders) -> Result {
    for (id, order) in orders {
        let history = workflows.history(crate::orders::instance_of(id)).await?;
        let stages = |event: HistoryEvent| {
            let lines = history.iter().filter(|line| line.event == event);
            lines.map(|line| line.stage.clone()).collect()
        };
        order.undone = stages(HistoryEvent::Undone);
        order.tolerated = stages(HistoryEvent::Tolerated);
    }
    Ok(())
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
}

impl Order {
    /// True if it is sold.
    pub fn is_completed(&self) -> bool {
        self.fate == Fate::Completed
    }

    /// True if it waits for somebody who has it undone.
    pub const fn is_stuck(&self) -> bool {
        matches!(self.fate, Fate::Stuck { .. })
    }
}

impl From<&Letter> for Fate {
    fn from(letter: &Letter) -> Self {
        Self::Parked { queue: letter.queue.clone(), reason: letter.reason.clone() }
    }
}
