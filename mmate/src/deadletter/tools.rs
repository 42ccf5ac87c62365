//! List, show, purge; and what all tools share.

use std::ops::ControlFlow;
use std::sync::Arc;

use super::letter::{DeadLetter, ShownLetter};
use super::look::{self, Look};
use super::selection::Selection;
use crate::contract::address::dead_letter_queue;
use crate::transport::{
    Delivery, Queue, Settlement, Tag, Transport, TransportError, TransportErrorKind,
};

/// How many messages are looked at in one go, if nothing else is said.
const SCAN_MAX: u16 = 10_000;

/// How many messages are sent back per second, if nothing else is said.
const RATE_PER_SECOND: u32 = 100;

/// A dead-letter queue, and the queues whose failed messages it takes.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct DeadLetterQueue {
    /// The queue as it is declared.
    pub queue: Queue,
    /// The queues.
    pub origins: Vec<String>,
}

impl DeadLetterQueue {
    /// A dead-letter queue. If its own dead-letter target is one of the origins, messages are replayed
    /// by the broker, in one step.
    #[must_use]
    pub const fn new(queue: Queue, origins: Vec<String>) -> Self {
        Self { queue, origins }
    }

    /// True if `name` is the queue's own name, or that of a queue whose failed messages it takes.
    #[must_use]
    pub fn answers_to(&self, name: &str) -> bool {
        self.queue.name == name
            || self.origins.iter().any(|origin| origin == name)
            // The queues of a broadcast carry the instance's name, which nobody knows by heart.
            || self.queue.name == dead_letter_queue(name)
    }

    /// True if a handler takes messages from it, so that consumers are no sign of a tool.
    pub(super) fn is_handled(&self) -> bool {
        self.queue.dead_letter.is_some() && self.way_back().is_none()
    }

    /// The queue to which the broker itself moves what is rejected here, if that is where it came from.
    pub(super) fn way_back(&self) -> Option<&str> {
        let target = self.queue.dead_letter.as_ref()?;
        self.origins.contains(target).then_some(target)
    }
}

/// What a look at a dead-letter queue has found.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Page {
    /// The dead letters that fit the selection, the oldest first.
    pub letters: Vec<DeadLetter>,
    /// How many messages were looked at.
    pub looked_at: u64,
    /// How many waited in the queue when the look began. If more than were looked at, the limit of
    /// [`DeadLetters::scan_max`] was reached, the selection's count was, or somebody else took some.
    pub waiting: u64,
}

/// What a replay or a purge has done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Outcome {
    /// How many dead letters were moved or thrown away.
    pub moved: u64,
    /// How many fit the selection and were left, because nobody wrote down which queue they came from.
    pub without_origin: u64,
    /// How many messages were looked at.
    pub looked_at: u64,
    /// How many waited in the queue when the look began; see [`Page::waiting`].
    pub waiting: u64,
}

/// The tools for one dead-letter queue.
#[derive(Clone, Debug)]
pub struct DeadLetters {
    pub(super) transport: Arc<dyn Transport>,
    pub(super) queue: DeadLetterQueue,
    scan_max: u16,
    pub(super) rate_per_second: u32,
}

impl DeadLetters {
    /// Tools for a dead-letter queue.
    #[must_use]
    pub const fn new(transport: Arc<dyn Transport>, queue: DeadLetterQueue) -> Self {
        Self { transport, queue, scan_max: SCAN_MAX, rate_per_second: RATE_PER_SECOND }
    }

    /// Sets how many messages are looked at in one go, from the oldest on: 10,000 by default, at least 1.
    /// What a look holds is unsettled at the broker meanwhile, which allows no more than 65,535.
    #[must_use]
    pub fn scan_max(mut self, max: u16) -> Self {
        self.scan_max = max.max(1);
        self
    }

    /// Sets how many messages are sent back per second, so that a replay does not drown the service: 100
    /// by default, at least 1.
    #[must_use]
    pub fn rate_per_second(mut self, rate: u32) -> Self {
        self.rate_per_second = rate.max(1);
        self
    }

    /// The queue.
    #[must_use]
    pub const fn queue(&self) -> &DeadLetterQueue {
        &self.queue
    }

