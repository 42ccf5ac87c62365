//! The counters of one route, or of one type that is published.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use super::fate::Fate;
use super::journal::{Journal, Line};
use super::ledger::Sum;

/// Whose fates an account counts.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Place {
    /// Deliveries of a queue; the handler is `-` where none was found.
    Route { queue: String, handler: String },
    /// Publishes of a type.
    Type(String),
}

/// The counters of one route, or of one type that is published. Made at boot; recording takes no lock
/// but for the few fates that have a reason.
#[derive(Debug)]
pub struct Account {
    place: Place,
    counts: [AtomicU64; Fate::ALL.len()],
    /// The words come from the code, so there are few of them.
    reasons: Mutex<BTreeMap<(Fate, &'static str), u64>>,
    journal: Option<Arc<Journal>>,
}

/// What is noted beside a fate.
#[derive(Clone, Copy, Debug)]
pub struct Note<'a> {
    /// The message's id; `-` where it has none.
    pub id: &'a str,
    /// The number of the attempt, from 1.
    pub attempt: u32,
    /// A short word for programs.
    pub reason: Option<&'static str>,
}

impl<'a> Note<'a> {
    /// A note without a reason.
    #[must_use]
    pub const fn new(id: &'a str, attempt: u32) -> Self {
        Self { id, attempt, reason: None }
    }

    /// Adds the reason.
    #[must_use]
    pub const fn because(mut self, reason: &'static str) -> Self {
        self.reason = Some(reason);
        self
    }
}

impl Account {
    pub(super) fn new(place: Place, journal: Option<Arc<Journal>>) -> Self {
        let counts = [const { AtomicU64::new(0) }; Fate::ALL.len()];
        Self { place, counts, reasons: Mutex::default(), journal }
    }

    /// Counts a fate, and writes it down where a full ledger is kept.
    pub fn record(&self, fate: Fate, note: Note<'_>) {
        self.counts[fate as usize].fetch_add(1, Ordering::Relaxed);
        if let Some(reason) = note.reason {
            let mut reasons = self.reasons.lock().unwrap_or_else(PoisonError::into_inner);
            *reasons.entry((fate, reason)).or_default() += 1;
        }
        if let Some(journal) = &self.journal {
            let mut line = Line::of(fate, note);
            match &self.place {
                Place::Route { queue, handler } => {
                    line.queue = Some(queue.into());
                    line.handler = Some(handler.into());
                }
                Place::Type(name) => line.message_type = Some(name.into()),
            }
            journal.append(line);
        }
    }

    /// How often a fate was recorded.
    #[must_use]
    pub fn count(&self, fate: Fate) -> u64 {
        self.counts[fate as usize].load(Ordering::Relaxed)
    }

    pub(super) const fn place(&self) -> &Place {
        &self.place
    }

    /// Every fate that was recorded; those with a reason once for each.
    pub(super) fn sums(&self) -> Vec<Sum> {
        // The reasons first: a fate that is recorded meanwhile must not be missing from its own total.
        let reasons = self.reasons.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let mut sums = Vec::new();
        for fate in Fate::ALL {
            let mut rest = self.count(fate);
            for (&(_, reason), &count) in reasons.iter().filter(|((of, _), _)| *of == fate) {
                rest = rest.saturating_sub(count);
                sums.push(self.sum(fate, Some(reason), count));
            }
            if rest > 0 {
                sums.push(self.sum(fate, None, rest));
            }
        }
        sums
    }

    fn sum(&self, fate: Fate, reason: Option<&str>, count: u64) -> Sum {
        let (queue, handler, message_type) = match &self.place {
            Place::Route { queue, handler } => (Some(queue.clone()), Some(handler.clone()), None),
            Place::Type(name) => (None, None, Some(name.clone())),
        };
        let reason = reason.map(str::to_owned);
        Sum { queue, handler, message_type, fate, reason, count }
    }
}