    /// How many messages wait in it.
    ///
    /// # Errors
    /// If there is no such queue, or the broker cannot be asked.
    pub async fn count(&self) -> Result<u64, TransportError> {
        look::waiting(&*self.transport, &self.queue.queue.name).await
    }

    /// Lists dead letters, the oldest first. They stay where they are.
    ///
    /// # Errors
    /// If there is no such queue, or the connection is lost.
    pub async fn list(&self, selection: &Selection) -> Result<Page, TransportError> {
        let (look, chosen) = self.choose(selection, |_, letter| letter).await?;
        let (looked_at, waiting) = (look.looked_at, look.waiting);
        look.end().await?;
        Ok(Page { letters: chosen, looked_at, waiting })
    }

    /// Shows the dead letter with an id, headers and body included; the oldest if there are several. It
    /// stays where it is.
    ///
    /// # Errors
    /// As [`DeadLetters::list`].
    pub async fn show(&self, id: &str) -> Result<Option<ShownLetter>, TransportError> {
        let selection = Selection::all().id(id).count(1);
        let shown = |delivery: Delivery, letter| ShownLetter {
            letter,
            properties: delivery.properties,
            body: delivery.body,
        };
        let (look, mut chosen) = self.choose(&selection, shown).await?;
        look.end().await?;
        Ok(chosen.pop())
    }

    /// Throws dead letters away, for ever.
    ///
    /// # Errors
    /// As [`DeadLetters::list`]; the text says how many are gone already.
    pub async fn purge(&self, selection: &Selection) -> Result<Outcome, TransportError> {
        let (mut look, chosen) = self.choose(selection, |delivery, _| delivery.tag).await?;
        let mut moved = 0;
        for tag in &chosen {
            let settled = look.decide(*tag, Settlement::Ack).await;
            settled.map_err(|error| interrupted(&error, moved, chosen.len()))?;
            moved += 1;
        }
        self.outcome(look, moved, 0).await
    }

    /// Looks at the queue and keeps something of each message that fits.
    pub(super) async fn choose<T>(
        &self,
        selection: &Selection,
        mut keep: impl FnMut(Delivery, DeadLetter) -> T,
    ) -> Result<(Look, Vec<T>), TransportError> {
        self.choose_while(selection, |delivery, letter| (keep(delivery, letter), true)).await
    }

    /// As [`Self::choose`], and stops when `keep` says so.
    pub(super) async fn choose_while<T>(
        &self,
        selection: &Selection,
        mut keep: impl FnMut(Delivery, DeadLetter) -> (T, bool),
    ) -> Result<(Look, Vec<T>), TransportError> {
        let mut chosen = Vec::new();
        let count_max = selection.count_max();
        let see = |delivery: Delivery| {
            let letter = DeadLetter::of(&delivery, &self.queue.origins);
            let mut more = true;
            if (chosen.len() as u64) < count_max && selection.fits(&letter) {
                let kept;
                (kept, more) = keep(delivery, letter);
                chosen.push(kept);
            }
            if more && (chosen.len() as u64) < count_max {
                ControlFlow::Continue(())
            } else {
                ControlFlow::Break(())
            }
        };
        let name = &self.queue.queue.name;
        let look = Look::begin(&self.transport, name, self.scan_max, see).await?;
        Ok((look, chosen))
    }

    pub(super) async fn outcome(
        &self,
        look: Look,
        moved: u64,
        without_origin: u64,
    ) -> Result<Outcome, TransportError> {
        let (looked_at, waiting) = (look.looked_at, look.waiting);
        look.end().await?;
        Ok(Outcome { moved, without_origin, looked_at, waiting })
    }
}

/// What a tool says that ended halfway.
pub(super) fn interrupted(error: &TransportError, moved: u64, chosen: usize) -> TransportError {
    let kind: TransportErrorKind = error.kind();
    let text = format!(
        "after {moved} of {chosen} dead letters: {error}; the others are where they were, do it again for them"
    );
    TransportError::new(kind, text)
}

/// A delivery's name, and what a copy of it needs.
pub(super) type Held = (Tag, DeadLetter, Delivery);
